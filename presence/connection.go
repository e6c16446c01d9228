package presence

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

// Connection is the place of one client in a [Router], from before its stream is
// negotiated until it is over. [Router.ServeConn] makes, uses and ends one; a
// program that needs to do more in between does so itself:
//
//	c := router.Connect(ctx)
//	defer c.Leave()
//	session, err := stream.Accept(c.Context(), nc, opts)
//	…
//	return c.Serve(session)
//
// It is safe for concurrent use.
type Connection struct {
	router *Router
	began  uint64 // how many accounts had been removed by then

	// ctx is the one of handlers. It ends with the connection, so that a handler
	// does not outlive its client by much.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu sync.Mutex
	// negotiation is the context until there is a session. It is apart from ctx
	// because those who negotiate leave in it what an idle session need not keep.
	negotiation context.Context
	stop        context.CancelCauseFunc

	reason   *stream.Error // why the connection is to end, or nil
	session  *stream.Session
	resource *Resource     // claimed during binding, or taken over
	resuming *sm.Link      // of the session that this one resumes, or nil
	released bool          // the resource was given up
	over     bool          // and nothing more is handed to the router
	served   chan struct{} // closed then; nil when nobody waits
	evicting sync.WaitGroup
}

// connKey finds the Connection in the contexts of negotiation and handlers.
type connKey struct{}

// Connect makes room for a client that is about to negotiate. The caller calls
// Leave when all is over. ctx is the parent of the contexts that handlers get.
func (r *Router) Connect(ctx context.Context) *Connection {
	c := &Connection{router: r, began: r.removed.count()}
	ctx = context.WithValue(ctx, connKey{}, c)
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.negotiation, c.stop = context.WithCancelCause(ctx)
	return c
}

// Context returns the context to negotiate with: [Router.Bind] finds the
// connection in it. It ends when Cancel or Leave is called.
func (c *Connection) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.negotiation != nil {
		return c.negotiation
	}
	return c.ctx
}

// Cancel ends the context of the connection for a reason, and nothing else. A program
// that negotiates itself calls it when the stream is over, from the hook Closed of its
// [stream.Trace]: a handler that waits does not learn of that otherwise.
func (c *Connection) Cancel(cause error) {
	c.cancel(cause)
	c.settled(cause)
}

// settled ends the context of the negotiation.
func (c *Connection) settled(cause error) {
	c.mu.Lock()
	stop := c.stop
	c.negotiation, c.stop = nil, nil
	c.mu.Unlock()
	if stop != nil {
		stop(cause)
	}
}

// Resource returns the resource that the client has bound, or nil.
func (c *Connection) Resource() *Resource {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource
}

// Serve hands what the client sends to the router until the session is over, and
// returns as [stream.Session.Serve] does. If the connection was meant to end
// before it began, because somebody else has its address by now or because of
// End, it closes the session and returns that reason.
func (c *Connection) Serve(session *stream.Session) error {
	if err := c.begin(session); err != nil {
		return err
	}
	return session.Serve(c.stanza)
}

// heard says that nothing more that the client has sent will be handled, and that
// somebody else may have the resource.
func (c *Connection) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.served != nil {
		close(c.served)
		c.served = nil
	}
}

// wait waits for heard, or for the end of ctx.
func (c *Connection) wait(ctx context.Context) error {
	c.mu.Lock()
	over := c.over
	if !over && c.served == nil {
		c.served = make(chan struct{})
	}
	served := c.served
	c.mu.Unlock()
	if over {
		return nil
	}
	select {
	case <-served:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin is Serve up to the first stanza.
func (c *Connection) begin(session *stream.Session) error {
	if reason := c.attach(session); reason != nil {
		session.CloseError(c.ctx, reason)
		return reason
	}
	c.settled(nil)
	if l := sm.Of(session); l != nil && c.router.storing() {
		c.router.enabled(l) // of what was kept before there was a session
	}
	if c.resuming != nil {
		c.resumed()
		return nil
	}
	return c.up(session)
}

// up tells the modules that the session has begun. If one of them panics, the
// session is over.
func (c *Connection) up(session *stream.Session) (err error) {
	defer func() {
		if v := recover(); v != nil {
			reason := &stream.Error{Condition: stream.InternalServerError, Cause: &stream.PanicError{Value: v, Stack: debug.Stack()}}
			session.CloseError(c.ctx, reason)
			err = reason
		}
	}()
	for _, m := range c.router.hooks.sessions {
		m.SessionUp(c.ctx, c.resource)
	}
	return nil
}

// attach puts the session beneath the resource. If the connection is to end, it
// returns why instead.
func (c *Connection) attach(session *stream.Session) *stream.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.reason != nil:
		return c.reason
	case c.resource == nil:
		return &stream.Error{Condition: stream.InternalServerError, Cause: errNotBound}
	case c.resuming != nil && sm.Of(session) != c.resuming:
		return &stream.Error{Condition: stream.Conflict, Text: "resumed on another connection"}
	}
	if c.resuming != nil {
		if reason := c.router.move(c.resource, c.resuming, session); reason != nil {
			return reason
		}
	}
	c.session = session
	c.resource.settle(session)
	return nil
}

