package storetest

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
)

// LastSeen tests an implementation of [presence.LastSeenStore]. Each call of open
// returns a new, empty one with room for 20 accounts. It need not keep more of a
// presence than 1 KiB.
func LastSeen(t *testing.T, open func(t *testing.T) presence.LastSeenStore) {
	juliet, romeo := jid.MustParse("juliet@capulet.lit"), jid.MustParse("romeo@montague.lit")
	at := time.Date(2006, 12, 19, 17, 58, 35, 123456789, time.UTC)
	gone := []byte("<presence type='unavailable'><status>¡Adiós! \U0001F600</status></presence>")
	set := func(t *testing.T, s presence.LastSeenStore, account jid.JID, seen presence.LastSeen) {
		t.Helper()
		require.NoError(t, s.SetLastSeen(t.Context(), account, seen))
	}
	// is compares to the second, which is what XEP-0012 tells.
	is := func(t *testing.T, s presence.LastSeenStore, account jid.JID, want presence.LastSeen) {
		t.Helper()
		got, err := s.LastSeen(t.Context(), account)
		require.NoError(t, err)
		require.Equal(t, want.At.IsZero(), got.At.IsZero())
		require.WithinDuration(t, want.At, got.At, time.Second)
		require.Equal(t, string(want.Presence), string(got.Presence))
	}

	t.Run("Empty", func(t *testing.T) {
		s := open(t)
		is(t, s, juliet, presence.LastSeen{})
		set(t, s, juliet, presence.LastSeen{})
		is(t, s, juliet, presence.LastSeen{})
	})
	t.Run("Replace", func(t *testing.T) {
		s := open(t)
		set(t, s, juliet, presence.LastSeen{At: at, Presence: gone})
		set(t, s, romeo, presence.LastSeen{At: at.Add(time.Hour)})
		is(t, s, juliet, presence.LastSeen{At: at, Presence: gone})
		is(t, s, romeo, presence.LastSeen{At: at.Add(time.Hour)})
		is(t, s, jid.MustParse("capulet.lit"), presence.LastSeen{})
		set(t, s, juliet, presence.LastSeen{At: at.Add(-time.Hour)}) // clocks may be set back
		is(t, s, juliet, presence.LastSeen{At: at.Add(-time.Hour)})
		is(t, s, romeo, presence.LastSeen{At: at.Add(time.Hour)})
	})
	t.Run("Now", func(t *testing.T) {
		s := open(t)
		now := presence.LastSeen{At: time.Now(), Presence: gone} // with a monotonic clock, and a location
		set(t, s, juliet, now)
		is(t, s, juliet, now)
	})
	t.Run("Remove", func(t *testing.T) {
		s := open(t)
		set(t, s, juliet, presence.LastSeen{At: at, Presence: gone})
		set(t, s, romeo, presence.LastSeen{At: at})
		set(t, s, juliet, presence.LastSeen{Presence: gone}) // without a time it is nothing
		is(t, s, juliet, presence.LastSeen{})
		is(t, s, romeo, presence.LastSeen{At: at})
	})
	t.Run("Copies", func(t *testing.T) {
		s := open(t)
		b := []byte("<presence/>")
		set(t, s, juliet, presence.LastSeen{At: at, Presence: b})
		clear(b)
		is(t, s, juliet, presence.LastSeen{At: at, Presence: []byte("<presence/>")})
	})
	t.Run("Concurrent", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for i := range 16 {
			account := jid.MustParse("a" + strconv.Itoa(i%4) + "@capulet.lit")
			// Owner: this test. Stops when it has stored. Joined through wg.
			wg.Go(func() {
				err := s.SetLastSeen(t.Context(), account, presence.LastSeen{At: at, Presence: []byte(account.String())})
				if err != nil {
					t.Error(err)
				}
				if got, err := s.LastSeen(t.Context(), account); err != nil || string(got.Presence) != account.String() {
					t.Errorf("%s: %q, %v", account, got.Presence, err)
				}
			})
		}
		wg.Wait()
	})
}
