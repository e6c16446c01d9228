package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/vcard"
)

// VCard tests an implementation of [vcard.Store]. Each call of open returns a new,
// empty one with room for at least 50 accounts and 1 MiB.
func VCard(t *testing.T, open func(t *testing.T) vcard.Store) {
	juliet, romeo := jid.MustParse("juliet@capulet.lit"), jid.MustParse("romeo@montague.lit")
	card := func(fn string) []byte { return []byte("<vCard xmlns='vcard-temp'><FN>" + fn + "</FN></vCard>") }
	get := func(t *testing.T, s vcard.Store, account jid.JID) string {
		got, err := s.Get(t.Context(), account)
		expect{t}.noError(err)
		return string(got)
	}

	t.Run("Empty", func(t *testing.T) {
		s := open(t)
		got, err := s.Get(t.Context(), juliet)
		expect{t}.noError(err)
		expect{t}.equal(true, got == nil)
		expect{t}.noError(s.Put(t.Context(), juliet, nil))
		expect{t}.equal("", get(t, s, juliet))
	})
	t.Run("Replace", func(t *testing.T) {
		s := open(t)
		expect{t}.noError(s.Put(t.Context(), juliet, card("Juliet é\U0001F600")))
		expect{t}.noError(s.Put(t.Context(), romeo, card("Romeo")))
		expect{t}.equal(string(card("Juliet é\U0001F600")), get(t, s, juliet))
		expect{t}.noError(s.Put(t.Context(), juliet, card("J.")))
		expect{t}.equal(string(card("J.")), get(t, s, juliet))
		expect{t}.equal(string(card("Romeo")), get(t, s, romeo))
	})
	t.Run("Remove", func(t *testing.T) {
		s := open(t)
		expect{t}.noError(s.Put(t.Context(), juliet, card("Juliet")))
		expect{t}.noError(s.Put(t.Context(), romeo, card("Romeo")))
		expect{t}.noError(s.Put(t.Context(), juliet, nil))
		got, err := s.Get(t.Context(), juliet)
		expect{t}.noError(err)
		expect{t}.equal(true, got == nil)
		expect{t}.equal(string(card("Romeo")), get(t, s, romeo))
	})
	t.Run("Large", func(t *testing.T) {
		s := open(t)
		large := card(string(bytes.Repeat([]byte("x"), 256<<10)))
		expect{t}.noError(s.Put(t.Context(), juliet, large))
		expect{t}.equal(string(large), get(t, s, juliet))
	})
	t.Run("NotKept", func(t *testing.T) {
		s := open(t)
		c := card("Juliet")
		expect{t}.noError(s.Put(t.Context(), juliet, c))
		clear(c)
		got, err := s.Get(t.Context(), juliet)
		expect{t}.noError(err)
		expect{t}.equal(string(card("Juliet")), string(got))
		clear(got)
		expect{t}.equal(string(card("Juliet")), get(t, s, juliet))
	})
	t.Run("Concurrent", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for i := range 16 {
			account := jid.MustParse(fmt.Sprintf("u%d@example.com", i%8))
			wg.Go(func() { // ends when it has stored; joined by wg
				if err := s.Put(t.Context(), account, card(account.Local())); err != nil {
					t.Error(err)
				}
				if got, err := s.Get(t.Context(), account); err != nil || string(got) != string(card(account.Local())) {
					t.Errorf("%s: %q, %v", account, got, err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("Cancelled", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ctx, juliet, card("Juliet")); err != nil {
			expect{t}.equal("", get(t, s, juliet))
		} else {
			expect{t}.equal(string(card("Juliet")), get(t, s, juliet))
		}
	})
}