// errNotBound is a mistake of the program: it did not bind with Router.Bind.
var errNotBound = errors.New("presence: a session without a resource of the router")

// Leave gives up the resource, tells everybody who knew that it was available,
// and waits for what is still going on for the connection. It is idempotent.
func (c *Connection) Leave() {
	c.release()
	c.heard()
	c.Cancel(net.ErrClosed)
	c.evicting.Wait()
}

// release gives up the resource, unless its session may be resumed: then that is
// up to the link.
func (c *Connection) release() {
	c.mu.Lock()
	first := !c.released
	c.released = true
	r, session, resuming := c.resource, c.session, c.resuming
	c.mu.Unlock()
	switch {
	case r == nil || !first:
		return
	case session == nil && resuming != nil:
		return // it was not resumed here
	case session != nil && c.bequeath(r, session):
		return
	}
	// Who looks after the account may take longer than the connection.
	r.retire(context.WithoutCancel(c.ctx), c.router, session != nil)
}

// retire is the end of a resource. It runs once; who calls it again waits for
// that. Served says that modules were told of a session.
func (r *Resource) retire(ctx context.Context, router *Router, served bool) {
	r.gone.Do(func() {
		router.forbid(r)
		router.guard(func() { router.vacate(ctx, r) })
		router.table.release(r)
		if served {
			for _, m := range router.hooks.sessions {
				router.guard(func() { m.SessionGone(ctx, r) })
			}
		}
		router.table.done(r.account)
	})
}

// guard calls modules at the end of a session, when there is nothing left that a
// panic could be the end of: it is reported.
func (r *Router) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.report("cleaning up failed", &stream.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	f()
}

// End closes the stream for a reason that the client is told, and waits for that;
// ctx bounds the wait. It reports false if the stream is still being negotiated
// and no resource is bound: then there is nothing that is safe to write to, and
// it is up to the caller to close the connection. If a resource is bound, Serve
// finds the reason.
func (c *Connection) End(ctx context.Context, reason *stream.Error) bool {
	c.mu.Lock()
	if c.reason == nil {
		c.reason = reason
	}
	session, bound := c.session, c.resource != nil
	c.mu.Unlock()
	switch {
	case session != nil:
		session.CloseError(ctx, reason)
		if reason == nil || reason.Condition != stream.SystemShutdown {
			abandon(session, reason)
		} // otherwise that is up to Router.Shutdown
		return true
	case bound:
		return true
	}
	c.Cancel(reason)
	return false
}

// Abort drops the session, if there is one, and keeps one that is still being
// negotiated from beginning.
func (c *Connection) Abort(cause error) {
	c.mu.Lock()
	if c.reason == nil {
		c.reason = &stream.Error{Condition: stream.SystemShutdown, Cause: cause}
	}
	session := c.session
	c.mu.Unlock()
	c.Cancel(cause)
	if session != nil {
		session.Abort(cause)
		if !c.router.storing() { // otherwise it may be resumed in another process
			abandon(session, cause)
		}
	}
}

