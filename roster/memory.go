package roster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// MemoryStore is a [Store] in memory: the default of a server, and gone with it.
// The zero value is ready to use; set the fields before the first call. It is safe
// for concurrent use and must not be copied.
//
// The first version of a roster is random, so that a client that knows a roster of
// an earlier run of the program, or of a deleted account, finds its version
// unknown.
type MemoryStore struct {
	// MaxItems is how many listed items an account may have; beyond, Put fails
	// with [ErrFull]. Zero: 4,096.
	MaxItems int

	// MaxPending is how many items an account may have that are not listed, which
	// are the requests of strangers; beyond, Put fails with ErrFull (RFC 6121
	// §3.1.3, third security warning). Zero: 256.
	MaxPending int

	// MaxRemoved is how many removed contacts an account remembers, to tell a
	// client that has been away. Beyond, the oldest is forgotten, and who has been
	// away for longer gets the whole roster. Zero: 256.
	MaxRemoved int

	// MaxAccounts is how many accounts with a roster the store holds; beyond, Put
	// fails with ErrFull. Zero: 100,000.
	MaxAccounts int

	mu       sync.RWMutex
	accounts map[jid.JID]*kept
}

// kept is the roster of an account.
type kept struct {
	items    []stamped // by address
	unlisted int       // how many of them are not listed
	version  uint64    // zero until an item was listed
	floor    uint64    // changes before this version are forgotten
	removed  []Change  // oldest first; no contact that is listed again
}

// stamped is an item with the version of its last change.
type stamped struct {
	Item
	version uint64
}

// orDefault returns n, or def if n is not positive.
func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// Roster implements [Store].
func (m *MemoryStore) Roster(_ context.Context, account jid.JID) (Roster, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k := m.accounts[account]
	if k == nil {
		return Roster{}, nil
	}
	r := Roster{Items: make([]Item, len(k.items)), Version: k.version}
	for i, it := range k.items {
		r.Items[i] = it.Item
	}
	return r, nil
}

// Item implements [ItemStore].
func (m *MemoryStore) Item(_ context.Context, account, contact jid.JID) (Item, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if k := m.accounts[account]; k != nil {
		if at, ok := k.find(contact); ok {
			return k.items[at].Item, nil
		}
	}
	return Item{}, nil
}

// Put implements [Store].
func (m *MemoryStore) Put(ctx context.Context, account jid.JID, item Item) (uint64, error) {
	if !item.Noted() {
		return m.Remove(ctx, account, item.JID)
	}
	item = item.Clone()
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.accounts[account]
	if k == nil {
		if max := orDefault(m.MaxAccounts, 100_000); len(m.accounts) >= max {
			return 0, fmt.Errorf("%w: there are %d accounts with a roster", ErrFull, max)
		}
		k = new(kept)
	}
	at, found := k.find(item.JID)
	if err := m.admit(k, item, at, found); err != nil {
		return 0, err
	}
	if m.accounts == nil {
		m.accounts = make(map[jid.JID]*kept)
	}
	m.accounts[account] = k

	was := false
	if found {
		was = k.items[at].Listed()
		k.drop(at)
	}
	entry := stamped{Item: item}
	if item.Listed() {
		entry.version = k.next()
		k.removed = slices.DeleteFunc(k.removed, func(c Change) bool { return c.Item.JID == item.JID })
	} else {
		k.unlisted++
		if was {
			m.bury(k, item.JID)
		}
	}
	k.items = slices.Insert(k.items, at, entry)
	return k.version, nil
}

// admit checks the bounds for an item that takes the place at.
func (m *MemoryStore) admit(k *kept, item Item, at int, found bool) error {
	listed := item.Listed()
	if found && k.items[at].Listed() == listed {
		return nil
	}
	if listed {
		if max := orDefault(m.MaxItems, 4096); len(k.items)-k.unlisted >= max {
			return fmt.Errorf("%w: there are %d contacts", ErrFull, max)
		}
	} else if max := orDefault(m.MaxPending, 256); k.unlisted >= max {
		return fmt.Errorf("%w: %d requests are pending", ErrFull, max)
	}
	return nil
}

// Remove implements [Store].
func (m *MemoryStore) Remove(_ context.Context, account, contact jid.JID) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.accounts[account]
	if k == nil {
		return 0, nil
	}
	if at, found := k.find(contact); found {
		if k.drop(at).Listed() {
			m.bury(k, contact)
		}
	}
	if k.version == 0 && len(k.items) == 0 {
		delete(m.accounts, account) // only strangers have ever been here
	}
	return k.version, nil
}

// Changes implements [Store].
func (m *MemoryStore) Changes(_ context.Context, account jid.JID, since uint64) ([]Change, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k := m.accounts[account]
	switch {
	case k == nil:
		return nil, since == 0, nil
	case since < k.floor || since > k.version:
		return nil, false, nil
	}
	var out []Change
	for _, it := range k.items {
		if it.version > since {
			out = append(out, Change{Version: it.version, Item: it.Item})
		}
	}
	for _, c := range k.removed {
		if c.Version > since {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Version, b.Version) })
	return out, true, nil
}

// Delete implements [Store].
func (m *MemoryStore) Delete(_ context.Context, account jid.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accounts, account)
	return nil
}

// find returns where the item of a contact is or belongs.
func (k *kept) find(contact jid.JID) (int, bool) {
	return slices.BinarySearchFunc(k.items, contact, func(it stamped, contact jid.JID) int {
		return cmp.Compare(it.JID.String(), contact.String())
	})
}

// drop takes an item out of its place and returns it.
func (k *kept) drop(at int) stamped {
	it := k.items[at]
	k.items = slices.Delete(k.items, at, at+1)
	if !it.Listed() {
		k.unlisted--
	}
	return it
}

// next returns the version of a change.
func (k *kept) next() uint64 {
	if k.version == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		k.version = binary.BigEndian.Uint64(b[:]) >> 16
		k.floor = k.version + 1 // the first version: nothing is known of what was before
	}
	k.version++
	return k.version
}

// bury remembers that a contact was removed.
func (m *MemoryStore) bury(k *kept, contact jid.JID) {
	k.removed = append(k.removed, Change{Version: k.next(), Item: Item{JID: contact}, Removed: true})
	if over := len(k.removed) - orDefault(m.MaxRemoved, 256); over > 0 {
		k.floor = k.removed[over-1].Version
		k.removed = slices.Delete(k.removed, 0, over)
	}
}
