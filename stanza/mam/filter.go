package mam

import (
	"slices"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Filter says which messages of an archive are meant (XEP-0313 §4.1). The zero
// Filter stands for all. What several fields say has to hold together.
type Filter struct {
	// With is who a message was exchanged with: it is from or to that address. A
	// bare JID stands for all its resources. The account itself stands for the
	// messages that it sent to itself (§4.1.1). Zero means anybody.
	With jid.JID
	// Start and End are the first and the last moment that count, both included
	// (§4.1.2). Zero means no bound.
	Start, End time.Time
	// AfterID and BeforeID leave out a message and all before or after it
	// (§4.1.3). Empty means no bound. Servers that do not announce [NSExtended]
	// do not know them, nor IDs.
	AfterID, BeforeID string
	// IDs are the messages themselves, at most [MaxIDs]. Nil means any.
	IDs []string
}

// MaxIDs is how many messages a query may name; more are refused.
const MaxIDs = 256

// Matches reports whether With and IDs let e through, an entry of the archive of
// account. The other fields are bounds of a range, which a store finds without
// looking at every entry.
func (f *Filter) Matches(account jid.JID, e *Entry) bool {
	if !f.With.IsZero() {
		// §4.1.1: a bare JID matches whatever the resource. For the account
		// itself both addresses have to match, or everything would.
		if f.With.Bare() != account && f.With.Bare() != e.Contact(account) {
			return false
		}
		switch {
		case f.With.IsFull():
			if e.From != f.With && e.To != f.With {
				return false
			}
		case f.With != e.Contact(account):
			return false
		}
	}
	return f.IDs == nil || slices.Contains(f.IDs, e.ID)
}
