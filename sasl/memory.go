package sasl

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
)

// ErrFull is returned by [MemoryStore] when it holds as many accounts as it may.
var ErrFull = errors.New("the store is full")

// defaultMaxAccounts bounds a MemoryStore whose owner set no bound.
const defaultMaxAccounts = 100_000

// MemoryStore is a [KeyStore] in memory, for tests, small servers and as an example. It keeps
// derived keys, never passwords. The zero value is ready to use; set the fields before the first
// call. It is safe for concurrent use and must not be copied.
type MemoryStore struct {
	// Derive lists the hashes to keep keys for. Nil: SHA-1, which every client has (RFC 6120
	// §13.8.1), and SHA-256, which is what most use (RFC 7677). Mechanisms with other hashes are
	// then not offered; see [ForStore].
	Derive []Hash

	// Iterations is the count for keys derived by Set. Zero: [DefaultIterations].
	Iterations int

	// Normalize brings names to the form in which they are compared, as in [ServerConfig]. Nil:
	// names are taken as they are.
	Normalize func(name string) (string, error)

	// MaxAccounts is how many accounts the store holds; beyond, adding one fails with [ErrFull].
	// Zero: 100,000.
	MaxAccounts int

	// Rand is the source of salts. Nil: crypto/rand.
	Rand io.Reader

	mu       sync.RWMutex
	accounts map[string]map[Hash]Keys
}

// Hashes returns the hashes that Set derives keys for; see [ForStore].
func (s *MemoryStore) Hashes() []Hash {
	if s.Derive == nil {
		return []Hash{SHA1, SHA256}
	}
	return slices.Clone(s.Derive)
}

// KeyIterations returns the iteration count of the keys that Set derives; see
// [ServerConfig.FakeIterations].
func (s *MemoryStore) KeyIterations() int {
	if s.Iterations == 0 {
		return DefaultIterations
	}
	return s.Iterations
}

// Set adds an account or changes its password. Each hash gets a salt of its own (XEP-0438 §6.2).
// Deriving the keys takes some milliseconds for each; ctx can end it. Errors wrap [ErrUsername],
// [ErrPassword], [ErrIterations], [ErrRandom], [ErrFull] or the error of ctx.
func (s *MemoryStore) Set(ctx context.Context, username, password string) error {
	iterations := s.KeyIterations()
	r := s.Rand
	if r == nil {
		r = rand.Reader
	}
	var all []Keys
	for _, h := range s.Hashes() {
		salt := make([]byte, saltSize)
		if _, err := io.ReadFull(r, salt); err != nil {
			return fmt.Errorf("sasl: %w: %w", ErrRandom, err)
		}
		k, err := DeriveKeys(ctx, h, password, salt, iterations)
		if err != nil {
			return err
		}
		all = append(all, k)
	}
	return s.SetKeys(username, all...)
}

// SetKeys adds an account with keys from elsewhere, or replaces all its keys; each must be for
// another hash.
func (s *MemoryStore) SetKeys(username string, keys ...Keys) error {
	name, err := s.name(username)
	if err != nil {
		return err
	}
	byHash := make(map[Hash]Keys, len(keys))
	for _, k := range keys {
		if err := k.check(); err != nil {
			return fmt.Errorf("sasl: %w", err)
		}
		if _, dup := byHash[k.Hash]; dup {
			return fmt.Errorf("sasl: %w: two sets of keys for %s", ErrConfig, k.Hash)
		}
		byHash[k.Hash] = k.clone()
	}
	if len(byHash) == 0 {
		return fmt.Errorf("sasl: %w: no keys", ErrConfig)
	}
	limit := s.MaxAccounts
	if limit == 0 {
		limit = defaultMaxAccounts
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.accounts[name]; !ok && len(s.accounts) >= limit {
		return fmt.Errorf("sasl: %w", ErrFull)
	}
	if s.accounts == nil {
		s.accounts = make(map[string]map[Hash]Keys)
	}
	s.accounts[name] = byHash
	return nil
}

// Delete removes an account and reports whether there was one.
func (s *MemoryStore) Delete(username string) bool {
	name, err := s.name(username)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.accounts[name]
	delete(s.accounts, name)
	return ok
}

// Keys implements [KeyStore].
func (s *MemoryStore) Keys(_ context.Context, username string, hash Hash) (Keys, string, error) {
	name, err := s.name(username)
	if err != nil {
		return Keys{}, "", ErrUnknownUser
	}
	s.mu.RLock()
	keys, ok := s.accounts[name][hash]
	s.mu.RUnlock()
	if !ok {
		return Keys{}, name, ErrUnknownUser
	}
	return keys.clone(), name, nil
}

// name returns the canonical form of a user name.
func (s *MemoryStore) name(username string) (string, error) {
	name := username
	if s.Normalize != nil {
		var err error
		if name, err = s.Normalize(username); err != nil {
			return "", fmt.Errorf("sasl: %w: %w", ErrUsername, err)
		}
	}
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("sasl: %w", err)
	}
	return name, nil
}

// Format prints how many accounts there are, whatever the verb.
func (s *MemoryStore) Format(f fmt.State, _ rune) {
	s.mu.RLock()
	n := len(s.accounts)
	s.mu.RUnlock()
	fmt.Fprintf(f, "sasl.MemoryStore{%d accounts}", n)
}

// LogValue is what log/slog shows of the store.
func (s *MemoryStore) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }
