package xmpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// serverConn is one connection of a server, from the first byte to the last.
type serverConn struct {
	server    *Server
	raw       net.Conn
	since     time.Time
	directTLS bool          // TLS comes before the stream
	refused   bool          // turned away before anything was read; for whoever called serve
	done      chan struct{} // closed when everything about the connection is over

	// ctx is the one of negotiation and of handlers. It ends with the
	// connection, so that a handler does not outlive its client by much.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	reason   *stream.Error // why the server wants the connection to end, or nil
	session  *stream.Session
	resource *resource // claimed during binding
	released bool      // the resource was given up
	evicting sync.WaitGroup
}

// connKey finds the serverConn in the contexts of negotiation and handlers.
type connKey struct{}

// defaultNegotiationTimeout bounds a negotiation unless the Server says
// otherwise.
const defaultNegotiationTimeout = 30 * time.Second

// serve negotiates and then routes what the client sends. A panic of a callback
// costs this connection and nobody else's.
func (c *serverConn) serve(ctx context.Context) (err error) {
	defer c.release()
	defer func() {
		if v := recover(); v != nil {
			err = &stream.PanicError{Value: v, Stack: debug.Stack()}
			c.abort(err)
		}
	}()
	session, err := c.negotiate()
	if err != nil {
		return err
	}
	if reason := c.attach(session); reason != nil {
		// Somebody else has got the address since it was bound, or the server
		// shuts down.
		session.CloseError(c.ctx, reason)
		return reason
	}
	stop := context.AfterFunc(ctx, func() { session.Abort(context.Cause(ctx)) })
	defer stop()
	return session.Serve(c.stanza)
}

// negotiate accepts the stream.
func (c *serverConn) negotiate() (*stream.Session, error) {
	s := c.server
	timeout := s.NegotiationTimeout
	if timeout <= 0 {
		timeout = defaultNegotiationTimeout
	}
	// Accept bounds the wait for the client; the context bounds the wait for
	// Accounts too.
	deadline := time.Now().Add(timeout)
	ctx, stop := context.WithDeadlineCause(c.ctx, deadline, stream.ErrNegotiationTimeout)
	defer stop()
	if err := s.admit(ctx, c.raw); err != nil {
		c.refused = true
		c.abort(err)
		return nil, err
	}
	opts := &stream.AcceptOptions{
		Domains:  s.Domains,
		Features: s.features,
		Limits:   s.Limits,
		Admit:    c.throttle(),
		Timeout:  remaining(deadline),
		Trace:    c.trace(),
	}
	if s.InsecureAllowPlaintext {
		opts.Profile = stream.InsecureC2S()
	}
	conn := c.raw
	if c.directTLS {
		secured, sec, err := xtls.ServerHandshake(ctx, conn, s.Domains, s.TLS)
		if err != nil {
			opts.Trace.Closed(err)
			return nil, err
		}
		conn, opts.Security = secured, &sec
		opts.Timeout = remaining(deadline)
	}
	return stream.Accept(ctx, conn, opts)
}

// trace returns the hooks of the program's own, and ends the context of the
// connection together with its stream.
func (c *serverConn) trace() *stream.Trace {
	var t stream.Trace
	if c.server.Trace != nil {
		if own := c.server.Trace(c.raw); own != nil {
			t = *own
		}
	}
	closed := t.Closed
	t.Closed = func(cause error) {
		c.cancel(cause)
		if closed != nil {
			closed(cause)
		}
	}
	return &t
}

// attach puts the session beneath the resource. If the connection is to end, it
// returns why instead.
func (c *serverConn) attach(session *stream.Session) *stream.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return c.reason
	}
	c.session = session
	c.resource.settle(session)
	return nil
}

// release gives up the resource.
func (c *serverConn) release() {
	c.mu.Lock()
	c.released = true
	r := c.resource
	c.mu.Unlock()
	if r == nil {
		return
	}
	c.server.vacate(r)
	c.server.resources.release(r)
}

