package register

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// ClientOptions says how a client registers. Password, or Fill, is required.
type ClientOptions struct {
	// Username is the name of the account to make. Empty means the localpart of
	// who the stream is for, stream.InitiateOptions.From.
	Username string

	// Password is the password of the account to make.
	Password string

	// Fields are further things that a server may ask for, such as [Email].
	Fields Values

	// Fill answers what the server asks for, in place of the fields above: by
	// asking a human, say. What it is given is its own. An error ends the
	// negotiation. Nil means the function [Fill] with the fields above.
	Fill func(ctx context.Context, asked *Query) (*Query, error)

	// Unadvertised asks also a server that does not announce in its stream
	// features that it has registration: it need not (XEP-0077 §8). One that has
	// none may then close the stream.
	Unadvertised bool

	// InsecureWithoutTLS lets the client register on a stream without TLS, for
	// loopback and tests: everybody on the way learns the password.
	InsecureWithoutTLS bool
}

// Client returns the feature with which a client makes an account before it logs
// in to it (XEP-0077 §3.1.1). Put it before the features of package auth. It is
// negotiated inside TLS, before authentication, once for each stream; a server
// that does not offer it is passed over.
//
// The options are copied; the feature is safe for concurrent use by any number of
// streams. Errors of the negotiation wrap what [Fill] says, or a [*stanza.Error]:
// [stanza.Conflict] if the name is taken.
func Client(opts *ClientOptions) stream.Feature {
	var o ClientOptions
	if opts != nil {
		o = *opts
		o.Fields = maps.Clone(o.Fields)
	}
	f := stream.Feature{
		Name:         featureName,
		Needs:        stream.Secure,
		Forbids:      stream.Authenticated,
		Initiate:     o.initiate,
		Unadvertised: o.Unadvertised,
	}
	if o.InsecureWithoutTLS {
		f.Needs = 0
	}
	return f
}

// initiate implements stream.Feature.Initiate.
func (o *ClientOptions) initiate(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
	if err := o.Fields.check(); err != nil {
		return stream.Outcome{}, err
	}
	if o.Password == "" && o.Fill == nil {
		return stream.Outcome{}, fmt.Errorf("%w: neither Password nor Fill", ErrOptions)
	}
	n.Secrets(queryName)
	// XEP-0077 §3.1: ask first. Guessing what is needed is not right.
	reply, err := o.do(ctx, n, stanza.GetIQ, new(Query))
	if err != nil {
		return stream.Outcome{}, fmt.Errorf("register: asking: %w", err)
	}
	asked, err := answer(reply)
	if err != nil {
		return stream.Outcome{}, err
	}
	filled, err := o.fill(ctx, n, asked)
	if err != nil {
		return stream.Outcome{}, fmt.Errorf("register: filling in: %w", err)
	}
	if _, err := o.do(ctx, n, stanza.SetIQ, filled); err != nil {
		return stream.Outcome{}, fmt.Errorf("register: registering: %w", err)
	}
	return stream.Outcome{}, nil
}

// fill answers what the server asks for.
func (o *ClientOptions) fill(ctx context.Context, n *stream.Negotiation, asked *Query) (*Query, error) {
	if o.Fill != nil {
		q, err := o.Fill(ctx, asked)
		if err == nil && q == nil {
			err = fmt.Errorf("%w: Fill returned nothing", ErrOptions)
		}
		return q, err
	}
	v := maps.Clone(o.Fields)
	if v == nil {
		v = make(Values, 2)
	}
	v[Username], v[Password] = o.Username, o.Password
	if o.Username == "" {
		v[Username] = n.Wanted().Local()
	}
	if v[Username] == "" {
		return nil, fmt.Errorf("%w: no user name", ErrOptions)
	}
	return Fill(asked, v)
}

// do sends a request and reads the reply, which is borrowed until the next one.
func (o *ClientOptions) do(ctx context.Context, n *stream.Negotiation, typ stanza.IQType, q *Query) (*stanza.IQ, error) {
	iq := &stanza.IQ{ID: rand.Text(), To: n.Domain(), Type: typ, Payload: q}
	if err := n.Write(func(w *stream.Writer) { w.Append(iq) }); err != nil {
		return nil, err
	}
	el, err := n.Read(ctx)
	if err != nil {
		return nil, err
	}
	if el.Name() != iqName {
		return nil, fmt.Errorf("%w: %s", ErrProtocol, quote.ASCII(el.Name().String(), 128))
	}
	reply := new(stanza.IQ)
	if err := reply.DecodeElement(el); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	switch {
	case reply.ID != iq.ID:
		return nil, fmt.Errorf("%w: an answer to another request", ErrProtocol)
	// On a stream without a binding nobody else can be at the other end.
	case reply.From != (jid.JID{}) && reply.From != n.Domain():
		return nil, fmt.Errorf("%w: answered by %s", ErrProtocol, quote.ASCII(reply.From.String(), 128))
	case reply.Type == stanza.ErrorIQ:
		return nil, reply.Error
	case reply.Type != stanza.ResultIQ:
		return nil, fmt.Errorf("%w: of type %s", ErrProtocol, quote.ASCII(string(reply.Type), 32))
	}
	return reply, nil
}
