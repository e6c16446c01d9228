package bolt_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/adapters/bolt"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// run is one run of a server that keeps everything in a file.
type run struct {
	t      *testing.T
	db     *bolt.DB
	server *xmpptest.Server
}

func start(t *testing.T, path string) run {
	t.Helper()
	db, err := bolt.Open(path, &bolt.Options{Iterations: sasl.MinIterations})
	require.NoError(t, err)
	s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
		s.Accounts, s.Rosters, s.Offline, s.LastSeen = db.Accounts(), db.Rosters(), db.Offline(), db.LastSeen()
		s.Modules = append(s.Modules, &mam.Module{Store: db.Archive()})
	}})
	return run{t, db, s}
}

// stop ends the server and then closes the file.
func (r run) stop() {
	r.t.Helper()
	r.server.Close()
	require.NoError(r.t, r.db.Close())
}

func (r run) connect(account jid.JID) *stanza.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	c, err := r.server.Client(account, "secret").Connect(ctx)
	require.NoError(r.t, err)
	return c
}

// A message for somebody who is away, a contact and an account outlast the server.
func TestServerRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xmpp.db")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	first := start(t, path)
	domain := first.server.Domain.Domain()
	juliet, romeo := jid.MustParse("juliet@"+domain), jid.MustParse("romeo@"+domain)
	for _, account := range []jid.JID{juliet, romeo} {
		require.NoError(t, first.db.Accounts().Create(ctx, account, "secret"))
	}
	conn := first.connect(romeo)
	require.NoError(t, conn.Send(ctx, &stanza.Message{To: juliet, Type: stanza.ChatMessage, Body: stanza.Plain("Wherefore?")}))
	contact := &roster.Query{Items: []roster.Entry{{Item: roster.Item{JID: juliet, Name: "Juliet"}}}}
	_, err := conn.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: contact}) // after the message
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))
	first.stop()

	second := start(t, path)
	defer second.stop()
	kept, err := second.db.Rosters().Roster(ctx, romeo)
	require.NoError(t, err)
	item, ok := kept.Item(juliet)
	require.True(t, ok)
	require.Equal(t, "Juliet", item.Name)
	page, err := second.db.Archive().Query(ctx, romeo, &mam.Selection{Max: 10})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)

	conn = second.connect(juliet)
	require.NoError(t, conn.Send(ctx, &stanza.Presence{}))
	for st, err := range conn.All(ctx) {
		require.NoError(t, err)
		if m, ok := st.(*stanza.Message); ok {
			require.Equal(t, "Wherefore?", m.Body.String())
			require.Equal(t, romeo, m.From.Bare())
			break
		}
	}
	require.NoError(t, conn.Close(ctx))
}
