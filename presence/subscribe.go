package presence

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// subscription handles presence by which a client manages a subscription (RFC
// 6121 §3, §A.2). The error is for the client.
func (r *Router) subscription(ctx context.Context, res *Resource, t *stanza.Transit) error {
	a, contact, typ := res.account, t.To.Bare(), stanza.PresenceType(t.Type)
	if contact == a.addr {
		return nil // everybody may see their own presence
	}
	// §3.1.2: from the bare JID, to the bare JID.
	set := []stream.AttrSet{{Name: nameFrom, Value: a.addr.String()}, {Name: nameTo, Remove: true}}
	if lang := res.lang(t.Element); lang != "" {
		set = append(set, stream.AttrSet{Name: nameLang, Value: lang})
	}
	l, err := seal(t.Element, set...)
	if err != nil {
		return err
	}
	defer r.pairs.lock(a.addr, contact)()
	locked := a.lock()
	defer locked.unlock()
	if res.session.Load() == nil {
		return nil // replaced, or the account is gone
	}
	item, err := r.item(ctx, a, contact)
	if err != nil {
		locked.unlock()
		return err
	}
	next, effects := item.State.Outbound(typ)
	push, err := r.change(ctx, a, item, next, effects)
	if err != nil {
		locked.unlock()
		return err
	}
	if effects.Has(roster.SendUnavailable) {
		r.hide(a, contact) // §3.2.2: while the contact believes that it is subscribed
	}
	r.push(a, push)
	locked.unlock()
	if effects.Has(roster.Route) {
		r.receive(ctx, a.addr, contact, typ, l, t)
	}
	if effects.Has(roster.SendPresence) {
		r.Show(ctx, a.addr, contact) // §3.1.5
	}
	return nil
}

// change stores an item in its next state, and returns what is to be pushed then, or
// nil. The caller holds the lock of the account.
func (r *Router) change(ctx context.Context, a *account, item roster.Item, next roster.State, effects roster.Effects) (*roster.Change, error) {
	if next == item.State && !effects.Has(roster.Push) && !effects.Has(roster.Keep) {
		return nil, nil
	}
	item = item.With(next)
	version, err := r.put(ctx, a, item)
	if err != nil || !effects.Has(roster.Push) || !item.Listed() {
		return nil, err
	}
	return &roster.Change{Version: version, Item: item}, nil
}

// arrive handles presence about a subscription that has arrived for an account
// from a contact (RFC 6121 §A.3): both are bare JIDs. It reports whether the
// account's resources were told. No lock is held. t may be nil.
func (r *Router) arrive(ctx context.Context, from, to jid.JID, typ stanza.PresenceType, l letter, t *stanza.Transit) bool {
	defer r.pairs.lock(from, to)()
	return r.receive(ctx, from, to, typ, l, t)
}

// receive is arrive for who has the lock of the pair, and no other.
func (r *Router) receive(ctx context.Context, from, to jid.JID, typ stanza.PresenceType, l letter, t *stanza.Transit) bool {
	exists, err := r.Exists(ctx, to)
	if err != nil {
		r.report("looking for an account failed", err)
		return false
	}
	if !exists {
		return false // §8.5.1
	}
	a := r.table.use(to)
	defer r.table.done(a)
	locked := a.lock()
	defer locked.unlock()
	item, err := r.item(ctx, a, from)
	if err != nil {
		locked.unlock()
		r.report("reading a roster failed", err)
		return false
	}
	next, effects := item.State.Inbound(typ)
	out := &addressed{l, to}
	if effects.Has(roster.Keep) {
		item.Request = keptRequest(l, from, to)
	}
	push, err := r.change(ctx, a, item, next, effects)
	if err != nil {
		locked.unlock()
		r.report("storing a roster failed", err)
		return false
	}
	delivered := effects.Has(roster.Deliver)
	if delivered && typ != stanza.SubscribePresence {
		// §3.1.6, §3.2.3, §3.3.3: before the push, to interested resources.
		for _, res := range a.connected() {
			if res.interested.Load() {
				res.offer(t, out)
			}
		}
	}
	if effects.Has(roster.SendUnavailable) {
		r.hide(a, from)
	}
	r.push(a, push)
	if delivered && typ == stanza.SubscribePresence {
		r.deliverPresence(t, to, out) // §3.1.3: to available ones
	}
	locked.unlock()
	reply := stanza.PresenceType("")
	switch {
	case effects.Has(roster.AutoReplySubscribed):
		reply = stanza.SubscribedPresence
	case effects.Has(roster.AutoReplyUnsubscribed):
		reply = stanza.UnsubscribedPresence
	}
	if reply != "" {
		l, err := compose(&stanza.Presence{ID: stanza.NewID(), From: to, Type: reply})
		r.report("encoding presence failed", err)
		if err == nil {
			r.receive(ctx, to, from, reply, l, nil) // which has no reply of its own
		}
	}
	if effects.Has(roster.SendPresence) {
		r.Show(ctx, to, from)
	}
	return delivered
}

