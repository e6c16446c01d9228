package blocking

import (
	"slices"
	"strings"

	"stanzakit.dev/xmpp/jid"
)

// list is the block list of an account. It does not change. The nil list is empty.
type list struct {
	items []jid.JID // sorted by their strings, each one once
}

// newList returns the list of some addresses, which it takes over; nil if there
// are none.
func newList(items []jid.JID) *list {
	items = slices.DeleteFunc(items, jid.JID.IsZero)
	if len(items) == 0 {
		return nil
	}
	slices.SortFunc(items, compare)
	return &list{slices.Clip(slices.Compact(items))}
}

func compare(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) }

// addresses returns what is in the list. Read only.
func (l *list) addresses() []jid.JID {
	if l == nil {
		return nil
	}
	return l.items
}

// size is about how long the list is as XML.
func (l *list) size() (n int) {
	for _, item := range l.addresses() {
		n += len("<item jid=''/>") + len(item.String())
	}
	return n
}

func (l *list) has(item jid.JID) bool {
	_, found := slices.BinarySearchFunc(l.items, item, compare)
	return found
}

// blocks reports whether a contact matches an item.
func (l *list) blocks(contact jid.JID) bool {
	if l == nil || contact.IsZero() {
		return false
	}
	// XEP-0191 §6: user@domain/resource and domain/resource match only that
	// resource, user@domain any of its resources, and domain all at that domain.
	// All items block, so that their order has no effect.
	if l.has(contact) || contact.IsFull() && l.has(contact.Bare()) {
		return true
	}
	return contact.Local() != "" && l.has(contact.DomainJID())
}

// with returns the list with further items.
func (l *list) with(items []jid.JID) *list {
	return newList(slices.Concat(l.addresses(), items))
}

// without returns the list without some items.
func (l *list) without(items []jid.JID) *list {
	gone := make(map[jid.JID]bool, len(items))
	for _, item := range items {
		gone[item] = true
	}
	return newList(slices.DeleteFunc(slices.Clone(l.addresses()), func(item jid.JID) bool { return gone[item] }))
}

// affected returns the contacts that are concerned when items come to a list or
// go: the items themselves, and those of viewers that match one.
func affected(items, viewers []jid.JID) []jid.JID {
	changed := newList(slices.Clone(items))
	out := slices.Clone(items)
	for _, v := range viewers {
		if changed.blocks(v) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, compare)
	return slices.Compact(out)
}
