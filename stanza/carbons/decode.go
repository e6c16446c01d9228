package carbons

import (
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/forward"
	"stanzakit.dev/xmpp/stream"
)

var (
	// ErrNone is returned for a message that is no copy: an ordinary message.
	ErrNone = errors.New("carbons: not a carbon")

	// ErrForged is wrapped by the error for a message that looks like a copy and
	// cannot be believed, or makes no sense. It must be ignored as a whole
	// (XEP-0280 §11).
	ErrForged = errors.New("carbons: not a carbon to be believed")
)

// Carbon is a copy of a message that another client of the account has sent or
// received.
//
// Never answer one by a program: not one that was sent under any circumstances, and
// one that was received only if no other client of the account does so too (§10.4).
type Carbon struct {
	// Direction says which way the message went.
	Direction Direction
	// Message is the message that was copied, borrowed like the one around it:
	// use Clone to keep it. It was not received by this client, so it is not for
	// a handler of what was.
	Message *stanza.Message
	// Delay says when the message was first received; nil if that is not said.
	Delay *delay.Delay
}

// Decode returns the copy that a client has received in msg. The account is its
// own, as a bare or full JID.
//
// The error is [ErrNone] for an ordinary message. It wraps [ErrForged] for one
// that has to be ignored (§7, §11): the copy is not from the account's bare JID or,
// which means the same on a client's stream (RFC 6120 §8.1.2.1), without an address;
// it holds no message, or more than one; what it holds is itself a copy; it says
// sent, and the message is not from the account; or received, and the message is
// not to the account. A carbon of an error is a message of type error, too.
func Decode(msg *stanza.Message, account jid.JID) (*Carbon, error) {
	name, n := carbonIn(msg)
	account = account.Bare()
	switch {
	case n == 0:
		return nil, ErrNone
	case account.IsZero():
		return nil, forged("whose account it is was not said")
	case !msg.From.IsZero() && msg.From != account:
		// §11: not from other people, and not from a full JID either, with which
		// another client would write it. Before anything inside is looked at.
		return nil, forged("it is not from the account")
	case n > 1:
		return nil, forged("there are two in one message")
	}
	wrapper, _ := msg.Payload(name)
	fwd, err := forwardedIn(wrapper)
	if err != nil {
		return nil, err
	}
	inner, err := fwd.Message()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	c := &Carbon{Message: inner, Delay: fwd.Delay}
	if name == sentName {
		c.Direction = Sent
	}
	if _, n := carbonIn(inner); n > 0 {
		return nil, forged("it is the carbon of a carbon")
	}
	// §8: what other clients of the account have sent. §7: what is addressed to the
	// account, which it also is without an address (RFC 6120 §8.1.1.1).
	switch own := inner.From.Bare() == account; {
	case inner.From.IsZero():
		return nil, forged("the message is from nobody")
	case c.Direction == Sent && !own:
		return nil, forged("the message was sent by somebody else")
	case c.Direction == Received && !inner.To.IsZero() && inner.To.Bare() != account:
		return nil, forged("the message was sent to somebody else")
	}
	return c, nil
}

// carbonIn counts the elements that make a message a carbon, and returns the name
// of the last.
func carbonIn(msg *stanza.Message) (name stream.Name, n int) {
	for el := range msg.Payloads() {
		if is := el.Name(); is == sentName || is == receivedName {
			name = is
			n++
		}
	}
	return name, n
}

// forwardedIn returns the one stanza that is forwarded in el (§12: exactly one).
func forwardedIn(el *stream.Element) (*forward.Forwarded, error) {
	n := 0
	for child := range el.Children() {
		if child.Name() == forward.Name {
			n++
		}
	}
	if n != 1 {
		return nil, forged("it does not hold one forwarded message")
	}
	child, _ := el.Child(forward.Name)
	fwd := new(forward.Forwarded)
	if err := fwd.DecodeElement(child); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return fwd, nil
}

func forged(why string) error { return fmt.Errorf("%w: %s", ErrForged, why) }
