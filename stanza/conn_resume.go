package stanza

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"stanzakit.dev/xmpp/stream"
)

// Supervisor finds a [Conn] another session when one was lost, so that the Conn
// outlives its sessions; the package xmpp has one. All methods are called by the
// Conn, one at a time, and must not close it.
type Supervisor interface {
	// Next is called when the session has ended, for the given cause, and the
	// program has not ended the Conn. It returns the session that follows, or why
	// there is none. It may take its time, and returns soon after ctx has ended,
	// which is when the program ends the Conn.
	Next(ctx context.Context, lost error) (Successor, error)

	// Incomplete is told what could not be done on a fresh session: what a function
	// of [Conn.Restore] has returned, and stanzas that were kept and cannot be
	// sent there. At the end it is told how many were still waiting. It must not
	// wait.
	Incomplete(err error)

	// Ended is called once, with what Err will return. It must not wait.
	Ended(err error)
}

// Successor is a session that follows one that was lost.
type Successor struct {
	// Session is negotiated, and belongs to the Conn from then on.
	Session *stream.Session
	// Resumed says that it is the earlier session, continued (XEP-0198 §5): requests
	// stay open, and nothing has to be restored.
	Resumed bool
	// Resend are stanzas that the earlier session has left behind. On a fresh
	// session they are sent once everything is restored, before what waits
	// already.
	Resend []stream.Appender
}

// newLink prepares a session for being read.
func newLink(t transport) *link {
	return &link{
		t:    t,
		who:  parties{t.LocalAddr(), t.RemoteAddr(), t.Role(), t.Profile().ContentNS},
		read: make(chan struct{}),
	}
}

// attach makes t the first session beneath c and starts the permanent reader.
func (c *Conn) attach(t transport) {
	l := newLink(t)
	c.link.Store(l)
	c.up.Store(true)
	t.CountWith(c)
	// Owner: c. Stops when the last session has ended, by itself or through Close or
	// Abort. Joined through c.done.
	go c.run(l)
}

// run reads one session after the other.
func (c *Conn) run(l *link) {
	for l != nil {
		err := l.t.Serve(func(el *stream.Element) error { return c.receive(l, el) })
		close(l.read)
		if l.cancel != nil {
			l.cancel()
		}
		next := c.detached(l, err)
		l.opening.Wait()
		l = next
	}
}

// detached is called when the reader of a session has ended, with what its Serve
// returned. It returns the session that follows. If there is none, that is the end
// of c.
func (c *Conn) detached(l *link, result error) *link {
	err := l.t.Err()
	if err == nil { // somebody else reads the session, so we never will
		err = &stream.ClosedError{Cause: result}
	}
	clean := errors.Is(err, stream.ErrLocalClosed) || errors.Is(err, stream.ErrPeerClosed)
	if c.opts.Supervisor != nil {
		next, why := c.succeed(l, err)
		if next != nil {
			return next
		}
		clean = clean && why == err
		err = why
	}
	c.mu.Lock()
	c.err, c.clean = err, clean
	c.left = c.unsent.dropAll()
	c.calls.fail(fmt.Errorf("stanza: waiting for a reply: %w", err))
	c.wakeLocked()
	c.mu.Unlock()
	if c.opts.Supervisor != nil {
		c.stop(errEnding)
		if c.left > 0 {
			c.opts.Supervisor.Incomplete(fmt.Errorf("stanza: %d stanzas were not sent: %w", c.left, err))
		}
		c.opts.Supervisor.Ended(err)
	}
	close(c.done)
	notify(c.avail)
	return nil
}

// errEnding is why the life of a Conn is over that is closed.
var errEnding = errors.New("stanza: the connection is being closed")

