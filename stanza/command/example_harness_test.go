package command_test

import (
	"context"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// inMemory returns the connection of a client, as which the requests arrive at mux: a
// stream inside the program, without TLS and authentication.
func inMemory(mux *stanza.Mux, client string) *stanza.Conn {
	ctx := context.Background()
	a, b := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	domain := jid.MustParse("capulet.lit")
	go func() { // ends with the connection
		s, err := stream.Accept(ctx, b, &stream.AcceptOptions{Profile: profile, Domains: []jid.JID{domain}})
		if err != nil {
			panic(err)
		}
		// A server says who its client is: here that is settled.
		stamp := func(next stanza.Handler) stanza.Handler {
			return stanza.HandlerFunc(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
				h := st.Head()
				h.From = jid.MustParse(client)
				st.SetHead(h)
				return next.HandleStanza(ctx, s, st)
			})
		}
		mux.Use(stamp)
		stanza.NewConn(s, nil).Serve(ctx, mux)
	}()
	s, err := stream.Initiate(ctx, a, &stream.InitiateOptions{Profile: profile, To: domain})
	if err != nil {
		panic(err)
	}
	return stanza.NewConn(s, nil)
}
