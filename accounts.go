package xmpp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
)

// Accounts is who may log in to a [Server], and how they prove who they are.
// Implement it over your own user table; [MemoryAccounts] is one for tests and
// small servers. Implementations are safe for concurrent use. One that knows a
// faster way than Keys to tell whether there is an account has the method of
// presence.Accounts too.
//
// To those who guess, an account that does not exist looks like one with a wrong
// password. For that to hold, all accounts have the same iteration count: that
// of a method KeyIterations() int if there is one, else
// sasl.DefaultIterations, unless auth.ServerOptions.FakeIterations says another.
type Accounts interface {
	// Keys returns the derived keys of an account, a bare JID, for one hash
	// function (RFC 5802 §3). For an account that does not exist, or has no keys
	// for this hash, the error is or wraps sasl.ErrUnknownUser; the client
	// cannot tell it from a wrong password. Any other error is a
	// temporary-auth-failure.
	Keys(ctx context.Context, account jid.JID, hash sasl.Hash) (sasl.Keys, error)

	// Hashes lists the hash functions that accounts have keys for. Mechanisms
	// that need others are not offered.
	Hashes() []sasl.Hash
}

// existing tells the router which accounts there are: with a method
// Exists(ctx, account) (bool, error), if Accounts has one, and else by looking for
// keys.
type existing struct{ Accounts }

func (e existing) Exists(ctx context.Context, account jid.JID) (bool, error) {
	if a, ok := e.Accounts.(presence.Accounts); ok {
		return a.Exists(ctx, account)
	}
	for _, hash := range e.Hashes() {
		switch _, err := e.Keys(ctx, account, hash); {
		case err == nil:
			return true, nil
		case !errors.Is(err, sasl.ErrUnknownUser):
			return false, err
		}
	}
	return false, nil
}

// MemoryAccounts keeps accounts in memory: derived keys for SHA-1 and SHA-256,
// never passwords. The zero value is empty and ready to use. It is safe for
// concurrent use and must not be copied.
type MemoryAccounts struct {
	// Iterations is the PBKDF2 iteration count of accounts that Set creates;
	// zero means sasl.DefaultIterations. Set it before the first call.
	Iterations int

	store sasl.MemoryStore
	once  sync.Once

	mu       sync.Mutex
	making   map[jid.JID]bool // accounts that are being created or changed
	doomed   map[jid.JID]bool // those of them that were deleted meanwhile
	disabled map[jid.JID]bool
	names    map[jid.JID]bool // all accounts
}

// Set creates an account or changes its password. The account is a bare JID;
// a resource is ignored. Deriving the keys takes some milliseconds. The error wraps
// stanza.NotAcceptable for a password that cannot be used, and sasl.ErrFull beyond
// 100,000 accounts.
func (a *MemoryAccounts) Set(ctx context.Context, account jid.JID, password string) error {
	if account.Local() == "" {
		return fmt.Errorf("xmpp: account %q has no localpart", account)
	}
	switch err := a.keys().Set(ctx, account.Bare().String(), password); {
	case errors.Is(err, sasl.ErrPassword), errors.Is(err, sasl.ErrUsername):
		return fmt.Errorf("%w: %w", stanza.NotAcceptable, err)
	case err != nil:
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.names == nil {
		a.names = make(map[jid.JID]bool)
	}
	a.names[account.Bare()] = true
	return nil
}

// Exists implements presence.Accounts.
func (a *MemoryAccounts) Exists(_ context.Context, account jid.JID) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.names[account.Bare()], nil
}

// Keys implements [Accounts]. An account that is disabled has none.
func (a *MemoryAccounts) Keys(ctx context.Context, account jid.JID, hash sasl.Hash) (sasl.Keys, error) {
	if off, _ := a.Disabled(ctx, account); off {
		return sasl.Keys{}, fmt.Errorf("%w: %s is disabled", sasl.ErrUnknownUser, account.Bare())
	}
	k, _, err := a.keys().Keys(ctx, account.Bare().String(), hash)
	return k, err
}

// Hashes implements [Accounts].
func (a *MemoryAccounts) Hashes() []sasl.Hash { return a.keys().Hashes() }

// KeyIterations returns the iteration count of the accounts; see [Accounts].
func (a *MemoryAccounts) KeyIterations() int { return a.keys().KeyIterations() }

func (a *MemoryAccounts) keys() *sasl.MemoryStore {
	a.once.Do(func() {
		a.store.Iterations = a.Iterations
		a.store.Derive = []sasl.Hash{sasl.SHA1, sasl.SHA256}
	})
	return &a.store
}

// domainStore shows one domain of Accounts to package sasl, which knows user
// names only.
type domainStore struct {
	accounts Accounts
	domain   jid.JID
}

func (d domainStore) Keys(ctx context.Context, username string, hash sasl.Hash) (sasl.Keys, string, error) {
	account, err := jid.New(username, d.domain.Domain(), "")
	if err != nil {
		// A name that is no localpart is nobody's.
		return sasl.Keys{}, username, fmt.Errorf("%w: %w", sasl.ErrUnknownUser, err)
	}
	k, err := d.accounts.Keys(ctx, account, hash)
	return k, account.Local(), err
}

func (d domainStore) Hashes() []sasl.Hash { return d.accounts.Hashes() }

// KeyIterations makes up for accounts that do not exist the count that the
// others have.
func (d domainStore) KeyIterations() int {
	if a, ok := d.accounts.(interface{ KeyIterations() int }); ok {
		return a.KeyIterations()
	}
	return sasl.DefaultIterations
}
