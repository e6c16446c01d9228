package stanza

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// What the reader does at the bound of the queue.
func TestQueueOffer(t *testing.T) {
	for _, tt := range []struct {
		name            string
		used, cost      int
		asking, closing bool
		want            verdict
	}{
		{"empty", 0, 10, false, false, admit},
		{"empty, and larger than everything", 0, 1000, false, false, admit},
		{"fits exactly", 90, 10, false, false, admit},
		{"full", 91, 10, false, false, wait},
		{"full, a call waits", 91, 10, true, false, admit},
		{"the reserve fits exactly", 140, 10, true, false, admit},
		{"the reserve is full, a call waits", 141, 10, true, false, overflow},
		{"the reserve is full", 141, 10, false, false, wait},
		{"full, closing", 91, 10, false, true, admit},
		{"the reserve is full, closing", 141, 10, false, true, discard},
		{"the reserve is full, closing, a call waits", 141, 10, true, true, discard},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := queue{budget: 100, reserve: 50, used: tt.used}
			require.Equal(t, tt.want, q.offer(tt.cost, tt.asking, tt.closing))
		})
	}
}

func TestQueueOrder(t *testing.T) {
	q := queue{budget: 1000}
	es := make([]*entry, 5)
	for i := range es {
		es[i] = &entry{seq: uint64(i), cost: 10}
		q.push(es[i])
	}
	pop := func() int {
		if e := q.pop(); e != nil {
			require.Nil(t, e.next)
			return int(e.seq)
		}
		return -1
	}
	require.Equal(t, 0, pop())
	require.Equal(t, 1, pop())
	require.Equal(t, 50, q.used, "what was popped counts until it is released")
	q.putBack(es[:2])
	for i := range es {
		require.Equal(t, i, pop())
	}
	require.Equal(t, -1, pop())
	q.putBack(es[3:])
	q.putBack(nil)
	q.push(&entry{seq: 9})
	require.Equal(t, []int{3, 4, 9, -1}, []int{pop(), pop(), pop(), pop()})
	q.release(50)
	require.Zero(t, q.used)
}

// The queue owns what it holds: nothing of the reader's memory, and nothing that
// an earlier stanza left in a pooled entry.
func TestEntryOwnsItsBytes(t *testing.T) {
	for range 3 {
		el := element(t, stream.NSClient, `<message from='juliet@capulet.lit/x' id='1'><body>one</body><x xmlns='urn:x' a='b'/></message>`)
		e := newEntry(el)
		want := string(el.Raw())
		clear(el.Raw())
		require.Equal(t, want, string(e.el.Raw()))
		require.Equal(t, "juliet@capulet.lit/x", e.el.Attr("from"))
		require.Equal(t, len(want)+entryCost, e.cost)
		require.Nil(t, e.st)
		require.Nil(t, e.next)
		e.st, e.next = &e.msg, e
		require.NoError(t, e.msg.DecodeElement(&e.el))
		e.recycle()

		e = newEntry(element(t, stream.NSClient, `<presence/>`))
		require.Nil(t, e.st)
		require.Nil(t, e.next)
		require.Empty(t, e.el.Attr("from"))
		require.NotContains(t, string(e.el.Raw()), "juliet")
		e.recycle()
	}
	big := newEntry(element(t, stream.NSClient, "<message><body>"+strings.Repeat("x", 2*pooledBytes)+"</body></message>"))
	big.st = &big.msg
	big.recycle()
	require.NotNil(t, big.st, "a large entry must not go to the pool")
}

// A handler may change the stanza that it was lent. What it puts there remains
// its own: the memory of an entry is used again, that of the handler is not.
func TestEntryLeavesAlone(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		c := newConn(f, &Options{Parallel: 1})
		away := Texts{{Value: "away"}, {Lang: "de", Value: "weg"}}
		subject, status := slices.Clone(away), slices.Clone(away)
		go c.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
			switch st := st.(type) {
			case *Message:
				st.Body, st.Subject = away, subject
			case *Presence:
				st.Status = status
			}
			return nil
		}))
		for range 50 { // entries come out of a pool, which may forget some
			f.receive(`<message from='%s'><subject>x</subject><body>y</body></message>`, juliet)
			f.receive(`<presence from='%s'><status>z</status></presence>`, juliet)
			synctest.Wait()
		}
		want := Texts{{Value: "away"}, {Lang: "de", Value: "weg"}}
		require.Equal(t, want, away)
		require.Equal(t, want, subject)
		require.Equal(t, want, status)
	})
}

// The reserve is of use whatever waits: it takes one element of any size.
func TestReserveHoldsAnElement(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		const largest = 10_000
		f.limits = stream.Limits{ElementBytes: largest, InboundBytes: 2 * largest} // the least that Limits permits
		c := newConn(f, nil)
		c.queue.used = c.queue.budget
		require.Equal(t, admit, c.queue.offer(largest+entryCost, true, false))
	})
}
