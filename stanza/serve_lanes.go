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

	mu      sync.Mutex
	busy    map[jid.JID]*lane // lanes with a worker, by bare peer
	stopped bool              // begin nothing any more
}

// lane is a peer whose stanzas a worker is handling.
type lane struct {
	peer    jid.JID
	current *entry
	waiting []*entry // what came meanwhile, in order
}

// serveLanes takes entries and hands them to lanes. What waits in a lane still
// counts in the queue's budget, so the two are bounded together.
func (c *Conn) serveLanes(ctx context.Context, h Handler) (err error) {
	l := &lanes{c: c, ctx: ctx, h: h, ready: make(chan *lane), busy: make(map[jid.JID]*lane)}
	defer func() {
		l.stop(err != errEnded && ctx.Err() != nil)
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
	if ln := l.busy[peer]; ln != nil {
		ln.waiting = append(ln.waiting, e)
		return nil
	}
	ln := &lane{peer: peer, current: e}
	l.busy[peer] = ln
	return ln
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
		l.mu.Lock()
		ln.waiting = slices.Insert(ln.waiting, 0, ln.current)
		l.mu.Unlock()
		return false
	}
}

// work is a worker: it handles the stanzas of one lane after the other.
func (l *lanes) work(ln *lane) {
	returned := false
	defer func() {
		// A handler ended this goroutine with runtime.Goexit, as t.FailNow
		// does. Its stanza is done with, and the work goes on in another one.
		if !returned && l.next(ln) {
			l.wg.Go(func() { l.work(ln) })
		} else if !returned {
			l.wg.Go(l.workOn)
		}
	}()
	l.drain(ln)
	returned = true
	l.workOn()
}

// workOn handles lanes until there are no more.
func (l *lanes) workOn() {
	for ln := range l.ready {
		l.drain(ln)
	}
}

// drain handles what is in a lane until that is empty.
func (l *lanes) drain(ln *lane) {
	for {
		l.c.handle(l.ctx, l.h, ln.current)
		if !l.next(ln) {
			return
		}
	}
}

// next moves a lane on to its next entry. It reports false, and the lane has no
// worker any more, if there is none.
func (l *lanes) next(ln *lane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || len(ln.waiting) == 0 {
		ln.current = nil
		if len(ln.waiting) == 0 {
			delete(l.busy, ln.peer)
		}
		return false
	}
	ln.current = ln.waiting[0]
	ln.waiting = slices.Delete(ln.waiting, 0, 1)
	return true
}

// stop waits for the workers. If they are to leave the rest, what waits in the
// lanes goes back to the queue in the order in which it came.
func (l *lanes) stop(leave bool) {
	l.mu.Lock()
	l.stopped = leave
	l.mu.Unlock()
	close(l.ready)
	l.wg.Wait()
	var rest []*entry
	for _, ln := range l.busy {
		rest = append(rest, ln.waiting...)
	}
	slices.SortFunc(rest, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	l.c.mu.Lock()
	l.c.queue.putBack(rest)
	l.c.mu.Unlock()
}
