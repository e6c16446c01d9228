package vcard

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// ErrNone is wrapped by the error of [Get] when there is no profile, or no account
// that could have one, or none that may be read: a server does not tell these
// apart (XEP-0054 §3.3).
var ErrNone = errors.New("vcard: there is none")

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Get returns the profile of an account, by its bare address, or of the occupant of
// a room, by the address there (XEP-0054 §3.3). The zero JID stands for the own
// account (§3.1).
//
// The error wraps [ErrNone] for item-not-found, service-unavailable and an empty
// profile, with the [*stanza.Error] if there was one. Otherwise it is that of Do or
// of [VCard.DecodeElement].
func Get(ctx context.Context, d Doer, of jid.JID) (*VCard, error) {
	reply, err := d.Do(ctx, &stanza.IQ{To: of, Type: stanza.GetIQ, Payload: &VCard{}})
	var told *stanza.Error
	if errors.As(err, &told) && told.Received &&
		(told.Condition == stanza.ItemNotFound || told.Condition == stanza.ServiceUnavailable) {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err != nil {
		return nil, fmt.Errorf("vcard: get: %w", err)
	}
	v := &VCard{}
	if el := reply.Element(); el != nil {
		if err := v.DecodeElement(el); err != nil {
			return nil, fmt.Errorf("vcard: get: %w", err)
		}
	}
	if v.IsEmpty() {
		return nil, ErrNone
	}
	return v, nil
}

// Set publishes a profile as that of the own account, in place of the one before
// (XEP-0054 §3.2). Everybody can read it. A client that works with pictures
// announces the one in it then: see [Announce] (XEP-0153 §4.2).
//
// The error is that of Do; a profile that is too large for the server is a
// [*stanza.Error].
func Set(ctx context.Context, d Doer, v *VCard) error {
	if v == nil {
		return fmt.Errorf("vcard: set: %w: nil", stanza.ErrInvalid)
	}
	if _, err := d.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: v}); err != nil {
		return fmt.Errorf("vcard: set: %w", err)
	}
	return nil
}
