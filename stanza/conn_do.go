package stanza

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/stream"
)

// Do sends a request, which is an IQ of type get or set, and returns the reply.
// It works with and without a consumer and from within a handler. It never
// hangs: it returns with the reply, when ctx ends, or when the session ends and is
// not resumed; then the error wraps [net.ErrClosed] and the cause.
//
// A reply of type result comes back with a nil error. One of type error comes
// back too, together with its [*Error]. The reply is the caller's own, and iq is
// not changed. Without an ID the request gets one of [NewID]; an ID of the
// caller's own should be as hard to guess. The other errors are
// [ErrTooManyRequests], [ErrOverflow], [ErrDuplicateID], [ErrInvalid] for
// something that is not a request, and a [*Error] with [BadRequest] and without
// Received for a reply that breaks the rules of RFC 6120 §8.2.3.
//
// Only the addressee can reply; what somebody else sends with the right id is
// dropped, and the request stays pending. On a client, no 'from' stands for the
// user's account or the server, and so does no 'to' (RFC 6120 §8.1.2.1 rules 2
// to 4, §10.3.3):
//
//	request to                reply from
//	(none)                    (none), the own bare JID, the server's domain
//	the own bare JID          (none), the own bare JID
//	the server's domain       (none), the server's domain
//	anybody else              that very address
//
// On the server's side of a client-to-server stream the client, with its bare
// or full JID or none, is the only one that can reply (rule 1). On other streams
// the addresses are equal, and a request without 'to' is to the peer.
//
// After ctx has ended the request may still be carried out by its recipient. A
// reply that comes too late is dropped and never given to another call.
func (c *Conn) Do(ctx context.Context, iq *IQ) (*IQ, error) { return c.do(ctx, iq, nil) }

// do is Do, past what is queued on one session alone if via is not nil.
func (c *Conn) do(ctx context.Context, iq *IQ, via *link) (*IQ, error) {
	if iq == nil || !iq.IsRequest() {
		return nil, fmt.Errorf("%w: Do sends an IQ of type get or set", ErrInvalid)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("stanza: request: %w", ctxError(ctx))
	}
	req := &IQ{ID: iq.ID, To: iq.To, From: iq.From, Type: iq.Type, Lang: iq.Lang, Payload: iq.Payload}
	if req.ID == "" {
		req.ID = NewID()
	}
	waiting := &call{id: req.ID, to: req.To, done: make(chan outcome, 1)}
	if err := c.register(waiting); err != nil {
		return nil, err
	}
	if err := c.sendRequest(ctx, waiting, req, via); err != nil {
		if c.forget(waiting) {
			return nil, err
		}
		return c.finishCall(<-waiting.done) // that is why sending was given up
	}
	select {
	case o := <-waiting.done:
		return c.finishCall(o)
	case <-ctx.Done():
	}
	if c.forget(waiting) {
		return nil, fmt.Errorf("stanza: waiting for a reply: %w", ctxError(ctx))
	}
	return c.finishCall(<-waiting.done) // it was settled at the same moment
}

// register enters a call before its request is sent, and wakes a reader that has
// stopped: there is a reason to read on now.
func (c *Conn) register(waiting *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return fmt.Errorf("stanza: request: %w", c.err)
	}
	if err := c.calls.add(waiting); err != nil {
		return err
	}
	if c.stalled {
		notify(c.room)
	}
	return nil
}

// forget takes a call out, and reports false if it was settled before.
func (c *Conn) forget(waiting *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.calls.remove(waiting) {
		return false
	}
	if len(c.unsent.all) > 0 {
		c.unsent.dropCall(waiting)
		c.wakeLocked()
	}
	return true
}

// sendRequest queues the request. While it waits for room the call can fail, and
// the wait must end with it.
func (c *Conn) sendRequest(ctx context.Context, waiting *call, req *IQ, via *link) error {
	l := via
	if l == nil {
		l = c.link.Load()
	}
	supervised := c.opts.Supervisor != nil
	if !supervised || via != nil || c.up.Load() {
		if supervised && !c.assign(waiting, l) {
			return errSettled
		}
		err := l.t.TrySend(req)
		if supervised && via == nil && err != nil && c.outlives(err) {
			c.fell(l)
		} else if !errors.Is(err, stream.ErrFull) {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	waiting.cancel = cancel
	settled := len(waiting.done) > 0
	c.mu.Unlock()
	if settled {
		return ErrOverflow // the caller finds the real outcome
	}
	if supervised && via == nil {
		return c.transmit(ctx, req, waiting)
	}
	return l.t.Send(ctx, req)
}

// finishCall turns an outcome into what Do returns.
func (c *Conn) finishCall(o outcome) (*IQ, error) {
	if o.err != nil {
		return nil, o.err
	}
	reply := new(IQ)
	if err := reply.DecodeElement(o.reply); err != nil {
		return nil, fmt.Errorf("stanza: malformed reply: %w", err)
	}
	c.link.Load().who.stamp(reply)
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}
