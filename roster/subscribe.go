package roster

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Sender sends a stanza, as [*stanza.Conn] does.
type Sender interface {
	Send(ctx context.Context, st stanza.Stanza) error
}

// Subscribe asks a contact for a subscription to its presence (RFC 6121 §3.1.1).
// The answer comes as presence of type subscribed or unsubscribed, in days or never;
// the roster shows meanwhile that the contact was asked ([PendingOut]). Extra are
// payloads for the contact to see, such as a nickname.
//
// As with all functions of this kind, the address is that of the account, a resource
// in it is left out; the error is that of s, or wraps [stanza.ErrInvalid] for no
// address.
func Subscribe(ctx context.Context, s Sender, contact jid.JID, extra ...stanza.Payload) error {
	return send(ctx, s, contact, stanza.SubscribePresence, extra)
}

// Unsubscribe ends the subscription to a contact's presence, or takes back the
// request for one (RFC 6121 §3.3.1). What is known of the contact's presence is void
// from then on.
func Unsubscribe(ctx context.Context, s Sender, contact jid.JID) error {
	return send(ctx, s, contact, stanza.UnsubscribePresence, nil)
}

// Approve lets a contact see the account's presence, who has asked for that with
// presence of type subscribe (RFC 6121 §3.1.4). Ask the user before.
func Approve(ctx context.Context, s Sender, contact jid.JID) error {
	return send(ctx, s, contact, stanza.SubscribedPresence, nil)
}

// PreApprove approves the next request of a contact that has not asked yet (RFC 6121
// §3.4). The contact is not told. It must not be used with a server that does not
// advertise it, see [Client.PreApproval].
func PreApprove(ctx context.Context, s Sender, contact jid.JID) error {
	return send(ctx, s, contact, stanza.SubscribedPresence, nil)
}

// Deny denies a contact's request for a subscription (RFC 6121 §3.1.4).
func Deny(ctx context.Context, s Sender, contact jid.JID) error {
	return send(ctx, s, contact, stanza.UnsubscribedPresence, nil)
}

// Cancel takes back what [Approve] or [PreApprove] has granted: the contact no longer
// sees the account's presence (RFC 6121 §3.2.1).
func Cancel(ctx context.Context, s Sender, contact jid.JID) error {
	return send(ctx, s, contact, stanza.UnsubscribedPresence, nil)
}

// send sends a presence that manages a subscription: to the bare JID (§3.1.1), with
// an id of its own (§3.1.1, §3.1.4).
func send(ctx context.Context, s Sender, contact jid.JID, t stanza.PresenceType, extra []stanza.Payload) error {
	if contact.IsZero() {
		return fmt.Errorf("roster: %w: a contact has an address", stanza.ErrInvalid)
	}
	return s.Send(ctx, &stanza.Presence{ID: stanza.NewID(), To: contact.Bare(), Type: t, Extra: extra})
}
