package register

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// The default rates.
var (
	defaultPerAddress = stream.Rate{PerSecond: 1.0 / 300, Burst: 10}
	defaultTotal      = stream.Rate{PerSecond: 10, Burst: 1_000}
	defaultChanges    = stream.Rate{PerSecond: 1.0 / 60, Burst: 5}
)

// maxBuckets bounds how many addresses, and how many accounts, are counted at a
// time.
const maxBuckets = 1 << 14

// limiter counts by key. The zero value is ready.
type limiter[K comparable] struct {
	mu      sync.Mutex
	buckets map[K]*stream.Bucket
	// others is for keys that there is no room for: when more than maxBuckets are
	// busy at the same time they share one bucket.
	others *stream.Bucket
	tidied time.Time
}

// allow takes one out of the bucket of a key.
func (l *limiter[K]) allow(key K, rate stream.Rate, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		// Once a second at most: to look through the table for each key that does
		// not fit would be work that somebody gets for one request.
		if since := now.Sub(l.tidied); len(l.buckets) >= maxBuckets && (since >= time.Second || since < 0) {
			l.tidied = now
			for k, old := range l.buckets {
				if old.Full(now) {
					delete(l.buckets, k)
				}
			}
		}
		fresh := stream.NewBucket(rate, now)
		if len(l.buckets) < maxBuckets {
			if l.buckets == nil {
				l.buckets = make(map[K]*stream.Bucket)
			}
			l.buckets[key] = &fresh
			return fresh.Allow(now, 1)
		}
		if l.others == nil {
			l.others = &fresh
		}
		b = l.others
	}
	return b.Allow(now, 1)
}

// translated are addresses of IPv4, in their last 32 bits, that a translator has
// made addresses of IPv6 of (RFC 6052 §2.1).
var translated = netip.MustParsePrefix("64:ff9b::/96")

// customer returns the part of an address that one customer is given: a /64 of
// IPv6.
func customer(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if translated.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // fails for bits out of range only
	return p
}

// address returns where a stream comes from: zero if that is not known, or is
// this machine, where one proxy may be everybody.
func (m *Module) address(ctx context.Context) netip.Addr {
	find := m.Address
	if find == nil {
		find = m.found
	}
	if find == nil {
		return netip.Addr{}
	}
	if addr := find(ctx).Unmap(); !addr.IsLoopback() {
		return addr
	}
	return netip.Addr{}
}

// admits reports whether there may be another attempt from an address now.
func (m *Module) admits(addr netip.Addr, now time.Time) bool {
	if addr.IsValid() && !m.byAddress.allow(customer(addr), m.PerAddress.OrDefault(defaultPerAddress), now) {
		return false
	}
	return m.total.allow(struct{}{}, m.Total.OrDefault(defaultTotal), now)
}
