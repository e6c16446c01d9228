package xmpp

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// resource is one connected resource of an account. It owns the address and
// what is known of its presence; the session beneath it can be replaced.
type resource struct {
	addr jid.JID
	conn *serverConn // that claimed it

	// session is nil between the moment the address is reserved and the end of
	// negotiation, and again after the address was given up or the session has
	// ended.
	session atomic.Pointer[stream.Session]

	// presence is what the resource last announced of itself.
	presence atomic.Pointer[availability]

	// early is what came for the resource before there was a session.
	early early

	// mu puts what others are told of this resource's presence in order. It is
	// never held while something waits.
	mu sync.Mutex

	// directed are the addresses that were sent directed presence and have to
	// be told when it does not hold any more (RFC 6121 §4.6.3). Guarded by mu.
	directed map[jid.JID]struct{}
}

// early keeps stanzas for a resource between the moment the address is reserved,
// of which the client learns at once and may tell others, and the end of
// negotiation. It is bounded by earlyBytes; what does not fit is refused.
type early struct {
	binding atomic.Bool // nothing has been decided yet

	mu      sync.Mutex
	stanzas []encoded
	bytes   int
}

// earlyBytes is less than the smallest budget of a session for its output.
const earlyBytes = 16 << 10

// hold keeps a stanza for the session to come. It reports false, and nothing
// else, when there is a session by now.
func (r *resource) hold(st stream.Appender) (bool, error) {
	e := &r.early
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case r.session.Load() != nil:
		return false, nil
	case !e.binding.Load():
		return true, errGone
	}
	b, err := st.AppendXML(nil)
	if err != nil {
		return true, err
	}
	if e.bytes+len(b) > earlyBytes {
		return true, errGone
	}
	e.bytes += len(b)
	e.stanzas = append(e.stanzas, b)
	return true, nil
}

// settle ends the time of hold, with a session or without.
func (r *resource) settle(session *stream.Session) {
	e := &r.early
	e.mu.Lock()
	defer e.mu.Unlock()
	if session != nil {
		for _, b := range e.stanzas {
			session.TrySend(b) // there is room, or the session is over
		}
	}
	// In this order, so that the resource is connected all the time.
	r.session.Store(session)
	e.binding.Store(false)
	e.stanzas, e.bytes = nil, 0
}

// availability is the part of presence that routing needs (RFC 6121 §4.7).
type availability struct {
	priority int8
}

// connected reports whether stanzas can be sent to the resource.
func (r *resource) connected() bool { return r.session.Load() != nil || r.early.binding.Load() }

// available reports whether the resource is connected and has sent initial
// presence and no unavailable presence since (RFC 6121 §4.2, §4.5).
func (r *resource) available() bool { return r.connected() && r.presence.Load() != nil }

// reachable reports whether messages to the bare JID go to this resource: it is
// available with a priority that is not negative (RFC 6121 §8.5.2.1.1).
func (r *resource) reachable() bool {
	p := r.presence.Load()
	return p != nil && p.priority >= 0 && r.connected()
}

// errTooManyResources is returned when an account has as many resources as it
// may.
var errTooManyResources = errors.New("xmpp: too many resources")

// resources is the table of everything that is connected.
type resources struct {
	perAccount int // bound on resources of one account

	mu    sync.RWMutex
	table map[jid.JID]map[jid.JID]*resource // by bare and by full JID
}

// claim reserves a full JID for a connection. If it is taken, claim replaces the holder when
// replace is true, and otherwise changes nothing; the holder is returned in
// either case.
func (t *resources) claim(addr jid.JID, c *serverConn, replace bool) (r, holder *resource, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	bare := addr.Bare()
	of := t.table[bare]
	holder = of[addr]
	switch {
	case holder != nil && !replace:
		return nil, holder, nil
	case holder == nil && len(of) >= t.perAccount:
		return nil, nil, errTooManyResources
	}
	if of == nil {
		of = make(map[jid.JID]*resource)
		if t.table == nil {
			t.table = make(map[jid.JID]map[jid.JID]*resource)
		}
		t.table[bare] = of
	}
	r = &resource{addr: addr, conn: c}
	r.early.binding.Store(true)
	of[addr] = r
	return r, holder, nil
}

// release gives an address back, unless somebody else holds it by now.
func (t *resources) release(r *resource) {
	t.mu.Lock()
	defer t.mu.Unlock()
	bare := r.addr.Bare()
	of := t.table[bare]
	if of[r.addr] != r {
		return
	}
	delete(of, r.addr)
	if len(of) == 0 {
		delete(t.table, bare)
	}
}

// find returns the resource with a full JID, or nil.
func (t *resources) find(addr jid.JID) *resource {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.table[addr.Bare()][addr]
}

// all returns the resources of an account, or of everybody if account is zero.
func (t *resources) all(account jid.JID) []*resource {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []*resource
	if !account.IsZero() {
		return slices.AppendSeq(out, maps.Values(t.table[account.Bare()]))
	}
	for _, of := range t.table {
		out = slices.AppendSeq(out, maps.Values(of))
	}
	return out
}

// of appends the resources of an account for which keep is true.
func (t *resources) of(dst []*resource, account jid.JID, keep func(*resource) bool) []*resource {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.table[account.Bare()] {
		if keep(r) {
			dst = append(dst, r)
		}
	}
	return dst
}
