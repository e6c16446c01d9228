package auth_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// Both sides authenticate over a connection within this process. It is without TLS, and both sides
// have to say that they want it so; in front of auth.Client and auth.Server, a real client and a
// real server have STARTTLS.
func Example() {
	ctx := context.Background()
	domain := jid.MustParse("im.example")
	profile := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated, InsecureGoal: true}

	accounts := new(sasl.MemoryStore)
	if err := accounts.Set(ctx, "juliet", "r0m30myr0m30"); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() { // ends with the one connection it serves
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		s, err := stream.Accept(ctx, conn, &stream.AcceptOptions{
			Profile:  profile,
			Domains:  []jid.JID{domain},
			Features: []stream.Feature{auth.Server(&auth.ServerOptions{Store: accounts, InsecureWithoutTLS: true})},
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("server: this is", s.RemoteAddr())
		_ = s.Close(ctx)
	}()

	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	s, err := stream.Initiate(ctx, conn, &stream.InitiateOptions{
		Profile:  profile,
		To:       domain,
		From:     jid.MustParse("juliet@im.example"),
		Features: []stream.Feature{auth.Client(&auth.ClientOptions{Password: "r0m30myr0m30", InsecureWithoutTLS: true})},
		Trace: &stream.Trace{Authenticated: func(_ jid.JID, mechanism string) {
			fmt.Println("client: authenticated with", mechanism)
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = s.Close(ctx)
	<-served
	// Unordered output:
	// client: authenticated with SCRAM-SHA-256
	// server: this is juliet@im.example
}
