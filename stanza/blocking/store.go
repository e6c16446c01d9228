package blocking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// ErrFull is wrapped by the error of a [Store] that takes no further list.
var ErrFull = errors.New("blocking: the store is full")

// Store keeps the lists of a server. It is safe for concurrent use. The accounts
// are bare JIDs. Changes of one account come one after the other.
//
// The suite in stream/xmpptest/storetest tests an implementation.
type Store interface {
	// All calls each for every account with a list, in any order, and stops with
	// the first error, which it returns. The slice is given away. It is called
	// once, before the server starts.
	All(ctx context.Context, each func(account jid.JID, blocked []jid.JID) error) error

	// Put replaces the list of an account as a whole; an empty one leaves nothing
	// of the account behind. It does not keep the slice. When it returns nil, the
	// list is stored; with an error, the old one still is. The error wraps ErrFull
	// when there is no room.
	Put(ctx context.Context, account jid.JID, blocked []jid.JID) error
}

// MemoryStore is a [Store] that lasts as long as the program. The zero value is
// ready.
type MemoryStore struct {
	// Accounts is how many accounts may have a list. Zero means 100,000.
	Accounts int

	mu    sync.Mutex
	lists map[jid.JID][]jid.JID
}

// All implements [Store]. It may be called from within each.
func (s *MemoryStore) All(ctx context.Context, each func(jid.JID, []jid.JID) error) error {
	s.mu.Lock()
	accounts := make([]jid.JID, 0, len(s.lists))
	for account := range s.lists {
		accounts = append(accounts, account)
	}
	s.mu.Unlock()
	for _, account := range accounts {
		s.mu.Lock()
		blocked := slices.Clone(s.lists[account])
		s.mu.Unlock()
		if len(blocked) == 0 {
			continue // gone meanwhile
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(account, blocked); err != nil {
			return err
		}
	}
	return nil
}

// Put implements [Store].
func (s *MemoryStore) Put(ctx context.Context, account jid.JID, blocked []jid.JID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(blocked) == 0 {
		delete(s.lists, account)
		return nil
	}
	limit := s.Accounts
	if limit <= 0 {
		limit = 100_000
	}
	if _, known := s.lists[account]; !known && len(s.lists) >= limit {
		return fmt.Errorf("%w: %d accounts have a list", ErrFull, limit)
	}
	if s.lists == nil {
		s.lists = make(map[jid.JID][]jid.JID)
	}
	s.lists[account] = slices.Clone(blocked)
	return nil
}
