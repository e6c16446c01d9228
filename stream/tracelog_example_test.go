package stream_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// A server that logs what becomes of its streams. This one needs neither TLS nor
// a login, and what differs from one run to the next is left out.
func ExampleLogTrace() {
	varies := map[string]bool{slog.TimeKey: true, "stream": true, "duration": true, "bytes_in": true, "bytes_out": true}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if varies[a.Key] {
				return slog.Attr{}
			}
			return a
		},
	}))
	ctx := context.Background()
	domain := jid.MustParse("capulet.example")
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	client, server := memconn.Pipe()

	served := make(chan error)
	go func() {
		session, err := stream.Accept(ctx, server, &stream.AcceptOptions{
			Profile: profile,
			Domains: []jid.JID{domain},
			Trace:   stream.LogTrace(logger.With("peer", "192.0.2.1"), nil),
		})
		if err == nil {
			err = session.Serve(func(*stream.Element) error { return nil })
		}
		served <- err
	}()
	session, err := stream.Initiate(ctx, client, &stream.InitiateOptions{Profile: profile, To: domain})
	if err == nil {
		err = session.Close(ctx)
	}
	fmt.Println(err, <-served)
	// Output:
	// level=INFO msg="stream established" peer=192.0.2.1 role=receiving domain=capulet.example
	// level=INFO msg="stream closed" peer=192.0.2.1 role=receiving domain=capulet.example error="stream: closed by the peer" stanzas_in=0 stanzas_out=0
	// <nil> <nil>
}