// succeed waits for the session that follows l, which was lost. If there is none it
// returns why.
func (c *Conn) succeed(l *link, lost error) (*link, error) {
	c.fell(l)
	if c.life.Err() != nil {
		return nil, c.ending(lost)
	}
	l.opening.Wait()
	cause := lost
	if e := (*stream.ClosedError)(nil); errors.As(lost, &e) {
		cause = e.Cause
	}
	forget := c.failWhenOver(l, lost)
	s, err := c.opts.Supervisor.Next(c.life, cause)
	forget()
	switch {
	case err == nil && s.Session == nil:
		err = errors.New("stanza: the supervisor returned no session")
	case err == nil:
		if next := c.follow(s.Session, s, lost); next != nil {
			return next, nil
		}
		// It came too late. Politely, for otherwise the server would keep it; the
		// session itself bounds the wait.
		_ = s.Session.Close(context.WithoutCancel(c.life))
		return nil, c.ending(lost)
	case c.life.Err() != nil:
		return nil, c.ending(lost)
	case errors.Is(err, cause) && errors.Is(cause, err): // the same, be it comparable or not
		return nil, lost
	}
	return nil, &stream.ClosedError{Cause: err}
}

// ending returns why c has ended when the program wanted it to.
func (c *Conn) ending(lost error) error {
	cause := context.Cause(c.life)
	if cause == errEnding || errors.Is(lost, cause) {
		return lost
	}
	return &stream.ClosedError{Cause: cause}
}

// follow makes t the session beneath c, and returns nil if c is being ended.
func (c *Conn) follow(t transport, s Successor, lost error) *link {
	l := newLink(t)
	ctx, cancel := context.WithCancel(c.life)
	l.cancel = cancel
	c.mu.Lock()
	if c.life.Err() != nil {
		c.mu.Unlock()
		cancel()
		return nil
	}
	c.link.Store(l)
	c.gap = false
	if !s.Resumed {
		c.failSentLocked(lost)
		c.unsent.putFirst(s.Resend)
		c.restoring, c.before = true, c.handled.next
	}
	c.mu.Unlock()
	t.CountWith(c)
	// Owner: c. Stops when it is done, or with the session through ctx. Joined by
	// run.
	l.opening.Go(func() {
		defer cancel()
		c.setUp(ctx, l)
	})
	return l
}

// setUp makes a session that follows another one ready: on a fresh one what was set
// up before is restored, and what was kept is sent. From then on senders use it
// themselves.
func (c *Conn) setUp(ctx context.Context, l *link) {
	c.mu.Lock()
	restoring := c.restoring // also on a session that continues one where it was cut short
	c.mu.Unlock()
	if restoring {
		c.restore(ctx, l)
		if ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		c.restoring = false
		c.mu.Unlock()
	}
	c.flush(ctx, l)
}

// fell notes that a session takes nothing any more.
func (c *Conn) fell(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.Load() == l {
		c.up.Store(false)
	}
}

// suspendable is a ledger of a session that can be resumed.
type suspendable interface {
	Suspended() bool
	Done() <-chan struct{}
}

// resumable returns a channel that is closed when the session of l, which has
// ended, cannot be resumed any more, or nil if it cannot now.
func resumable(l *link) <-chan struct{} {
	if s, ok := l.t.(interface{ Ledger() stream.Ledger }); ok {
		if k, ok := s.Ledger().(suspendable); ok && k.Suspended() {
			return k.Done()
		}
	}
	return nil
}

// failWhenOver fails the requests that were sent on l, whose session has ended, as
// soon as it is clear that there will be no reply. The caller calls the function
// that it returns when somebody else sees to that.
func (c *Conn) failWhenOver(l *link, lost error) (forget func()) {
	fail := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failSentLocked(lost)
		c.wakeLocked()
	}
	over := resumable(l)
	if over == nil {
		fail()
		return func() {}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	// Owner: succeed. Stopped and joined by forget.
	wg.Go(func() {
		select {
		case <-over:
			fail()
		case <-stop:
		}
	})
	return func() { close(stop); wg.Wait() }
}

// failSentLocked fails the requests that were sent on a session that was lost. Those
// that wait to be sent go on waiting.
func (c *Conn) failSentLocked(lost error) {
	err := fmt.Errorf("stanza: waiting for a reply: %w", lost)
	c.calls.failIf(err, func(k *call) bool { return k.on != nil })
}
