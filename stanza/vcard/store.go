package vcard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// ErrFull is wrapped by the error of a [Store] that takes no further profile.
var ErrFull = errors.New("vcard: the store is full")

// Store keeps the profiles of a server. It is safe for concurrent use. The accounts
// are bare JIDs.
//
// The suite in stream/xmpptest/storetest tests an implementation.
type Store interface {
	// Get returns the profile of an account, a vCard element with all namespaces
	// declared that it needs, and nil if there is none. The slice is given away.
	Get(ctx context.Context, account jid.JID) ([]byte, error)

	// Put replaces the profile of an account; nil removes it, if there is one. It
	// does not keep the slice. When it returns nil, the profile is stored. The
	// error wraps ErrFull when there is no room.
	Put(ctx context.Context, account jid.JID, card []byte) error
}

// MemoryStore is a [Store] that lasts as long as the program. The zero value is
// ready.
type MemoryStore struct {
	// Bytes is how much room all profiles may take. Zero means 256 MiB.
	Bytes int

	mu    sync.RWMutex
	cards map[jid.JID][]byte
	bytes int
}

// Get implements [Store].
func (s *MemoryStore) Get(ctx context.Context, account jid.JID) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.cards[account]), ctx.Err()
}

// Put implements [Store].
func (s *MemoryStore) Put(ctx context.Context, account jid.JID, card []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limit := s.Bytes
	if limit <= 0 {
		limit = 256 << 20
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.bytes - len(s.cards[account]) + len(card)
	if size > limit && size > s.bytes {
		return fmt.Errorf("%w: more than %d bytes", ErrFull, limit)
	}
	s.bytes = size
	if card == nil {
		delete(s.cards, account)
		return nil
	}
	if s.cards == nil {
		s.cards = make(map[jid.JID][]byte)
	}
	s.cards[account] = slices.Clone(card)
	return nil
}
