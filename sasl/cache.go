package sasl

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// A CacheKey names the keys of one account as one server derives them. It is comparable and holds
// nothing secret.
type CacheKey struct {
	Service    string // ClientConfig.Service
	Username   string // ClientConfig.Username
	Hash       Hash
	Salt       string // the bytes of the salt
	Iterations int
}

// ClientKeys are the keys that a SCRAM client derives from a password (RFC 5802 §3). Whoever
// has them can log in to this account as with the password: keep them where passwords are kept.
type ClientKeys struct {
	ClientKey []byte
	ServerKey []byte
}

// A KeyCache keeps keys between exchanges, since deriving them is the costly part of SCRAM and
// salts rarely change (RFC 5802 §5.1). Its methods are called from the goroutine that runs the
// exchange and must be safe for concurrent use.
//
// The keys are credentials: a client that finds them here logs in with them, whatever password it
// was given. A program that logs in with passwords which others hand it, such as a gateway, keeps a
// cache for each of them, or whoever knows a name gets in with any password.
type KeyCache interface {
	// Take returns the keys, and removes them: the exchange puts them back when the server has
	// proved that it knows them too. Keys of a password that has changed are so used once and never
	// again. A cache that is the only place where the credentials live may keep them here, and must
	// then remove them itself when a login fails with NotAuthorized.
	Take(CacheKey) (ClientKeys, bool)

	// Put stores keys that have just served for a login. The cache owns the slices from then on.
	Put(CacheKey, ClientKeys)
}

// maxCached is how many keys a MemoryKeyCache holds.
const maxCached = 64

// MemoryKeyCache is a [KeyCache] in memory, for up to 64 keys; the one stored longest ago makes
// room. The zero value is ready to use. It is safe for concurrent use.
type MemoryKeyCache struct {
	mu      sync.Mutex
	entries []cacheEntry // oldest first
}

type cacheEntry struct {
	key  CacheKey
	keys ClientKeys
}

// Take implements [KeyCache].
func (c *MemoryKeyCache) Take(key CacheKey) (ClientKeys, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.entries, func(e cacheEntry) bool { return e.key == key })
	if i < 0 {
		return ClientKeys{}, false
	}
	keys := c.entries[i].keys
	c.entries = slices.Delete(c.entries, i, i+1)
	return keys, true
}

// Put implements [KeyCache].
func (c *MemoryKeyCache) Put(key CacheKey, keys ClientKeys) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = slices.DeleteFunc(c.entries, func(e cacheEntry) bool { return e.key == key })
	if len(c.entries) == maxCached {
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	c.entries = append(c.entries, cacheEntry{key, keys})
}

// Format prints that there are keys, and not which, whatever the verb.
func (k ClientKeys) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.ClientKeys{redacted}") }

// LogValue is what log/slog shows of the keys.
func (k ClientKeys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// Format prints how many keys the cache holds, whatever the verb.
func (c *MemoryKeyCache) Format(f fmt.State, _ rune) {
	c.mu.Lock()
	n := len(c.entries)
	c.mu.Unlock()
	fmt.Fprintf(f, "sasl.MemoryKeyCache{%d keys}", n)
}

// LogValue is what log/slog shows of the cache.
func (c *MemoryKeyCache) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }
