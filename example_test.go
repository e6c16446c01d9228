package xmpp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	xtls "stanzakit.dev/xmpp/tls"
)

// A server inside another program, and a client of it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	// For development only: programs that face users have a certificate.
	ca, err := xtls.NewDevCA()
	check(err)
	certificate, err := ca.Issue("im.example")
	check(err)

	accounts := &xmpp.MemoryAccounts{}
	juliet := jid.MustParse("juliet@im.example/balcony")
	check(accounts.Set(ctx, juliet, "wherefore"))
	mux := &stanza.Mux{}
	check(ping.Responder().Register(mux))
	server := &xmpp.Server{
		Domains:  []jid.JID{juliet.DomainJID()},
		Accounts: accounts,
		TLS:      &xtls.ServerOptions{Certificates: []tls.Certificate{certificate}},
		Handler:  mux,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, listener) }()

	client := &xmpp.Client{JID: juliet, Password: "wherefore", RootCAs: ca.Pool(), Addr: listener.Addr().String()}
	conn, err := client.Connect(ctx)
	check(err)
	_, err = ping.Ping(ctx, conn, server.Domains[0])
	check(err)
	fmt.Println(conn.LocalAddr(), "has pinged", conn.RemoteAddr())
	check(conn.Close(ctx))

	check(server.Shutdown(ctx))
	fmt.Println(<-ended)
	// Output:
	// juliet@im.example/balcony has pinged im.example
	// xmpp: server closed
}

// A bot with a loop of its own. Where the server is, the DNS says.
func ExampleClient_Connect() {
	ctx := context.Background()
	client := &xmpp.Client{JID: jid.MustParse("bot@im.example"), Password: "secret"}
	conn, err := client.Connect(ctx)
	check(err)
	defer conn.Close(ctx)
	check(conn.Send(ctx, &stanza.Presence{Status: stanza.Plain("at your service")}))
	for st, err := range conn.All(ctx) {
		check(err)
		switch st := st.(type) {
		case *stanza.Message:
			if st.Type == stanza.ChatMessage && st.Body != nil {
				check(conn.Send(ctx, st.Reply("You said: "+st.Body.String())))
			}
		case *stanza.Presence:
			fmt.Println(st.From, "is", st.Show)
		}
		// A request that is not answered here is answered with
		// service-unavailable.
	}
}

// The same in one call.
func ExampleAnswer() {
	err := xmpp.Answer(context.Background(), "bot@im.example", "secret", func(m *stanza.Message) *stanza.Message {
		return m.Reply("You said: " + m.Body.String())
	})
	fmt.Println(err)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
