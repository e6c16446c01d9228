package vcard

import (
	"container/list"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// hashes remembers the hashes of the pictures of accounts; "" for those without a
// picture. When it is full, the one that was not used for the longest time goes.
// The zero value is ready.
type hashes struct {
	mu    sync.Mutex
	known map[jid.JID]*list.Element
	order list.List // of known, the last used first
	// changes counts the profiles that were stored, so that one that was read before
	// is not taken for the current one.
	changes uint64
}

type known struct {
	account jid.JID
	hash    string
}

// get returns the hash for an account if it is remembered, and otherwise what to
// give to put.
func (h *hashes) get(account jid.JID) (hash string, ok bool, changes uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	el := h.known[account]
	if el == nil {
		return "", false, h.changes
	}
	h.order.MoveToFront(el)
	return el.Value.(*known).hash, true, h.changes
}

// put remembers the hash of a profile that was read after get returned changes. It
// does nothing if a profile was stored meanwhile: it might be that one.
func (h *hashes) put(account jid.JID, hash string, limit int, changes uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if changes != h.changes || h.known[account] != nil {
		return
	}
	if h.known == nil {
		h.known = make(map[jid.JID]*list.Element)
	}
	h.known[account] = h.order.PushFront(&known{account, hash})
	for len(h.known) > limit {
		last := h.order.Back()
		delete(h.known, last.Value.(*known).account)
		h.order.Remove(last)
	}
}

// forget is called before and after the profile of an account is stored.
func (h *hashes) forget(account jid.JID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes++
	if el := h.known[account]; el != nil {
		delete(h.known, account)
		h.order.Remove(el)
	}
}
