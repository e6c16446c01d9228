package caps

import (
	"container/list"
	"context"
	"sync"

	"stanzakit.dev/xmpp/stanza/disco"
)

// Cache keeps what verification strings stand for. A [Tracker] puts there only
// what it has verified. An Info that was put or got is shared: nobody changes it.
// Implementations have a bound, and are safe for concurrent use. One that fails
// is as good as an empty one: the Tracker asks again.
type Cache interface {
	// Get returns what is kept under a key, and false for nothing.
	Get(ctx context.Context, key Key) (*disco.Info, bool)
	// Put keeps info under a key.
	Put(ctx context.Context, key Key, info *disco.Info)
}

// defaultCached is how many entries a MemoryCache has if nothing else is said.
const defaultCached = 1_000

// MemoryCache is a [Cache] in memory. When it is full, the entry that was used
// least recently goes. The zero value is ready. It must not be copied.
type MemoryCache struct {
	// Max is how many entries there are at most, each of 16 KiB of text at
	// most. Zero means 1,000. It is not changed once the cache is in use.
	Max int

	mu   sync.Mutex
	kept recent[Key, *disco.Info]
}

// Get implements [Cache].
func (c *MemoryCache) Get(_ context.Context, key Key) (*disco.Info, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept.get(key)
}

// Put implements [Cache].
func (c *MemoryCache) Put(_ context.Context, key Key, info *disco.Info) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.put(key, info, orDefault(c.Max, defaultCached))
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// recent is a table with a bound. What was used least recently goes.
type recent[K comparable, V any] struct {
	order list.List // of *entry, most recently used first
	at    map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	e := r.at[key]
	if e == nil {
		return value, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

func (r *recent[K, V]) put(key K, value V, limit int) {
	if e := r.at[key]; e != nil {
		r.order.MoveToFront(e)
		e.Value.(*entry[K, V]).value = value
		return
	}
	if r.at == nil {
		r.at = make(map[K]*list.Element)
	}
	r.at[key] = r.order.PushFront(&entry[K, V]{key, value})
	for r.order.Len() > limit {
		r.remove(r.order.Back().Value.(*entry[K, V]).key)
	}
}

func (r *recent[K, V]) remove(key K) {
	if e := r.at[key]; e != nil {
		r.order.Remove(e)
		delete(r.at, key)
	}
}
