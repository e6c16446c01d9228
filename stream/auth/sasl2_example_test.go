package auth_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"time"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// A client logs in with its password, is given a token, and comes back with that: authentication and
// binding then take one round trip. What the two sides remember is in Credentials and Tokens.
func ExampleSASL2Client() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	domain, juliet := jid.MustParse("im.example"), jid.MustParse("juliet@im.example")
	ca, err := xtls.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := ca.Issue("im.example")
	if err != nil {
		log.Fatal(err)
	}
	accounts := new(sasl.MemoryStore)
	if err := accounts.Set(ctx, "juliet", "r0m30myr0m30"); err != nil {
		log.Fatal(err)
	}
	server := &stream.AcceptOptions{Domains: []jid.JID{domain}, Features: []stream.Feature{
		xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{certificate}}),
		auth.SASL2Server(&auth.ServerOptions{Store: accounts, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}}),
		bind.Server(nil),
	}}
	client := &stream.InitiateOptions{
		To: domain, From: juliet,
		Features: []stream.Feature{
			xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: ca.Pool()}),
			auth.SASL2Client(&auth.ClientOptions{
				Password:    "r0m30myr0m30",
				Credentials: new(auth.MemoryCredentials),
				UserAgent:   stream.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770", Software: "Balcony"},
			}),
			bind.Client(nil),
		},
		Trace: &stream.Trace{Authenticated: func(_ jid.JID, mechanism string) { fmt.Println("authenticated with", mechanism) }},
	}
	for range 2 {
		a, b := memconn.Pipe()
		served := make(chan struct{})
		go func() { // ends with the stream
			defer close(served)
			s, err := stream.Accept(ctx, b, server)
			if err != nil {
				log.Fatal(err)
			}
			_ = s.Close(ctx)
		}()
		s, err := stream.Initiate(ctx, a, client)
		if err != nil {
			log.Fatal(err)
		}
		_ = s.Close(ctx)
		<-served
	}
	// Output:
	// authenticated with SCRAM-SHA-256-PLUS
	// authenticated with HT-SHA-256-EXPR
}
