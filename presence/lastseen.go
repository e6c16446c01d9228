package presence

import (
	"context"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// LastSeen is when an account was last available.
type LastSeen struct {
	// At is when its last available resource became unavailable; zero means that
	// this is not known.
	At time.Time
	// Presence is the unavailable presence of that moment as XML for a stream in
	// jabber:client, without an address.
	Presence []byte
}

// LastSeenStore keeps when accounts, which are bare JIDs, were last available
// (RFC 6121 §4.3.2 rule 3, XEP-0012). Implementations are safe for concurrent use.
type LastSeenStore interface {
	// SetLastSeen replaces what is kept for an account; of a zero LastSeen
	// nothing is kept. It copies what it is given.
	SetLastSeen(ctx context.Context, account jid.JID, seen LastSeen) error
	// LastSeen returns what is kept, and the zero value if that is nothing.
	LastSeen(ctx context.Context, account jid.JID) (LastSeen, error)
}

// MemoryLastSeen is a [LastSeenStore] in memory. The zero value is ready and must
// not be copied.
type MemoryLastSeen struct {
	// Accounts is how many accounts are kept; any of the others goes for one
	// more. Zero means 100,000.
	Accounts int

	mu   sync.Mutex
	seen map[jid.JID]LastSeen
}

// SetLastSeen implements [LastSeenStore].
func (m *MemoryLastSeen) SetLastSeen(_ context.Context, account jid.JID, seen LastSeen) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seen.At.IsZero() {
		delete(m.seen, account)
		return nil
	}
	if _, known := m.seen[account]; !known && len(m.seen) >= orDefault(m.Accounts, 100_000) {
		for other := range m.seen {
			delete(m.seen, other)
			break
		}
	}
	if m.seen == nil {
		m.seen = make(map[jid.JID]LastSeen)
	}
	// The time alone is what most ask for; a long farewell is not kept.
	if len(seen.Presence) > 4<<10 {
		seen.Presence = nil
	}
	seen.Presence = append([]byte(nil), seen.Presence...)
	m.seen[account] = seen
	return nil
}

// LastSeen implements [LastSeenStore].
func (m *MemoryLastSeen) LastSeen(_ context.Context, account jid.JID) (LastSeen, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[account], nil
}

// LastSeen returns when the last available resource of an account went, and with
// what presence, which is nil if that is not known; a zero time means never. While
// a resource is available it returns what was before.
func (r *Router) LastSeen(ctx context.Context, account jid.JID) (time.Time, *stream.Element, error) {
	seen, err := r.LastSeenStore.LastSeen(ctx, account.Bare())
	if err != nil || len(seen.Presence) == 0 {
		return seen.At, nil, err
	}
	el, err := letterOf(seen.Presence).element()
	return seen.At, el, err
}
