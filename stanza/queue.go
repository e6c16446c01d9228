package stanza

import (
	"sync"

	"stanzakit.dev/xmpp/stream"
)

// entry is a stanza between the reader and the consumer: its own copy of the
// element, and the decoded stanza once a step has begun.
type entry struct {
	el   stream.Element
	seq  uint64 // its number in the order of arrival
	cost int    // what it takes of the budget
	next *entry

	st Stanza // decoded from el; nil before
	// What st points to, and the texts of msg and pres. They are used again, so
	// that decoding allocates little.
	msg                   Message
	pres                  Presence
	iq                    IQ
	subject, body, status Texts
}

var entries = sync.Pool{New: func() any { return new(entry) }}

const (
	// entryCost is what an entry counts beside the bytes of its element, so
	// that the budget also bounds how many tiny stanzas wait.
	entryCost = 1 << 10
	// pooledBytes keeps entries with rare large elements out of the pool.
	pooledBytes = 16 << 10
)

// newEntry returns an entry that holds a copy of el.
func newEntry(el *stream.Element) *entry {
	e := entries.Get().(*entry)
	el.CloneInto(&e.el)
	e.cost = len(el.Raw()) + entryCost
	return e
}

// decode decodes the stanza of the entry into the entry's own memory. Texts that
// a handler has put into an earlier stanza are not: they may be anybody's.
func (e *entry) decode() error {
	switch KindOf(e.el.Name()) {
	case MessageKind:
		e.st = &e.msg
		e.msg.Subject, e.msg.Body = e.subject, e.body
		err := e.msg.DecodeElement(&e.el)
		e.subject, e.body = e.msg.Subject, e.msg.Body
		return err
	case PresenceKind:
		e.st = &e.pres
		e.pres.Status = e.status
		err := e.pres.DecodeElement(&e.el)
		e.status = e.pres.Status
		return err
	case IQKind:
		e.st = &e.iq
		return e.iq.DecodeElement(&e.el)
	}
	return ErrNotStanza
}

// recycle gives the entry's memory to another stanza. What was borrowed from it
// must not be used any more.
func (e *entry) recycle() {
	if e.cost > pooledBytes+entryCost {
		return
	}
	e.st, e.next = nil, nil
	entries.Put(e)
}

// queue holds the stanzas that were received and not yet handled, within a
// budget of bytes. An entry counts until its step has ended, so that what runs
// and what waits are bounded together. A queue is a plain value without a lock.
type queue struct {
	budget, reserve int
	used            int
	first, last     *entry
}

// verdict is what the reader does with a stanza that has arrived.
type verdict uint8

const (
	admit    verdict = iota // put it into the queue
	wait                    // read nothing until there is room
	overflow                // fail the pending requests: their replies cannot be reached
	discard                 // this side is closing and has nowhere to put it
)

// offer decides about a stanza of that cost. Asking means that somebody waits
// for the reply to a request, which can only come after this stanza. Closing
// means that this side is closing the stream and waits for the peer's closing
// tag, which comes later still.
func (q *queue) offer(cost int, asking, closing bool) verdict {
	switch {
	case q.used == 0, q.used+cost <= q.budget:
		return admit
	case !asking && !closing:
		return wait
	case q.used+cost <= q.budget+q.reserve:
		return admit
	case closing:
		return discard
	}
	return overflow
}

// push appends an entry.
func (q *queue) push(e *entry) {
	q.used += e.cost
	if q.last == nil {
		q.first = e
	} else {
		q.last.next = e
	}
	q.last = e
}

// pop removes the first entry, or returns nil. Its cost stays counted until
// release.
func (q *queue) pop() *entry {
	e := q.first
	if e == nil {
		return nil
	}
	if q.first = e.next; q.first == nil {
		q.last = nil
	}
	e.next = nil
	return e
}

// putBack returns popped entries, in order of arrival, to the front.
func (q *queue) putBack(es []*entry) {
	for i := len(es) - 1; i >= 0; i-- {
		e := es[i]
		if e.next = q.first; q.first == nil {
			q.last = e
		}
		q.first = e
	}
}

// release gives back what an entry took of the budget.
func (q *queue) release(cost int) { q.used -= cost }
