package presence

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// rosterOf returns the roster of an account by contact, for reading. The caller
// holds the lock of the account. What cannot be read is reported and empty:
// presence is shown to nobody then.
func (r *Router) rosterOf(ctx context.Context, a *account) map[jid.JID]roster.Item {
	list, err := r.load(ctx, a)
	r.report("reading a roster failed", err)
	return list
}

// load returns the roster of an account by contact, from the store the first time.
// The caller holds the lock of the account.
func (r *Router) load(ctx context.Context, a *account) (map[jid.JID]roster.Item, error) {
	if a.loaded && !a.doubt {
		return a.roster, nil
	}
	list, err := r.Rosters.Roster(ctx, a.addr)
	if err != nil {
		// What was known is good enough to tell people of the end of presence.
		return a.roster, storeError(err)
	}
	a.loaded, a.doubt, a.roster, a.version = true, false, nil, list.Version
	if len(list.Items) > 0 {
		a.roster = make(map[jid.JID]roster.Item, len(list.Items))
		for _, item := range list.Items {
			a.roster[item.JID] = item
		}
	}
	return a.roster, nil
}

// item returns what the account has about a contact, to be changed: an item that
// cannot be read must not be taken for one that is not there, and overwritten. The
// caller holds the lock of the account.
func (r *Router) item(ctx context.Context, a *account, contact jid.JID) (roster.Item, error) {
	list, err := r.load(ctx, a)
	item := list[contact]
	item.JID = contact
	return item, err
}

// peek is item for looking at it only: of an account that nobody is connected with
// it does not read the whole roster, if the store can do better. Whoever comes looks
// at each of their contacts. The caller holds the lock of the account.
func (r *Router) peek(ctx context.Context, a *account, contact jid.JID) (roster.Item, error) {
	one, ok := r.Rosters.(roster.ItemStore)
	if !ok || a.loaded && !a.doubt || len(a.connected()) > 0 {
		return r.item(ctx, a, contact)
	}
	item, err := one.Item(ctx, a.addr, contact)
	item.JID = contact
	if err != nil {
		err = storeError(err)
	}
	return item, err
}

// put stores an item. The caller holds the lock of the account.
func (r *Router) put(ctx context.Context, a *account, item roster.Item) (uint64, error) {
	version, err := r.Rosters.Put(ctx, a.addr, item)
	if err != nil {
		a.doubt = a.doubt || !errors.Is(err, roster.ErrFull)
		return 0, storeError(err)
	}
	a.version = version
	switch {
	case !a.loaded:
	case !item.Noted():
		delete(a.roster, item.JID)
	default:
		if a.roster == nil {
			a.roster = make(map[jid.JID]roster.Item)
		}
		a.roster[item.JID] = item
	}
	return version, nil
}

// push sends a roster push to the interested resources of an account (RFC 6121
// §2.1.6), if there is one to send. The caller holds the lock of the account, so
// that pushes are in the order of their versions.
func (r *Router) push(a *account, c *roster.Change) {
	if c == nil {
		return
	}
	l, err := compose(&stanza.IQ{ID: stanza.NewID(), Type: stanza.SetIQ, Payload: c.Push()})
	if err != nil {
		r.report("encoding a roster push failed", err)
		return
	}
	out := &addressed{letter: l}
	for _, res := range a.connected() {
		if res.interested.Load() {
			out.to = res.addr
			res.offer(nil, out)
		}
	}
}

var rosterName = stream.Name{Space: roster.NS, Local: "query"}

// registerRoster adds the routes for rosters.
func (r *Router) registerRoster(m *stanza.Mux) error {
	for typ, handle := range map[stanza.IQType]func(context.Context, stanza.Sender, *Resource, *stanza.IQ) error{
		stanza.GetIQ: r.rosterGet, stanza.SetIQ: r.rosterSet,
	} {
		err := m.Handle(stanza.IQKind, string(typ), rosterName, stanza.HandlerFunc(
			func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
				iq, ok := st.(*stanza.IQ)
				// Not who has the address by now.
				conn, _ := ctx.Value(connKey{}).(*Connection)
				if !ok || conn == nil {
					return nil
				}
				res := conn.Resource()
				switch {
				case res == nil || res.session.Load() == nil:
					stanza.Clone(iq) // nobody waits for an answer
					return nil
				case !iq.To.IsZero() && iq.To.Local() == "":
					return stanza.ServiceUnavailable // the server itself has no roster
				}
				return handle(ctx, s, res, iq)
			}))
		if err != nil {
			return err
		}
	}
	r.hooks.before = append(r.hooks.before, foreignRosters{r})
	return nil
}

// foreignRosters refuses roster sets for the roster of somebody else (RFC 6121
// §2.1.5, §2.3.3), whether there is such an account or not: the answer must not tell.
// A stranger's roster get is answered like all that there is no route for.
type foreignRosters struct{ router *Router }

