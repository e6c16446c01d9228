package tls_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// A client and a server that secure a stream. The profile asks for TLS and
// nothing else, so that the example ends there; a real one has features for
// authentication and resource binding behind STARTTLS.
func Example() {
	ctx := context.Background()
	profile := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure, InsecureGoal: true}
	domain := jid.MustParse("im.example")

	ca, err := xtls.NewDevCA() // for development only
	if err != nil {
		log.Fatal(err)
	}
	cert, err := ca.Issue("im.example")
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	served := make(chan error, 1)
	go func() { // ends with the one stream; main waits for it below
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		session, err := stream.Accept(ctx, conn, &stream.AcceptOptions{
			Profile:  profile,
			Domains:  []jid.JID{domain},
			Features: []stream.Feature{xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{cert}})},
		})
		if err != nil {
			served <- err
			return
		}
		served <- session.Serve(func(*stream.Element) error { return nil })
	}()

	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	session, err := stream.Initiate(ctx, conn, &stream.InitiateOptions{
		Profile:  profile,
		To:       domain,
		Features: []stream.Feature{xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: ca.Pool()})},
	})
	if err != nil {
		log.Fatal(err)
	}
	sec := session.Security()
	fmt.Println(tls.VersionName(sec.Version), "verified:", sec.Verified, sec.Identities)
	fmt.Println("closed:", session.Close(ctx), <-served)
	// Output:
	// TLS 1.3 verified: true [im.example]
	// closed: <nil> <nil>
}
