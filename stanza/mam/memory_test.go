package mam_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.MAM(t, func(*testing.T) mam.Store { return new(mam.MemoryStore) })
}

// The bound of all archives together: nothing more is stored until something goes.
func TestMemoryStoreFull(t *testing.T) {
	juliet, romeo := jid.MustParse("juliet@capulet.lit"), jid.MustParse("romeo@montague.lit")
	entry := func(id string) *mam.Entry {
		return &mam.Entry{ID: id, Time: time.Unix(1, 0).UTC(), From: romeo, To: juliet, Message: make([]byte, 100)}
	}
	size := int64(entry("1").Size())
	s := &mam.MemoryStore{MaxBytes: 2 * size}
	ctx := t.Context()
	require.NoError(t, s.Append(ctx, juliet, entry("1"), mam.Keep{}))
	require.NoError(t, s.Append(ctx, romeo, entry("1"), mam.Keep{}))
	require.ErrorIs(t, s.Append(ctx, juliet, entry("2"), mam.Keep{}), mam.ErrFull)
	require.ErrorIs(t, s.Append(ctx, jid.MustParse("nurse@capulet.lit"), entry("2"), mam.Keep{}), mam.ErrFull)
	require.ErrorIs(t, s.SetPrefs(ctx, juliet, &mam.Prefs{Default: mam.ArchiveNever}), mam.ErrFull)
	// What an archive loses to its own bound makes room.
	require.NoError(t, s.Append(ctx, juliet, entry("2"), mam.Keep{Messages: 1}))
	require.ErrorIs(t, s.Append(ctx, juliet, entry("3"), mam.Keep{}), mam.ErrFull)
	require.NoError(t, s.Delete(ctx, romeo))
	require.NoError(t, s.Append(ctx, juliet, entry("3"), mam.Keep{}))
	require.NoError(t, s.Delete(ctx, juliet))
	// Preferences count, and give back what they took.
	for range 10 {
		require.NoError(t, s.SetPrefs(ctx, juliet, &mam.Prefs{Default: mam.ArchiveNever}))
	}
	require.NoError(t, s.Append(ctx, juliet, entry("1"), mam.Keep{}))
	require.ErrorIs(t, s.Append(ctx, juliet, entry("2"), mam.Keep{}), mam.ErrFull)
	require.NoError(t, s.Delete(ctx, juliet))
	require.NoError(t, s.Append(ctx, juliet, entry("1"), mam.Keep{}))
	require.NoError(t, s.Append(ctx, juliet, entry("2"), mam.Keep{}))
	// So does what was removed from an entry, if it is enough.
	require.ErrorIs(t, s.Append(ctx, juliet, entry("3"), mam.Keep{}), mam.ErrFull)
	s.MaxBytes += size - 100
	require.ErrorIs(t, s.Append(ctx, juliet, entry("3"), mam.Keep{}), mam.ErrFull)
	require.NoError(t, s.Redact(ctx, juliet, "1"))
	require.NoError(t, s.Append(ctx, juliet, entry("3"), mam.Keep{}))
}