// end closes the stream because the server shuts down, and waits for that.
func (c *serverConn) end(ctx context.Context, reason *stream.Error) {
	c.mu.Lock()
	if c.reason == nil {
		c.reason = reason
	}
	session, bound := c.session, c.resource != nil
	c.mu.Unlock()
	switch {
	case session != nil:
		session.CloseError(ctx, reason)
	case bound:
		// The client knows that it is. attach is next, and finds the reason.
	default:
		// There is no stream to say it on that is safe to write to from here.
		c.cancel(reason)
		c.raw.Close()
	}
}

// abort drops the connection.
func (c *serverConn) abort(cause error) {
	c.mu.Lock()
	if c.reason == nil {
		c.reason = &stream.Error{Condition: stream.SystemShutdown, Cause: cause}
	}
	session := c.session
	c.mu.Unlock()
	c.cancel(cause)
	if session != nil {
		session.Abort(cause)
	}
	c.raw.Close()
}

// bind implements bind.ServerOptions.Bind.
func (s *Server) bind(ctx context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error) {
	c, ok := ctx.Value(connKey{}).(*serverConn)
	if !ok {
		return jid.JID{}, errors.New("xmpp: negotiation without a connection")
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
		r, holder, err := s.resources.claim(asked, c, replace)
		switch {
		case errors.Is(err, errTooManyResources):
			return jid.JID{}, bind.ResourceConstraint
		case err != nil:
			return jid.JID{}, err
		case r != nil:
			c.mu.Lock()
			c.resource = r
			c.mu.Unlock()
			if holder != nil {
				s.evict(holder)
			}
			return asked, nil
		}
		if !decided {
			policy, decided = ReplaceOld, true
			if s.Conflict != nil {
				policy = s.Conflict(ctx, asked)
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

// evict ends the session of a resource whose address somebody else holds now
// (RFC 6120 §4.9.3.3). It does not wait. If that session is still being
// negotiated, attach finds the reason.
func (s *Server) evict(holder *resource) {
	reason := &stream.Error{Condition: stream.Conflict, Text: "replaced by a new session"}
	c := holder.conn
	c.mu.Lock()
	if c.reason == nil {
		c.reason = reason
	}
	session := c.session
	if session != nil && !c.released {
		// Owner: c. Stops when the old session has ended, which CloseError
		// bounds by its own timeout. Joined through c.evicting by leave, which
		// comes after released is set.
		c.evicting.Go(func() { session.CloseError(context.Background(), reason) })
	}
	c.mu.Unlock()
	s.vacate(holder)
}

// stanza routes one stanza of the client, on the session's reader.
func (c *serverConn) stanza(el *stream.Element) error {
	if c.resource.session.Load() == nil {
		// The address is not this client's any more. It has been told why
		// (RFC 6120 §4.9.1.1), and what it said since is not heard.
		return nil
	}
	from, err := c.sender(el)
	if err != nil {
		return err
	}
	if reply, ok := bind.AnswerSession(el); ok {
		return ignoreClosed(c.session.Send(c.ctx, encoded(reply)))
	}
	return ignoreClosed(c.server.route(c.ctx, c, from, el))
}

// sender returns the address that the stanza really comes from. RFC 6120
// §8.1.2.1 rule 1: a client may leave out from, or give its own bare or full
// JID; the server puts the full JID in its place. Anybody else's is an attempt
// to speak for others.
func (c *serverConn) sender(el *stream.Element) (jid.JID, error) {
	addr := c.resource.addr
	value, ok := el.AttrBytes("from")
	if !ok || string(value) == addr.String() {
		return addr, nil
	}
	from, err := el.From()
	if err != nil || from != addr && from != addr.Bare() {
		return jid.JID{}, &stream.Error{
			Condition: stream.InvalidFrom,
			Text:      "the from of a stanza is not the sender",
			Cause:     err,
		}
	}
	return addr, nil
}

// ignoreClosed drops the error of writing to our own session when it has
// ended: the reader finds out by itself.
func ignoreClosed(err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("xmpp: routing: %w", err)
}
