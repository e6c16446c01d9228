package roster

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/jid"
)

// ErrFull is returned by a [Store] that has no room for another item.
var ErrFull = errors.New("roster: full")

// Roster is all that a server keeps of the roster of one account.
type Roster struct {
	// Items are the contacts by address, each once: those in the roster, and those
	// that are not [Item.Listed]. The slice is the caller's own; what its items
	// refer to (Groups, Request) is shared and must not be changed.
	Items []Item
	// Version changes with each change of what is listed. Zero is the version of
	// the roster in which nothing has ever been listed.
	Version uint64
}

// Item returns the item of a contact, and whether there is one.
func (r Roster) Item(contact jid.JID) (Item, bool) {
	for _, i := range r.Items {
		if i.JID == contact {
			return i, true
		}
	}
	return Item{}, false
}

// Change is the last of what has happened to one contact in the roster of an
// account.
type Change struct {
	// Version is that of the roster after the change.
	Version uint64
	// Item is the contact as it is now. Of one that was removed it has the JID
	// alone.
	Item Item
	// Removed says that the contact is no longer in the roster.
	Removed bool
}

// Store keeps the rosters of a server's accounts, which are bare JIDs.
//
// Implementations are safe for concurrent use. A server makes its calls for one
// account one after the other, so that to read a roster and then to put an item
// that depends on it is safe. The package storetest, below xmpptest, tests an
// implementation for what is said here.
//
// Versions of one account only grow. A version never stands for two different
// rosters, not even if the account was deleted in between or, with a store that
// forgets, if the program was started again: otherwise a client would take its
// cached roster for the current one (RFC 6121 §2.6). Versions are at most 2⁵³.
type Store interface {
	// Roster returns the roster of an account. An account without one has an
	// empty roster of version zero, which is no error.
	Roster(ctx context.Context, account jid.JID) (Roster, error)

	// Put stores an item in place of the one with its JID, if any, and returns
	// the version of the roster afterwards. It is a new one if the item is or was
	// listed, even if nothing is different (each push has a version of its own,
	// RFC 6121 §2.6.3), and else the one that it was. An item that is not
	// [Item.Noted] is not stored: Put is Remove then. The item is copied.
	//
	// A store has a bound for the items of an account, and a lower one for those
	// that are not listed, which strangers cause: beyond it Put fails with an
	// error that wraps [ErrFull]. An item that is there already can always be
	// replaced by one that is equally listed.
	Put(ctx context.Context, account jid.JID, item Item) (version uint64, err error)

	// Remove removes the item of a contact, and returns the version of the roster
	// afterwards: a new one if the item was listed. To remove what is not there
	// changes nothing and is no error.
	Remove(ctx context.Context, account, contact jid.JID) (version uint64, err error)

	// Changes returns what has become different in the list since a version, the
	// oldest change first and the last state of each contact only, so that who
	// applies them to the roster of that version has the current one. It reports
	// false if it cannot tell, because the version is too old or none of this
	// roster: then the whole roster has to be sent.
	Changes(ctx context.Context, account jid.JID, since uint64) ([]Change, bool, error)

	// Delete removes all that is kept of an account that is no more. To delete
	// what is not there is no error.
	Delete(ctx context.Context, account jid.JID) error
}

// ItemStore is a [Store] that can look one contact up. A server asks it about those
// who are not connected, once for each contact of who comes: without it, it reads
// whole rosters for that.
type ItemStore interface {
	// Item returns the item of a contact, and a zero Item if there is none.
	Item(ctx context.Context, account, contact jid.JID) (Item, error)
}
