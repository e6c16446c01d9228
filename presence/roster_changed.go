package presence

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

// RosterChanged makes the router read the roster of an account anew. Call it when
// a [roster.Store] has changed it for reasons of its own, such as a team that
// somebody has joined: the router remembers the rosters of those who are
// connected. The account's clients are told what is different, contacts that may
// see its presence now, or no longer, are shown it or the end of it, and so is the
// account where it may see theirs. The other side of a subscription is in the
// contact's roster, and takes a call for the contact. The error is that of the
// store; nothing has changed then.
func (r *Router) RosterChanged(ctx context.Context, account jid.JID) error {
	if err := r.Init(); err != nil {
		return err
	}
	a := r.table.use(account.Bare())
	defer r.table.done(a)
	locked := a.lock()
	defer locked.unlock()
	if !a.loaded {
		locked.unlock()
		return nil // it will be read when somebody needs it
	}
	list, err := r.Rosters.Roster(ctx, a.addr)
	if err != nil {
		locked.unlock()
		return fmt.Errorf("presence: reading a roster: %w", err)
	}
	before := a.roster
	a.doubt = false
	a.roster = make(map[jid.JID]roster.Item, len(list.Items))
	var shown, seen []jid.JID
	for _, item := range list.Items {
		old := before[item.JID]
		a.roster[item.JID] = item
		if item.Listed() && !item.Equal(old) {
			r.push(a, &roster.Change{Version: list.Version, Item: item})
		}
		if item.State.Has(roster.From) && !old.State.Has(roster.From) {
			shown = append(shown, item.JID)
		}
		if item.State.Has(roster.To) && !old.State.Has(roster.To) {
			seen = append(seen, item.JID)
		}
	}
	for contact, old := range before {
		item, kept := a.roster[contact]
		if old.State.Has(roster.From) && !item.State.Has(roster.From) {
			r.hide(a, contact)
		}
		if old.Listed() && (!kept || !item.Listed()) {
			r.push(a, &roster.Change{Version: list.Version, Item: roster.Item{JID: contact}, Removed: true})
		}
	}
	locked.unlock()
	for _, contact := range shown {
		r.Show(ctx, a.addr, contact)
	}
	// Not a probe, which would end a subscription that the contact's roster does not
	// have yet.
	for _, contact := range seen {
		r.Show(ctx, contact, a.addr)
	}
	return nil
}
