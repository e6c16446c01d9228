package register

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Get asks a host what there is to fill in to register with it, or what it knows
// of a registration that there is (XEP-0077 §3.1). The zero JID stands for the
// server of the stream. Error replies come back as a [*stanza.Error].
func Get(ctx context.Context, d Doer, to jid.JID) (*Query, error) {
	reply, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: new(Query)})
	if err != nil {
		return nil, fmt.Errorf("register: asking: %w", err)
	}
	return answer(reply)
}

// answer reads the reply to a get.
func answer(reply *stanza.IQ) (*Query, error) {
	el := reply.Element()
	if el == nil {
		return nil, fmt.Errorf("%w: an empty result", ErrProtocol)
	}
	q := new(Query)
	if err := q.DecodeElement(el); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return q, nil
}

// Submit registers with a host, such as a gateway: the second step after [Get].
// Fill makes the request from what the host asked for. It is for a stream that is
// up; to make an account on the server of the stream, use [Client].
//
// [stanza.Conflict] says that the name is taken, [stanza.NotAcceptable] that
// something is missing (§3.1).
func Submit(ctx context.Context, d Doer, to jid.JID, q *Query) error {
	if _, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.SetIQ, Payload: q}); err != nil {
		return fmt.Errorf("register: registering: %w", err)
	}
	return nil
}

// Fill answers what a host asks for (XEP-0077 §6): in its form if there is one,
// and otherwise in its fields, never in both. Of v it takes what is asked for.
//
// The error wraps [ErrRegistered] if there is a registration already,
// [ErrElsewhere] if the host only names another place, which is in q.URL and
// q.Instructions, and [ErrFields] if something is required that v does not have.
func Fill(q *Query, v Values) (*Query, error) {
	switch {
	case q.Registered:
		return nil, ErrRegistered
	case q.Form != nil:
		return fillForm(q.Form, v)
	case len(q.Fields) == 0:
		return nil, ErrElsewhere
	}
	out := &Query{Fields: make(Values, len(q.Fields))}
	for _, f := range schema {
		told, asked := q.Fields[f]
		if !asked {
			continue
		}
		s, ok := v[f]
		if !ok && f == Key { // §7: it is sent back
			s, ok = told, true
		}
		if !ok { // §3.1: the entity MUST provide all of them
			return nil, fmt.Errorf("%w: %s is asked for", ErrFields, f)
		}
		out.Fields[f] = s
	}
	return out, nil
}

// fillForm answers a form.
func fillForm(asked *form.Data, v Values) (*Query, error) {
	if asked.Type != form.Form {
		return nil, fmt.Errorf("%w: a form that cannot be filled in", ErrProtocol)
	}
	out := asked.Answer()
	for i := range asked.Fields {
		f := &asked.Fields[i]
		s, ok := v[Field(f.Var)]
		switch {
		case ok:
			out.Set(f.Var, s)
		case f.Required && f.String() == "":
			return nil, fmt.Errorf("%w: the form asks for %q", ErrFields, f.Var)
		}
	}
	return &Query{Form: out}, nil
}

// ChangePassword changes the password of an account that this stream is logged in
// to, a bare JID, at its server (XEP-0077 §3.3). It is for streams inside TLS: the
// password goes over as it is. A server that wants to know more, such as the old
// password, refuses with a [*FormError].
//
// The server may end the other sessions of the account.
func ChangePassword(ctx context.Context, d Doer, account jid.JID, password string) error {
	if password == "" {
		// §3.3: it would not become the password.
		return fmt.Errorf("%w: it is empty", ErrPassword)
	}
	q := &Query{Fields: Values{Username: account.Local(), Password: password}}
	reply, err := d.Do(ctx, &stanza.IQ{To: account.DomainJID(), Type: stanza.SetIQ, Payload: q})
	if err != nil {
		return fmt.Errorf("register: changing the password: %w", withForm(reply, err))
	}
	return nil
}

// Cancel cancels a registration (XEP-0077 §3.2). The zero JID stands for the
// account of this stream at its server, which is then gone, with all that was kept
// for it, and the stream with it: the server ends the stream with not-authorized,
// and if that arrives before the reply it counts as one. Any other address is a
// service that somebody registered with.
func Cancel(ctx context.Context, d Doer, to jid.JID) error {
	reply, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.SetIQ, Payload: &Query{Remove: true}})
	var ended *stream.Error
	if to.IsZero() && errors.As(err, &ended) && ended.Received && ended.Condition == stream.NotAuthorized {
		return nil
	}
	if err != nil {
		return fmt.Errorf("register: cancelling: %w", withForm(reply, err))
	}
	return nil
}

// FormError is a refusal with a form: the host wants to know more before it
// cancels a registration or changes a password, such as the old one (XEP-0077
// §3.2, §3.3). Send the answer to the form with [Submit].
type FormError struct {
	Form *form.Data // of type form.Form
	Err  error      // the refusal, a *stanza.Error
}

// Error describes the refusal.
func (e *FormError) Error() string { return e.Err.Error() + " (there is a form)" }

// Unwrap returns the refusal.
func (e *FormError) Unwrap() error { return e.Err }

// withForm adds the form that is in a reply to the error that came with it.
func withForm(reply *stanza.IQ, err error) error {
	if err == nil || reply == nil || !reply.IsError() || reply.Element() == nil {
		return err
	}
	var q Query
	if q.DecodeElement(reply.Element()) != nil || q.Form == nil || q.Form.Type != form.Form {
		return err
	}
	return &FormError{q.Form, err}
}

// check finds fields that no host can ask for.
func (v Values) check() error {
	for f := range v {
		if !slices.Contains(schema[:], f) {
			return fmt.Errorf("%w: %w: %q", ErrOptions, ErrFields, string(f))
		}
	}
	return nil
}
