package sm_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/sm"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.SM(t, func(*testing.T) sm.Store { return new(sm.MemoryStore) })
}

func storedState(n int) *sm.State {
	return &sm.State{ID: strconv.Itoa(n), Owner: jid.MustParse("juliet@capulet.lit/balcony"), Extra: map[string][]byte{"x": make([]byte, 1000)}}
}

// Both bounds hold for what is put and for what is appended, and there is room
// again when something was deleted.
func TestMemoryStoreBounds(t *testing.T) {
	ctx := t.Context()
	s := &sm.MemoryStore{Sessions: 2}
	require.NoError(t, s.Put(ctx, storedState(0)))
	require.NoError(t, s.Put(ctx, storedState(1)))
	require.ErrorIs(t, s.Put(ctx, storedState(2)), sm.ErrStoreFull)
	require.NoError(t, s.Put(ctx, storedState(1)), "what is there can be replaced")
	require.NoError(t, s.Delete(ctx, "0"))
	require.NoError(t, s.Put(ctx, storedState(2)))

	s = &sm.MemoryStore{Bytes: 2500}
	require.NoError(t, s.Put(ctx, storedState(0)))
	require.NoError(t, s.Put(ctx, storedState(1)))
	require.ErrorIs(t, s.Put(ctx, storedState(2)), sm.ErrStoreFull)
	var j sm.Journal
	j.Sent(make([]byte, 300), time.Unix(0, 0))
	require.NoError(t, s.Append(ctx, "0", j))
	before, err := s.Load(ctx, "1")
	require.NoError(t, err)
	require.ErrorIs(t, s.Append(ctx, "1", j), sm.ErrStoreFull)
	after, err := s.Load(ctx, "1")
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, s.Delete(ctx, "0"))
	require.NoError(t, s.Append(ctx, "1", j))
	require.NoError(t, s.Put(ctx, storedState(1)))
	require.NoError(t, s.Put(ctx, storedState(0)))
}

func BenchmarkMemoryStoreAppend(b *testing.B) {
	var s sm.MemoryStore
	require.NoError(b, s.Put(b.Context(), storedState(0)))
	var j sm.Journal
	xml, n := make([]byte, 300), uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		j = j[:0]
		j.Sent(xml, time.Unix(0, 0))
		j.Acked(n)
		j.Handled(n)
		if err := s.Append(b.Context(), "0", j); err != nil {
			b.Fatal(err)
		}
	}
}
