package stanza

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// All returns the stanzas that are received, other than replies to [Conn.Do], in
// the order in which they came: the caller's own loop. A stanza is borrowed
// until the loop takes its next step; [Clone] what is to be kept.
//
// A get or set that the step neither answered with [Conn.Send] nor cloned is
// answered with [ServiceUnavailable] when the step ends (RFC 6120 §8.2.3 rule
// 3), whichever way it ends. To Clone a request means: mine to answer later. A
// stanza that breaks the rules is answered with its error, where that is
// allowed, and not handed out.
//
// The loop ends by itself when the stream was closed in good order and nothing
// is left to hand out. Otherwise its last step has a nil stanza and the error:
// why ctx or the session ended, or [ErrBusy] if there is another consumer.
// Leaving the loop leaves the session open; what has not been handed out waits
// for the next consumer. A panic of the loop's body is the caller's own.
func (c *Conn) All(ctx context.Context) iter.Seq2[Stanza, error] {
	return func(yield func(Stanza, error) bool) {
		if !c.consume() {
			yield(nil, ErrBusy)
			return
		}
		defer c.leave()
		for {
			e, err := c.take(ctx)
			if err != nil {
				if err != errEnded {
					yield(nil, err)
				}
				return
			}
			if c.decode(ctx, e) && !c.step(ctx, e, yield) {
				return
			}
		}
	}
}

// step hands out one stanza.
func (c *Conn) step(ctx context.Context, e *entry, yield func(Stanza, error) bool) bool {
	req, _ := watch(c, e.st)
	defer func() {
		if err := conclude(ctx, c, e.st, req, nil, c.opts.Router); err != nil {
			c.report(ctx, e.st, err)
		}
		c.finish(e)
	}()
	return yield(e.st, nil)
}

// Serve hands the stanzas that are received, other than replies to [Conn.Do], to
// h until ctx or the session ends: the ready-made loop.
//
// Stanzas of one peer, by its bare address, are handled in the order in which
// they came, and those of different peers at the same time, up to
// Options.Parallel (RFC 6120 §10.1). Handlers get ctx; it does not end with the
// session. Around each of them happens what [Handler] says; what nobody was told
// goes to Options.Report. A handler that panics costs its peer an
// [InternalServerError], if it sent a request, and nobody else anything.
//
// Serve returns once all its handlers have: nil if the stream was closed in good
// order and everything has been handled, else why ctx or the session ended, or
// [ErrBusy] if there is another consumer. When ctx ends, what has not been
// handled waits for the next consumer.
func (c *Conn) Serve(ctx context.Context, h Handler) error {
	if h == nil {
		return errors.New("stanza: Serve without a handler")
	}
	if !c.consume() {
		return ErrBusy
	}
	defer c.leave()
	var err error
	if c.opts.Parallel == 1 {
		err = c.serveOne(ctx, h)
	} else {
		err = c.serveLanes(ctx, h)
	}
	if err == errEnded {
		return nil
	}
	return err
}

// serveOne handles everything in the calling goroutine.
func (c *Conn) serveOne(ctx context.Context, h Handler) error {
	for {
		e, err := c.take(ctx)
		if err != nil {
			return err
		}
		if c.decode(ctx, e) {
			c.handle(ctx, h, e)
		}
	}
}

// handle runs the handler for one decoded entry.
func (c *Conn) handle(ctx context.Context, h Handler, e *entry) {
	defer c.finish(e)
	err := errGoexit
	defer func() {
		if err != nil {
			c.report(ctx, e.st, err)
		}
	}()
	err = dispatch(ctx, h, c, e.st, c.opts.Router)
}

// errEnded is what take returns when the stream was closed in good order and
// nothing is left.
var errEnded = errors.New("stanza: end of stream")

// consume makes the caller the one consumer.
func (c *Conn) consume() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.consuming {
		return false
	}
	c.consuming = true
	return true
}

func (c *Conn) leave() {
	c.mu.Lock()
	c.consuming = false
	c.mu.Unlock()
}

