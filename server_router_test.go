package xmpp_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// A store that changes a roster by itself: the router finds out what is different,
// and tells everybody who has to know.
func TestRosterChanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(roster.MemoryStore)
		var server *xmpp.Server
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters, server = store, s })
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		for _, p := range []*peer{romeo, juliet} {
			p.roster()
			p.say(`<presence/>`)
			p.hear()
		}
		router, err := server.Router()
		require.NoError(t, err)
		r, j := address("romeo@xmpp.test"), address("juliet@xmpp.test")
		put := func(account, contact string, state roster.State) {
			_, err := store.Put(t.Context(), address(account), roster.Item{JID: address(contact), Name: "colleague", State: state, Added: true})
			require.NoError(t, err)
		}
		put("romeo@xmpp.test", "juliet@xmpp.test", roster.Both)
		put("juliet@xmpp.test", "romeo@xmpp.test", roster.Both)
		require.NoError(t, router.RosterChanged(t.Context(), r))
		require.Equal(t, "juliet@xmpp.test both", romeo.pushed())
		// What juliet may see now she sees; romeo waits for her roster to change.
		juliet.hears("presence - romeo@xmpp.test/orchard→juliet@xmpp.test -")
		romeo.quiet()
		require.NoError(t, router.RosterChanged(t.Context(), j))
		require.Equal(t, "romeo@xmpp.test both", juliet.pushed())
		romeo.hears("presence - juliet@xmpp.test/balcony→romeo@xmpp.test -")
		juliet.hears("presence - romeo@xmpp.test/orchard→juliet@xmpp.test -")
		romeo.quiet()
		juliet.quiet()

		// Nothing is different: nobody hears anything.
		require.NoError(t, router.RosterChanged(t.Context(), r))
		romeo.quiet()
		juliet.quiet()

		_, err = store.Remove(t.Context(), r, j)
		require.NoError(t, err)
		require.NoError(t, router.RosterChanged(t.Context(), r))
		require.Equal(t, "juliet@xmpp.test remove", romeo.pushed())
		el := juliet.hear()
		require.Equal(t, "unavailable romeo@xmpp.test/orchard", el.Attr("type")+" "+el.Attr("from"))
		romeo.say(`<presence><show>away</show></presence>`)
		romeo.hear()
		juliet.quiet()

		// Of several pushes only the last has the new version: who misses it asks again.
		known, err := store.Roster(t.Context(), j)
		require.NoError(t, err)
		put("juliet@xmpp.test", "nurse@xmpp.test", roster.None)
		put("juliet@xmpp.test", "paris@xmpp.test", roster.None)
		now, err := store.Roster(t.Context(), j)
		require.NoError(t, err)
		require.NoError(t, router.RosterChanged(t.Context(), j))
		for _, want := range []uint64{known.Version, now.Version} {
			require.Contains(t, string(juliet.hear().Raw()), "ver='"+roster.FormatVersion(want)+"'")
		}
		juliet.quiet()

		// Who is not connected is read when it matters, and who does not exist too.
		require.NoError(t, router.RosterChanged(t.Context(), address("nobody@xmpp.test")))

		// The router speaks for the server.
		require.NoError(t, router.Send(t.Context(), &stanza.Message{To: r, Type: stanza.HeadlineMessage, Body: stanza.Plain("news")}))
		romeo.hears("message headline xmpp.test→romeo@xmpp.test -")
	})
}

// A server that cannot be used has no router.
func TestRouterOfAnUnusableServer(t *testing.T) {
	_, err := new(xmpp.Server).Router()
	require.ErrorIs(t, err, xmpp.ErrServer)
}

// reads counts how a store is asked.
type reads struct {
	roster.MemoryStore
	whole, single atomic.Int64
}

func (r *reads) Roster(ctx context.Context, account jid.JID) (roster.Roster, error) {
	r.whole.Add(1)
	return r.MemoryStore.Roster(ctx, account)
}

func (r *reads) Item(ctx context.Context, account, contact jid.JID) (roster.Item, error) {
	r.single.Add(1)
	return r.MemoryStore.Item(ctx, account, contact)
}

// Whoever comes looks at each contact, and does not make the server read the whole
// rosters of those who are away.
func TestComingReadsOneItemOfEachContact(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(reads)
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = store })
		const contacts = 20
		for i := range contacts {
			name := fmt.Sprintf("contact%d", i)
			s.AddAccount(t, name, "secret")
			_, err := store.Put(t.Context(), address(julietJID), roster.Item{JID: address(name + "@xmpp.test"), State: roster.Both})
			require.NoError(t, err)
			_, err = store.Put(t.Context(), address(name+"@xmpp.test"), roster.Item{JID: address(julietJID), State: roster.Both})
			require.NoError(t, err)
		}
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		for range 1 + contacts { // herself, and everybody's absence
			juliet.hear()
		}
		require.EqualValues(t, 1, store.whole.Load())
		require.EqualValues(t, contacts, store.single.Load())
	})
}
