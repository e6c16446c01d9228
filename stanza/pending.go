package stanza

import (
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

var (
	// ErrTooManyRequests is returned by [Conn.Do] when Options.Requests
	// requests are waiting for their replies already.
	ErrTooManyRequests = errors.New("stanza: too many requests wait for a reply")

	// ErrOverflow is returned by [Conn.Do] when the reply could not be reached:
	// so much else arrived ahead of it, and was not taken by the consumer, that
	// the inbound budget and its reserve are used up. The session is unharmed.
	ErrOverflow = errors.New("stanza: the inbound queue overflowed while waiting for a reply")

	// ErrDuplicateID is returned by [Conn.Do] for a request whose caller chose
	// the ID of another one that waits for a reply from the same address.
	ErrDuplicateID = errors.New("stanza: a request with this id waits for a reply already")
)

// call is a request that waits for its reply.
type call struct {
	id string
	to jid.JID
	// done gets the outcome. It has room for it: whoever settles a call never
	// waits.
	done chan outcome
	// cancel stops the caller from waiting to send; nil unless it does.
	cancel func()
	next   *call // another one with the same id, to somebody else
	on     *link // that it was sent on, or nil; only with a Supervisor
}

// outcome is what became of a call: an own copy of the reply, or an error.
type outcome struct {
	reply *stream.Element
	err   error
}

// settle tells the caller. The call must have been removed from the table, which
// makes it the only time.
func (c *call) settle(o outcome) {
	c.done <- o
	if c.cancel != nil {
		c.cancel()
	}
}

// pending is the table of calls. It is a plain value without a lock.
type pending struct {
	max  int
	n    int
	byID map[string]*call
}

// add enters a call.
func (p *pending) add(c *call) error {
	if p.n >= p.max {
		return fmt.Errorf("%w (%d)", ErrTooManyRequests, p.max)
	}
	for o := p.byID[c.id]; o != nil; o = o.next {
		if o.to == c.to {
			return ErrDuplicateID
		}
	}
	if p.byID == nil {
		p.byID = make(map[string]*call)
	}
	c.next = p.byID[c.id]
	p.byID[c.id] = c
	p.n++
	return nil
}

// remove takes a call out, and reports false if it was out already.
func (p *pending) remove(c *call) bool {
	first := p.byID[c.id]
	if first == c {
		if c.next == nil {
			delete(p.byID, c.id)
		} else {
			p.byID[c.id] = c.next
		}
		p.n--
		return true
	}
	for o := first; o != nil; o = o.next {
		if o.next == c {
			o.next = c.next
			p.n--
			return true
		}
	}
	return false
}

// match takes out and returns the call that el answers, or nil. el is an IQ of
// type result or error. Only the addressee of a request may answer it; what
// somebody else sends with the right id leaves it pending.
func (p *pending) match(el *stream.Element, who *parties) *call {
	id, _ := el.AttrBytes("id")
	c := p.byID[string(id)]
	if c == nil {
		return nil
	}
	var from jid.JID
	if b, ok := el.AttrBytes("from"); ok {
		var err error
		if from, err = jid.ParseBytes(b); err != nil {
			return nil
		}
	}
	for ; c != nil; c = c.next {
		if who.answers(c.to, from) {
			p.remove(c)
			return c
		}
	}
	return nil
}

// fail takes out all calls and settles them with err.
func (p *pending) fail(err error) {
	for id, c := range p.byID {
		for ; c != nil; c = c.next {
			c.settle(outcome{err: err})
		}
		delete(p.byID, id)
	}
	p.n = 0
}

// failIf takes out the calls that lost says are, and settles them with err.
func (p *pending) failIf(err error, lost func(*call) bool) {
	var out []*call
	for _, c := range p.byID {
		for ; c != nil; c = c.next {
			if lost(c) {
				out = append(out, c)
			}
		}
	}
	for _, c := range out {
		p.remove(c)
		c.settle(outcome{err: err})
	}
}
