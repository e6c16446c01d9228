package sm

import (
	"iter"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/stream"
)

// entry is a stanza that the peer has not acknowledged.
type entry struct {
	xml     []byte          // never changes as long as the entry is in the queue
	receipt *stream.Receipt // or nil
	at      int64           // when it was sent, Unix time in milliseconds
}

// queue are the stanzas that were sent and not acknowledged, in order, and their
// count modulo 2³² (XEP-0198 §4). It does not bound itself, except that nobody
// can hold 2³² stanzas.
//
// The stanzas are in chunks of memory that are used again by all queues, so that
// to push and to acknowledge costs no allocation in the long run, and an empty
// queue holds nothing. The zero value is an empty queue that has sent nothing. It
// must not be copied when it is not empty, and is not safe for concurrent use.
type queue struct {
	head, tail *chunk
	count      int    // entries
	bytes      int    // length of their XML
	last       uint32 // the last h of the peer
	total      uint32 // stanzas sent
}

// Sizes of chunks, which come to 1 KiB and 4 KiB. A queue begins with a small one: most of the time there is
// little that is not acknowledged. A stanza that is longer than half of a large
// one gets memory of its own.
const (
	smallEntries, smallBytes = 6, 704
	largeEntries, largeBytes = 24, 3056
	longStanza               = largeBytes / 2
)

// chunk holds consecutive entries, and the bytes of those that are not long.
type chunk struct {
	next    *chunk
	entries []entry // the first ones are gone
	gone    int
	mem     []byte
	pool    *sync.Pool // where it came from
}

// Chunks come in one piece.
type smallChunk struct {
	chunk
	e [smallEntries]entry
	m [smallBytes]byte
}

type largeChunk struct {
	chunk
	e [largeEntries]entry
	m [largeBytes]byte
}

var smallChunks, largeChunks sync.Pool

func init() {
	smallChunks.New = func() any {
		c := new(smallChunk)
		c.chunk = chunk{entries: c.e[:0], mem: c.m[:0], pool: &smallChunks}
		return &c.chunk
	}
	largeChunks.New = func() any {
		c := new(largeChunk)
		c.chunk = chunk{entries: c.e[:0], mem: c.m[:0], pool: &largeChunks}
		return &c.chunk
	}
}

// fits reports whether there is room for one more entry.
func (c *chunk) fits(n int) bool {
	return len(c.entries) < cap(c.entries) && (n > longStanza || n <= cap(c.mem)-len(c.mem))
}

// release gives the memory of a chunk to the next one who needs it. Nothing
// refers to it any more.
func (c *chunk) release() {
	clear(c.entries)
	clear(c.mem) // what was said stays with those who said it
	c.next, c.gone = nil, 0
	c.entries, c.mem = c.entries[:0], c.mem[:0]
	c.pool.Put(c)
}

// start makes an empty queue of which the peer has acknowledged all that was
// sent, which is h.
func (q *queue) start(h uint32) {
	q.drop()
	q.last, q.total = h, h
}

// push counts a stanza and keeps a copy of it.
func (q *queue) push(xml []byte, r *stream.Receipt, at int64) {
	n := len(xml)
	if q.tail == nil || !q.tail.fits(n) {
		pool := &largeChunks
		if q.tail == nil && (n <= smallBytes || n > longStanza) {
			pool = &smallChunks
		}
		c := pool.Get().(*chunk)
		if q.tail == nil {
			q.head = c
		} else {
			q.tail.next = c
		}
		q.tail = c
	}
	c := q.tail
	if n > longStanza {
		xml = slices.Clip(slices.Clone(xml))
	} else {
		from := len(c.mem)
		c.mem = append(c.mem, xml...)
		xml = c.mem[from:len(c.mem):len(c.mem)]
	}
	c.entries = append(c.entries, entry{xml, r, at})
	q.count++
	q.bytes += n
	q.total++
}

// pass counts a stanza that is not kept. Then nothing that was sent before it
// can be kept either, so the queue must be empty; see drop.
func (q *queue) pass() {
	if q.count > 0 {
		q.drop()
	}
	q.total++
}

// ack takes an h of the peer's and yields the entries that it acknowledges for
// the first time, each when it has been removed. An entry is valid until the
// loop takes its next step; a loop that is left early leaves the rest in the
// queue, where they count as acknowledged no more than before.
//
// If h is not between the last one and what was sent then there is one step,
// with a [*HandledCountError], and nothing changes. The loop must not use the
// queue.
func (q *queue) ack(h uint32) iter.Seq2[entry, error] {
	// Short enough to be inlined, so that the loop allocates nothing.
	return func(yield func(entry, error) bool) { q.acknowledge(h, yield) }
}

func (q *queue) acknowledge(h uint32, yield func(entry, error) bool) {
	outstanding := distance(q.last, q.total)
	if distance(q.last, h) > outstanding {
		// XEP-0198 §6: more than was sent. An h that is less than the last one
		// looks the same.
		yield(entry{}, &HandledCountError{H: h, Sent: q.total})
		return
	}
	// Stanzas that are not in the queue were sent before those that are.
	n := distance(q.last, h)
	missing := min(n, outstanding-uint32(q.count))
	q.last += missing
	for range n - missing {
		q.last++
		if !q.pop(yield) {
			return
		}
	}
}

// pop removes the oldest entry.
func (q *queue) pop(yield func(entry, error) bool) (more bool) {
	c := q.head
	e := c.entries[c.gone]
	c.entries[c.gone] = entry{}
	c.gone++
	q.count--
	q.bytes -= len(e.xml)
	var done *chunk
	switch {
	case q.count == 0:
		q.head, q.tail = nil, nil
		done = c
	case c.gone == len(c.entries):
		q.head = c.next
		done = c
	}
	more = yield(e, nil)
	if done != nil {
		done.release() // not before the entry was used
	}
	return more
}

// len returns how many entries there are.
func (q *queue) len() int { return q.count }

// size returns how long their XML is, in bytes.
func (q *queue) size() int { return q.bytes }

// sent returns how many stanzas were sent, modulo 2³².
func (q *queue) sent() uint32 { return q.total }

// acked returns the last h of the peer.
func (q *queue) acked() uint32 { return q.last }

// all yields the entries, the oldest first. The loop must not change the queue.
func (q *queue) all() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for c := q.head; c != nil; c = c.next {
			for _, e := range c.entries[c.gone:] {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// drop removes all entries. What was sent and acknowledged stays, so that the
// peer may acknowledge what was in the queue.
func (q *queue) drop() {
	for c := q.head; c != nil; {
		next := c.next
		c.release()
		c = next
	}
	q.head, q.tail, q.count, q.bytes = nil, nil, 0, 0
}

// forget is drop, for those who go on with pass.
func (q *queue) forget() { q.drop() }
