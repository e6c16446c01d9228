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

// detach leaves a resource whose session was lost to its link, and reports
// whether there is one that can be resumed.
func (c *Connection) detach(r *Resource, session *stream.Session) bool {
	l := sm.Of(session)
	if l == nil {
		return false
	}
	l.SetValue(r)
	if !l.Suspended() {
		return false
	}
	ctx := context.WithoutCancel(c.ctx)
	for _, m := range c.router.hooks.resumers {
		c.router.guard(func() { m.SessionDetached(ctx, r) })
	}
	return true
}

// abandon gives up a session that could be resumed, because this side has ended
// it. It does not wait.
func abandon(r *Resource, session *stream.Session, cause error) {
	if l := sm.Of(session); l != nil {
		l.SetValue(r)
		l.GiveUp(cause)
	}
}

// held returns the resource of a link, or nil if it has none.
func (r *Router) held(l *sm.Link) *Resource {
	if res, ok := l.Value().(*Resource); ok {
		return res
	}
	// Nobody had anything to do with the link before its session ended.
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
	select {
	case <-res.connection().served:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resource != nil || c.released {
		return errNotHere
	}
	c.resource, c.resuming = res, l
	return nil
}

// resumed moves the resource to the connection.
func (c *Connection) resumed() {
	res := c.resource
	res.at.Store(c)
	for _, m := range c.router.hooks.resumers {
		c.router.guard(func() { m.SessionResumed(c.ctx, res) })
	}
}

// over is told that a session will not be resumed any more, and of what its
// client has not acknowledged. What somebody waits for with a receipt is left to
// him.
func (r *Router) over(l *sm.Link, unacked []sm.Left, _ error) {
	res := r.held(l)
	if res == nil {
		return // it never was a client of this router
	}
	ctx := context.Background()
	<-res.connection().served
	res.retire(ctx, r, true)
	for _, u := range unacked {
		if u.Receipt == nil {
			r.guard(func() { r.again(ctx, res, u.Unacked) })
		}
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
	if t.From, err = el.From(); err != nil || t.From.IsZero() {
		return // from the server, or the account itself: about the session
	}
	if t.To.IsZero() {
		t.To = res.addr.Bare()
	}
	if t.Kind == stanza.IQKind {
		r.bounce(ctx, t, stanza.ServiceUnavailable)
		return
	}
	if !t.To.IsFull() && res.account.served(int8(res.rank.Load()), u.At) {
		return // others got it as well
	}
	err = t.Append(delay.Delay{From: res.addr.DomainJID(), Stamp: u.At, Reason: "not acknowledged"})
	if err != nil {
		r.report("stamping a message failed", err)
	}
	q := Question{Kind: t.Kind, Type: t.Type, To: Absent}
	a := r.table.find(t.To.Bare())
	if err = r.standing(ctx, &q, a, t.To.Bare()); err == nil {
		desk := &Resource{addr: res.addr, account: res.account, work: new(work)}
		err = r.deliver(ctx, desk, a, q, Decide(q), t, &rewritten{el: t.Element})
	}
	if err != nil {
		r.bounce(ctx, t, err)
	}
}

// served reports whether a message to the account at that time went to some
// resource that is available still, beside one with that priority (RFC 6121
// §8.5.2.1.1).
func (a *account) served(rank int8, at time.Time) bool {
	for _, r := range a.connected() {
		p := r.shown.Load()
		if p != nil && r.connected() && p.reachable() && p.priority >= rank && !at.Before(time.UnixMilli(p.came)) {
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
