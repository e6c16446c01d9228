package presence

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// MemoryOffline is an [OfflineStore] in memory, for tests and small servers: what
// it holds is lost with the program. The zero value is ready and must not be
// copied.
type MemoryOffline struct {
	// Quota is how many messages are kept for one account, and QuotaBytes how
	// long they may be together. Zero means 100 and 1 MiB.
	Quota, QuotaBytes int
	// Accounts is for how many accounts messages are kept. Zero means 100,000.
	Accounts int

	mu    sync.Mutex
	boxes map[jid.JID]*box
	seq   uint64 // of all accounts, so that an empty box need not be kept for its number
}

// box is what waits for one account.
type box struct {
	messages []OfflineMessage
	bytes    int
}

// Add implements [OfflineStore].
func (m *MemoryOffline) Add(_ context.Context, account jid.JID, message []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[account]
	if b == nil {
		if len(m.boxes) >= orDefault(m.Accounts, 100_000) {
			return fmt.Errorf("%w: %d accounts have some", ErrQuota, len(m.boxes))
		}
		if m.boxes == nil {
			m.boxes = make(map[jid.JID]*box)
		}
		b = new(box)
		m.boxes[account] = b
	}
	if len(b.messages) >= orDefault(m.Quota, 100) || b.bytes+len(message) > orDefault(m.QuotaBytes, 1<<20) {
		return fmt.Errorf("%w: %d are waiting", ErrQuota, len(b.messages))
	}
	m.seq++
	b.bytes += len(message)
	b.messages = append(b.messages, OfflineMessage{m.seq, slices.Clone(message)})
	return nil
}

// Messages implements [OfflineStore].
func (m *MemoryOffline) Messages(_ context.Context, account jid.JID, max int) ([]OfflineMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[account]
	if b == nil {
		return nil, nil
	}
	return slices.Clone(b.messages[:min(max, len(b.messages))]), nil
}

// Remove implements [OfflineStore].
func (m *MemoryOffline) Remove(_ context.Context, account jid.JID, upTo uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[account]
	if b == nil {
		return nil
	}
	n := 0
	for n < len(b.messages) && b.messages[n].Seq <= upTo {
		b.bytes -= len(b.messages[n].Stanza)
		n++
	}
	if b.messages = slices.Delete(b.messages, 0, n); len(b.messages) == 0 {
		delete(m.boxes, account)
	}
	return nil
}

// Count implements [OfflineStore].
func (m *MemoryOffline) Count(_ context.Context, account jid.JID) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.boxes[account]; b != nil {
		return len(b.messages), nil
	}
	return 0, nil
}

// Delete implements [OfflineStore].
func (m *MemoryOffline) Delete(_ context.Context, account jid.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.boxes, account)
	return nil
}

func orDefault(v, def int) int {
	if v <= 0 {
		return def
	}
	return v
}
