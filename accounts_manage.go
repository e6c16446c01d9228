package xmpp

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// The methods of this file make MemoryAccounts fit for in-band registration and
// for service administration; see packages register and admin below stanza.

// Create makes an account, a bare JID. If there is one, the error is or wraps
// stanza.Conflict; other errors are those of Set.
func (a *MemoryAccounts) Create(ctx context.Context, account jid.JID, password string) error {
	account = account.Bare()
	if err := a.reserve(account, false); err != nil {
		return err
	}
	defer a.settled(account)
	return a.Set(ctx, account, password)
}

// reserve keeps others from changing the same account meanwhile. It has to exist, or
// must not.
func (a *MemoryAccounts) reserve(account jid.JID, exists bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !exists && a.names[account]:
		return fmt.Errorf("xmpp: %s exists already: %w", account, stanza.Conflict)
	case exists && !a.names[account]:
		return fmt.Errorf("xmpp: there is no account %s: %w", account, stanza.ItemNotFound)
	case a.making[account]:
		return fmt.Errorf("xmpp: somebody else changes %s: %w", account, stanza.Conflict)
	}
	if a.making == nil {
		a.making = make(map[jid.JID]bool)
	}
	a.making[account] = true
	return nil
}

// settled is the end of reserve. What was deleted meanwhile stays deleted.
func (a *MemoryAccounts) settled(account jid.JID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.making, account)
	if a.doomed[account] {
		delete(a.doomed, account)
		a.drop(account)
	}
}

// drop removes an account. The caller holds mu.
func (a *MemoryAccounts) drop(account jid.JID) {
	a.keys().Delete(account.String())
	delete(a.names, account)
	delete(a.disabled, account)
}

// SetPassword changes the password of an account. If there is none, the error
// wraps stanza.ItemNotFound. Sessions that it has are not affected.
func (a *MemoryAccounts) SetPassword(ctx context.Context, account jid.JID, password string) error {
	account = account.Bare()
	if err := a.reserve(account, true); err != nil {
		return err
	}
	defer a.settled(account)
	return a.Set(ctx, account, password)
}

// known reports an account that does not exist.
func (a *MemoryAccounts) known(account jid.JID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.names[account.Bare()] {
		return fmt.Errorf("xmpp: there is no account %s: %w", account.Bare(), stanza.ItemNotFound)
	}
	return nil
}

// Delete removes an account. Sessions that it has are not affected, and what a
// server keeps for it stays: see [Server.Forget]. That there is no such account
// is no error.
func (a *MemoryAccounts) Delete(_ context.Context, account jid.JID) error {
	account = account.Bare()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.making[account] {
		if a.doomed == nil {
			a.doomed = make(map[jid.JID]bool)
		}
		a.doomed[account] = true
	}
	a.drop(account)
	return nil
}

// Disable keeps an account from logging in, and leaves everything else of it as
// it is. Sessions that it has are not affected.
func (a *MemoryAccounts) Disable(_ context.Context, account jid.JID) error {
	if err := a.known(account); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.disabled == nil {
		a.disabled = make(map[jid.JID]bool)
	}
	a.disabled[account.Bare()] = true
	return nil
}

// Enable is the opposite of Disable.
func (a *MemoryAccounts) Enable(_ context.Context, account jid.JID) error {
	if err := a.known(account); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.disabled, account.Bare())
	return nil
}

// Disabled reports whether an account is disabled.
func (a *MemoryAccounts) Disabled(_ context.Context, account jid.JID) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.disabled[account.Bare()], nil
}

// Count returns how many accounts there are.
func (a *MemoryAccounts) Count(context.Context) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.names), nil
}

// List returns accounts in the order of their addresses: at most max of those
// behind after, which may be zero.
func (a *MemoryAccounts) List(_ context.Context, after jid.JID, max int) ([]jid.JID, error) {
	a.mu.Lock()
	all := slices.Collect(maps.Keys(a.names))
	a.mu.Unlock()
	slices.SortFunc(all, func(a, b jid.JID) int { return cmp.Compare(a.String(), b.String()) })
	from, found := slices.BinarySearchFunc(all, after, func(a, b jid.JID) int { return cmp.Compare(a.String(), b.String()) })
	if found {
		from++
	}
	return all[from:min(from+max, len(all))], nil
}
