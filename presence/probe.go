package presence

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
)

// shares reports whether an account shares its presence with viewer: viewer is
// subscribed, or the resource with address of has sent it directed presence
// (RFC 6121 §8.5.3.1).
func (r *Router) shares(ctx context.Context, a *account, of, viewer jid.JID) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	item, err := r.peek(ctx, a, viewer.Bare())
	if item.State.Has(roster.From) {
		return true, nil
	}
	if res := a.find(of); res != nil && res.hasDirected(viewer) {
		return true, nil
	}
	return false, err
}

// hasDirected reports whether the resource has sent directed presence to viewer.
// The caller holds the lock of the account.
func (r *Resource) hasDirected(viewer jid.JID) bool {
	if _, ok := r.directed[viewer]; ok {
		return true
	}
	_, ok := r.directed[viewer.Bare()]
	return ok
}

// MaySee implements [stanza.Host].
func (r *Router) MaySee(ctx context.Context, bare, viewer jid.JID) (bool, error) {
	if bare == viewer.Bare() {
		return true, nil
	}
	state, err := r.Subscribed(ctx, bare, viewer)
	return state.Has(roster.From), err
}

// probe gives res the presence of a contact, as if the server had sent a probe on
// its behalf (RFC 6121 §4.2.2, §4.3.1), at pace p. The caller holds no lock.
func (r *Router) probe(ctx context.Context, res *Resource, contact jid.JID, p *pace) {
	bare := res.addr.Bare()
	if !r.hosted(contact.DomainJID()) || r.barred(bare, contact, stanza.ProbePresence) {
		return
	}
	exists, err := r.Exists(ctx, contact)
	if err != nil {
		r.report("looking for an account failed", err)
		return
	}
	a := r.table.use(contact)
	defer r.table.done(a)
	locked := a.lock()
	defer locked.unlock()
	item, err := r.peek(ctx, a, bare)
	if err != nil {
		// Nobody knows whether the subscription is one: it is not to be ended.
		r.report("reading a roster failed", err)
		return
	}
	allowed := exists && item.State.Has(roster.From)
	if allowed && !r.barred(contact, bare, stanza.AvailablePresence) {
		r.present(ctx, a, &locked, res, bare, p, "")
	}
	locked.unlock()
	if !allowed {
		// §4.3.2 rule 1: the account believes in a subscription that is none.
		r.denied(ctx, contact, bare, "", nil)
	}
}

// present answers a probe of somebody who may see the presence of the account
// (RFC 6121 §4.3.2 rules 3 and 4), at pace p. The caller holds the lock of the
// account, which is given up where there is a wait.
func (r *Router) present(ctx context.Context, a *account, locked *held, res *Resource, to jid.JID, p *pace, id string) {
	send := func(st stream.Appender) { res.offer(nil, st) }
	out := &addressed{to: to}
	some := false
	for _, other := range a.connected() {
		s := other.shown.Load()
		if s == nil || !other.connected() {
			continue
		}
		some = true
		if !p.fits(len(s.b)) {
			locked.unlock()
			err := p.wait(ctx, len(s.b))
			*locked = a.lock()
			if err != nil {
				return
			}
			// Much can have happened.
			own := to.Bare() == a.addr
			if s = other.shown.Load(); s == nil || !other.connected() || !own && !r.rosterOf(ctx, a)[to.Bare()].State.Has(roster.From) ||
				r.barred(a.addr, to, stanza.AvailablePresence) {
				continue
			}
		}
		out.letter = s.letter
		send(out)
	}
	if some {
		return
	}
	// Rule 3; §4.3.2.1 for the id. Of the last presence only the time is told.
	gone := &stanza.Presence{ID: id, From: a.addr, To: to, Type: stanza.UnavailablePresence}
	seen, err := r.LastSeenStore.LastSeen(ctx, a.addr)
	r.report("looking when an account was last seen failed", err)
	if err == nil && !seen.At.IsZero() {
		gone.Extra = []stanza.Payload{&delay.Delay{Stamp: seen.At, From: a.addr}}
	}
	send(gone)
}

// probed handles a probe that a client has sent itself, which it has no need to
// (RFC 6121 §4.3).
func (r *Router) probed(ctx context.Context, res *Resource, t *stanza.Transit) {
	bare := t.To.Bare()
	exists, err := r.Exists(ctx, bare)
	if err != nil {
		r.report("looking for an account failed", err)
		return
	}
	send := func(st stream.Appender) { res.offer(nil, st) }
	id := t.Element.Attr("id")
	if !exists {
		r.denied(ctx, bare, t.From.Bare(), id, res)
		return
	}
	a := r.table.use(bare)
	defer r.table.done(a)
	locked := a.lock()
	defer locked.unlock()
	own := bare == t.From.Bare()
	item, err := r.peek(ctx, a, t.From.Bare())
	if err != nil && !own {
		r.report("reading a roster failed", err)
		return // nobody knows whether the subscription is one
	}
	allowed := own || item.State.Has(roster.From)
	target := a.find(t.To)
	switch {
	case allowed && !t.To.IsFull():
		r.present(ctx, a, &locked, res, t.From, &pace{to: res}, id)
	case target != nil && allowed && target.available():
		// §4.3.2: that it is available, and nothing else; §4.3.2.1: with the id that
		// its presence had.
		send(&stanza.Presence{ID: target.shown.Load().element().Attr("id"), From: t.To, To: t.From})
	case target != nil && target.connected() && target.hasDirected(t.From):
		// §4.6.6; §4.3.2.1: it is no subscription that authorizes.
		send(&stanza.Presence{ID: id, From: t.To, To: t.From})
	case allowed:
		send(&stanza.Presence{ID: id, From: t.To, To: t.From, Type: stanza.UnavailablePresence})
	default:
		locked.unlock()
		r.denied(ctx, bare, t.From.Bare(), id, res)
		return
	}
	locked.unlock()
}

// denied answers a probe of somebody who may not see the presence of contact, in
// a way that does not tell whether there is such an account (RFC 6121 §4.3.2 rule
// 1). It ends a subscription that the other side believes in; the resource that
// asked, if there is one, is told in any case. No lock is held.
func (r *Router) denied(ctx context.Context, contact, viewer jid.JID, id string, asked *Resource) {
	l, err := compose(&stanza.Presence{ID: id, From: contact, Type: stanza.UnsubscribedPresence})
	if err != nil {
		r.report("encoding presence failed", err)
		return
	}
	if !r.arrive(ctx, contact, viewer, stanza.UnsubscribedPresence, l, nil) && asked != nil {
		asked.offer(nil, &addressed{l, viewer})
	}
}
