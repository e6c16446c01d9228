package roster

import (
	"strings"

	"stanzakit.dev/xmpp/stanza"
)

// State is the state of the subscriptions between an account and one contact,
// seen from the account: one of the nine states of RFC 6121 §A.1, or one of
// three of them together with pre-approval (§3.4). It is a set of bits; the zero
// State is [None].
//
// Pre-approval is used up by the request that it approves. So it only ever stands
// beside a state in which the contact neither has a subscription nor has asked for
// one, which leaves twelve states in all. Any other combination of bits is not
// [State.Valid] and is taken for the valid one nearest to it: a subscription
// outweighs the request for it, and both outweigh pre-approval.
type State uint8

// The bits of a State, and the two names for none of them and for both
// subscriptions.
const (
	To         State = 1 << iota // the account is subscribed to the contact's presence
	From                         // the contact is subscribed to the account's presence
	PendingOut                   // the account has asked the contact for a subscription
	PendingIn                    // the contact has asked the account for one
	Approved                     // the next request of the contact is approved already

	None State = 0
	Both       = To | From
)

// base is all of a State but pre-approval.
const base = To | From | PendingOut | PendingIn

// Has reports whether s has all bits of want.
func (s State) Has(want State) bool { return s&want == want }

// Valid reports whether s is one of the twelve states that there are.
func (s State) Valid() bool { return s == s.valid() }

// valid returns the valid state nearest to s.
func (s State) valid() State {
	s &= base | Approved
	if s.Has(To) {
		s &^= PendingOut
	}
	if s.Has(From) {
		s &^= PendingIn
	}
	if s&(From|PendingIn) != 0 {
		s &^= Approved
	}
	return s
}

// Subscription is the state as the attribute 'subscription' has it (RFC 6121
// §2.1.2.5).
func (s State) Subscription() Subscription {
	switch s & Both {
	case To:
		return SubscriptionTo
	case From:
		return SubscriptionFrom
	case Both:
		return SubscriptionBoth
	}
	return SubscriptionNone
}

// Ask reports whether the attribute 'ask' is set: the account has asked for a
// subscription and there is no answer yet (RFC 6121 §2.1.2.2).
func (s State) Ask() bool { return s.valid().Has(PendingOut) }

// Listed reports whether a contact in this state is in the roster even if the
// user has said nothing else about it. A request of the contact alone does not put
// it there (RFC 6121 §3.1.3, second security warning; §A.1 state 3). See
// [Item.Listed].
func (s State) Listed() bool { return s&(To|From|PendingOut|Approved) != 0 }

// String is the name of the state in RFC 6121 §A.1, such as "None + Pending
// Out+In".
func (s State) String() string {
	var b strings.Builder
	b.WriteString([...]string{"None", "To", "From", "Both"}[s&Both])
	switch s & (PendingOut | PendingIn) {
	case PendingOut:
		b.WriteString(" + Pending Out")
	case PendingIn:
		b.WriteString(" + Pending In")
	case PendingOut | PendingIn:
		b.WriteString(" + Pending Out+In")
	}
	if s.Has(Approved) {
		b.WriteString(" (approved)")
	}
	return b.String()
}

// Subscription is the value of the attribute 'subscription' of an item (RFC 6121
// §2.1.2.5).
type Subscription string

// The values. SubscriptionRemove stands in roster sets and pushes only, for an
// item that is to be removed or has been.
const (
	SubscriptionNone   Subscription = "none"
	SubscriptionTo     Subscription = "to"
	SubscriptionFrom   Subscription = "from"
	SubscriptionBoth   Subscription = "both"
	SubscriptionRemove Subscription = "remove"
)

// Effects is what the server of an account has to do when a stanza has changed, or
// has not changed, the state of a subscription. When several are set they are
// carried out in the order in which they are listed here, except that
// SendUnavailable comes before the stanza is routed (RFC 6121 §3.2.2).
type Effects uint8

// The effects. "The contact" is the other end of the subscription.
const (
	// Route sends an outbound stanza on to the contact, from the account's bare
	// JID to the contact's (§3, first implementation note). Without it the stanza
	// stays here.
	Route Effects = 1 << iota
	// Deliver hands an inbound stanza to the account's resources: a subscribe to
	// the available ones (§3.1.3), the others to the interested ones, before the
	// push (§3.1.6, §3.2.3, §3.3.3).
	Deliver
	// Keep keeps an inbound subscribe, see [Item.Request], to deliver it again to
	// each resource that becomes available, until the state has no PendingIn
	// any more (§3.1.3 rule 4).
	Keep
	// Push sends a roster push to the interested resources. Pushes are for items
	// in the roster: if the item is not [Item.Listed] there is none to send.
	Push
	// AutoReplySubscribed answers the contact with "subscribed" from the account's
	// bare JID (§3.1.3 rule 2, §3.4.2).
	AutoReplySubscribed
	// AutoReplyUnsubscribed answers the contact with "unsubscribed" from the
	// account's bare JID (§A.3.2).
	AutoReplyUnsubscribed
	// SendPresence sends the contact the current presence of each of the
	// account's available resources, after the approval (§3.1.5).
	SendPresence
	// SendUnavailable sends the contact unavailable presence from each of the
	// account's available resources (§3.2.2, §3.3.3 step 3).
	SendUnavailable
)

// Has reports whether all effects in want are set.
func (e Effects) Has(want Effects) bool { return e&want == want }

// String lists the effects.
func (e Effects) String() string {
	var names []string
	for i, name := range [...]string{"route", "deliver", "keep", "push", "auto-reply subscribed", "auto-reply unsubscribed", "send presence", "send unavailable"} {
		if e&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Outbound returns the state after a client of the account has sent presence of
// type t to the contact, and what the server does (RFC 6121 §A.2). Types that do
// not manage subscriptions change nothing and have no effects.
func (s State) Outbound(t stanza.PresenceType) (State, Effects) { return outbound.step(t, s) }

// Inbound returns the state after presence of type t from the contact has arrived
// for the account, and what the server does (RFC 6121 §A.3). Types that do not
// manage subscriptions change nothing and have no effects.
//
// What an automatic reply does to the account's own side is part of the step: do
// not call Outbound for it.
func (s State) Inbound(t stanza.PresenceType) (State, Effects) { return inbound.step(t, s) }

// Removal returns what has to be sent to a contact in this state that the user
// removes from the roster, in that order: unsubscribe, unsubscribed, both or
// nothing (RFC 6121 §2.5.2). The effects are [Push], and [SendUnavailable] if the
// contact was subscribed; it comes before the "unsubscribed" (§3.2.2).
//
// The RFC speaks of subscriptions only. Requests that are pending are withdrawn and
// denied as well, or else the contact could answer one that the account has
// forgotten, and the two servers would no longer agree.
func (s State) Removal() ([]stanza.PresenceType, Effects) {
	var send []stanza.PresenceType
	effects := Push
	if s&(To|PendingOut) != 0 {
		send = append(send, stanza.UnsubscribePresence)
	}
	if s&(From|PendingIn) != 0 {
		send = append(send, stanza.UnsubscribedPresence)
	}
	if s.Has(From) {
		effects |= SendUnavailable
	}
	return send, effects
}
