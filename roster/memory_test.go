package roster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

func contact(i int) jid.JID { return jid.MustParse(fmt.Sprintf("contact%d@example.net", i)) }

// The bounds of a MemoryStore, and that strangers do not use up what is for contacts.
func TestMemoryStoreBounds(t *testing.T) {
	ctx := t.Context()
	m := &roster.MemoryStore{MaxItems: 3, MaxPending: 2, MaxAccounts: 2}
	put := func(account jid.JID, i roster.Item) error { _, err := m.Put(ctx, account, i); return err }
	stranger := func(i int) roster.Item { return roster.Item{JID: contact(i), State: roster.PendingIn} }
	listed := func(i int) roster.Item { return roster.Item{JID: contact(i), Added: true} }

	require.NoError(t, put(juliet, stranger(10)))
	require.NoError(t, put(juliet, stranger(11)))
	require.ErrorIs(t, put(juliet, stranger(12)), roster.ErrFull, "RFC 6121 §3.1.3")
	for i := range 3 {
		require.NoError(t, put(juliet, listed(i)))
	}
	before, err := m.Roster(ctx, juliet)
	require.NoError(t, err)
	require.ErrorIs(t, put(juliet, listed(3)), roster.ErrFull)
	require.ErrorIs(t, put(juliet, stranger(10).With(roster.From)), roster.ErrFull, "an approval is another contact")
	after, err := m.Roster(ctx, juliet)
	require.NoError(t, err)
	require.Equal(t, before, after, "what was refused has left nothing behind")
	// What is there can be changed, and what is removed makes room.
	require.NoError(t, put(juliet, roster.Item{JID: contact(1), Name: "x"}))
	require.NoError(t, put(juliet, stranger(11)))
	_, err = m.Remove(ctx, juliet, contact(0))
	require.NoError(t, err)
	require.NoError(t, put(juliet, stranger(10).With(roster.From)))
	require.NoError(t, put(juliet, stranger(12)), "the request that was approved is none any more")
	require.ErrorIs(t, put(juliet, stranger(13)), roster.ErrFull)
	require.NoError(t, put(juliet, roster.Item{JID: contact(12)}), "denied")
	require.NoError(t, put(juliet, stranger(13)))

	require.NoError(t, put(nurse, stranger(1)))
	require.ErrorIs(t, put(romeo, listed(1)), roster.ErrFull)
	_, err = m.Remove(ctx, nurse, contact(1))
	require.NoError(t, err)
	require.NoError(t, put(romeo, listed(1)), "nothing was left of the other")
	require.ErrorIs(t, put(benvolio, listed(1)), roster.ErrFull)
	require.NoError(t, m.Delete(ctx, romeo))
	require.NoError(t, put(benvolio, listed(1)))
}

// Who has been away for longer than removed contacts are remembered gets the roster.
func TestMemoryStoreForgets(t *testing.T) {
	ctx := t.Context()
	m := &roster.MemoryStore{MaxRemoved: 2}
	var versions []uint64
	for i := range 4 {
		v, err := m.Put(ctx, juliet, roster.Item{JID: contact(i), Added: true})
		require.NoError(t, err)
		versions = append(versions, v)
	}
	for i := range 3 {
		v, err := m.Remove(ctx, juliet, contact(i))
		require.NoError(t, err)
		versions = append(versions, v)
	}
	for i, want := range []int{-1, -1, -1, -1, 2, 1, 0} {
		c, ok, err := m.Changes(ctx, juliet, versions[i])
		require.NoError(t, err)
		require.Equal(t, want >= 0, ok, "version %d", i)
		require.Len(t, c, max(want, 0))
	}
}

// A new run of the program has other versions: RFC 6121 §2.6.
func TestMemoryStoreVersions(t *testing.T) {
	seen := map[uint64]bool{}
	for range 100 {
		var m roster.MemoryStore
		v, err := m.Put(t.Context(), juliet, roster.Item{JID: romeo, Added: true})
		require.NoError(t, err)
		require.False(t, seen[v])
		for _, never := range []uint64{0, v - 2, v - 1, v + 1} {
			_, ok, err := m.Changes(t.Context(), juliet, never)
			require.NoError(t, err)
			require.False(t, ok)
		}
		require.LessOrEqual(t, v, uint64(1)<<49)
		seen[v] = true
	}
}

func BenchmarkMemoryStoreRoster(b *testing.B) {
	var m roster.MemoryStore
	for i := range 200 {
		if _, err := m.Put(b.Context(), juliet, roster.Item{JID: contact(i), State: roster.Both, Groups: []string{"Friends"}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Roster(b.Context(), juliet); err != nil {
			b.Fatal(err)
		}
	}
}

// A router looks up many states.
func TestStateAllocs(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		s, _ := roster.None.Inbound(stanza.SubscribePresence)
		s.Outbound(stanza.SubscribedPresence)
	}))
}

func BenchmarkState(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		roster.None.Inbound(stanza.SubscribePresence)
	}
}
