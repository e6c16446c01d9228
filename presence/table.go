package presence

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

// account is what the router knows of an account while it has resources, or while
// somebody works with it. Nobody holds the locks of two accounts. Where several are
// held they were taken in this order: settling, of a pair, flushing, mu, storing, and
// then those that nothing else is taken with (of the table, of requests, of a
// resource). Modules are called with none of them, but for gates and interceptors,
// and for what they are told of a resource that is gone, with settling.
type account struct {
	addr jid.JID

	// resources are the connected ones. The slice is never changed, but replaced.
	resources atomic.Pointer[[]*Resource]
	users     int // connections that have claimed a resource, and calls of use, without done; guarded by table.mu

	// mu puts in order what others are told of the account's presence and what
	// its resources are told of its roster. It is never held while something
	// waits for a client, though it may be while a store is asked.
	mu      sync.Mutex
	loaded  bool                    // the roster was read
	doubt   bool                    // the store failed to change it, and may have changed it all the same
	roster  map[jid.JID]roster.Item // guarded by mu; nil when empty
	version uint64                  // of roster, or 0

	// storing is held to store an offline message, and to find that there are
	// none: a message cannot be stored behind the back of who looks. Nobody waits
	// for a client with it. flushing is held by who hands them out.
	storing  sync.Mutex
	flushing turn

	// settling is held while what a resource has not acknowledged is sent on.
	settling sync.Mutex
}

// lock takes mu. The caller defers unlock, lest a panic of a module or a store
// leave the account locked, and may call it before.
func (a *account) lock() held {
	a.mu.Lock()
	return held{&a.mu}
}

// held is a lock that is held, until it is unlocked for the first time.
type held struct{ mu *sync.Mutex }

func (h *held) unlock() {
	if mu := h.mu; mu != nil {
		h.mu = nil
		mu.Unlock()
	}
}

// connected returns the resources, for reading only.
func (a *account) connected() []*Resource {
	if rs := a.resources.Load(); rs != nil {
		return *rs
	}
	return nil
}

// find returns the connected resource with a full JID, or nil.
func (a *account) find(addr jid.JID) *Resource {
	for _, r := range a.connected() {
		if r.addr == addr {
			return r
		}
	}
	return nil
}

// standing summarises the resources for Decide.
func (a *account) standing() Standing {
	s := Unavailable
	for _, r := range a.connected() {
		switch p := r.shown.Load(); {
		case p == nil || !r.connected():
		case p.reachable():
			return Reachable
		default:
			s = Negative
		}
	}
	return s
}

// errTooManyResources is returned when an account has as many resources as it
// may.
var errTooManyResources = errors.New("presence: too many resources")

// table is everything that is connected.
type table struct {
	mu       sync.RWMutex
	accounts map[jid.JID]*account
}

// find returns the account with a bare JID if anybody has to do with it now, or
// nil. The account stays valid, but a later one may take its place.
func (t *table) find(bare jid.JID) *account {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.accounts[bare]
}

// resource returns the resource with a full JID, or nil.
func (t *table) resource(addr jid.JID) *Resource {
	if a := t.find(addr.Bare()); a != nil {
		return a.find(addr)
	}
	return nil
}

// use returns the account with a bare JID, which everybody else sees too until
// done is called.
func (t *table) use(bare jid.JID) *account {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.enter(bare)
	a.users++
	return a
}

// done is the end of use.
func (t *table) done(a *account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a.users--
	t.leave(a)
}

// enter returns the account, and makes it known. The caller holds mu.
func (t *table) enter(bare jid.JID) *account {
	a := t.accounts[bare]
	if a == nil {
		a = &account{addr: bare}
		if t.accounts == nil {
			t.accounts = make(map[jid.JID]*account)
		}
		t.accounts[bare] = a
	}
	return a
}

// leave forgets an account that nobody needs. The caller holds mu.
func (t *table) leave(a *account) {
	if a.users == 0 && len(a.connected()) == 0 && t.accounts[a.addr] == a {
		delete(t.accounts, a.addr)
	}
}

// claim reserves a full JID for a connection. If it is taken, claim replaces the
// holder when replace is true, and otherwise changes nothing; the holder is
// returned in either case. One more than limit takes the place of one whose session
// was lost, which is returned too. A resource that was replaced still uses its account: the
// caller calls done when the connection is over, whoever has the address by then.
func (t *table) claim(addr jid.JID, c *Connection, replace bool, limit int) (r, holder *Resource, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.enter(addr.Bare())
	defer t.leave(a)
	now := a.connected()
	at := slices.IndexFunc(now, func(r *Resource) bool { return r.addr == addr })
	if at >= 0 {
		holder = now[at]
	}
	switch {
	case holder != nil && !replace:
		return nil, holder, nil
	case holder == nil && len(now) >= limit:
		// Who is away makes room for who is there: a client that cannot resume its
		// sessions, and binds a new name each time, would lock itself out.
		if holder = longestLost(now); holder == nil {
			return nil, nil, errTooManyResources
		}
	}
	r = newResource(addr, a, c)
	next := make([]*Resource, 0, len(now)+1)
	for _, other := range now {
		if other != holder {
			next = append(next, other)
		}
	}
	next = append(next, r)
	a.resources.Store(&next)
	a.users++
	return r, holder, nil
}

// longestLost returns the resource whose session was lost first, or nil.
func longestLost(list []*Resource) (first *Resource) {
	for _, r := range list {
		if at := r.lost.Load(); at != 0 && (first == nil || at < first.lost.Load()) {
			first = r
		}
	}
	return first
}

// release gives an address back, unless somebody else holds it by now.
func (t *table) release(r *Resource) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := r.account
	now := a.connected()
	at := slices.Index(now, r)
	if at < 0 {
		return
	}
	next := slices.Delete(slices.Clone(now), at, at+1)
	a.resources.Store(&next)
	t.leave(a)
}

// all returns the accounts there are.
func (t *table) all() []*account {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.AppendSeq(make([]*account, 0, len(t.accounts)), maps.Values(t.accounts))
}
