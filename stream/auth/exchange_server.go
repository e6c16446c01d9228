package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// serverRules is what holds on a connection as it is now, for either profile.
type serverRules struct {
	// offered are the mechanisms that the client is told of and may choose from.
	offered []sasl.Mechanism
	// unlisted are mechanisms that it may choose too, and learns of in another way.
	unlisted []sasl.Mechanism
	// needTLS are the names of mechanisms that would be offered inside TLS.
	needTLS []string
	// bindings are the channel bindings of the connection; types are the names of those that are
	// announced, nil if none are.
	bindings []sasl.Binding
	types    []string
	// secured is false while nothing at all may be tried.
	secured bool
	// retries is how many attempts may follow a failed one.
	retries int
	// gate bounds attempts across streams; nil does not.
	gate *gate
	// adjust changes the configuration of a mechanism that begins; nil changes nothing.
	adjust func(*sasl.ServerConfig)

	begin     func(sasl.Mechanism) (sasl.Server, error)
	authorize func(context.Context, sasl.Identity) (jid.JID, error)
}

// find returns the mechanism that the client has chosen, if it may.
func (r *serverRules) find(name string) (sasl.Mechanism, bool) {
	for _, list := range [][]sasl.Mechanism{r.offered, r.unlisted} {
		if i := slices.IndexFunc(list, func(m sasl.Mechanism) bool { return m.Name == name }); i >= 0 {
			return list[i], true
		}
	}
	return sasl.Mechanism{}, false
}

// serverExchange is the server side of all handshakes of one stream (RFC 6120 §6.4, XEP-0388 §2),
// as a function of what the client sends: no I/O, no XML. It belongs to the stream that it is kept
// on, where both profiles find it, so that attempts of one are attempts of the other.
type serverExchange struct {
	failed  int     // attempts that did not succeed
	bound   bool    // channel-binding data was used
	over    bool    // authenticated
	begun   bool    // there was a handshake,
	profile profile // of this profile

	current   sasl.Server // nil between handshakes
	mechanism sasl.Mechanism
}

// exchangeKey is where the exchange of a stream is kept.
type exchangeKey struct{}

// exchangeOf returns the exchange of a stream, the same one for both profiles.
func exchangeOf(n *stream.Negotiation) *serverExchange {
	x, ok := n.Value(exchangeKey{}).(*serverExchange)
	if !ok {
		x = new(serverExchange)
		n.SetValue(exchangeKey{}, x)
	}
	return x
}

// serverStep is what to do next.
type serverStep struct {
	reply   frame // to be written first, unless its kind is zero
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
		x.lost(r)
	}
	if x.failed > r.retries {
		// RFC 6120 §6.4.5. What the client sent is not looked at.
		return x.refuse(stream.PolicyViolation, "too many failed attempts to authenticate")
	}
	if x.bound && x.current == nil {
		// RFC 9266 §4.1; see fail. Only a handshake that was given up for another gets here.
		return x.refuse(stream.PolicyViolation, "channel binding serves one exchange: reconnect to try again")
	}
	if x.begun && f.profile != x.profile {
		// Two profiles in one stream are two protocols that see half of the exchange each, which no client needs.
		return x.fail(r, &sasl.Error{Condition: sasl.MalformedRequest, Text: "this stream authenticates by the other profile of SASL"})
	}
	switch {
	case f.kind == frameAbort:
		// RFC 6120 §6.4.4, also between handshakes.
		return x.fail(r, &sasl.Error{Condition: sasl.Aborted})
	case f.kind == frameAuth:
		return x.auth(ctx, r, f)
	case x.current == nil:
		// RFC 6120 §6.5.8: a response to nothing.
		return x.fail(r, &sasl.Error{Condition: sasl.MalformedRequest})
	default:
		return x.response(ctx, r, f)
	}
}

// auth begins a handshake.
func (x *serverExchange) auth(ctx context.Context, r *serverRules, f frame) serverStep {
	if !r.secured || slices.Contains(r.needTLS, f.mechanism) {
		// RFC 6120 §6.5.4.
		return x.fail(r, &sasl.Error{Condition: sasl.EncryptionRequired})
	}
	m, ok := r.find(f.mechanism)
	if !ok {
		// RFC 6120 §6.5.7: none given, or none that is offered on this connection.
		return x.fail(r, &sasl.Error{Condition: sasl.InvalidMechanism})
	}
	if !r.gate.open(ctx) {
		return x.turnAway()
	}
	x.begun, x.profile = true, f.profile
	if f.err != nil {
		return x.fail(r, unreadable(f.err))
	}
	server, err := r.begin(m)
	if err != nil {
		return x.failWith(r, err)
	}
	x.current, x.mechanism = server, m
	// A mechanism of one message has computed it with the data; where more follow, the first one only chooses the type of the
	// binding, see response.
	return x.step(ctx, r, f.data)
}

