package presence

import (
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// pairs puts in order what happens to the subscriptions between two accounts. A
// change of one roster, what follows in the other, and what that answers are one
// step: were the steps of two clients to cross, one roster could end with a
// subscription that the other does not know of (RFC 6121 §A.1).
//
// There are never more of them than sessions. The lock of a pair comes before those
// of accounts, and whoever has one takes no other.
type pairs struct {
	mu   sync.Mutex
	busy map[[2]jid.JID]*pair
}

// pair is the lock of two accounts while somebody has it or waits for it.
type pair struct {
	sync.Mutex
	users int // guarded by pairs.mu
}

// lock waits until nobody else changes the subscriptions between two bare JIDs. The
// caller calls what it returns, once.
func (p *pairs) lock(a, b jid.JID) (unlock func()) {
	key := [2]jid.JID{a, b}
	if a.String() > b.String() {
		key = [2]jid.JID{b, a}
	}
	p.mu.Lock()
	one := p.busy[key]
	if one == nil {
		if p.busy == nil {
			p.busy = make(map[[2]jid.JID]*pair)
		}
		one = new(pair)
		p.busy[key] = one
	}
	one.users++
	p.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		p.mu.Lock()
		defer p.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(p.busy, key)
		}
	}
}
