package stanza

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

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
	err = protect(func() error { return h.HandleStanza(ctx, via, st) })
	return err
}

// errGoexit is the error of a handler that never returned.
var errGoexit = errors.New("stanza: the handler ended its goroutine")

// protect calls code of the user and turns its panic into an error.
func protect(fn func() error) (err error) {
	defer func() { // does not stop runtime.Goexit, which is what t.FailNow calls
		if v := recover(); v != nil {
			err = &stream.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn()
}

// request is a get or set while it is being handled.
type request struct {
	asked    IQ // as it came, without a payload: a handler may change the stanza
	answered atomic.Bool
	// kept says that it was cloned, so whoever did it will answer. A request that
	// is dispatched within a handler, or within a step of All, has one for both.
	kept    *atomic.Bool
	ownKept atomic.Bool
}

// answeredBy notes that st was sent. who, if not nil, tells which addresses are
// the same.
func (r *request) answeredBy(st Stanza, who *parties) {
	iq, ok := st.(*IQ)
	if !ok || iq.Type != ResultIQ && iq.Type != ErrorIQ || iq.ID != r.asked.ID {
		return
	}
	if iq.To == r.asked.From || who != nil && who.reaches(iq.To, r.asked.From) {
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
	req := &request{asked: IQ{ID: iq.ID, To: iq.To, From: iq.From, Type: iq.Type}}
	if iq.kept == nil {
		iq.kept = &req.ownKept
	}
	req.kept = iq.kept
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
		s.req.answeredBy(st, nil)
	}
	return err
}

// replyGrace is how long an answer waits for room when the context of the
// consumer has ended.
const replyGrace = time.Second

// sendAnswer sends a reply. Neither a context that ends nor a payload that panics
// is the fault of the peer who waits for it.
func sendAnswer(ctx context.Context, s Sender, reply Stanza) error {
	send := func(ctx context.Context) error {
		return protect(func() error { return s.Send(ctx, reply) })
	}
	err := send(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyGrace)
	defer cancel()
	return send(ctx)
}

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
		st = &req.asked
	}
	reply, rest := verdictOn(st, req != nil, err)
	if reply == nil {
		return rest
	}
	sent := sendAnswer(ctx, s, reply)
	if sent != nil && req != nil && !errors.Is(sent, context.DeadlineExceeded) && !errors.Is(sent, net.ErrClosed) {
		// What the handler's error carries cannot be written, it seems. The
		// peer is to be answered all the same.
		rest = errors.Join(err, sent)
		sent = sendAnswer(ctx, s, ErrorReply(st, InternalServerError))
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
	own := errors.As(err, &e) && e != nil && !e.Received
	known := e == nil && errors.As(err, &c) && c.Known()
	switch {
	case request:
		if e != nil || known {
			return ErrorReply(st, err), nil
		}
		return ErrorReply(st, err), err
	case st.Kind() != IQKind && (own || known):
		if reply = ErrorReply(st, err); reply != nil {
			return reply, nil
		}
	}
	return nil, err
}