// keptRequest is what is kept of a request for a subscription, to be delivered
// again (§3.1.3 rule 4).
func keptRequest(l letter, from, to jid.JID) []byte {
	p := &stanza.Presence{From: from, To: to, Type: stanza.SubscribePresence}
	if el, err := l.element(); err == nil {
		if err := p.DecodeElement(el); err != nil {
			p = &stanza.Presence{Type: stanza.SubscribePresence}
		}
		p.From, p.To = from, to
	}
	return roster.KeepRequest(p)
}

// hide sends a contact unavailable presence from each available resource of the
// account. The caller holds the lock of the account.
func (r *Router) hide(a *account, contact jid.JID) {
	for _, res := range a.connected() {
		if !res.available() {
			continue
		}
		delete(res.directed, contact)
		r.deliverPresence(nil, contact, &stanza.Presence{
			ID: stanza.NewID(), From: res.addr, To: contact, Type: stanza.UnavailablePresence,
		})
	}
}

// Hide sends a contact unavailable presence from each available resource of an
// account, as when a subscription ends. It is for modules such as a list of
// blocked addresses.
func (r *Router) Hide(ctx context.Context, account, contact jid.JID) {
	a := r.table.use(account.Bare())
	defer r.table.done(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, res := range a.connected() {
		l, err := compose(&stanza.Presence{From: res.addr, Type: stanza.UnavailablePresence})
		if err != nil {
			return
		}
		if res.available() && r.rosterOf(ctx, a)[contact.Bare()].State.Has(roster.From) || res.hasDirected(contact) {
			r.tell(nil, &addressed{l, contact})
		}
		delete(res.directed, contact)
	}
}

// Show sends a contact the presence of each available resource of an account, if
// it is subscribed to that.
func (r *Router) Show(ctx context.Context, account, contact jid.JID) {
	a := r.table.use(account.Bare())
	defer r.table.done(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !r.rosterOf(ctx, a)[contact.Bare()].State.Has(roster.From) {
		return
	}
	out := &addressed{to: contact}
	for _, res := range a.connected() {
		if p := res.shown.Load(); p != nil && res.connected() && !r.barred(res.addr, contact, stanza.AvailablePresence) {
			out.letter = p.letter
			r.tell(&stanza.Transit{Kind: stanza.PresenceKind, From: res.addr, Element: p.element(), Sender: res}, out)
		}
	}
}

// ShowTo gives one resource the presence of a contact that its account may see.
func (r *Router) ShowTo(ctx context.Context, res stanza.Resource, contact jid.JID) {
	if own, ok := res.(*Resource); ok {
		state, err := r.Subscribed(ctx, own.account.addr, contact.Bare())
		if err == nil && state.Has(roster.To) {
			r.probe(ctx, own, contact.Bare(), nil)
		}
	}
}
