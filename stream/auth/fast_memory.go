package auth

import (
	"container/list"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// MemoryTokens is a [TokenStore] in memory: clients log in by password once after a restart of the
// server. The zero value is ready to use; set the fields before the first call. It is safe for
// concurrent use and must not be copied.
type MemoryTokens struct {
	// MaxClients is how many clients may have tokens. One more takes the place of the one that has
	// not been heard of for longest. Zero means 100,000, which takes some 80 MB.
	MaxClients int

	// MaxPerAccount is how many clients of one account may have tokens, with the same rule, so that
	// no account drives out the others. Zero means 32.
	MaxPerAccount int

	mu       sync.Mutex
	accounts map[jid.JID]map[string]*list.Element // of *tokenEntry, by agent
	order    list.List                            // all entries, the one changed last at the end
	changes  uint64
}

type tokenEntry struct {
	client  TokenClient
	tokens  ClientTokens
	changed uint64 // which of all changes was the last one
}

// live reports whether there is a token left that has not expired.
func (e *tokenEntry) live(now time.Time) bool {
	return now.Before(e.tokens.Current.Expires) || now.Before(e.tokens.New.Expires)
}

// Update implements [TokenStore].
func (m *MemoryTokens) Update(ctx context.Context, client TokenClient, change func(*ClientTokens) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	el := m.accounts[client.Account][client.Agent]
	var tokens ClientTokens
	if el != nil {
		tokens = el.Value.(*tokenEntry).tokens
	}
	if err := change(&tokens); err != nil {
		return err
	}
	switch {
	case tokens == ClientTokens{}:
		m.drop(el)
	case el != nil:
		e := el.Value.(*tokenEntry)
		e.tokens, e.changed = tokens, m.changes
		m.order.MoveToBack(el)
	default:
		m.add(client, tokens)
	}
	return nil
}

// Revoke implements [TokenStore].
func (m *MemoryTokens) Revoke(_ context.Context, account jid.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, el := range m.accounts[account.Bare()] {
		m.drop(el)
	}
	return nil
}

// Len returns how many clients have tokens.
func (m *MemoryTokens) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len()
}

// add makes room and adds a client.
func (m *MemoryTokens) add(client TokenClient, tokens ClientTokens) {
	now := time.Now()
	for el := m.order.Front(); el != nil && !el.Value.(*tokenEntry).live(now); el = m.order.Front() {
		m.drop(el)
	}
	if own := m.accounts[client.Account]; len(own) >= positive(m.MaxPerAccount, 32) {
		m.drop(oldest(own))
	}
	if m.order.Len() >= positive(m.MaxClients, 100_000) {
		m.drop(m.order.Front())
	}
	if m.accounts == nil {
		m.accounts = make(map[jid.JID]map[string]*list.Element)
	}
	own := m.accounts[client.Account]
	if own == nil {
		own = make(map[string]*list.Element)
		m.accounts[client.Account] = own
	}
	own[client.Agent] = m.order.PushBack(&tokenEntry{client, tokens, m.changes})
}

// oldest returns the entry that was not changed for longest.
func oldest(entries map[string]*list.Element) *list.Element {
	var found *list.Element
	for _, el := range entries {
		if found == nil || el.Value.(*tokenEntry).changed < found.Value.(*tokenEntry).changed {
			found = el
		}
	}
	return found
}

// drop removes an entry, if there is one.
func (m *MemoryTokens) drop(el *list.Element) {
	if el == nil {
		return
	}
	client := m.order.Remove(el).(*tokenEntry).client
	own := m.accounts[client.Account]
	delete(own, client.Agent)
	if len(own) == 0 {
		delete(m.accounts, client.Account)
	}
}

// Format prints how many clients there are, whatever the verb.
func (m *MemoryTokens) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.MemoryTokens{%d clients}", m.Len())
}

// LogValue is what log/slog shows of the store.
func (m *MemoryTokens) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(m)) }
