package stanza

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// trust is a feature by which the client is who it says it is, at once: it
// stands for authentication and binding.
func trust() stream.Feature {
	name := stream.Name{Space: "urn:test:trust", Local: "trust"}
	return stream.Feature{
		Name:    name,
		Forbids: stream.Bound,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(name)
			w.End()
			return nil
		},
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			n.SetIdentity(romeo)
			err := n.Write(func(w *stream.Writer) { w.Start(name); w.End() })
			return stream.Outcome{Reached: stream.Bound}, err
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			if err := n.Write(func(w *stream.Writer) { w.Start(name); w.End() }); err != nil {
				return stream.Outcome{}, err
			}
			n.SetIdentity(romeo)
			_, err := n.Read(ctx)
			return stream.Outcome{Reached: stream.Bound}, err
		},
	}
}

// Sessions negotiates a stream in memory between romeo and his server.
func Sessions(t testing.TB, limits *stream.Limits) (client, server *stream.Session) {
	t.Helper()
	a, b := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Bound, InsecureGoal: true}
	accepted := make(chan error, 1)
	go func() {
		var err error
		server, err = stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{montague}, Features: []stream.Feature{trust()}, Limits: limits,
		})
		accepted <- err
	}()
	client, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
		Profile: profile, To: montague, From: romeo, Features: []stream.Feature{trust()}, Limits: limits,
	})
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	return client, server
}
