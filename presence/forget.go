package presence

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Forget removes what the router and its modules keep for an account that does
// not exist any more: call it when Accounts knows it no longer. Its sessions are
// ended, its contacts are told that the subscriptions are over, and whoever gets
// the name next finds nothing of it. It goes on after an error, and returns all of
// them.
func (r *Router) Forget(ctx context.Context, account jid.JID) error {
	account = account.Bare()
	// RFC 6120 §4.9.3.12: the account is why.
	reason := &stream.Error{Condition: stream.NotAuthorized, Text: "the account was removed"}
	for _, res := range r.Connected(account) {
		// Nothing reaches it and nobody sees it from here on, even if the client
		// takes its time to go. The session may be the one that asked for this.
		res.conn.evict(reason)
		r.vacate(ctx, res)
		r.table.release(res) // so that it does not make the account exist
	}
	a := r.table.use(account)
	defer r.table.done(a)
	locked := a.lock()
	defer locked.unlock()
	list, err := r.load(ctx, a)
	a.loaded, a.roster = false, nil
	errs := []error{err, r.Rosters.Delete(ctx, account)}
	locked.unlock()
	for contact, item := range list {
		send, _ := item.State.Removal()
		for _, typ := range send {
			if l, err := compose(&stanza.Presence{From: account, Type: typ}); err == nil {
				r.arrive(ctx, account, contact, typ, l, nil)
			}
		}
	}
	errs = append(errs, r.Offline.Delete(ctx, account), r.LastSeenStore.SetLastSeen(ctx, account, LastSeen{}))
	for _, m := range r.hooks.accounts {
		errs = append(errs, m.AccountRemoved(ctx, account))
	}
	return errors.Join(errs...)
}
