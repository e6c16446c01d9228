package presence

import (
	"context"
	"maps"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

// Viewers returns who may know that an account is available: the contacts that are
// subscribed to its presence, and those that its resources have sent directed
// presence to. It is for modules that have to find out whom a change concerns.
func (r *Router) Viewers(ctx context.Context, account jid.JID) ([]jid.JID, error) {
	a := r.table.use(account.Bare())
	defer r.table.done(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	viewers := map[jid.JID]struct{}{}
	for contact, item := range r.rosterOf(ctx, a) {
		if item.State.Has(roster.From) {
			viewers[contact] = struct{}{}
		}
	}
	for _, res := range a.connected() {
		for to := range res.directed {
			viewers[to] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(viewers)), nil
}

// InRoster reports whether a contact is in the roster of an account.
func (r *Router) InRoster(ctx context.Context, account, contact jid.JID) (bool, error) {
	a := r.table.use(account.Bare())
	defer r.table.done(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	item, err := r.peek(ctx, a, contact.Bare())
	return item.Listed(), err
}

// RosterSize returns how many contacts are in the roster of an account.
func (r *Router) RosterSize(ctx context.Context, account jid.JID) (int, error) {
	items, err := r.Roster(ctx, account)
	return len(items), err
}
