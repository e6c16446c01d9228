package carbons_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
)

// bound negotiates with SASL 2 and Bind 2, and returns the resource. With lose, the
// server loses it at once.
func bound(t *testing.T, s *server, more stream.Feature, lose bool) (*resource, error) {
	t.Helper()
	domain := jid.MustParse("montague.example")
	users := new(sasl.MemoryStore)
	require.NoError(t, users.Set(t.Context(), "romeo", "w1lt"))
	var r *resource
	server := append(s.mod.StreamFeatures(),
		auth.SASL2Server(&auth.ServerOptions{Store: users, InsecureWithoutTLS: true}),
		bind.Server(&bind.ServerOptions{Bind: func(_ context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error) {
			r = s.connect(asked.String())
			if lose {
				s.forget(r)
			}
			return asked, nil
		}}),
	)
	a, b := memconn.Pipe()
	accepted := make(chan error, 1)
	go func() { // ends with the negotiation, joined by accepted
		ss, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: stream.InsecureC2S(), Domains: []jid.JID{domain}, Features: server})
		if err == nil {
			ss.Abort(nil)
		}
		accepted <- err
	}()
	cs, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
		Profile: stream.InsecureC2S(), To: domain, From: jid.MustParse("romeo@montague.example"),
		Features: []stream.Feature{
			auth.SASL2Client(&auth.ClientOptions{Password: "w1lt", InsecureWithoutTLS: true}),
			bind.Client(nil), more,
		},
	})
	if err == nil {
		cs.Abort(nil)
	}
	if srv := <-accepted; srv != nil {
		err = srv
	}
	return r, err
}

// XEP-0386 §3.2: carbons are enabled at this point, before there is a session.
func TestBind2(t *testing.T) {
	const chat = `<message xmlns='jabber:client' from='` + juliet + `' to='` + home + `' type='chat'/>`
	request := func(local string) stream.Feature {
		return stream.Feature{Name: stream.Name{Space: carbons.NS, Local: "x"}, Inline: []stream.Inline{{
			In: stream.InBinding, Space: carbons.NS,
			Request: func(_ *stream.Negotiation, _ *stream.Element, w *stream.Writer) error {
				w.Start(stream.Name{Space: carbons.NS, Local: local})
				w.End()
				return nil
			},
		}}}
	}
	called := 0
	for name, tt := range map[string]struct {
		client stream.Feature
		copies int
	}{
		"enable":         {carbons.Client(func() { called++ }), 1},
		"nobody is told": {carbons.Client(nil), 1},
		"something else": {request("disable"), 0}, // XEP-0388 §2.3
		"nothing at all": {stream.Feature{Name: stream.Name{Space: "urn:example", Local: "x"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				r, err := bound(t, s, tt.client, false)
				require.NoError(t, err)
				s.mod.AfterRoute(t.Context(), transit(t, chat, nil, s.connect(home)))
				require.Len(t, r.take(), tt.copies)
			})
		})
	}
	require.Equal(t, 1, called)

	t.Run("the resource is gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := bound(t, newServer(t), carbons.Client(nil), true)
			require.ErrorIs(t, err, stream.Conflict)
		})
	})
	t.Run("a module without a server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := bound(t, &server{host: new(host), mod: new(carbons.Module)}, carbons.Client(nil), false)
			require.ErrorIs(t, err, stream.InternalServerError)
		})
	})
}
