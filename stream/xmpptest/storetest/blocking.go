package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

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
		expect{t}.noError(s.All(t.Context(), func(account jid.JID, blocked []jid.JID) error {
			if out[account] != nil {
				t.Errorf("%s comes twice", account)
			}
			slices.SortFunc(blocked, func(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) })
			out[account] = blocked
			return nil
		}))
		return out
	}

	t.Run("Empty", func(t *testing.T) {
		s := open(t)
		expect{t}.equal(0, len(all(t, s)))
		expect{t}.noError(s.Put(t.Context(), juliet, nil))
		expect{t}.equal(0, len(all(t, s)))
	})
	t.Run("Replace", func(t *testing.T) {
		s := open(t)
		// All forms of XEP-0191 §6, and characters that need care.
		first := list("evil.lit", "evil.lit/bot", "iago@shakespeare.lit", "iago@shakespeare.lit/a 'b\" <&\u00e9")
		expect{t}.noError(s.Put(t.Context(), juliet, first))
		expect{t}.noError(s.Put(t.Context(), romeo, list("tybalt@capulet.lit")))
		expect{t}.equal(map[jid.JID][]jid.JID{juliet: first, romeo: list("tybalt@capulet.lit")}, all(t, s))
		expect{t}.noError(s.Put(t.Context(), juliet, list("paris@verona.lit")))
		expect{t}.equal(map[jid.JID][]jid.JID{juliet: list("paris@verona.lit"), romeo: list("tybalt@capulet.lit")}, all(t, s))
	})
	t.Run("Remove", func(t *testing.T) {
		s := open(t)
		expect{t}.noError(s.Put(t.Context(), juliet, list("iago@shakespeare.lit")))
		expect{t}.noError(s.Put(t.Context(), romeo, list("iago@shakespeare.lit")))
		expect{t}.noError(s.Put(t.Context(), juliet, []jid.JID{}))
		expect{t}.equal(map[jid.JID][]jid.JID{romeo: list("iago@shakespeare.lit")}, all(t, s))
	})
	t.Run("NotKept", func(t *testing.T) {
		s := open(t)
		blocked := list("iago@shakespeare.lit")
		expect{t}.noError(s.Put(t.Context(), juliet, blocked))
		blocked[0] = romeo
		got := all(t, s)
		expect{t}.equal(list("iago@shakespeare.lit"), got[juliet])
		got[juliet][0] = romeo
		expect{t}.equal(list("iago@shakespeare.lit"), all(t, s)[juliet])
	})
	t.Run("Stops", func(t *testing.T) {
		s := open(t)
		expect{t}.noError(s.Put(t.Context(), juliet, list("iago@shakespeare.lit")))
		expect{t}.noError(s.Put(t.Context(), romeo, list("iago@shakespeare.lit")))
		stop, calls := errors.New("stop"), 0
		expect{t}.errorIs(s.All(t.Context(), func(jid.JID, []jid.JID) error { calls++; return stop }), stop)
		expect{t}.equal(1, calls)
	})
	t.Run("Many", func(t *testing.T) {
		s := open(t)
		var blocked []jid.JID
		for i := range 1000 {
			blocked = append(blocked, jid.MustParse(fmt.Sprintf("u%04d@example.com", i)))
		}
		expect{t}.noError(s.Put(t.Context(), juliet, blocked))
		expect{t}.equal(blocked, all(t, s)[juliet])
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
		expect{t}.equal(32, len(all(t, s)))
	})
	t.Run("Cancelled", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		// Done or refused, but not half of it.
		if err := s.Put(ctx, juliet, list("iago@shakespeare.lit")); err != nil {
			expect{t}.equal(0, len(all(t, s)))
		} else {
			expect{t}.equal(1, len(all(t, s)))
		}
	})
}

// expect ends a test in which something is not as it should be.
type expect struct{ t *testing.T }

func (e expect) noError(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatalf("unexpected error: %v", err)
	}
}

func (e expect) errorIs(err, target error) {
	e.t.Helper()
	if !errors.Is(err, target) {
		e.t.Fatalf("the error is %v, want %v", err, target)
	}
}

func (e expect) equal(want, got any) {
	e.t.Helper()
	if !reflect.DeepEqual(want, got) {
		e.t.Fatalf("got %v, want %v", got, want)
	}
}

func (e expect) notEmpty(got string) {
	e.t.Helper()
	if got == "" {
		e.t.Fatal("nothing is stored")
	}
}
