package presence

import (
	"context"
	"errors"
	"time"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// This file is what a resource does while its session can be resumed (XEP-0198
// §5): it stays where it is, available if it was, and what it is sent is kept by
// the link of the session. It ends when the link does.

// management sets up stream management.
func (r *Router) management() *sm.Server {
	var o sm.ServerOptions
	if r.Management != nil {
		o = *r.Management
	}
	o.Takeover, o.Suspended, o.Over, o.Enabled = r.takeover, nil, r.over, nil
	if o.Store != nil {
		o.Enabled = r.enabled
		if o.Report == nil {
			o.Report = func(err error) { r.report("storing a session failed", err) }
		}
	}
	return sm.NewServer(&o)
}

// heir is the value of a link that is over, as long as the connection waits for what
// it has left.
type heir chan []sm.Left

// estate is the value of a link that was over before its connection.
type estate []sm.Left

// bequeath leaves the resource of a connection that ends to the link of its session,
// and reports whether there is one. If the link is over too, that is the end of the
// resource.
//
// The value of a link is the Resource while no connection has it, and then
// Router.over sees to the end; while one has, it is nil, and this does.
func (c *Connection) bequeath(res *Resource, session *stream.Session) bool {
	l := sm.Of(session)
	if l == nil {
		return false
	}
	r, ctx := c.router, context.WithoutCancel(c.ctx)
	if l.Suspended() {
		res.lost.Store(time.Now().UnixNano())
		for _, m := range r.hooks.resumers {
			r.guard(func() { m.SessionDetached(ctx, res) })
		}
		r.linking.Lock()
		_, over := l.Value().(estate)
		if !over {
			l.SetValue(res)
		}
		r.linking.Unlock()
		if !over {
			return true
		}
	}
	r.linking.Lock()
	left, over := l.Value().(estate)
	waits := make(heir, 1)
	if !over {
		l.SetValue(waits)
	}
	r.linking.Unlock()
	if !over {
		left = <-waits // over is about to be called
	}
	r.finish(ctx, res, left)
	return true
}

// over is told that a session will not be resumed any more, and of what its client
// has not acknowledged.
func (r *Router) over(l *sm.Link, unacked []sm.Left, _ error) {
	r.linking.Lock()
	v := l.Value()
	if v == nil {
		l.SetValue(estate(unacked))
	}
	r.linking.Unlock()
	switch v := v.(type) {
	case heir:
		v <- unacked
	case *Resource:
		r.finish(context.WithoutCancel(v.connection().ctx), v, unacked)
	}
}

// finish is the end of a resource and its link. What somebody waits for with a
// receipt is left to him.
func (r *Router) finish(ctx context.Context, res *Resource, left []sm.Left) {
	if len(left) > 0 {
		// Of two that end at a time the first one sees the second, so one of them, and
		// not both, sends on what both have got.
		res.account.settling.Lock()
		defer res.account.settling.Unlock()
	}
	res.retire(ctx, r, true)
	for _, u := range left {
		if u.Receipt == nil {
			r.guard(func() { r.again(ctx, res, u.Unacked) })
		}
	}
}

// forbid lets nobody resume the session of a resource any more.
func (r *Router) forbid(res *Resource) {
	r.linking.Lock()
	defer r.linking.Unlock()
	res.ending = true
}

// abandon gives up a session that could be resumed, because this side has ended
// it. It does not wait. If the server shuts down that is up to Router.Shutdown.
func abandon(session *stream.Session, cause error) {
	if e, ok := cause.(*stream.Error); ok && e == nil {
		cause = nil
	}
	if l := sm.Of(session); l != nil && !errors.Is(cause, stream.SystemShutdown) {
		l.GiveUp(cause)
	}
}

// held returns the resource of a link, or nil if it has none.
func (r *Router) held(l *sm.Link) *Resource {
	if res, ok := l.Value().(*Resource); ok {
		return res
	}
	// A connection has it still.
	res := r.table.resource(l.Addr())
	if session, _ := l.Session(); res != nil && res.connection().has(session) {
		return res
	}
	return nil
}

// has reports whether a session is that of the connection.
func (c *Connection) has(session *stream.Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session == session
}

// errNotHere is about links of another router.
var errNotHere = errors.New("presence: nothing is known of that session")

// takeover prepares the connection that is being negotiated for the session that it
// wants to resume: the one that it replaces has been heard to its end.
func (r *Router) takeover(ctx context.Context, l *sm.Link) error {
	c, ok := ctx.Value(connKey{}).(*Connection)
	res := r.held(l)
	if !ok || res == nil || c.router != r {
		return errNotHere
	}
	if r.removed.since(res.addr.Bare(), c.began) {
		return errNotHere
	}
	for {
		holder := res.connection()
		if err := holder.wait(ctx); err != nil {
			return err
		}
		if done, err := c.take(res, holder, l); done {
			return err
		}
	}
}

// take makes c the connection of a resource, after holder. It reports false if
// somebody else has come in between.
func (c *Connection) take(res *Resource, holder *Connection, l *sm.Link) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.router.linking.Lock()
	defer c.router.linking.Unlock()
	switch {
	case c.resource != nil || c.released || res.ending:
		return true, errNotHere
	case res.connection() != holder:
		return false, nil
	}
	res.at.Store(c)
	c.resource, c.resuming = res, l
	return true, nil
}

