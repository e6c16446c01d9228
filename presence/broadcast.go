package presence

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// shown is what a resource shows of itself to those who may see its presence.
type shown struct {
	letter        // the presence that it broadcast, from its full JID
	priority int8 // RFC 6121 §4.7.2.3
	// came is when the resource became available, Unix time in milliseconds.
	came int64
	// since is from when on its priority has been the same, and it has been waiting
	// for nothing; see served. Unix time in milliseconds.
	since atomic.Int64
	// waits is set until it has got what was stored for the account; see flush.
	waits atomic.Bool
	// missed is set when that failed.
	missed atomic.Bool

	once sync.Once
	el   *stream.Element
}

// reachable reports whether messages to the bare JID go to a resource that shows
// this: its priority is not negative (RFC 6121 §8.5.2.1.1), and it has got what
// was stored before them.
func (s *shown) reachable() bool { return s.priority >= 0 && !s.waits.Load() }

// element is the letter as an element, which is read when somebody asks for it.
func (s *shown) element() *stream.Element {
	s.once.Do(func() { s.el, _ = s.letter.element() })
	return s.el
}

// announce handles presence without an address: what a client says of itself to
// all who may know (RFC 6121 §4.2, §4.4, §4.5).
//
// The error is for the client: each resource keeps what it broadcast, to show it
// to those who come later, so there is a bound for that.
func (r *Router) announce(ctx context.Context, res *Resource, t *stanza.Transit) error {
	if len(t.Element.Raw()) > maxPresence {
		return stanza.PolicyViolation
	}
	switch stanza.PresenceType(t.Type) {
	case stanza.AvailablePresence:
		r.appear(ctx, res, t)
	case stanza.UnavailablePresence:
		if l, ok := r.sealOwn(res, t.Element); ok {
			r.disappear(ctx, res, &l)
		}
	}
	// Other types without an address are addressed to nobody.
	return nil
}

// maxPresence is how long presence that is broadcast may be, in bytes.
const maxPresence = 16 << 10

// sealOwn makes a letter of what a client broadcasts.
func (r *Router) sealOwn(res *Resource, el *stream.Element) (letter, bool) {
	set := []stream.AttrSet{{Name: nameFrom, Value: res.addr.String()}, {Name: nameTo, Remove: true}}
	if lang := res.lang(el); lang != "" {
		set = append(set, stream.AttrSet{Name: nameLang, Value: lang})
	}
	l, err := seal(el, set...)
	r.report("encoding presence failed", err)
	return l, err == nil
}

// appear is RFC 6121 §4.2.2 and §4.4.2: initial and subsequent presence.
func (r *Router) appear(ctx context.Context, res *Resource, t *stanza.Transit) {
	l, ok := r.sealOwn(res, t.Element)
	if !ok {
		return
	}
	now := &shown{letter: l, priority: priorityOf(t.Element)}
	a := res.account
	locked := a.lock()
	defer locked.unlock()
	if !res.connected() {
		locked.unlock()
		return
	}
	before := res.shown.Load()
	if now.came = time.Now().UnixMilli(); before != nil {
		now.came = before.came
	}
	if rank := int32(now.priority); res.rank.Swap(rank) != rank {
		res.since.Store(time.Now().UnixMilli())
	}
	fresh := now.priority >= 0 && (before == nil || !before.reachable() || before.missed.Load())
	if now.since.Store(time.Now().UnixMilli()); before != nil && before.priority == now.priority && !fresh {
		now.since.Store(before.since.Load())
	}
	if fresh {
		fresh = r.come(ctx, res, now)
	} else {
		res.shown.Store(now)
	}
	res.keepShown()
	list := r.rosterOf(ctx, a)
	r.broadcast(t, a, res, l, list)
	var contacts []jid.JID
	var requests []stream.Appender
	if before == nil {
		contacts, requests = r.welcome(res, list)
	}
	locked.unlock()
	for _, request := range requests {
		// Strangers decide how much this is: it waits for the client, or they could
		// fill its queue and so keep it out.
		if res.reply(ctx, request) != nil {
			break // the reader finds out by itself
		}
	}
	// Without the lock: each of them takes that of a contact.
	p := &pace{to: res}
	for _, contact := range contacts {
		r.probe(ctx, res, contact, p)
	}
	if fresh {
		r.handOut(ctx, res, now)
	}
	for _, m := range r.hooks.presence {
		m.PresenceChanged(ctx, res, now.element(), before == nil)
	}
}

