package ping_test

import (
	"context"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
)

// A client asks its server whether it is there, within a time.
func Example() {
	ctx := context.Background()
	clientSession, serverSession := inMemory(ctx)

	server := stanza.NewConn(serverSession, nil)
	var mux stanza.Mux
	if err := stanza.Install(&mux, ping.Responder()); err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(ctx, &mux) // ends with the session

	client := stanza.NewConn(clientSession, nil)
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := ping.Ping(within, client, jid.JID{}); err != nil {
		client.Abort(err) // nobody there
		return
	}
	fmt.Println("alive")
	if err := client.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: alive
}

// inMemory negotiates a stream inside the program, without TLS and
// authentication.
func inMemory(ctx context.Context) (client, server *stream.Session) {
	a, b := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	domain := jid.MustParse("capulet.lit")
	accepted := make(chan *stream.Session)
	go func() {
		s, err := stream.Accept(ctx, b, &stream.AcceptOptions{Profile: profile, Domains: []jid.JID{domain}})
		if err != nil {
			panic(err)
		}
		accepted <- s
	}()
	client, err := stream.Initiate(ctx, a, &stream.InitiateOptions{Profile: profile, To: domain})
	if err != nil {
		panic(err)
	}
	return client, <-accepted
}