// Bind reserves a resource for the connection that is being negotiated: it is the
// callback of [bind.ServerOptions]. The context has to be that of a
// [Connection].
func (r *Router) Bind(ctx context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error) {
	c, ok := ctx.Value(connKey{}).(*Connection)
	if !ok || c.router != r {
		return jid.JID{}, errors.New("presence: negotiation without a connection")
	}
	policy, decided := AssignNew, !asked.IsFull()
	if decided {
		var err error
		if asked, err = bind.Generate(n.Identity()); err != nil {
			return jid.JID{}, err
		}
	}
	replace := false
	for {
		res, holder, err := r.table.claim(asked, c, replace, r.maxResources())
		switch {
		case errors.Is(err, errTooManyResources):
			return jid.JID{}, bind.ResourceConstraint
		case err != nil:
			return jid.JID{}, err
		case res != nil:
			placed := c.place(res)
			if holder != nil {
				r.evict(ctx, holder, &stream.Error{Condition: stream.Conflict, Text: "replaced by a new session"})
			}
			if !placed {
				r.table.release(res)
				r.table.done(res.account)
				return jid.JID{}, errors.New("presence: the connection has a resource already, or is over")
			}
			// After the claim: if the account is removed from here on, the resource is
			// found. The name may have another owner by now.
			if r.removed.since(asked.Bare(), c.began) {
				return jid.JID{}, &stream.Error{Condition: stream.NotAuthorized, Text: "the account was removed"}
			}
			return asked, nil
		}
		if !decided {
			policy, decided = ReplaceOld, true
			if r.Conflict != nil {
				policy = r.Conflict(ctx, asked)
			}
		}
		switch policy {
		case ReplaceOld:
			replace = true
			continue
		case RefuseNew:
			return jid.JID{}, bind.Conflict
		}
		if asked, err = bind.Generate(n.Identity()); err != nil {
			return jid.JID{}, err
		}
	}
}

// place gives the connection its resource: one, and none when it is over.
func (c *Connection) place(res *Resource) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resource != nil && c.resuming == nil || c.released {
		return false
	}
	c.resource, c.resuming = res, nil
	return true
}

// ConflictPolicy is one of the three ways to settle a conflict of resources
// (RFC 6120 §7.7.2.2).
type ConflictPolicy uint8

const (
	// ReplaceOld ends the older session with a conflict error: it is most
	// likely a ghost of the same client, whose connection broke unnoticed.
	ReplaceOld ConflictPolicy = iota
	// AssignNew gives the newer session a resource made up by the server.
	AssignNew
	// RefuseNew answers the newer client with a conflict error.
	RefuseNew
)

// evict ends the session of a resource that may not have its address any more: most
// often because somebody else holds it now (RFC 6120 §4.9.3.3). It does not wait.
func (r *Router) evict(ctx context.Context, holder *Resource, reason *stream.Error) {
	r.forbid(holder) // nobody resumes its session from here on
	if link := holder.link(); !holder.connection().evict(reason) && link != nil {
		link.GiveUp(reason)
	}
	r.vacate(context.WithoutCancel(ctx), holder)
}

// evict ends the session, without waiting for that. If it is still being
// negotiated, attach finds the reason. It reports false if there is none.
func (c *Connection) evict(reason *stream.Error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = reason
	}
	session := c.session
	if session != nil && !c.released {
		// Owner: c. Stops when the old session has ended, which CloseError
		// bounds by its own timeout. Joined through c.evicting by Leave, which
		// comes after released is set.
		c.evicting.Go(func() {
			session.CloseError(context.Background(), reason)
			abandon(session, reason)
		})
		return true
	}
	return false
}

// ServeConn negotiates a stream with a client on nc and serves it until it is
// over; it closes nc. opts are those of [stream.Accept]; among its Features are
// [Router.Features], after those for TLS and authentication. It returns nil if
// the stream was closed in good order.
//
// ctx is the parent of the contexts of negotiation and handlers. When it ends the
// connection is dropped without a word; to take leave of the clients, call End of
// all that [Router.Connected] returns before. Limits on connections are up to the
// caller.
func (r *Router) ServeConn(ctx context.Context, nc net.Conn, opts *stream.AcceptOptions) error {
	if err := r.Init(); err != nil {
		nc.Close()
		return err
	}
	c := r.Connect(ctx)
	defer c.Leave()
	session, err := c.accept(nc, opts)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { session.Abort(context.Cause(ctx)) })
	defer stop()
	return c.Serve(session)
}

// accept negotiates. The context of handlers ends with the stream, and a panic of a
// callback costs this connection and nobody else's.
func (c *Connection) accept(nc net.Conn, opts *stream.AcceptOptions) (session *stream.Session, err error) {
	defer func() {
		if v := recover(); v != nil {
			nc.Close()
			session, err = nil, &stream.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	var o stream.AcceptOptions
	if opts != nil {
		o = *opts
	}
	var trace stream.Trace
	if o.Trace != nil {
		trace = *o.Trace
	}
	closed := trace.Closed
	trace.Closed = func(cause error) {
		c.Cancel(cause)
		if closed != nil {
			closed(cause)
		}
	}
	o.Trace = &trace
	return stream.Accept(c.Context(), nc, &o)
}