// BeforeRoute implements [stanza.BeforeRouter].
func (f foreignRosters) BeforeRoute(_ context.Context, t *stanza.Transit) stanza.Verdict {
	if t.Kind != stanza.IQKind || t.Type != string(stanza.SetIQ) || t.To.IsFull() || t.To.Local() == "" ||
		t.To == t.From.Bare() || !f.router.hosted(t.To.DomainJID()) {
		return stanza.Pass()
	}
	if _, ok := t.Element.Child(rosterName); ok {
		return stanza.Bounce(stanza.Forbidden)
	}
	return stanza.Pass()
}

// rosterGet answers a roster get; from then on the resource is interested (RFC
// 6121 §2.1.4, §2.2).
func (r *Router) rosterGet(ctx context.Context, s stanza.Sender, res *Resource, iq *stanza.IQ) error {
	get, err := roster.ParseGet(res.account.addr, iq)
	if err != nil {
		return err
	}
	a := res.account
	// A roster may be longer than what can be queued, which it can be only if nothing
	// else is: so wait for that, without the lock.
	if err := (&pace{to: res}).wait(ctx, 0); err != nil {
		return ignoreClosed(err)
	}
	// With the lock, so that no push comes between the result and what it is the
	// result of.
	a.mu.Lock()
	defer a.mu.Unlock()
	r.rosterOf(ctx, a) // so that RosterChanged can tell the client what is different
	result, changes, err := roster.Answer(ctx, r.Rosters, a.addr, get)
	if err != nil {
		return storeError(err)
	}
	var payload stanza.Payload
	if result != nil {
		payload = result
	}
	// It does not wait for the client, which would hold up its contacts.
	if err := res.offer(nil, iq.Result(payload)); err != nil {
		return ignoreClosed(err)
	}
	stanza.Clone(iq) // it is answered
	res.interested.Store(true)
	res.Keep(keptInterested, []byte{1})
	for _, c := range changes {
		res.offer(nil, &stanza.IQ{ID: stanza.NewID(), To: res.addr, Type: stanza.SetIQ, Payload: c.Push()})
	}
	return nil
}

// rosterSet changes the roster (RFC 6121 §2.3, §2.4, §2.5).
func (r *Router) rosterSet(ctx context.Context, s stanza.Sender, res *Resource, iq *stanza.IQ) error {
	a := res.account
	entry, err := roster.ParseSet(a.addr, iq, r.RosterLimits)
	if err != nil {
		return err
	}
	if entry.Remove {
		defer r.pairs.lock(a.addr, entry.JID.Bare())()
	}
	locked := a.lock()
	defer locked.unlock()
	if res.session.Load() == nil {
		stanza.Clone(iq)
		return nil // replaced, or the account is gone
	}
	old, err := r.item(ctx, a, entry.JID)
	if err != nil {
		locked.unlock()
		return err
	}
	item, err := entry.Apply(old)
	if err != nil {
		locked.unlock()
		return err
	}
	version, err := r.put(ctx, a, item)
	if err != nil {
		locked.unlock()
		return err
	}
	var send []stanza.PresenceType
	if entry.Remove {
		var effects roster.Effects
		if send, effects = old.State.Removal(); effects.Has(roster.SendUnavailable) {
			r.hide(a, entry.JID) // §3.2.2: before the contact hears that it was
		}
	}
	r.push(a, &roster.Change{Version: version, Item: item, Removed: entry.Remove})
	// §2.3.2: the push first, then the result, in one piece.
	err = res.offer(nil, iq.Result(nil))
	stanza.Clone(iq)
	locked.unlock()
	for _, typ := range send {
		// §2.5.2
		l, bad := compose(&stanza.Presence{ID: stanza.NewID(), From: a.addr, Type: typ})
		r.report("encoding presence failed", bad)
		if bad == nil {
			r.receive(ctx, a.addr, entry.JID.Bare(), typ, l, nil)
		}
	}
	return ignoreClosed(err)
}

// Subscribed returns the state of the subscriptions between an account and a
// contact, seen from the account.
func (r *Router) Subscribed(ctx context.Context, account, contact jid.JID) (roster.State, error) {
	a := r.table.use(account.Bare())
	defer r.table.done(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	item, err := r.peek(ctx, a, contact.Bare())
	return item.State, err
}

// Roster returns the listed items of an account's roster, in no order.
func (r *Router) Roster(ctx context.Context, account jid.JID) ([]roster.Item, error) {
	list, err := r.Rosters.Roster(ctx, account.Bare())
	if err != nil {
		return nil, err
	}
	var items []roster.Item
	for _, item := range list.Items {
		if item.Listed() {
			items = append(items, item)
		}
	}
	return items, nil
}
