package roster

import (
	"slices"

	"stanzakit.dev/xmpp/jid"
)

// Item is one contact of an account: what a client knows of it, and what its
// server keeps.
type Item struct {
	// JID is the address of the contact, which identifies the item. It is a bare
	// JID, except in old rosters.
	JID jid.JID
	// Name is the user's own name for the contact; empty means none (RFC 6121
	// §2.1.2.4, §2.4.1).
	Name string
	// Groups are the names of the groups that the item is in (§2.1.2.6). They are
	// not empty and each of them is there once. The order has no meaning.
	Groups []string
	// State is the state of the subscriptions. A client does not learn of
	// [PendingIn] from the roster.
	State State

	// Added is set on a server once the contact has come into the roster, by a
	// roster set or by the state of the subscription: it stays there until the
	// user removes it, even with the state None and nothing else to tell. What
	// is known of a contact that only asked for a subscription is no part of the
	// roster (§3.1.3). Clients do not use it.
	Added bool
	// Request is, on a server, the subscribe stanza of a contact with [PendingIn],
	// to be delivered at each login (§3.1.3 rule 4): a complete presence element
	// as XML with all namespaces declared, see [KeepRequest]. Clients do not
	// use it.
	Request []byte
}

// Listed reports whether the item is in the roster, for the user to see. Other
// items are what a server notes about strangers that have asked for a subscription.
func (i Item) Listed() bool {
	return i.Added || i.Name != "" || len(i.Groups) != 0 || i.State.Listed()
}

// Noted reports whether there is anything to keep: the item is listed or its
// request is pending.
func (i Item) Noted() bool { return i.Listed() || i.State.valid().Has(PendingIn) }

// With returns the item in the state next, as [State.Outbound] or [State.Inbound]
// has given it. A contact that is or comes into the roster stays there, and a
// request that is no longer pending is forgotten.
func (i Item) With(next State) Item {
	i.Added = i.Added || i.State.Listed() || next.Listed()
	i.State = next.valid()
	if !i.State.Has(PendingIn) {
		i.Request = nil
	}
	return i
}

// Clone returns a copy that shares no slices with i.
func (i Item) Clone() Item {
	i.Groups, i.Request = slices.Clone(i.Groups), slices.Clone(i.Request)
	return i
}

// Equal reports whether two items are the same. The order of the groups does not
// matter.
func (i Item) Equal(o Item) bool {
	return i.JID == o.JID && i.Name == o.Name && i.State == o.State && i.Added == o.Added &&
		string(i.Request) == string(o.Request) && sameGroups(i.Groups, o.Groups)
}

// sameGroups compares without regard to the order.
func sameGroups(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
