package roster

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// List is the contacts of a client, with their names and groups: what a [Client]
// keeps of the roster on the server, or a list of the program's own where there is
// none. It does no I/O. The zero List is empty and ready. It is not safe for
// concurrent use; do not copy one that is in use.
//
// A List holds 16,384 contacts at most.
type List struct {
	items map[jid.JID]Item
	// ver is the version, if there is one.
	ver       string
	versioned bool
}

// Event is a change of one contact in a list. Without Before the contact is new,
// without After it is gone: the JID is zero then.
type Event struct {
	Before, After Item
}

// Contact returns the address of the contact.
func (e Event) Contact() jid.JID {
	if e.After.JID.IsZero() {
		return e.Before.JID
	}
	return e.After.JID
}

// Added reports whether the contact is new in the list.
func (e Event) Added() bool { return e.Before.JID.IsZero() }

// Removed reports whether the contact is no longer in the list.
func (e Event) Removed() bool { return e.After.JID.IsZero() }

// Len returns the number of contacts.
func (l *List) Len() int { return len(l.items) }

// Item returns a contact, and whether it is in the list.
func (l *List) Item(contact jid.JID) (Item, bool) {
	i, ok := l.items[contact]
	return i.Clone(), ok
}

// All yields the contacts by address. The list may be changed meanwhile; a contact
// that is gone then is not yielded.
func (l *List) All() iter.Seq[Item] { return l.matching(func(Item) bool { return true }) }

// Group yields the contacts in a group by address, like All; those in no group if
// the name is empty.
func (l *List) Group(name string) iter.Seq[Item] {
	return l.matching(func(i Item) bool {
		return slices.Contains(i.Groups, name) || name == "" && len(i.Groups) == 0
	})
}

// matching yields the contacts that match.
func (l *List) matching(match func(Item) bool) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, j := range slices.SortedFunc(maps.Keys(l.items), compareJIDs) {
			if i, ok := l.items[j]; ok && match(i) && !yield(i.Clone()) {
				return
			}
		}
	}
}

// Groups returns the names of the groups that there are contacts in, sorted.
func (l *List) Groups() []string {
	names := map[string]bool{}
	for _, i := range l.items {
		for _, g := range i.Groups {
			names[g] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Version returns the version that the server gave to this list, opaque, and
// whether it gave one (RFC 6121 §2.1.1).
func (l *List) Version() (string, bool) { return l.ver, l.versioned }

// Put adds a contact, or replaces what is known of it: "the item MUST be updated
// exactly as provided" (RFC 6121 §2.4.1). It reports false if that changes nothing.
// The error wraps [ErrFull] for one contact too many, and [stanza.ErrInvalid] for a
// contact without an address.
func (l *List) Put(i Item) (Event, bool, error) {
	if i.JID.IsZero() {
		return Event{}, false, fmt.Errorf("roster: %w: a contact has an address", stanza.ErrInvalid)
	}
	if err := l.room(i.JID); err != nil {
		return Event{}, false, err
	}
	e, changed := l.set(i)
	return e, changed, nil
}

// Remove takes a contact from the list. It reports false if it is not there.
func (l *List) Remove(contact jid.JID) (Event, bool) {
	before, ok := l.items[contact]
	delete(l.items, contact)
	return Event{Before: before}, ok
}

// room checks the bound for one more contact.
func (l *List) room(contact jid.JID) error {
	if _, there := l.items[contact]; !there && len(l.items) >= maxItems {
		return fmt.Errorf("%w: there are %d contacts", ErrFull, maxItems)
	}
	return nil
}

// set puts an item that there is room for.
func (l *List) set(i Item) (Event, bool) {
	i = i.shown()
	before := l.items[i.JID]
	if before.Equal(i) {
		return Event{}, false
	}
	if l.items == nil {
		l.items = make(map[jid.JID]Item)
	}
	l.items[i.JID] = i
	return Event{Before: before, After: i}, true
}

// shown returns a copy of what a client sees of an item.
func (i Item) shown() Item {
	return Item{JID: i.JID, Name: i.Name, Groups: slices.Clone(i.Groups), State: (i.State &^ PendingIn).valid()}
}

// Replace makes a roster result the list (RFC 6121 §2.1.4) and returns what has
// changed by that, by address. It takes the result as a whole. The value "remove"
// does not exist in a result and is ignored (§2.1.2.5).
func (l *List) Replace(result *Query) []Event {
	old := l.items
	l.items = make(map[jid.JID]Item, len(result.Items))
	l.ver, l.versioned = result.Ver, result.Versioned
	var events []Event
	for _, e := range result.Items {
		if len(l.items) >= maxItems {
			break // decoding yields no more
		}
		l.items[e.JID] = e.shown()
	}
	for j, i := range l.items {
		if before := old[j]; !before.Equal(i) {
			events = append(events, Event{Before: before, After: i})
		}
	}
	for j, before := range old {
		if _, ok := l.items[j]; !ok {
			events = append(events, Event{Before: before})
		}
	}
	slices.SortFunc(events, func(a, b Event) int { return compareJIDs(a.Contact(), b.Contact()) })
	return events
}

// Push applies a roster push, all of it or nothing (RFC 6121 §2.1.6). It reports
// false if that changes no contact, such as the removal of one that is not there.
// The version becomes that of the push, if it has one; versions are opaque, so that
// the last push counts whatever its version is (§2.1.1).
//
// The error is a [*stanza.Error] with [stanza.BadRequest] for a push without
// exactly one item, or wraps [ErrFull].
func (l *List) Push(push *Query) (Event, bool, error) {
	if err := checkPush(push); err != nil {
		return Event{}, false, err
	}
	var event Event
	var changed bool
	if e := push.Items[0]; e.Remove {
		event, changed = l.Remove(e.JID)
	} else {
		if err := l.room(e.JID); err != nil {
			return Event{}, false, err
		}
		event, changed = l.set(e.Item)
	}
	if push.Versioned {
		l.ver, l.versioned = push.Ver, true
	}
	return event, changed, nil
}

// checkPush is RFC 6121 §2.1.6 rule 1.
func checkPush(push *Query) error {
	if n := len(push.Items); n != 1 {
		return refuse(stanza.BadRequest, "a roster push has one item, not %d", n)
	}
	return nil
}

// Clone returns a copy that shares nothing with l.
func (l *List) Clone() *List {
	c := &List{items: make(map[jid.JID]Item, len(l.items)), ver: l.ver, versioned: l.versioned}
	for j, i := range l.items {
		c.items[j] = i.Clone()
	}
	return c
}

func compareJIDs(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) }
