package stanza

import "stanzakit.dev/xmpp/stream"

// receive is the handler of the permanent reader: it matches replies and queues
// everything else. No code of the user runs here.
func (c *Conn) receive(l *link, el *stream.Element) error {
	c.mu.Lock()
	if isReply(el) && c.takeReply(l, el) {
		// XEP-0198 §4: acknowledged are all stanzas up to some number, so once one
		// was not taken, those behind it are not either.
		gap := c.gap
		c.mu.Unlock()
		if gap {
			return stream.ErrNotTaken
		}
		return nil
	}
	if !c.makeRoom(l, len(el.Raw())+entryCost) {
		return stream.ErrNotTaken
	}
	c.mu.Unlock()
	e := newEntry(el) // nobody else adds to the queue, so the room stays
	c.mu.Lock()
	e.seq = c.handled.begin()
	c.queue.push(e)
	hungry := c.hungry
	c.mu.Unlock()
	if hungry {
		notify(c.avail)
	}
	return nil
}

// isReply reports whether el is an IQ of type result or error.
func isReply(el *stream.Element) bool {
	if el.Name().Local != "iq" {
		return false
	}
	typ, _ := el.AttrBytes("type")
	switch IQType(typ) {
	case ResultIQ, ErrorIQ:
		return true
	}
	return false
}

// takeReply settles the call that el answers. One that answers none is dropped
// unless the consumer wants it. It reports whether el has been dealt with. The
// caller holds c.mu.
func (c *Conn) takeReply(l *link, el *stream.Element) bool {
	if waiting := c.calls.match(el, &l.who); waiting != nil {
		waiting.settle(outcome{reply: el.Clone()})
	} else if c.opts.Router {
		return false
	} else {
		// RFC 6120 §10.3.3 rule 3: a reply to nothing is ignored.
		c.stats.Unsolicited++
	}
	if !c.gap {
		c.handled.finish(c.handled.begin())
	}
	return true
}

// makeRoom waits until the queue has room for a stanza of that cost, and
// returns true with c.mu held, as it was when makeRoom was called. It returns
// false without the lock when the stanza cannot be queued any more.
func (c *Conn) makeRoom(l *link, cost int) bool {
	for {
		if c.gap {
			c.discardLocked()
			c.mu.Unlock()
			return false
		}
		switch c.queue.offer(cost, c.calls.n > 0, c.closing) {
		case admit:
			return true
		case overflow:
			c.calls.fail(ErrOverflow)
			continue
		case discard:
			c.discardLocked()
			c.mu.Unlock()
			return false
		}
		c.stalled = true
		c.mu.Unlock()
		var over bool
		select {
		case <-c.room:
		case <-l.t.Done():
			over = true
		}
		c.mu.Lock()
		c.stalled = false
		if over {
			c.discardLocked()
			c.mu.Unlock()
			return false
		}
	}
}

// discardLocked counts a stanza that is not taken.
func (c *Conn) discardLocked() {
	c.stats.Discarded++
	c.gap = true
}
