package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/blocking"
)

// Blocking tests an implementation of [blocking.Store]. Each call of open returns a
// new, empty one with room for at least 50 accounts.
func Blocking(t *testing.T, open func(t *testing.T) blocking.Store) {
	juliet, romeo := jid.MustParse("juliet@capulet.lit"), jid.MustParse("romeo@montague.lit")
	list := func(addrs ...string) (out []jid.JID) {
		for _, a := range addrs {
			out = append(out, jid.MustParse(a))
		}
		return out
	}
	all := func(t *testing.T, s blocking.Store) map[jid.JID][]jid.JID {
		out := map[jid.JID][]jid.JID{}
		require.NoError(t, s.All(t.Context(), func(account jid.JID, blocked []jid.JID) error {
			require.NotContains(t, out, account)
			slices.SortFunc(blocked, func(a, b jid.JID) int { return slices.Compare([]byte(a.String()), []byte(b.String())) })
			out[account] = blocked
			return nil
		}))
		return out
	}

	t.Run("Empty", func(t *testing.T) {
		s := open(t)
		require.Empty(t, all(t, s))
		require.NoError(t, s.Put(t.Context(), juliet, nil))
		require.Empty(t, all(t, s))
	})
	t.Run("Replace", func(t *testing.T) {
		s := open(t)
		// All forms of XEP-0191 §6, and characters that need care.
		first := list("evil.lit", "evil.lit/bot", "iago@shakespeare.lit", "iago@shakespeare.lit/a 'b\" <&\u00e9")
		require.NoError(t, s.Put(t.Context(), juliet, first))
		require.NoError(t, s.Put(t.Context(), romeo, list("tybalt@capulet.lit")))
		require.Equal(t, map[jid.JID][]jid.JID{juliet: first, romeo: list("tybalt@capulet.lit")}, all(t, s))
		require.NoError(t, s.Put(t.Context(), juliet, list("paris@verona.lit")))
		require.Equal(t, map[jid.JID][]jid.JID{juliet: list("paris@verona.lit"), romeo: list("tybalt@capulet.lit")}, all(t, s))
	})
	t.Run("Remove", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.Put(t.Context(), juliet, list("iago@shakespeare.lit")))
		require.NoError(t, s.Put(t.Context(), romeo, list("iago@shakespeare.lit")))
		require.NoError(t, s.Put(t.Context(), juliet, []jid.JID{}))
		require.Equal(t, map[jid.JID][]jid.JID{romeo: list("iago@shakespeare.lit")}, all(t, s))
	})
	t.Run("NotKept", func(t *testing.T) {
		s := open(t)
		blocked := list("iago@shakespeare.lit")
		require.NoError(t, s.Put(t.Context(), juliet, blocked))
		blocked[0] = romeo
		got := all(t, s)
		require.Equal(t, list("iago@shakespeare.lit"), got[juliet])
		got[juliet][0] = romeo
		require.Equal(t, list("iago@shakespeare.lit"), all(t, s)[juliet])
	})
	t.Run("Stops", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.Put(t.Context(), juliet, list("iago@shakespeare.lit")))
		require.NoError(t, s.Put(t.Context(), romeo, list("iago@shakespeare.lit")))
		stop, calls := errors.New("stop"), 0
		require.ErrorIs(t, s.All(t.Context(), func(jid.JID, []jid.JID) error { calls++; return stop }), stop)
		require.Equal(t, 1, calls)
	})
	t.Run("Many", func(t *testing.T) {
		s := open(t)
		var blocked []jid.JID
		for i := range 1000 {
			blocked = append(blocked, jid.MustParse(fmt.Sprintf("u%04d@example.com", i)))
		}
		require.NoError(t, s.Put(t.Context(), juliet, blocked))
		require.Equal(t, blocked, all(t, s)[juliet])
	})
	t.Run("Concurrent", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for i := range 32 {
			account := jid.MustParse(fmt.Sprintf("u%d@example.com", i))
			wg.Go(func() { // ends when it has stored; joined by wg
				for range 3 {
					if err := s.Put(t.Context(), account, list("iago@shakespeare.lit", account.String())); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.Len(t, all(t, s), 32)
	})
	t.Run("Cancelled", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		// Done or refused, but not half of it.
		if err := s.Put(ctx, juliet, list("iago@shakespeare.lit")); err != nil {
			require.Empty(t, all(t, s))
		} else {
			require.Len(t, all(t, s), 1)
		}
	})
}