// response moves a handshake on that has begun.
func (x *serverExchange) response(ctx context.Context, r *serverRules, f frame) serverStep {
	// The first message of the client only chooses the type of the binding. What follows may have been computed with the data, so
	// that an exchange which got this far has used it up.
	x.bound = x.mechanism.ChannelBinding
	if f.err != nil {
		return x.fail(r, unreadable(f.err))
	}
	return x.step(ctx, r, f.data)
}

// step gives the mechanism the client's message. Nil data means that an auth came without.
func (x *serverExchange) step(ctx context.Context, r *serverRules, data []byte) serverStep {
	out, done, err := x.current.Next(ctx, data)
	if err == nil && !done {
		return serverStep{reply: frame{kind: frameChallenge, data: out}, waiting: true}
	}
	x.bound = x.mechanism.ChannelBinding // none begins after one that bound the channel
	if err != nil {
		return x.failWith(r, err)
	}
	who, err := r.authorize(ctx, x.current.Identity())
	if err != nil {
		return x.failWith(r, err)
	}
	if !r.gate.succeeded(who) {
		return x.turnAway()
	}
	x.current, x.over = nil, true
	return serverStep{reply: frame{kind: frameSuccess, data: out}, done: true, who: who}
}

// unreadable is why an element could not be read.
func unreadable(err error) *sasl.Error {
	if errors.Is(err, errEncoding) {
		// RFC 6120 §6.5.5.
		return &sasl.Error{Condition: sasl.IncorrectEncoding}
	}
	return &sasl.Error{Condition: sasl.MalformedRequest}
}

// failWith ends the handshake because of err: a [*stream.Error] of this package's own ends the stream
// too, the condition and text of a [*sasl.Error] go to the client, and of other errors it learns
// nothing.
func (x *serverExchange) failWith(r *serverRules, err error) serverStep {
	if fatal, ok := err.(*stream.Error); ok {
		// Whoever gets to hear this has the right credentials: not if there have been too many wrong ones.
		if !x.settle(r, sasl.Aborted) {
			return x.turnAway()
		}
		return serverStep{err: fatal}
	}
	var e *sasl.Error
	if !errors.As(err, &e) {
		e = &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	var other *stream.Error
	if errors.As(e.Cause, &other) {
		// A callback's, about a stream of its own: not for this client, which would be sent it if it were found here.
		e = &sasl.Error{Condition: e.Condition, Text: e.Text, Cause: errors.New(e.Cause.Error())}
	}
	return x.fail(r, e)
}

// fail ends the handshake; the stream goes on (RFC 6120 §6.4.5), unless the channel binding has been
// used: RFC 9266 §4.1 forbids to use it for another instance of a mechanism on the same connection,
// so that a retry ("where appropriate for the chosen SASL mechanism") takes a new connection. That
// goes for the bindings of RFC 5929 too, and for retries with a mechanism that does not bind, which
// are weaker and which nobody should be led into.
func (x *serverExchange) fail(r *serverRules, e *sasl.Error) serverStep {
	if r.gate.refused() || !x.settle(r, e.Condition) {
		return x.turnAway()
	}
	x.current = nil
	x.failed++
	step := serverStep{reply: failureFrame(e.Condition, e.Text)}
	if x.bound {
		step.err = fmt.Errorf("auth: attempt with channel binding: %w", e)
	}
	return step
}

// lost is fail for a handshake that the client gets no answer to.
func (x *serverExchange) lost(r *serverRules) {
	x.settle(r, sasl.Aborted)
	x.current = nil
	x.failed++
}

// settle tells the gate that a handshake has failed, if there was one and it was not this side's
// fault, and reports whether the client may know.
func (x *serverExchange) settle(r *serverRules, c sasl.Condition) bool {
	if x.current == nil || c == sasl.TemporaryAuthFailure {
		return true
	}
	return r.gate.failed()
}

// turnAway ends the stream because there were too many failed attempts on this and other streams.
// The failure says that this has nothing to do with what the client sent (RFC 6120 §6.5.11), the
// stream error what §6.4.5 asks for.
func (x *serverExchange) turnAway() serverStep {
	step := x.refuse(stream.PolicyViolation, "too many failed attempts to authenticate")
	step.reply = failureFrame(sasl.TemporaryAuthFailure, "")
	return step
}

// refuse ends the stream.
func (x *serverExchange) refuse(c stream.Condition, text string) serverStep {
	x.current = nil
	return serverStep{err: &stream.Error{Condition: c, Text: text}}
}

// failureFrame is a failure to be sent.
func failureFrame(c sasl.Condition, text string) frame {
	return frame{kind: frameFailure, failure: &Failure{Err: &sasl.Error{Condition: c, Text: text}}}
}
