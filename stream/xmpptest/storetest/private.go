package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream"
)

// Private tests an implementation of [private.Store]. Each call of open returns a
// new, empty one with room for at least 50 accounts.
func Private(t *testing.T, open func(t *testing.T) private.Store) {
	juliet, romeo := jid.MustParse("juliet@capulet.lit"), jid.MustParse("romeo@montague.lit")
	wide := private.Quota{Elements: 1000, Bytes: 1 << 20}
	name := func(local string) stream.Name { return stream.Name{Space: "storage:x", Local: local} }
	fragment := func(local, text string) private.Fragment {
		return private.Fragment{Name: name(local), XML: []byte("<" + local + " xmlns='storage:x'>" + text + "</" + local + ">")}
	}
	get := func(t *testing.T, s private.Store, account jid.JID, local string) string {
		got, err := s.Get(t.Context(), account, name(local))
		expect{t}.noError(err)
		return string(got)
	}

	t.Run("Empty", func(t *testing.T) {
		s := open(t)
		got, err := s.Get(t.Context(), juliet, name("a"))
		expect{t}.noError(err)
		expect{t}.equal(true, got == nil)
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{{Name: name("a")}}, wide))
		expect{t}.noError(s.Delete(t.Context(), juliet))
	})
	t.Run("Replace", func(t *testing.T) {
		s := open(t)
		a, b := fragment("a", "1 é\U0001F600 '\""), fragment("b", "2")
		other := private.Fragment{Name: stream.Name{Space: "storage:y", Local: "a"}, XML: []byte("<a xmlns='storage:y'/>")}
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{a, b, other}, wide))
		expect{t}.noError(s.Put(t.Context(), romeo, []private.Fragment{fragment("a", "his")}, wide))
		expect{t}.equal(string(a.XML), get(t, s, juliet, "a"))
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{fragment("a", "3")}, wide))
		expect{t}.equal("<a xmlns='storage:x'>3</a>", get(t, s, juliet, "a"))
		expect{t}.equal(string(b.XML), get(t, s, juliet, "b"))
		expect{t}.equal("<a xmlns='storage:x'>his</a>", get(t, s, romeo, "a"))
		got, err := s.Get(t.Context(), juliet, other.Name)
		expect{t}.noError(err)
		expect{t}.equal(string(other.XML), string(got))
		expect{t}.equal("", get(t, s, juliet, "A")) // names are case-sensitive
	})
	t.Run("Remove", func(t *testing.T) {
		s := open(t)
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{fragment("a", "1"), fragment("b", "2")}, wide))
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{{Name: name("a")}, fragment("c", "3")}, wide))
		expect{t}.equal("", get(t, s, juliet, "a"))
		expect{t}.notEmpty(get(t, s, juliet, "b"))
		expect{t}.notEmpty(get(t, s, juliet, "c"))
	})
	t.Run("Quota", func(t *testing.T) {
		s := open(t)
		two := private.Quota{Elements: 2, Bytes: 1 << 10}
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{fragment("a", "1"), fragment("b", "2")}, two))
		// All or none: the a of the request is not stored either.
		expect{t}.errorIs(s.Put(t.Context(), juliet, []private.Fragment{fragment("a", "x"), fragment("c", "3")}, two), private.ErrFull)
		expect{t}.equal("<a xmlns='storage:x'>1</a>", get(t, s, juliet, "a"))
		expect{t}.equal("", get(t, s, juliet, "c"))
		// One goes, one comes.
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{{Name: name("a")}, fragment("c", "3")}, two))
		// Bytes: an element may be as long as all that is left.
		size := len(get(t, s, juliet, "b")) + len(fragment("c", "").XML)
		q := private.Quota{Elements: 2, Bytes: size + 10}
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{fragment("c", strings.Repeat("y", 10))}, q))
		expect{t}.errorIs(s.Put(t.Context(), juliet, []private.Fragment{fragment("c", strings.Repeat("y", 11))}, q), private.ErrFull)
		expect{t}.equal(string(fragment("c", strings.Repeat("y", 10)).XML), get(t, s, juliet, "c"))
		// Who is above a quota that was lowered can still go down.
		q.Bytes = 1
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{fragment("c", "")}, q))
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{{Name: name("b")}}, q))
		// It is that of one account.
		expect{t}.noError(s.Put(t.Context(), romeo, []private.Fragment{fragment("a", "1"), fragment("b", "2")}, two))
	})
	t.Run("Delete", func(t *testing.T) {
		s := open(t)
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{fragment("a", "1"), fragment("b", "2")}, wide))
		expect{t}.noError(s.Put(t.Context(), romeo, []private.Fragment{fragment("a", "1")}, wide))
		expect{t}.noError(s.Delete(t.Context(), juliet))
		expect{t}.equal("", get(t, s, juliet, "a"))
		expect{t}.equal("", get(t, s, juliet, "b"))
		expect{t}.notEmpty(get(t, s, romeo, "a"))
		one := private.Quota{Elements: 1, Bytes: 100}
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{fragment("c", "1")}, one)) // the quota is free again
	})
	t.Run("NotKept", func(t *testing.T) {
		s := open(t)
		f := fragment("a", "1")
		expect{t}.noError(s.Put(t.Context(), juliet, []private.Fragment{f}, wide))
		f.XML[1] = 'z'
		got, err := s.Get(t.Context(), juliet, name("a"))
		expect{t}.noError(err)
		expect{t}.equal("<a xmlns='storage:x'>1</a>", string(got))
		got[1] = 'z'
		expect{t}.equal("<a xmlns='storage:x'>1</a>", get(t, s, juliet, "a"))
	})
	t.Run("Concurrent", func(t *testing.T) {
		s := open(t)
		five := private.Quota{Elements: 5, Bytes: 1 << 20}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() { // ends when it has stored; joined by wg
				err := s.Put(t.Context(), juliet, []private.Fragment{fragment(fmt.Sprintf("e%d", i), "1")}, five)
				if err != nil && !errors.Is(err, private.ErrFull) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		for i := range 16 {
			if get(t, s, juliet, fmt.Sprintf("e%d", i)) != "" {
				n++
			}
		}
		expect{t}.equal(5, n)
	})
	t.Run("Cancelled", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		// Done or refused, but not half of it.
		if err := s.Put(ctx, juliet, []private.Fragment{fragment("a", "1"), fragment("b", "2")}, wide); err != nil {
			expect{t}.equal("", get(t, s, juliet, "a")+get(t, s, juliet, "b"))
		} else {
			expect{t}.notEmpty(get(t, s, juliet, "a"))
			expect{t}.notEmpty(get(t, s, juliet, "b"))
		}
	})
}
