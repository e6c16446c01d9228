package presence

import (
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// maxDirected bounds Resource.directed. Presence to one address more is refused
// with resource-constraint, rather than leave somebody with a ghost.
const maxDirected = 256

// direct delivers directed presence and remembers whom to tell when it does not
// hold any more (RFC 6121 §4.6.3). What cannot be delivered is ignored
// (§8.5.3.2.2).
func (r *Router) direct(res *Resource, t *stanza.Transit, to []*Resource, out stream.Appender) error {
	a := res.account
	locked := a.lock()
	defer locked.unlock()
	if !res.connected() || len(to) == 0 {
		locked.unlock()
		return nil
	}
	// What was shown has to be taken back, whatever it costs; the rest need not be
	// shown.
	if _, known := res.directed[t.To]; !known || t.Type != string(stanza.UnavailablePresence) {
		if to, _ = uncrowded(to, nil); len(to) == 0 {
			locked.unlock()
			if t.Type != string(stanza.AvailablePresence) {
				return nil
			}
			return stanza.ResourceConstraint
		}
	}
	if t.Type != string(stanza.ErrorPresence) && !res.note(t.To, t.Type) {
		locked.unlock()
		return stanza.ResourceConstraint
	}
	for _, one := range to {
		one.offer(t, out)
	}
	locked.unlock()
	if t.Type == string(stanza.UnavailablePresence) {
		r.unlist(t.From, t.To)
	}
	return nil
}

// unlist takes an address off the lists of those that it has told, at a full or
// bare JID, that it is gone (RFC 6121 §4.6.1): they have nothing to tell it any
// more. No lock is held.
func (r *Router) unlist(gone, told jid.JID) {
	a := r.table.find(told.Bare())
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.connected() {
		if !told.IsFull() || one.addr == told {
			delete(one.directed, gone)
		}
	}
}

// hearing reports whether an address gets what is broadcast to its account: a full
// JID does not while it is connected and not available.
func (t *table) hearing(to jid.JID) bool {
	one := t.resource(to)
	return one == nil || one.available()
}

// note remembers directed presence, and reports false if there is no room. The
// caller holds the lock of the account.
func (r *Resource) note(to jid.JID, typ string) bool {
	switch _, known := r.directed[to]; {
	case typ == string(stanza.UnavailablePresence):
		delete(r.directed, to)
		if known {
			r.keepDirected()
		}
		return true
	case known:
		return true
	case r.tells(to):
		return true // rule 1: who is subscribed is told anyway
	case len(r.directed) >= maxDirected:
		return false
	}
	if r.directed == nil {
		r.directed = make(map[jid.JID]struct{})
	}
	r.directed[to] = struct{}{}
	r.keepDirected()
	return true
}

// tells reports whether an address gets what the resource broadcasts, as part of a
// contact that is subscribed. The caller holds the lock of the account.
func (r *Resource) tells(to jid.JID) bool {
	if r.shown.Load() == nil || !r.account.roster[to.Bare()].State.Has(roster.From) {
		return false
	}
	return r.connection().router.table.hearing(to)
}

// room reports whether directed presence to an address can be remembered. It is
// asked before anything is known of the address, lest the answer tell whether
// anybody is there.
func (r *Resource) room(to jid.JID) bool {
	a := r.account
	a.mu.Lock()
	defer a.mu.Unlock()
	_, known := r.directed[to]
	return known || len(r.directed) < maxDirected || r.tells(to)
}

// tell hands presence to the one full JID, or to the available resources of the
// account, that it is addressed to.
func (r *Router) tell(t *stanza.Transit, out *addressed) {
	if !out.to.IsFull() {
		r.deliverPresence(t, out.to, out)
		return
	}
	if one := r.table.resource(out.to); one != nil {
		one.offer(t, out)
	}
}
