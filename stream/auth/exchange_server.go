package auth

import (
	"context"
	"errors"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// serverRules is what holds on a connection as it is now.
type serverRules struct {
	// offered are the mechanisms that the client may choose from.
	offered []sasl.Mechanism
	// needTLS are the names of mechanisms that would be offered inside TLS.
	needTLS []string
	// secured is false while nothing at all may be tried.
	secured bool
	// retries is how many attempts may follow a failed one.
	retries int

	begin     func(sasl.Mechanism) (sasl.Server, error)
	authorize func(context.Context, sasl.Identity) (jid.JID, error)
}

// serverExchange is the server side of all handshakes of one stream (RFC 6120 §6.4), as a function
// of what the client sends: no I/O. It belongs to the stream that it is kept on.
type serverExchange struct {
	failed int  // attempts that did not succeed
	bound  bool // a mechanism with channel binding was run
	over   bool // authenticated

	current   sasl.Server // nil between handshakes
	mechanism sasl.Mechanism
}

// serverStep is what to do next.
type serverStep struct {
	reply   frame // to be written, unless its kind is zero
	waiting bool  // the handshake goes on
	done    bool  // authenticated as who
	who     jid.JID
	err     error // ends the stream
}

// next takes an element from the client.
func (x *serverExchange) next(ctx context.Context, r *serverRules, f frame) serverStep {
	switch f.kind {
	case frameForeign:
		// RFC 6120 §4.9.3.12: nothing else until the client is authenticated.
		return x.refuse(stream.NotAuthorized, "authentication is not complete")
	case frameAuth, frameResponse, frameAbort:
	default:
		// RFC 6120 §4.9.3.24: these are for a server to send, or nobody.
		return x.refuse(stream.UnsupportedStanzaType, "not for a client to send")
	}
	if x.over {
		return x.refuse(stream.NotAuthorized, "authentication is complete")
	}
	if f.kind == frameAuth && x.current != nil {
		// RFC 6120 §6.4.2: discard the ongoing handshake, process the new one. It counts, or the bound were none.
		x.current = nil
		x.failed++
	}
	if x.current == nil && x.failed > r.retries {
		// RFC 6120 §6.4.5. What the client sent is not looked at.
		return x.refuse(stream.PolicyViolation, "too many failed attempts to authenticate")
	}
	switch {
	case f.kind == frameAbort:
		// RFC 6120 §6.4.4, also between handshakes.
		return x.fail(sasl.Aborted)
	case f.kind == frameAuth:
		return x.auth(ctx, r, f)
	case x.current == nil:
		// RFC 6120 §6.5.8: a response to nothing.
		return x.fail(sasl.MalformedRequest)
	default:
		return x.response(ctx, r, f)
	}
}

// auth begins a handshake.
func (x *serverExchange) auth(ctx context.Context, r *serverRules, f frame) serverStep {
	if !r.secured || slices.Contains(r.needTLS, f.mechanism) {
		// RFC 6120 §6.5.4.
		return x.fail(sasl.EncryptionRequired)
	}
	i := slices.IndexFunc(r.offered, func(m sasl.Mechanism) bool { return m.Name == f.mechanism })
	if i < 0 {
		// RFC 6120 §6.5.7: none given, or none that is offered on this connection.
		return x.fail(sasl.InvalidMechanism)
	}
	if f.err != nil {
		return x.unreadable(f.err)
	}
	m := r.offered[i]
	if m.ChannelBinding && x.bound {
		// RFC 9266 §4.1: MUST NOT use the channel binding for more than one mechanism instance on a connection, so here a retry
		// (RFC 6120 §6.4.5: "where appropriate for the chosen mechanism") takes a new connection.
		return x.refuse(stream.PolicyViolation, "channel binding serves one exchange: reconnect to try again")
	}
	server, err := r.begin(m)
	if err != nil {
		return x.failWith(err)
	}
	x.current, x.mechanism = server, m
	step := x.step(ctx, r, f.data)
	if !step.waiting {
		x.bound = x.bound || m.ChannelBinding
	}
	return step
}

// response moves a handshake on that has begun.
func (x *serverExchange) response(ctx context.Context, r *serverRules, f frame) serverStep {
	if f.err != nil {
		return x.unreadable(f.err)
	}
	// The first message of the client only chooses the type of the binding. What follows may have been computed with the data, so
	// that an exchange which got this far has used it up.
	x.bound = x.bound || x.mechanism.ChannelBinding
	return x.step(ctx, r, f.data)
}

// step gives the mechanism the client's message. Nil data means that an auth came without.
func (x *serverExchange) step(ctx context.Context, r *serverRules, data []byte) serverStep {
	out, done, err := x.current.Next(ctx, data)
	if err != nil {
		return x.failWith(err)
	}
	if !done {
		return serverStep{reply: frame{kind: frameChallenge, data: out}, waiting: true}
	}
	who, err := r.authorize(ctx, x.current.Identity())
	if err != nil {
		return x.failWith(err)
	}
	x.current, x.over = nil, true
	return serverStep{reply: frame{kind: frameSuccess, data: out}, done: true, who: who}
}

// unreadable ends the handshake because an element could not be read.
func (x *serverExchange) unreadable(err error) serverStep {
	if errors.Is(err, errEncoding) {
		// RFC 6120 §6.5.5.
		return x.fail(sasl.IncorrectEncoding)
	}
	return x.fail(sasl.MalformedRequest)
}

// failWith ends the handshake because of err: a [*stream.Error] ends the stream too, the condition
// and text of a [*sasl.Error] go to the client, and of other errors it learns nothing.
func (x *serverExchange) failWith(err error) serverStep {
	var fatal *stream.Error
	if errors.As(err, &fatal) {
		x.current = nil
		x.failed++
		return serverStep{err: fatal}
	}
	var e *sasl.Error
	if !errors.As(err, &e) {
		return x.fail(sasl.TemporaryAuthFailure)
	}
	step := x.fail(e.Condition)
	step.reply.failure.Err.Text = e.Text
	return step
}

// fail ends the handshake; the stream goes on (RFC 6120 §6.4.5).
func (x *serverExchange) fail(c sasl.Condition) serverStep {
	x.current = nil
	x.failed++
	return serverStep{reply: frame{kind: frameFailure, failure: &Failure{Err: &sasl.Error{Condition: c}}}}
}

// refuse ends the stream.
func (x *serverExchange) refuse(c stream.Condition, text string) serverStep {
	x.current = nil
	return serverStep{err: &stream.Error{Condition: c, Text: text}}
}
