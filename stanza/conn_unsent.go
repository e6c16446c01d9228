package stanza

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/stream"
)

// This file is how a [Conn] with a [Supervisor] sends: on the session if there is
// one, and otherwise into a queue that the next session empties.

const (
	defaultQueueStanzas = 1000
	defaultQueueBytes   = 1 << 20
)

// unsent is a stanza that waits for a session.
type unsent struct {
	el   stream.Appender
	cost int
	call *call // that it belongs to, or nil
}

// encoded is a stanza as it goes over the wire.
type encoded []byte

// AppendXML implements [stream.Appender].
func (e encoded) AppendXML(dst []byte) ([]byte, error) { return append(dst, e...), nil }

// backlog holds stanzas that wait for a session, in order. It is a plain value
// without a lock.
type backlog struct {
	maxStanzas, maxBytes int
	all                  []*unsent
	bytes                int
}

// offer takes a stanza if there is room for it. One is taken whatever its size.
func (b *backlog) offer(xml []byte, k *call) bool {
	if len(b.all) > 0 && (len(b.all) >= b.maxStanzas || b.bytes+len(xml) > b.maxBytes) {
		return false
	}
	b.all = append(b.all, &unsent{encoded(xml), len(xml), k})
	b.bytes += len(xml)
	return true
}

// putFirst takes stanzas in front of all others, whatever the bounds.
func (b *backlog) putFirst(els []stream.Appender) {
	first := make([]*unsent, len(els))
	for i, el := range els {
		first[i] = &unsent{el: el}
	}
	b.all = append(first, b.all...)
}

// drop takes a stanza out, unless it is gone already.
func (b *backlog) drop(u *unsent) {
	if i := slices.Index(b.all, u); i >= 0 {
		b.all = slices.Delete(b.all, i, i+1)
		b.bytes -= u.cost
	}
}

// dropCall takes the request of a call out.
func (b *backlog) dropCall(k *call) {
	if i := slices.IndexFunc(b.all, func(u *unsent) bool { return u.call == k }); i >= 0 {
		b.drop(b.all[i])
	}
}

// dropAll empties the backlog and returns how many there were of what nobody waits
// for the reply to.
func (b *backlog) dropAll() (n int) {
	for _, u := range b.all {
		if u.call == nil {
			n++
		}
	}
	b.all, b.bytes = nil, 0
	return n
}

// flowLocked returns a channel that is closed when it makes sense to try again.
func (c *Conn) flowLocked() <-chan struct{} {
	if c.flow == nil {
		c.flow = make(chan struct{})
	}
	return c.flow
}

func (c *Conn) wakeLocked() {
	if c.flow != nil {
		close(c.flow)
		c.flow = nil
	}
}

// errSettled: the call that a request belongs to has its outcome already.
var errSettled = errors.New("stanza: the request is not waiting any more")

// transmit sends el, of the call k if that is not nil, on the session or keeps it
// for the next one.
func (c *Conn) transmit(ctx context.Context, el stream.Appender, k *call) error {
	for {
		if c.up.Load() {
			l := c.link.Load()
			if !c.assign(k, l) {
				return errSettled
			}
			err := l.t.Send(ctx, el)
			if err == nil || !c.outlives(err) {
				return err
			}
			c.fell(l)
		}
		if again, err := c.keep(ctx, el, k); !again {
			return err
		}
	}
}

// outlives reports whether c goes on after an error of sending: that of a session
// which has ended.
func (c *Conn) outlives(err error) bool {
	return errors.Is(err, stream.ErrClosed) && c.life.Err() == nil
}

// assign notes on which session a request is about to be sent. It reports false if
// the call has its outcome already.
func (c *Conn) assign(k *call, l *link) bool {
	if k == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k.on = l
	return len(k.done) == 0
}

// keep queues what cannot be sent now, and waits for room. Again says that there is
// a session.
func (c *Conn) keep(ctx context.Context, el stream.Appender, k *call) (again bool, err error) {
	b, err := el.AppendXML(nil)
	if err != nil {
		return false, err
	}
	for {
		c.mu.Lock()
		if k != nil {
			k.on = nil
		}
		switch {
		case c.life.Err() != nil:
			err = fmt.Errorf("%w: %w", stream.ErrClosed, errEnding)
			if c.err != nil {
				err = c.err
			}
		case k != nil && len(k.done) > 0:
			err = errSettled
		case c.up.Load():
			again = true
		case c.unsent.offer(b, k):
		default:
			wait := c.flowLocked()
			c.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return false, fmt.Errorf("stanza: waiting for a session: %w", ctxError(ctx))
			}
		}
		c.mu.Unlock()
		return again, err
	}
}

// transmitReceipt is transmit with a receipt, which belongs to a session: the one
// there is, or one that was lost and can be resumed, if nothing is queued that would
// be overtaken. Otherwise it waits for the next one.
func (c *Conn) transmitReceipt(ctx context.Context, st Stanza) (*stream.Receipt, error) {
	for {
		c.mu.Lock()
		l := c.link.Load()
		ready := c.up.Load() || len(c.unsent.all) == 0 && !c.restoring && resumable(l) != nil
		wait, err := c.flowLocked(), c.err
		if err == nil && c.life.Err() != nil {
			err = fmt.Errorf("%w: %w", stream.ErrClosed, errEnding)
		}
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if ready {
			r, err := l.t.SendReceipt(ctx, st)
			if err == nil || !c.outlives(err) {
				return r, err
			}
			c.fell(l)
			continue // with a link that is over, or another one
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("stanza: waiting for a session: %w", ctxError(ctx))
		}
	}
}

// flush sends what was kept, in order, and then lets senders use the session
// themselves. It ends early with the session.
func (c *Conn) flush(ctx context.Context, l *link) {
	for {
		c.mu.Lock()
		if ctx.Err() != nil {
			c.mu.Unlock()
			return
		}
		if len(c.unsent.all) == 0 {
			c.up.Store(true)
			c.wakeLocked()
			c.mu.Unlock()
			return
		}
		u := c.unsent.all[0]
		if u.call != nil {
			u.call.on = l
		}
		c.mu.Unlock()

		err := l.t.Send(ctx, u.el)
		lost := err != nil && (ctx.Err() != nil || errors.Is(err, stream.ErrClosed))
		c.mu.Lock()
		if lost {
			if u.call != nil {
				u.call.on = nil
			}
			c.mu.Unlock()
			return
		}
		c.unsent.drop(u)
		if err != nil && u.call != nil && c.calls.remove(u.call) {
			u.call.settle(outcome{err: err})
		}
		c.wakeLocked()
		c.mu.Unlock()
		if err != nil && u.call == nil {
			c.opts.Supervisor.Incomplete(fmt.Errorf("stanza: sending what was kept: %w", err))
		}
	}
}
