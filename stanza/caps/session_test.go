package caps_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// XEP-0115 §6.3, over the wire: a client learns what its server can do from the
// stream features, asks once, and never again on later connections.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			announce := &caps.Announcer{Node: "https://stanzakit.dev", Entity: new(disco.Entity)}
			*announce.Entity = disco.Entity{
				Identities: []disco.Identity{{Category: "server", Type: "im"}},
				Features:   []string{"urn:example"},
				Modules:    []stanza.Module{announce},
			}
			s.Modules = []stanza.Module{announce, &disco.Responder{Self: announce.Entity}}
		}})
		account := server.AddAccount(t, "romeo", "secret")
		tracker := new(caps.Tracker)
		for i := range 2 {
			client := server.Client(account, "secret")
			client.Features = []stream.Feature{tracker.Feature()}
			conn, err := client.Connect(t.Context())
			require.NoError(t, err)
			var d disco.Doer = conn
			if i > 0 {
				d = nil // nobody needs to be asked
			}
			info, err := tracker.Info(t.Context(), d, server.Domain)
			require.NoError(t, err)
			require.Equal(t, []string{caps.NS, disco.NSInfo, disco.NSItems, "urn:example"}, info.Features)
			require.NoError(t, conn.Close(context.WithoutCancel(t.Context())))
		}
	})
}
