// Command quickstart starts a server in this process, connects two accounts to
// it over TCP, STARTTLS and SCRAM-SHA-256-PLUS, lets them talk, and prints what
// goes over the wire as it happens. Nothing has to be installed or configured.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

var (
	domain = jid.MustParse("quickstart.example")
	juliet = jid.MustParse("juliet@quickstart.example/balcony")
	romeo  = jid.MustParse("romeo@quickstart.example/orchard")
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	// A certificate authority for this run only; both sides know it.
	ca, err := xtls.NewDevCA()
	if err != nil {
		return err
	}
	listener, server, err := startServer(ctx, ca)
	if err != nil {
		return err
	}
	addr := listener.Addr().String()

	steps := newSteps(os.Stdout)
	fmt.Println("Juliet connects. C is what her client sends, S what the server sends;\n" +
		"credentials are redacted, and line breaks in the XML are for reading only.")
	nc, err := steps.dial(ctx, addr)
	if err != nil {
		return err
	}
	julietConn, err := connect(ctx, nc, ca, steps.trace())
	if err != nil {
		return err
	}
	if err := steps.complete(); err != nil {
		return err
	}

	romeoConn, err := (&xmpp.Client{
		JID: romeo, Password: "call me but love", RootCAs: ca.Pool(), Addr: addr,
	}).Connect(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\nRomeo connects in the way of today, with SASL 2, which saves a round trip, and is %s.\n", romeoConn.LocalAddr())

	if err := talk(ctx, julietConn, romeoConn); err != nil {
		return err
	}
	fmt.Println("\nBoth close their streams.")
	for _, c := range []*stanza.Conn{julietConn, romeoConn} {
		if err := c.Close(ctx); err != nil {
			return err
		}
	}
	fmt.Println("\nThat is all; the server shuts down.")
	return server.Shutdown(ctx)
}

// connect connects Juliet by the letter of RFC 6120: TLS, SASL and binding, one
// after the other. An xmpp.Client puts these parts together by itself, and takes
// the shorter way where the server has one.
func connect(ctx context.Context, nc net.Conn, ca *xtls.DevCA, trace *stream.Trace) (*stanza.Conn, error) {
	session, err := stream.Initiate(ctx, nc, &stream.InitiateOptions{
		To:   domain,
		From: juliet,
		Features: []stream.Feature{
			xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: ca.Pool()}),
			auth.Client(&auth.ClientOptions{Password: "wherefore art thou"}),
			bind.Client(nil),
		},
		Trace: trace,
	})
	if err != nil {
		return nil, err
	}
	return stanza.NewConn(session, nil), nil
}

// startServer runs a server for the two accounts on a free port of loopback.
func startServer(ctx context.Context, ca *xtls.DevCA) (net.Listener, *xmpp.Server, error) {
	certificate, err := ca.Issue(domain.String())
	if err != nil {
		return nil, nil, err
	}
	accounts := &xmpp.MemoryAccounts{}
	for account, password := range map[jid.JID]string{juliet: "wherefore art thou", romeo: "call me but love"} {
		if err := accounts.Set(ctx, account, password); err != nil {
			return nil, nil, err
		}
	}
	server := &xmpp.Server{
		Domains:  []jid.JID{domain},
		Accounts: accounts,
		TLS:      &xtls.ServerOptions{Certificates: []tls.Certificate{certificate}},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	go func() {
		// Ends with the shutdown at the end of run.
		if err := server.Serve(ctx, listener); err != xmpp.ErrServerClosed {
			log.Print(err)
		}
	}()
	return listener, server, nil
}

// talk exchanges presence, a message and a ping between the two.
func talk(ctx context.Context, julietConn, romeoConn *stanza.Conn) error {
	// Romeo answers pings, which is what a Mux is for; what it does not route
	// comes to heard.
	heard := make(chan stanza.Stanza)
	mux := &stanza.Mux{}
	if err := ping.Responder().Register(mux); err != nil {
		return err
	}
	mux.Fallback(stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
		heard <- stanza.Clone(st)
		return nil
	}))
	go romeoConn.Serve(ctx, mux) // ends when Romeo's stream does

	fmt.Println("\nJuliet sends Romeo presence and a message. She leaves out who she is: the server says so.")
	send := []stanza.Stanza{
		&stanza.Presence{To: romeo, Show: stanza.ShowChat, Status: stanza.Plain("on the balcony")},
		&stanza.Message{To: romeo, Type: stanza.ChatMessage, Body: stanza.Plain("What's in a name?")},
	}
	for _, st := range send {
		if err := julietConn.Send(ctx, st); err != nil {
			return err
		}
		select {
		case got := <-heard:
			xml, err := got.AppendXML(nil)
			if err != nil {
				return err
			}
			fmt.Printf("    Romeo receives a %s:\n       %s\n", got.Kind(), xml)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	fmt.Println("\nJuliet pings Romeo: a request, which is an iq of type get, and its result.")
	rtt, err := ping.Ping(ctx, julietConn, romeo)
	if err != nil {
		return err
	}
	fmt.Printf("    It took %v.\n", rtt.Round(10*time.Microsecond))
	return nil
}
