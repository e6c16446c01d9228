package carbons

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

const (
	// NS is the namespace of the protocol, and its feature in service discovery
	// (XEP-0280 §3).
	NS = "urn:xmpp:carbons:2"

	// NSRules is the feature of a server that follows all rules of §6.1 about what
	// is copied (§6.2).
	NSRules = "urn:xmpp:carbons:rules:0"
)

var (
	enableName   = stream.Name{Space: NS, Local: "enable"}
	disableName  = stream.Name{Space: NS, Local: "disable"}
	privateName  = stream.Name{Space: NS, Local: "private"}
	sentName     = stream.Name{Space: NS, Local: "sent"}
	receivedName = stream.Name{Space: NS, Local: "received"}
)

// Direction says which way a copied message went.
type Direction uint8

const (
	// Received is a message that somebody sent to the account (§7). It is the zero
	// value.
	Received Direction = iota
	// Sent is a message that another client of the account has sent (§8).
	Sent
)

// String returns "received" or "sent".
func (d Direction) String() string {
	if d == Sent {
		return "sent"
	}
	return "received"
}

// name returns the element around what is forwarded.
func (d Direction) name() stream.Name {
	if d == Sent {
		return sentName
	}
	return receivedName
}

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Enable asks the server for copies of what other clients of the account send and
// receive, for as long as the session lasts (§4). Asking twice does no harm
// (§10.1). The error wraps a [*stanza.Error] if the server refuses, with
// [stanza.ServiceUnavailable] if it does not know the protocol; ctx bounds the wait.
//
// On a [stanza.Restorer], such as a [*stanza.Conn] that outlives its sessions, a
// fresh session is asked again, until Disable.
func Enable(ctx context.Context, d Doer) error {
	if _, err := d.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: Switch(true)}); err != nil {
		return fmt.Errorf("carbons: enabling: %w", err)
	}
	restore(d, func(ctx context.Context, s stanza.Sender) error { return Enable(ctx, s) })
	return nil
}

// restoreKey finds what Enable leaves with a [stanza.Restorer].
type restoreKey struct{}

func restore(d Doer, f func(context.Context, stanza.Sender) error) {
	if r, ok := d.(stanza.Restorer); ok {
		r.Restore(restoreKey{}, f)
	}
}

// Disable asks the server for no more copies (§5), and no fresh session will be asked
// for them, whatever the server says. Its errors are like those of [Enable].
func Disable(ctx context.Context, d Doer) error {
	restore(d, nil)
	if _, err := d.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: Switch(false)}); err != nil {
		return fmt.Errorf("carbons: disabling: %w", err)
	}
	return nil
}

// Switch is the payload of a request, for programs that send it themselves: true
// writes <enable/> (§4), and false <disable/> (§5).
type Switch bool

// AppendXML implements [stanza.Payload].
func (s Switch) AppendXML(dst []byte) ([]byte, error) {
	name := disableName
	if s {
		name = enableName
	}
	return appendEmpty(dst, name)
}

// Private is the payload that keeps a message from being copied, by either side's
// server (§9). For a message to a full JID add the hint <no-copy/> (XEP-0334 §4.3).
type Private struct{}

// AppendXML implements [stanza.Payload].
func (Private) AppendXML(dst []byte) ([]byte, error) { return appendEmpty(dst, privateName) }

func appendEmpty(dst []byte, name stream.Name) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(name)
	w.End()
	return w.Bytes()
}

// Client returns a feature with which an initiating entity asks for copies while
// it binds by Bind 2, if the server offers that (XEP-0386 §3.2). Then copies come
// from the first moment on, and enabled, unless it is nil, is called during the
// negotiation. Where it was not called, there is [Enable]. The feature is safe for
// concurrent use by any number of streams, as far as enabled is.
func Client(enabled func()) stream.Feature {
	return stream.Feature{
		Name: enableName,
		Inline: []stream.Inline{{
			In:    stream.InBinding,
			Space: NS,
			Request: func(_ *stream.Negotiation, _ *stream.Element, w *stream.Writer) error {
				w.Append(Switch(true))
				return nil
			},
			// XEP-0386 §3.2: it has to succeed, so there is no answer.
			Result: func(*stream.Negotiation, *stream.Element) (stream.Outcome, error) {
				if enabled != nil {
					enabled()
				}
				return stream.Outcome{}, nil
			},
		}},
	}
}
