package mam

import (
	"context"
	"errors"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Errors of a [Store], which may be wrapped.
var (
	// ErrNotFound: an id that a query names is not in the archive.
	ErrNotFound = errors.New("mam: no such message in the archive")
	// ErrExists: there is a message with that id already.
	ErrExists = errors.New("mam: id is in the archive already")
	// ErrFull: the store as a whole has no more room.
	ErrFull = errors.New("mam: archive is full")
	// ErrIndex: the store cannot find a page by its number. The client is told
	// feature-not-implemented (XEP-0059 §2.6).
	ErrIndex = errors.New("mam: no pages by index")
)

// Store keeps the archives of accounts, which are bare JIDs, and their
// preferences. It is safe for concurrent use. A method that returned nil has
// stored what it was given; one that returned an error has changed nothing.
//
// An archive is a sequence: entries are added at its end and removed at its
// beginning, never in between (XEP-0313 §3.2). Their times never go back. A
// database with ordered keys keeps it under (account, number of the entry), with
// numbers that have no gaps, and beside it the number by (account, id) and by
// (account, contact, number). Then every bound of a query is one look-up or a
// binary search, positions and counts are differences of numbers unless there is
// a contact, and a page is read without the rest of the archive.
type Store interface {
	// Append adds e at the end of an archive and removes from its beginning what
	// keep does not want. If the time of e is before that of the last entry then
	// it is stored with the latter. It copies e; of e.Message it may keep the
	// slice, which nobody changes. Errors: [ErrExists], [ErrFull].
	Append(ctx context.Context, account jid.JID, e *Entry, keep Keep) error

	// Query returns a page of what s selects. An account without an archive has
	// an empty one. The page is the caller's, but not the bytes of its messages,
	// which are read only. It is an error that wraps [ErrNotFound] if one of the
	// ids in s is not in the archive, whether or not it matters for the result.
	Query(ctx context.Context, account jid.JID, s *Selection) (*Page, error)

	// Metadata returns the first and the last entry, without their addresses and
	// messages; both are nil if there is none.
	Metadata(ctx context.Context, account jid.JID) (first, last *Entry, err error)

	// Trim removes from the beginning of an archive what keep does not want and
	// returns how many entries that were. It is called before every query, so it
	// costs next to nothing when there is nothing to remove.
	Trim(ctx context.Context, account jid.JID, keep Keep) (removed int, err error)

	// Redact removes the message of an entry, but neither the entry nor what
	// else it holds, so that there is no gap (XEP-0313 §3.2). Errors:
	// [ErrNotFound].
	Redact(ctx context.Context, account jid.JID, id string) error

	// Accounts returns at most max accounts that have an archive, by the order of
	// their strings, those behind after only.
	Accounts(ctx context.Context, after jid.JID, max int) ([]jid.JID, error)

	// Prefs returns the preferences of an account as they were set, and nil if
	// they never were. They are the caller's own.
	Prefs(ctx context.Context, account jid.JID) (*Prefs, error)
	// SetPrefs replaces the preferences of an account. It copies p.
	SetPrefs(ctx context.Context, account jid.JID, p *Prefs) error

	// Delete removes all that is kept for an account. There being nothing is not
	// an error.
	Delete(ctx context.Context, account jid.JID) error
}

// Entry is a message in an archive (XEP-0313 §3).
type Entry struct {
	// ID identifies the entry in its archive, for ever, and is unpredictable. It
	// says nothing about the order.
	ID string
	// Time is when the server got the message: in UTC, to the millisecond.
	Time time.Time
	// From and To are the addresses of the message: that of the account, and
	// the other one as the message has it.
	From, To jid.JID
	// Message is the stanza as XML that declares all its namespaces, that of
	// clients among them. Nil means that it was removed; see [Store].Redact.
	Message []byte
}

// Contact returns the bare JID of the other party: account itself for what it has
// sent to itself.
func (e *Entry) Contact(account jid.JID) jid.JID {
	if from := e.From.Bare(); from != account {
		return from
	}
	return e.To.Bare()
}

// Size is what e counts for in [Keep].Bytes: its strings and its message.
func (e *Entry) Size() int {
	return len(e.ID) + len(e.From.String()) + len(e.To.String()) + len(e.Message) + entryCost
}

// entryCost is for what an entry takes besides: its fields and an index.
const entryCost = 256

// Keep is what to keep of an archive: its latest entries, as many as all the
// fields allow. The zero Keep keeps everything.
type Keep struct {
	// Messages is how many entries; zero means no bound.
	Messages int
	// Bytes is how large they may be together, by [Entry.Size]; zero means no
	// bound.
	Bytes int64
	// Since is the time of the oldest one; zero means no bound.
	Since time.Time
}

// Selection asks a [Store] for a page of entries.
type Selection struct {
	// Filter says what belongs to the result set.
	Filter
	// After and Before are ids next to which the page begins or ends; they need
	// not belong to the result set. At most one of After, Before and Index is
	// set.
	After, Before string
	// Backward asks for the page at the end: before Before, if that is set.
	// Otherwise it is the page at the beginning, behind After.
	Backward bool
	// Index is the position in the result set at which the page begins.
	Index int
	// Max is how many entries the page has at most. Zero is a page without
	// entries, which says how many there are.
	Max int
	// Bytes is how large the entries of the page may be together, by
	// [Entry.Size]; but one of them there is, however large. Zero means no bound.
	Bytes int
}

// Page is part of a result set.
type Page struct {
	// Entries are in the order of the archive, also if the page was selected
	// from the end.
	Entries []Entry
	// Complete says that the page was not cut short: in the direction in which
	// it was selected, nothing of the result set follows.
	Complete bool
	// Index is the position of the first entry in the result set, and Count the
	// size of the whole set; -1 where that is not known.
	Index, Count int
}
