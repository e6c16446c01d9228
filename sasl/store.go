package sasl

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
)

// A KeyStore gives a server the keys of its accounts. Implementations must be safe for concurrent
// use.
type KeyStore interface {
	// Keys returns the keys of the account for one hash, and the canonical name of the account; an
	// empty one means the name that was asked for. The caller does not change the slices in Keys.
	//
	// The name is what [ServerConfig.Normalize] returned, valid UTF-8 and not empty, and otherwise
	// whatever the client sent. For a name without an account, or an account without keys for this
	// hash, the error is or wraps [ErrUnknownUser]; the canonical name then chooses the made-up
	// salt. Take the same time in both cases. An [*Error] is passed on to the client at once, and
	// so tells that the account exists; [ServerConfig.Authorize] is the better place. Other errors
	// become TemporaryAuthFailure.
	Keys(ctx context.Context, username string, hash Hash) (keys Keys, canonical string, err error)
}

// A hashLister is a KeyStore that tells for which hashes each account has keys.
type hashLister interface{ Hashes() []Hash }

// plainHash chooses the hash to verify PLAIN logins with: SHA-256, unless the store tells that it
// has others only.
func plainHash(store KeyStore) Hash {
	if s, ok := store.(hashLister); ok {
		if hashes := s.Hashes(); len(hashes) > 0 && !slices.Contains(hashes, SHA256) {
			return hashes[0]
		}
	}
	return SHA256
}

// ForStore returns those of the mechanisms that a server with this store can offer, in the same
// order. A mechanism for whose hash the accounts have no keys would fail for everybody who picks
// it. A store tells by a method Hashes() []Hash; one without it is taken to have keys for all.
func ForStore(mechs []Mechanism, store KeyStore) []Mechanism {
	s, ok := store.(hashLister)
	if !ok {
		return slices.Clone(mechs)
	}
	hashes := s.Hashes()
	return slices.DeleteFunc(slices.Clone(mechs), func(m Mechanism) bool {
		return m.Hash != "" && !slices.Contains(hashes, m.Hash)
	})
}

// processSecret is the FakeSecret of those who configure none: made on first use, the same until
// the process ends.
var processSecret = sync.OnceValue(func() []byte {
	secret := make([]byte, 32)
	rand.Read(secret) // ends the program rather than fail
	return secret
})

// fakeKeys makes up keys for a name without an account. The same secret, service and name give the
// same salt, so that asking twice tells nothing; the keys are hashes of a secret, so that no proof
// fits them.
func fakeKeys(secret []byte, service string, h Hash, name string, iterations int) Keys {
	// Lengths before names keep any two inputs apart.
	lengths := binary.BigEndian.AppendUint32(nil, uint32(len(h)))
	lengths = binary.BigEndian.AppendUint32(lengths, uint32(len(service)))
	part := func(label string) []byte {
		return SHA512.mac(secret, label, string(lengths), string(h), service, name)
	}
	size := h.Size()
	return Keys{
		Hash:       h,
		Salt:       part("salt")[:saltSize],
		Iterations: iterations,
		StoredKey:  part("stored")[:size],
		ServerKey:  part("server")[:size],
	}
}
