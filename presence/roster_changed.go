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
	before, version := a.roster, a.version
	a.doubt = false
	a.roster = make(map[jid.JID]roster.Item, len(list.Items))
	a.version = list.Version
	var shown, seen []jid.JID
	var changes []roster.Change
	for _, item := range list.Items {
		old := before[item.JID]
		a.roster[item.JID] = item
		if item.Listed() && !item.Equal(old) {
			changes = append(changes, roster.Change{Version: version, Item: item})
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
			changes = append(changes, roster.Change{Version: version, Item: roster.Item{JID: contact}, Removed: true})
		}
	}
	for i := range changes {
		// The last one has the new version: a client that does not get so far has
		// the old one, and asks for what it has missed (RFC 6121 §2.6).
		if i == len(changes)-1 {
			changes[i].Version = list.Version
		}
		r.push(a, &changes[i])
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
