package private

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// ErrFull is wrapped by the error of a [Store] for what exceeds a [Quota] or its
// own size.
var ErrFull = errors.New("private: there is no room")

// Fragment is an element as a [Store] keeps it.
type Fragment struct {
	// Name is the name of the element, under which it is found again.
	Name stream.Name
	// XML is the element, with all namespaces declared that it needs. Nil stands
	// for none.
	XML []byte
}

// Quota bounds what one account keeps.
type Quota struct {
	// Elements is how many, and Bytes how long their XML may be in all.
	Elements, Bytes int
}

// Store keeps the elements of a server. It is safe for concurrent use. The
// accounts are bare JIDs.
//
// The suite in stream/xmpptest/storetest tests an implementation.
type Store interface {
	// Get returns the XML of the element called name, and nil if there is none. The
	// slice is given away.
	Get(ctx context.Context, account jid.JID, name stream.Name) ([]byte, error)

	// Put replaces elements, whose names differ, and removes those without XML:
	// all or none. It keeps no slice. When it returns nil, all is stored. If the
	// account had more than q allows, and more than before, the error wraps ErrFull
	// and nothing changes.
	Put(ctx context.Context, account jid.JID, set []Fragment, q Quota) error

	// Delete removes all elements of an account, if there are any.
	Delete(ctx context.Context, account jid.JID) error
}

// MemoryStore is a [Store] that lasts as long as the program. The zero value is
// ready.
type MemoryStore struct {
	// Accounts is how many accounts may keep something. Zero means 100,000.
	Accounts int

	mu       sync.RWMutex
	accounts map[jid.JID]map[stream.Name][]byte
}

// Get implements [Store].
func (s *MemoryStore) Get(ctx context.Context, account jid.JID, name stream.Name) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.accounts[account][name]), ctx.Err()
}

// Put implements [Store].
func (s *MemoryStore) Put(ctx context.Context, account jid.JID, set []Fragment, q Quota) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.accounts[account]
	var before Quota
	for _, xml := range kept {
		before.Elements++
		before.Bytes += len(xml)
	}
	after := before
	for _, f := range set {
		if old, ok := kept[f.Name]; ok {
			after.Elements--
			after.Bytes -= len(old)
		}
		if f.XML != nil {
			after.Elements++
			after.Bytes += len(f.XML)
		}
	}
	if after.Elements > q.Elements && after.Elements > before.Elements || after.Bytes > q.Bytes && after.Bytes > before.Bytes {
		return fmt.Errorf("%w: more than %d elements or %d bytes", ErrFull, q.Elements, q.Bytes)
	}
	if after.Elements == 0 {
		delete(s.accounts, account)
		return nil
	}
	if kept == nil {
		limit := s.Accounts
		if limit <= 0 {
			limit = 100_000
		}
		if len(s.accounts) >= limit {
			return fmt.Errorf("%w: %d accounts keep something", ErrFull, limit)
		}
		if s.accounts == nil {
			s.accounts = make(map[jid.JID]map[stream.Name][]byte)
		}
		kept = make(map[stream.Name][]byte)
		s.accounts[account] = kept
	}
	for _, f := range set {
		if f.XML == nil {
			delete(kept, f.Name)
		} else {
			kept[f.Name] = slices.Clone(f.XML)
		}
	}
	return nil
}

// Delete implements [Store].
func (s *MemoryStore) Delete(ctx context.Context, account jid.JID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.accounts, account)
	return nil
}
