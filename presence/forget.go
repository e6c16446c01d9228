package presence

import (
	"context"
	"errors"
	"sync"

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
	r.removed.add(account)
	// RFC 6120 §4.9.3.12: the account is why.
	reason := &stream.Error{Condition: stream.NotAuthorized, Text: "the account was removed"}
	for _, res := range r.Connected(account) {
		// Nothing reaches it and nobody sees it from here on, even if the client
		// takes its time to go. The session may be the one that asked for this.
		r.evict(ctx, res, reason)
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

// maxRemoved is how many accounts are remembered to be gone.
const maxRemoved = 4096

// removals remembers which accounts were removed, for the streams that were being
// negotiated then: who has authenticated as one of them must not bind, since the name
// may have another owner by that time. The zero value is ready.
type removals struct {
	mu    sync.Mutex
	n     uint64             // how many there were
	at    map[jid.JID]uint64 // the latest ones, by number
	floor uint64             // before this one nothing is known any more
}

// count returns how many removals there were.
func (r *removals) count() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *removals) add(account jid.JID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if len(r.at) >= maxRemoved {
		// Who began before now has to begin anew, whoever it is.
		clear(r.at)
		r.floor = r.n
	}
	if r.at == nil {
		r.at = make(map[jid.JID]uint64)
	}
	r.at[account] = r.n
}

// since reports whether an account may have been removed when there had been n
// removals already.
func (r *removals) since(account jid.JID, n uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return n < r.floor || r.at[account] > n
}
