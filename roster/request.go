package roster

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Get asks the server of the stream for the roster (RFC 6121 §2.1.3). Of get, which
// may be nil, the version is sent (§2.6.2): not to a server that does not advertise
// versions. The result is nil if the server returns an empty result: the roster of
// that version is still right, or pushes follow (§2.6.3). It is bounded like
// [Query.DecodeElement], see also Query.Skipped. A [Client] does all this.
//
// Errors wrap that of d, such as a [*stanza.Error] of the server, or are a
// *stanza.Error without Received for a result that cannot be read. ctx should have a
// deadline.
func Get(ctx context.Context, d Doer, get *Query) (*Query, error) {
	ask := &Query{}
	if get != nil {
		ask.Ver, ask.Versioned = get.Ver, get.Versioned
	}
	reply, err := d.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, Payload: ask})
	if err != nil {
		return nil, fmt.Errorf("roster: %w", err)
	}
	if reply == nil || reply.Element() == nil {
		return nil, nil
	}
	result := new(Query)
	if err := result.decode(reply.Element(), true); err != nil {
		return nil, fmt.Errorf("roster: a result that cannot be read: %w", err)
	}
	return result, nil
}

// Set adds a contact to the roster on the server, or replaces the name and the
// groups of one that is there: all of them, so that a group that is not named is left
// (RFC 6121 §2.3, §2.4). The rest of the item is not sent, because subscriptions are
// managed with [Subscribe] and its like. The roster push of the server tells when it
// has happened.
//
// Errors wrap that of d, such as a [*stanza.Error] with one of the conditions of
// §2.3.3; [stanza.ErrInvalid] for a contact without an address.
func Set(ctx context.Context, d Doer, i Item) error {
	return change(ctx, d, Entry{Item: i})
}

// Remove removes a contact from the roster on the server, which ends the
// subscriptions in both directions (RFC 6121 §2.5). Errors are those of [Set], and
// with [stanza.ItemNotFound] there is no such contact.
func Remove(ctx context.Context, d Doer, contact jid.JID) error {
	return change(ctx, d, Entry{Item: Item{JID: contact}, Remove: true})
}

func change(ctx context.Context, d Doer, e Entry) error {
	if e.JID.IsZero() {
		return fmt.Errorf("roster: %w: a contact has an address", stanza.ErrInvalid)
	}
	if _, err := d.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: set(e)}); err != nil {
		return fmt.Errorf("roster: %w", err)
	}
	return nil
}

// set is the payload of a roster set.
type set Entry

// AppendXML implements [stanza.Payload].
func (s set) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(queryName)
	(*Entry)(&s).write(&w, true)
	w.End()
	return w.Bytes()
}
