package bind

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// defaultRetries is how many attempts follow a failed one unless ServerOptions says otherwise.
const defaultRetries = 5

// ServerOptions says how a server binds resources. The zero value gives every client a random
// resource.
type ServerOptions struct {
	// Bind decides about a request. The account is n.Identity(), who authenticated. The asked
	// address is the account with the resource that the client wants, prepared by package jid, or
	// the bare account if it wants none in particular. With Bind 2 (XEP-0386), where clients cannot
	// ask for one, it has a resource made here: random, or for a client that has told who it is (see
	// stream.UserAgent) the same one every time. That is in use when the same installation of the
	// client has a session already, which XEP-0386 §3.2 wants to be ended.
	//
	// Bind returns the full JID to bind, of the same account. Where the resource is in use, RFC
	// 6120 §7.7.2.2 leaves three ways: return an address made by [Generate], which is the
	// friendliest; return [Conflict]; or end the older session and return asked.
	//
	// An error that is or wraps a [Condition] or an [*Error] is sent to the client, which may try
	// again on the same stream; with Bind 2 it is not sent, and the client authenticated but not bound.
	// A [*stream.Error] ends the stream. Any other error is answered with
	// InternalServerError and not shown.
	//
	// What Bind reserves is the server's to release when stream.Accept fails after all, or when the
	// session ends. The context is the one that was given to stream.Accept, so that both can find
	// each other there.
	//
	// Nil binds a resource made by Generate whatever the client wants, which keeps resources unique
	// without any record of them.
	Bind func(ctx context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error)

	// Retries is how many attempts may follow a failed one, from 5 to 10 (RFC 6120 §7.7.3). Zero
	// means 5. One attempt more ends the stream with policy-violation.
	Retries int

	// OfferSession advertises the sessions of RFC 3921 as optional, for clients that know no
	// better. The server must then answer requests for one: see [AnswerSession]. False: not
	// advertised, and clients of today do without.
	OfferSession bool

	key []byte // of the resources of Bind 2
}

// ErrOptions is wrapped by errors about options that cannot be used, and about a Bind callback that
// does not do as it must.
var ErrOptions = errors.New("bind: unusable options")

// Server returns the feature with which a receiving entity lets clients bind a resource. The
// options are copied; it is safe for concurrent use by any number of streams. Options that cannot
// be used end every stream with internal-server-error, and with an error that wraps [ErrOptions] on
// this side; see [ServerOptions.Validate]. It takes part in SASL 2 by Bind 2 (XEP-0386).
func Server(opts *ServerOptions) stream.Feature {
	var o ServerOptions
	if opts != nil {
		o = *opts
	}
	if o.Retries == 0 {
		o.Retries = defaultRetries
	}
	o.key = make([]byte, 32)
	rand.Read(o.key) // ends the program rather than fail
	return stream.Feature{
		Name:      bindName,
		Needs:     stream.Authenticated,
		Forbids:   stream.Bound,
		Advertise: o.advertise,
		Claims:    isRequest,
		Accept:    o.accept,
		Inline:    []stream.Inline{o.inline()},
	}
}

// Generate returns account with a resource that nobody can guess: more than 128 bits of randomness
// (RFC 6120 §7.5, §7.6).
func Generate(account jid.JID) (jid.JID, error) {
	return account.WithResource(rand.Text())
}

// Validate reports what is wrong with the options, in an error that wraps [ErrOptions]. A server
// calls it when it starts, rather than learn from its first client.
func (o *ServerOptions) Validate() error {
	// RFC 6120 §7.7.3: at least 5 and no more than 10.
	if o != nil && o.Retries != 0 && (o.Retries < 5 || o.Retries > 10) {
		return fmt.Errorf("%w: Retries is %d, not from 5 to 10", ErrOptions, o.Retries)
	}
	return nil
}

// advertise implements stream.Feature.Advertise.
func (o *ServerOptions) advertise(_ *stream.Negotiation, w *stream.Writer) error {
	if err := o.Validate(); err != nil {
		return &stream.Error{Condition: stream.InternalServerError, Cause: err}
	}
	w.Start(bindName)
	w.End()
	if o.OfferSession {
		writeSessionOffer(w)
	}
	return nil
}

// failedKey is where the number of failed attempts of a stream is kept.
type failedKey struct{}

// accept implements stream.Feature.Accept.
func (o *ServerOptions) accept(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
	if err := o.Validate(); err != nil {
		return stream.Outcome{}, &stream.Error{Condition: stream.InternalServerError, Cause: err}
	}
	failed, _ := n.Value(failedKey{}).(int)
	if failed > o.Retries {
		// RFC 6120 §7.7.3.
		return stream.Outcome{}, &stream.Error{Condition: stream.PolicyViolation, Text: "too many failed attempts to bind a resource"}
	}
	r, err := parseRequest(el, n.Domain(), n.Identity())
	var bound jid.JID
	if err == nil {
		bound, err = o.decide(ctx, n, r.asked)
	}
	if err != nil {
		refusal := refusalOf(err)
		if refusal == nil {
			return stream.Outcome{}, err
		}
		n.SetValue(failedKey{}, failed+1)
		return stream.Outcome{}, n.Write(func(w *stream.Writer) { refusal.write(w, r.id) })
	}
	// Before the client can know: what it sends next is sent from there.
	n.SetIdentity(bound)
	if err := n.Write(func(w *stream.Writer) { writeResult(w, r.id, bound) }); err != nil {
		return stream.Outcome{}, err
	}
	if t := n.Trace(); t.Bound != nil {
		t.Bound(bound)
	}
	return stream.Outcome{Reached: stream.Bound}, nil
}

// decide picks the address to bind.
func (o *ServerOptions) decide(ctx context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error) {
	account := n.Identity()
	if o.Bind == nil {
		return Generate(account)
	}
	bound, err := o.Bind(ctx, n, asked)
	if err != nil {
		return jid.JID{}, err
	}
	if !bound.IsFull() || bound.Bare() != account {
		// A mistake of the embedding server must not give one account the address of another.
		return jid.JID{}, &stream.Error{
			Condition: stream.InternalServerError,
			Cause:     fmt.Errorf("%w: Bind returned %q for %q", ErrOptions, bound, account),
		}
	}
	return bound, nil
}

// refusalOf returns the stanza error with which err is answered, or nil if it ends the stream.
func refusalOf(err error) *Error {
	var fatal *stream.Error
	var e *Error
	var c Condition
	switch {
	case errors.As(err, &fatal):
		return nil
	case errors.As(err, &e):
		return e.sendable()
	case errors.As(err, &c):
		return (&Error{Condition: c}).sendable()
	default:
		return (&Error{Condition: InternalServerError}).sendable()
	}
}

// writeResult writes the answer to the request with this id (RFC 6120 §7.6.1).
func writeResult(w *stream.Writer, id string, bound jid.JID) {
	w.Start(stream.Name{Space: stream.NSClient, Local: "iq"})
	w.Attr("type", "result")
	w.Attr("id", id)
	w.Start(bindName)
	w.Start(stream.Name{Space: NS, Local: "jid"})
	w.Text(bound.String())
	w.End()
	w.End()
	w.End()
}