// take returns the next entry, waiting for one.
func (c *Conn) take(ctx context.Context) (*entry, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctxError(ctx)
		}
		c.mu.Lock()
		e := c.queue.pop()
		c.hungry = e == nil
		err, clean := c.err, c.clean
		c.mu.Unlock()
		switch {
		case e != nil:
			return e, nil
		case err != nil && clean:
			return nil, errEnded
		case err != nil:
			return nil, err
		}
		select {
		case <-c.avail:
		case <-ctx.Done():
		}
	}
}

// decode decodes an entry unless that was done before. A stanza that breaks the
// rules is answered and done with; decode reports false then.
func (c *Conn) decode(ctx context.Context, e *entry) bool {
	if e.st != nil {
		return true
	}
	err := e.decode()
	if e.st != nil {
		c.link.Load().who.stamp(e.st)
	}
	if err == nil {
		return true
	}
	c.mu.Lock()
	c.stats.Malformed++
	c.mu.Unlock()
	if e.st != nil {
		// One reply at most, and none to errors and results (RFC 6120 §8.2.3
		// rules 2 to 4, §8.3.1 rule 8).
		if reply := ErrorReply(e.st, err); reply != nil {
			if err := sendAnswer(ctx, c, reply); err != nil && !errors.Is(err, net.ErrClosed) {
				c.report(ctx, e.st, err)
			}
		}
	}
	c.finish(e)
	return false
}

// stamp sets who sent a stanza where that is not for the stanza to say (RFC 6120
// §8.1.2.1 rule 1): the address of the client, and for presence that manages a
// subscription its bare JID.
func (p *parties) stamp(st Stanza) {
	if !p.host() {
		return
	}
	h := st.Head()
	h.From = p.remote
	if pres, ok := st.(*Presence); ok {
		switch pres.Type {
		case SubscribePresence, SubscribedPresence, UnsubscribePresence, UnsubscribedPresence:
			h.From = p.remote.Bare()
		}
	}
	st.SetHead(h)
}

// peer returns whose stanzas are handled in order with st.
func (p *parties) peer(st Stanza) jid.JID {
	if from := st.Head().From; !from.IsZero() {
		return from.Bare()
	}
	return p.local.Bare() // RFC 6120 §8.1.2.1 rule 4
}

// finish ends the handling of an entry and gives its memory back.
func (c *Conn) finish(e *entry) {
	c.mu.Lock()
	c.handled.finish(e.seq)
	c.settleLocked()
	c.queue.release(e.cost)
	stalled := c.stalled
	c.mu.Unlock()
	if stalled {
		notify(c.room)
	}
	e.recycle()
}

// watch and unwatch bracket the handling of a request: Send looks for its
// answer meanwhile.
func (c *Conn) watch(req *request) {
	c.mu.Lock()
	c.open = append(c.open, req)
	c.mu.Unlock()
}

func (c *Conn) unwatch(req *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range c.open {
		if r == req {
			last := len(c.open) - 1
			c.open[i] = c.open[last]
			c.open[last] = nil
			c.open = c.open[:last]
			return
		}
	}
}

// noteReply notes which request st answers.
func (c *Conn) noteReply(st Stanza) {
	if st.Kind() != IQKind {
		return
	}
	who := &c.link.Load().who
	c.mu.Lock()
	for _, r := range c.open {
		r.answeredBy(st, who)
	}
	c.mu.Unlock()
}

// report tells Options.Report, or the log.
func (c *Conn) report(ctx context.Context, st Stanza, err error) {
	if c.opts.Report != nil {
		c.opts.Report(ctx, st, err)
		return
	}
	attrs := []slog.Attr{
		slog.String("kind", st.Kind().String()),
		slog.String("from", st.Head().From.Bare().String()),
		slog.Any("error", err),
	}
	var p *stream.PanicError
	if errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	slog.LogAttrs(ctx, slog.LevelError, "stanza handler failed", attrs...)
}
