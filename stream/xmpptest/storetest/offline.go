package storetest

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
)

// Offline tests an implementation of [presence.OfflineStore]. Each call of open
// returns a new, empty one with room for 100 messages of 1 KiB for each of 20
// accounts, and less than 20,000 messages for one account.
func Offline(t *testing.T, open func(t *testing.T) presence.OfflineStore) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b offlineBox)
	}{
		{"Empty", offlineEmpty},
		{"Order", offlineOrder},
		{"Remove", offlineRemove},
		{"Numbers", offlineNumbers},
		{"Bytes", offlineBytes},
		{"Copies", offlineCopies},
		{"Quota", offlineQuota},
		{"Accounts", offlineAccounts},
		{"Delete", offlineDelete},
		{"Concurrent", offlineConcurrent},
		{"Cancelled", offlineCancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, offlineBox{t, open(t), jid.MustParse("juliet@capulet.lit")})
		})
	}
}

// offlineBox is what waits for an account.
type offlineBox struct {
	t       *testing.T
	store   presence.OfflineStore
	account jid.JID
}

func (b offlineBox) of(account string) offlineBox {
	return offlineBox{b.t, b.store, jid.MustParse(account)}
}

func (b offlineBox) add(messages ...string) {
	b.t.Helper()
	for _, m := range messages {
		require.NoError(b.t, b.store.Add(b.t.Context(), b.account, []byte(m)))
	}
}

func (b offlineBox) get(max int) []presence.OfflineMessage {
	b.t.Helper()
	messages, err := b.store.Messages(b.t.Context(), b.account, max)
	require.NoError(b.t, err)
	return messages
}

// holds checks all that there is.
func (b offlineBox) holds(want ...string) {
	b.t.Helper()
	var got []string
	last := uint64(0)
	for i, m := range b.get(1000) {
		require.True(b.t, i == 0 || m.Seq > last, "number %d after %d", m.Seq, last)
		got, last = append(got, string(m.Stanza)), m.Seq
	}
	require.Equal(b.t, want, got)
	n, err := b.store.Count(b.t.Context(), b.account)
	require.NoError(b.t, err)
	require.Equal(b.t, len(want), n)
}

func (b offlineBox) remove(upTo uint64) {
	b.t.Helper()
	require.NoError(b.t, b.store.Remove(b.t.Context(), b.account, upTo))
}

func offlineEmpty(t *testing.T, b offlineBox) {
	b.holds()
	b.remove(7)
	require.NoError(t, b.store.Delete(t.Context(), b.account))
	b.holds()
}

// XEP-0160 §2: in the order in which they came.
func offlineOrder(t *testing.T, b offlineBox) {
	var want []string
	for i := range 100 {
		want = append(want, strconv.Itoa(i))
	}
	b.add(want...)
	b.holds(want...)
	some := b.get(7)
	require.Len(t, some, 7, "the oldest")
	require.Equal(t, "0", string(some[0].Stanza))
	require.Equal(t, "6", string(some[6].Stanza))
	b.holds(want...)
	require.Empty(t, b.get(0))
}

func offlineRemove(t *testing.T, b offlineBox) {
	b.add("0", "1", "2", "3")
	messages := b.get(10)
	b.remove(messages[1].Seq)
	b.holds("2", "3")
	b.remove(messages[1].Seq) // again
	b.remove(messages[0].Seq)
	b.holds("2", "3")
	b.add("4")
	b.remove(messages[3].Seq) // what came meanwhile stays
	b.holds("4")
	b.remove(b.get(1)[0].Seq)
	b.holds()
	b.add("5")
	b.holds("5")
}

// A number is never used again: who removes what he has delivered would remove what
// came later.
func offlineNumbers(t *testing.T, b offlineBox) {
	b.add("keep")
	last := b.get(1)[0].Seq
	for i := range 10 {
		b.add(strconv.Itoa(i))
		messages := b.get(10)
		newest := messages[len(messages)-1].Seq
		require.Greater(t, newest, last)
		last = newest
		b.remove(messages[len(messages)-2].Seq)
	}
}

// The store does not look into a message.
func offlineBytes(t *testing.T, b offlineBox) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := []string{string(all), "", "<message xmlns='jabber:client'><body>¿ \U0001F600 &amp;</body></message>"}
	b.add(want...)
	b.holds(want...)
}

func offlineCopies(t *testing.T, b offlineBox) {
	m := []byte("before")
	require.NoError(t, b.store.Add(t.Context(), b.account, m))
	copy(m, "after!")
	b.holds("before")
}

// There is a bound for an account, and what is over it has changed nothing.
func offlineQuota(t *testing.T, b offlineBox) {
	n := 0
	message := make([]byte, 1<<10)
	for {
		if err := b.store.Add(t.Context(), b.account, message); err != nil {
			require.ErrorIs(t, err, presence.ErrQuota)
			break
		}
		n++
		require.Less(t, n, 20_000, "there is no bound")
	}
	require.GreaterOrEqual(t, n, 100)
	count, err := b.store.Count(t.Context(), b.account)
	require.NoError(t, err)
	require.Equal(t, n, count)
	b.of("romeo@montague.lit").add("another account has its own")
	b.remove(b.get(1)[0].Seq) // makes room
	b.add("last")
	require.ErrorIs(t, b.store.Add(t.Context(), b.account, message), presence.ErrQuota)
	messages := b.get(n + 1)
	require.Len(t, messages, n)
	require.Equal(t, "last", string(messages[n-1].Stanza))
}

func offlineAccounts(t *testing.T, b offlineBox) {
	others := []offlineBox{b.of("juliet@capulet.li"), b.of("juliet@capulet.litt"), b.of("capulet.lit"), b.of("juliet@capulet.lit.example")}
	for _, o := range others {
		o.add(o.account.String())
	}
	b.add("her own")
	b.remove(b.get(1)[0].Seq)
	b.holds()
	for _, o := range others {
		o.holds(o.account.String())
	}
}

func offlineDelete(t *testing.T, b offlineBox) {
	other := b.of("romeo@montague.lit")
	b.add("0", "1")
	other.add("his")
	require.NoError(t, b.store.Delete(t.Context(), b.account))
	b.holds()
	other.holds("his")
	b.add("of the next owner of the name")
	b.holds("of the next owner of the name")
}

func offlineConcurrent(t *testing.T, b offlineBox) {
	const writers, each = 8, 12
	var wg sync.WaitGroup
	for w := range writers {
		// Owner: this test. Stops after its messages. Joined through wg.
		wg.Go(func() {
			for i := range each {
				account := jid.MustParse("a" + strconv.Itoa(i%3) + "@capulet.lit")
				if err := b.store.Add(t.Context(), account, []byte(strconv.Itoa(w)+" "+strconv.Itoa(i))); err != nil {
					t.Errorf("add: %v", err)
				}
				if _, err := b.store.Messages(t.Context(), account, 5); err != nil {
					t.Errorf("messages: %v", err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for i := range 3 {
		a := b.of("a" + strconv.Itoa(i) + "@capulet.lit")
		for _, m := range a.get(1000) {
			require.False(t, seen[string(m.Stanza)], "%q is there twice", m.Stanza)
			seen[string(m.Stanza)] = true
		}
	}
	require.Len(t, seen, writers*each)
}

// Done or refused, but not half of it.
func offlineCancelled(t *testing.T, b offlineBox) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.store.Add(ctx, b.account, []byte("message")); err != nil {
		b.holds()
	} else {
		b.holds("message")
	}
}
