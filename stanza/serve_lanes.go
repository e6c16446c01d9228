package stanza

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// lanes runs the handlers of one Serve: the stanzas of a peer one after the
// other in a lane of its own, the lanes of different peers at the same time.
type lanes struct {
	c   *Conn
	ctx context.Context
	h   Handler

	ready   chan *lane // lanes for a worker that has none
	wg      sync.WaitGroup
	workers int // started; only the dispatching goroutine looks

	mu   sync.Mutex
	busy map[jid.JID]*lane // lanes with a worker, by bare peer
}

// lane is a peer whose stanzas a worker is handling.
type lane struct {
	peer        jid.JID
	current     *entry
	first, last *entry // what came meanwhile, in order
}

var lanePool = sync.Pool{New: func() any { return new(lane) }}

// serveLanes takes entries and hands them to lanes. What waits in a lane still
// counts in the queue's budget, so the two are bounded together.
func (c *Conn) serveLanes(ctx context.Context, h Handler) (err error) {
	l := &lanes{c: c, ctx: ctx, h: h, ready: make(chan *lane), busy: make(map[jid.JID]*lane)}
	defer func() {
		if left := l.stop(); left && err == errEnded {
			err = ctxError(ctx)
		}
	}()
	for {
		e, err := c.take(ctx)
		if err != nil {
			return err
		}
		if !c.decode(ctx, e) {
			continue
		}
		if ln := l.join(e); ln != nil && !l.start(ln) {
			return ctxError(ctx)
		}
	}
}

// join puts an entry into the lane of its peer. It returns the lane if that has
// no worker yet.
func (l *lanes) join(e *entry) *lane {
	peer := l.c.link.Load().who.peer(e.st)
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.busy[peer]
	switch {
	case ln == nil:
		ln = lanePool.Get().(*lane)
		ln.peer, ln.current = peer, e
		l.busy[peer] = ln
		return ln
	case ln.last == nil:
		ln.first = e
	default:
		ln.last.next = e
	}
	ln.last = e
	return nil
}

// start gives a lane to a worker. It waits for one when the bound is reached,
// and reports false if ctx ends before that.
func (l *lanes) start(ln *lane) bool {
	select {
	case l.ready <- ln:
		return true
	default:
	}
	if l.workers < l.c.opts.Parallel {
		l.workers++
		// Owner: this Serve. Stops when ready is closed and its lane is done.
		// Joined through wg by stop.
		l.wg.Go(func() { l.work(ln) })
		return true
	}
	select {
	case l.ready <- ln:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// work is a worker: it handles the stanzas of one lane after the other.
func (l *lanes) work(ln *lane) {
	defer func() {
		if ln == nil {
			return
		}
		// A handler has ended this goroutine, as t.FailNow does. Its stanza is
		// done with, and the work goes on in another goroutine.
		rest := ln
		if !l.next(rest) {
			rest = nil
		}
		l.wg.Go(func() { l.work(rest) })
	}()
	for {
		for ln != nil {
			l.c.handle(l.ctx, l.h, ln.current)
			if !l.next(ln) {
				ln = nil
			}
		}
		more, ok := <-l.ready
		if !ok {
			return
		}
		ln = more
	}
}

// next moves a lane on to its next entry. It reports false if there is none, or
// if it is to be left; the lane has no worker any more then.
func (l *lanes) next(ln *lane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln.current = nil
	e := ln.first
	switch {
	case e == nil:
		delete(l.busy, ln.peer)
		ln.peer = jid.JID{}
		lanePool.Put(ln)
		return false
	case l.ctx.Err() != nil:
		return false
	}
	if ln.first = e.next; ln.first == nil {
		ln.last = nil
	}
	e.next = nil
	ln.current = e
	return true
}

// stop waits for the workers, which begin nothing more once ctx has ended. What
// they have left goes back to the queue in the order in which it came; stop
// reports whether there was any.
func (l *lanes) stop() bool {
	close(l.ready)
	l.wg.Wait()
	var rest []*entry
	for _, ln := range l.busy {
		if ln.current != nil { // start could not give it to a worker
			rest = append(rest, ln.current)
		}
		for e := ln.first; e != nil; e = e.next {
			rest = append(rest, e)
		}
	}
	slices.SortFunc(rest, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	l.c.mu.Lock()
	l.c.queue.putBack(rest)
	l.c.mu.Unlock()
	return len(rest) > 0
}
