package stanza

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Restorer is a [Sender] that outlives its sessions, as a [*Conn] may. What sets
// something up with the server that lasts as long as a session looks for it by
// assertion, and leaves what has to be done on the next one.
type Restorer interface {
	Restore(key any, f func(ctx context.Context, s Sender) error)
}

// restorer is what was left with Restore.
type restorer struct {
	key any
	f   func(context.Context, Sender) error
}

// Restore has f called on every fresh session that takes the place of a lost one,
// to set up again what ends with a session; never on one that is resumed (XEP-0198
// §5). Functions are called one after the other, in the order in which their keys
// were first used, and before anything else is sent. Another f for the same key
// takes the place of the first, and nil takes it away. The key should be of an
// unexported type, as with context.Context.
//
// The Sender of f is the session alone; f must use it rather than the Conn, where
// everything waits for f. Its ctx ends with the session, and after 30 seconds.
// What f returns is told to the Supervisor, and the others are called all the
// same. Without a Supervisor f is never called.
func (c *Conn) Restore(key any, f func(ctx context.Context, s Sender) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.restorers, func(r restorer) bool { return r.key == key })
	switch {
	case f == nil && i >= 0:
		c.restorers = slices.Delete(c.restorers, i, i+1)
	case f == nil || c.opts.Supervisor == nil:
	case i >= 0:
		c.restorers[i].f = f
	default:
		c.restorers = append(c.restorers, restorer{key, f})
	}
}

const (
	// restoreTimeout bounds a function of Restore.
	restoreTimeout = 30 * time.Second
	// settleTimeout is how long a fresh session waits for what came on the one
	// before it to be handled.
	settleTimeout = 5 * time.Second
)

// restore calls what was left with Restore.
func (c *Conn) restore(ctx context.Context, l *link) {
	c.mu.Lock()
	todo := slices.Clone(c.restorers)
	c.mu.Unlock()
	if len(todo) == 0 {
		return
	}
	c.settle(ctx)
	for _, r := range todo {
		bounded, cancel := context.WithTimeout(ctx, restoreTimeout)
		err := protect(func() error { return r.f(bounded, direct{c, l}) })
		cancel()
		if ctx.Err() != nil {
			return // it is done on the next one
		}
		if err != nil {
			c.opts.Supervisor.Incomplete(fmt.Errorf("stanza: restoring: %w", err))
		}
	}
}

// settle waits for what came on earlier sessions to be handled, so that nobody takes
// it for something of this one. A consumer that is busy, or not there, is waited for
// no longer than settleTimeout.
func (c *Conn) settle(ctx context.Context) {
	c.mu.Lock()
	if c.handled.handled() >= c.before {
		c.mu.Unlock()
		return
	}
	settled := make(chan struct{})
	c.settled = settled
	c.mu.Unlock()
	timer := time.NewTimer(settleTimeout)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.settled = nil
	c.mu.Unlock()
}

// settleLocked is called when a stanza was handled.
func (c *Conn) settleLocked() {
	if c.settled != nil && c.handled.handled() >= c.before {
		close(c.settled)
		c.settled = nil
	}
}

// direct is the Sender that talks on one session, past what waits.
type direct struct {
	c *Conn
	l *link
}

// Send implements [Sender].
func (d direct) Send(ctx context.Context, st Stanza) error {
	if err := sendable(ctx, st); err != nil {
		return err
	}
	return d.l.t.Send(ctx, st)
}

// Do implements [Sender].
func (d direct) Do(ctx context.Context, iq *IQ) (*IQ, error) { return d.c.do(ctx, iq, d.l) }
