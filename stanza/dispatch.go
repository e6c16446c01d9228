package stanza

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Dispatch runs one handler for one stanza and does what has to be done around
// it; [Conn.Serve] does it for every stanza. It is for a program that has a loop
// of its own, such as a server that handles what is addressed to itself.
//
// A panic of the handler is recovered. A request that the handler neither
// answered, through s, nor cloned is answered, and errors become replies, as
// [Handler] says. Dispatch returns what is left over, for the log: an error that
// nobody was told, a *[stream.PanicError], or nil.
func Dispatch(ctx context.Context, h Handler, s Sender, st Stanza) error {
	return dispatch(ctx, h, s, st, false)
}

// dispatch is Dispatch. With leave, a request that the handler left unanswered
// without an error stays unanswered.
func dispatch(ctx context.Context, h Handler, s Sender, st Stanza, leave bool) (err error) {
	req, via := watch(s, st)
	// A handler that ends its goroutine leaves no request unanswered either.
	err = errGoexit
	defer func() { err = conclude(ctx, s, st, req, err, leave) }()
	err = protect(ctx, h, via, st)
	return err
}

// errGoexit is the error of a handler that never returned.
var errGoexit = errors.New("stanza: the handler ended its goroutine")

// protect calls a handler and turns its panic into an error.
func protect(ctx context.Context, h Handler, s Sender, st Stanza) (err error) {
	defer func() { // does not stop runtime.Goexit, which is what t.FailNow calls
		if v := recover(); v != nil {
			err = &stream.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return h.HandleStanza(ctx, s, st)
}

// request is a get or set while it is being handled.
type request struct {
	id       string
	from     jid.JID
	answered atomic.Bool
	kept     atomic.Bool // it was cloned, so whoever did it will answer
}

// answeredBy notes that st was sent.
func (r *request) answeredBy(st Stanza) {
	iq, ok := st.(*IQ)
	if ok && (iq.Type == ResultIQ || iq.Type == ErrorIQ) && iq.ID == r.id && iq.To == r.from {
		r.answered.Store(true)
	}
}

// watch begins to look for the answer to st, and returns the Sender for the
// handler. It returns nil if st is not a request.
func watch(s Sender, st Stanza) (*request, Sender) {
	iq, ok := st.(*IQ)
	if !ok || !iq.IsRequest() {
		return nil, s
	}
	req := &request{id: iq.ID, from: iq.From}
	iq.kept = &req.kept
	if c, ok := s.(*Conn); ok {
		// The handler may know the Conn from elsewhere, and need not answer
		// through the Sender that it is given.
		c.watch(req)
		return req, s
	}
	return req, &watchedSender{s, req}
}

// watchedSender looks at what is sent through it.
type watchedSender struct {
	Sender
	req *request
}

// Send implements [Sender].
func (s *watchedSender) Send(ctx context.Context, st Stanza) error {
	err := s.Sender.Send(ctx, st)
	if err == nil {
		s.req.answeredBy(st)
	}
	return err
}

// replyGrace is how long an answer waits for room when the context of the
// consumer has ended already.
const replyGrace = time.Second

// conclude ends the handling of st with what the handler returned: it sends the
// answer that is still due and returns what nobody was told.
func conclude(ctx context.Context, s Sender, st Stanza, req *request, err error, leave bool) error {
	if req != nil {
		if c, ok := s.(*Conn); ok {
			c.unwatch(req)
		}
		if req.answered.Load() || req.kept.Load() {
			return err
		}
		if err == nil && leave {
			return nil
		}
	}
	reply, rest := verdictOn(st, req != nil, err)
	if reply == nil {
		return rest
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), replyGrace)
		defer cancel()
	}
	sent := s.Send(ctx, reply)
	if sent != nil && req != nil && ctx.Err() == nil && !errors.Is(sent, net.ErrClosed) {
		// What the handler's error carries cannot be written, it seems. The
		// peer is to be answered all the same.
		rest = errors.Join(err, sent)
		sent = s.Send(ctx, ErrorReply(st, InternalServerError))
	}
	if sent != nil && !errors.Is(sent, net.ErrClosed) {
		rest = errors.Join(rest, fmt.Errorf("stanza: answering: %w", sent))
	}
	return rest
}

// verdictOn returns the reply that a stanza gets when its handler returned err,
// nil for none, and the part of err that the reply does not say.
func verdictOn(st Stanza, request bool, err error) (reply Stanza, rest error) {
	switch {
	case err != nil:
	case request:
		// RFC 6120 §8.2.3 rule 3: there is always an answer; §8.3.3.19,
		// §10.3.3 rule 2: nobody here knows what to do with the payload.
		return ErrorReply(st, ServiceUnavailable), nil
	default:
		return nil, nil
	}
	var e *Error
	var c Condition
	switch own := errors.As(err, &e) && !e.Received; {
	case request:
		if e != nil || errors.As(err, &c) {
			return ErrorReply(st, err), nil
		}
		return ErrorReply(st, err), err
	case st.Kind() != IQKind && (own || e == nil && errors.As(err, &c)):
		if reply = ErrorReply(st, err); reply != nil {
			return reply, nil
		}
	}
	return nil, err
}