// errReplaced is what a client is told whose session was given up while it was being
// resumed.
var errReplaced = &stream.Error{Condition: stream.Conflict, Text: "the session is over"}

// move gives the resource to a connection on which its session was resumed, or
// returns why it cannot. The caller holds the lock of the connection.
func (r *Router) move(res *Resource, l *sm.Link, session *stream.Session) *stream.Error {
	r.linking.Lock()
	defer r.linking.Unlock()
	if now, _ := l.Session(); res.ending || now != session {
		return errReplaced
	}
	if _, ok := l.Value().(*Resource); !ok {
		return errReplaced // it is over already
	}
	l.SetValue(nil)
	res.lost.Store(0)
	return nil
}

// resumed tells modules, and goes on with what was stored for the account.
func (c *Connection) resumed() {
	res := c.resource
	for _, m := range c.router.hooks.resumers {
		c.router.guard(func() { m.SessionResumed(c.ctx, res) })
	}
	if now := res.shown.Load(); now != nil && now.waits.Load() {
		c.router.handOut(c.ctx, res, now)
	}
}

// Shutdown ends what outlives the streams: call it when all of them have been
// ended. Sessions that could be resumed are handed to the Store of Management. If
// there is none they are given up, so that what their clients have not
// acknowledged is kept for later, and those who knew that they were available are
// told. It waits for that until ctx ends, and returns its cause then.
func (r *Router) Shutdown(ctx context.Context) error {
	if err := r.Init(); err != nil {
		return err
	}
	if r.streams == nil {
		return nil
	}
	if !r.streams.Save() {
		r.Abandon(&stream.Error{Condition: stream.SystemShutdown})
	}
	done := make(chan struct{})
	// Owner: the router. Ends when what it waits for has.
	go func() {
		defer close(done)
		r.streams.Wait()
		r.background.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Abandon is Shutdown without waiting.
func (r *Router) Abandon(cause error) {
	if r.Init() != nil || r.streams == nil {
		return
	}
	if r.streams.Save() {
		return
	}
	for _, l := range r.streams.Links() {
		l.GiveUp(cause)
	}
}

// again deals with a stanza that was sent to a resource and not acknowledged, in
// the way of one to a resource that is not available (XEP-0198 §4): a message
// goes where it would go without the resource, a request comes back, and nothing
// else is of interest any more.
func (r *Router) again(ctx context.Context, res *Resource, u sm.Unacked) {
	el, err := letterOf(u.XML).element()
	if err != nil {
		r.report("reading a stanza that was not acknowledged failed", err)
		return
	}
	t := &stanza.Transit{Element: el, Sent: u.At}
	if describe(t) != nil || isReplyOrError(el) || t.Kind == stanza.PresenceKind {
		return
	}
	if t.From, err = el.From(); err != nil || t.From.IsZero() || t.From == res.addr.Bare() {
		return // from the account itself: about the session, such as a copy (XEP-0280)
	}
	if t.To.IsZero() {
		t.To = res.addr.Bare()
	}
	if t.Kind == stanza.IQKind {
		r.bounce(ctx, t, stanza.ServiceUnavailable)
		return
	}
	if r.removed.since(res.addr.Bare(), res.connection().began) {
		// The name may be somebody else's by now.
		r.bounce(ctx, t, stanza.ServiceUnavailable)
		return
	}
	q := Question{Kind: t.Kind, Type: t.Type, To: Absent}
	if !t.To.IsFull() {
		if q.To = Account; r.served(res, t, u.At) {
			return // others got it as well
		}
	}
	err = t.Append(delay.Delay{From: res.addr.DomainJID(), Stamp: u.At, Reason: "not acknowledged"})
	if err != nil {
		r.report("stamping a message failed", err)
	}
	a := r.table.find(t.To.Bare())
	if err = r.standing(ctx, &q, a, t.To.Bare()); err == nil {
		desk := &Resource{addr: res.addr, account: res.account, work: new(work)}
		err = r.deliver(ctx, desk, a, q, Decide(q), t, &rewritten{el: t.Element})
	}
	if err != nil {
		r.bounce(ctx, t, err)
	}
}

// served reports whether a message to the account of a resource that is no more went
// to another one as well, which is there still (RFC 6121 §8.5.2.1.1). When in doubt
// it did not: to get it twice is better than not to get it.
func (r *Router) served(res *Resource, t *stanza.Transit, at time.Time) bool {
	when, rank := at.UnixMilli(), int8(res.rank.Load())
	for _, other := range res.account.connected() {
		p := other.shown.Load()
		if p == nil || !p.reachable() || r.apart(t, other.addr) {
			continue
		}
		if !other.connected() && other.link() == nil {
			continue // otherwise this is done for it too, and after it was taken out
		}
		// What it shows it has shown at that time too.
		if when > max(p.came, p.since.Load()) && p.priority >= rank && when > res.since.Load() {
			return true
		}
	}
	return false
}

// bounce tells the sender of a stanza that it was not delivered after all.
func (r *Router) bounce(ctx context.Context, t *stanza.Transit, why error) {
	if to := r.table.resource(t.From); to != nil {
		to.offer(nil, bounced(t, t.Element, why))
	}
}