// welcome gives a resource that has just become available the presence of the
// others of its account, and returns the contacts whose presence it may see and
// the requests that wait for an answer. The caller holds the lock of the account.
func (r *Router) welcome(res *Resource, list map[jid.JID]roster.Item) (contacts []jid.JID, requests []stream.Appender) {
	// Everybody may see their own presence (§4.2.2).
	out := &addressed{to: res.addr.Bare()}
	for _, other := range res.account.connected() {
		if p := other.shown.Load(); p != nil && other != res && other.connected() {
			out.letter = p.letter
			res.offer(nil, out)
		}
	}
	for contact, item := range list {
		if item.State.Has(roster.To) {
			contacts = append(contacts, contact)
		}
		if item.State.Has(roster.PendingIn) && !r.barred(contact, res.addr, stanza.SubscribePresence) {
			// §3.1.3 rule 4: until it is approved or denied.
			requests = append(requests, item.Subscribe(res.addr.Bare()))
		}
	}
	return contacts, requests
}

// broadcast sends presence of a resource to the available resources of its
// account and of its subscribers. The caller holds the lock of the account.
func (r *Router) broadcast(t *stanza.Transit, a *account, res *Resource, l letter, list map[jid.JID]roster.Item) {
	out := &addressed{l, a.addr}
	for _, own := range a.connected() {
		if own.available() || own == res && own.connected() {
			own.offer(t, out)
		}
	}
	typ := stanza.PresenceType(t.Type)
	for contact, item := range list {
		if item.State.Has(roster.From) && !r.barred(res.addr, contact, typ) {
			out.to = contact
			r.deliverPresence(t, contact, out)
		}
	}
}

// deliverPresence hands presence to all available resources of an account of this
// server (RFC 6121 §4.2.3), but for those that are kept apart from its sender. With
// a nil t nobody is.
func (r *Router) deliverPresence(t *stanza.Transit, contact jid.JID, out stream.Appender) {
	if to := r.table.find(contact); to != nil {
		for _, one := range to.connected() {
			if one.available() && (t == nil || !r.barred(t.From, one.addr, stanza.PresenceType(t.Type))) {
				one.offer(t, out)
			}
		}
	}
}

// disappear is RFC 6121 §4.5.2: unavailable presence, which the client has sent,
// or which the server makes up if l is nil. All are told who knew that the
// resource was available, and nobody else.
func (r *Router) disappear(ctx context.Context, res *Resource, l *letter) {
	a := res.account
	graceful := l != nil
	if !graceful {
		made, err := compose(&stanza.Presence{From: res.addr, Type: stanza.UnavailablePresence})
		if err != nil {
			r.report("encoding presence failed", err)
			return
		}
		l = &made
	}
	t := &stanza.Transit{Kind: stanza.PresenceKind, Type: string(stanza.UnavailablePresence), From: res.addr, Sender: res}
	if el, err := l.element(); err == nil {
		t.Element = el
	}
	locked := a.lock()
	defer locked.unlock()
	was := res.shown.Swap(nil)
	res.keepShown()
	if !graceful {
		res.settle(nil)
	}
	list := a.roster
	if was != nil {
		list = r.rosterOf(ctx, a)
		// Unless a later session has the address by now and shows itself with it.
		if next := a.find(res.addr); next == nil || next == res || next.shown.Load() == nil {
			r.broadcast(t, a, res, *l, list)
		}
	}
	directed := res.directed
	res.directed = nil
	res.keepDirected()
	out := &addressed{letter: *l}
	var told []jid.JID
	for out.to = range directed {
		// §4.6.3. Who got the broadcast has been told already.
		told = append(told, out.to)
		subscribed := out.to.Bare() == a.addr || list[out.to.Bare()].State.Has(roster.From)
		if was != nil && subscribed && r.table.hearing(out.to) {
			continue
		}
		if !r.barred(res.addr, out.to, stanza.UnavailablePresence) {
			r.tell(t, out)
		}
	}
	if was != nil {
		for contact, item := range list {
			if item.State.Has(roster.From) {
				told = append(told, contact)
			}
		}
	}
	last := was != nil && a.standing() == Unavailable
	locked.unlock()
	for _, to := range told {
		r.unlist(res.addr, to)
	}
	if was == nil {
		return
	}
	if last {
		err := r.LastSeenStore.SetLastSeen(ctx, a.addr, LastSeen{At: time.Now(), Presence: l.b})
		r.report("storing when an account was last seen failed", err)
	}
	for _, m := range r.hooks.presence {
		m.PresenceChanged(ctx, res, nil, false)
	}
}

// vacate takes the session from a resource, once: nothing reaches it any more,
// who waits for its reply is told, and so are those who knew that it was
// available.
func (r *Router) vacate(ctx context.Context, res *Resource) {
	defer r.requests.abandon(res)
	r.disappear(ctx, res, nil)
}

// priorityOf reads the priority of presence. RFC 6121 §4.7.2.3: an integer from
// -128 to +127, and zero if there is none. Anything else counts as none.
func priorityOf(el *stream.Element) int8 {
	c, ok := el.Child(stream.Name{Space: stream.NSClient, Local: "priority"})
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(strings.Trim(c.Text(), " \t\r\n"), 10, 8)
	if err != nil {
		return 0
	}
	return int8(n)
}
