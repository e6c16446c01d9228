package xmpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

// serverConn is one connection of a server, from the first byte to the last.
type serverConn struct {
	server *Server
	raw    net.Conn

	mu       sync.Mutex
	ended    bool
	session  *stream.Session
	resource *resource // claimed during binding
}

// connKey finds the serverConn in the context of its negotiation.
type connKey struct{}

// serve negotiates and then routes what the client sends.
func (c *serverConn) serve(ctx context.Context) error {
	defer c.release()
	s := c.server
	opts := &stream.AcceptOptions{
		Domains:  s.Domains,
		Features: s.features,
		Limits:   s.Limits,
		Timeout:  s.NegotiationTimeout,
	}
	if s.InsecureAllowPlaintext {
		opts.Profile = stream.InsecureC2S()
	}
	if s.Trace != nil {
		opts.Trace = s.Trace(c.raw)
	}
	session, err := stream.Accept(context.WithValue(ctx, connKey{}, c), c.raw, opts)
	if err != nil {
		return err
	}
	if !c.attach(session) {
		session.Abort(ErrServerClosed)
		return ErrServerClosed
	}
	stop := context.AfterFunc(ctx, func() { session.Abort(context.Cause(ctx)) })
	defer stop()
	return session.Serve(func(el *stream.Element) error { return c.stanza(ctx, el) })
}

// attach puts the session beneath the resource, unless the connection was ended
// meanwhile.
func (c *serverConn) attach(session *stream.Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.session = session
	c.resource.session.Store(session)
	return true
}

// release gives up the resource.
func (c *serverConn) release() {
	c.mu.Lock()
	r := c.resource
	c.mu.Unlock()
	if r == nil {
		return
	}
	r.session.Store(nil)
	c.server.resources.release(r)
	c.server.farewell(r)
}

// farewell tells an account's other resources that r is gone, if they knew of
// it (RFC 6121 §4.5.2).
func (s *Server) farewell(r *resource) {
	if r.presence.Swap(nil) == nil {
		return
	}
	gone := &stanza.Presence{From: r.addr, Type: stanza.UnavailablePresence}
	for _, other := range s.resources.of(nil, r.addr, (*resource).available) {
		gone.To = other.addr
		s.offer(other, gone)
	}
}

// end closes the stream because the server shuts down.
func (c *serverConn) end(ctx context.Context) {
	c.mu.Lock()
	c.ended = true
	session := c.session
	c.mu.Unlock()
	if session == nil {
		// Still negotiating: there is no stream to say it on that is safe to
		// write to from here.
		c.raw.Close()
		return
	}
	session.CloseError(ctx, &stream.Error{Condition: stream.SystemShutdown})
}

// abort drops the connection.
func (c *serverConn) abort(cause error) {
	c.mu.Lock()
	c.ended = true
	session := c.session
	c.mu.Unlock()
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
	policy := AssignNew
	if asked.IsFull() {
		policy = ReplaceOld
		if s.Conflict != nil && s.resources.find(asked) != nil {
			policy = s.Conflict(ctx, asked)
		}
	} else {
		var err error
		if asked, err = bind.Generate(n.Identity()); err != nil {
			return jid.JID{}, err
		}
	}
	for {
		r, holder, err := s.resources.claim(asked, policy == ReplaceOld)
		switch {
		case errors.Is(err, errTooManyResources):
			return jid.JID{}, bind.ResourceConstraint
		case err != nil:
			return jid.JID{}, err
		case r != nil:
			if holder != nil {
				s.evict(holder)
			}
			c.mu.Lock()
			c.resource = r
			c.mu.Unlock()
			return asked, nil
		case policy == RefuseNew:
			return jid.JID{}, bind.Conflict
		}
		if asked, err = bind.Generate(n.Identity()); err != nil {
			return jid.JID{}, err
		}
	}
}

// evict ends the session of a resource whose address somebody else holds now
// (RFC 6120 §4.9.3.3). It does not wait.
func (s *Server) evict(holder *resource) {
	session := holder.session.Swap(nil)
	s.farewell(holder)
	if session == nil {
		return
	}
	// Owner: the server. Stops when the old session has ended, which
	// CloseError bounds by its own timeout. Joined through s.wg.
	s.wg.Go(func() {
		session.CloseError(context.Background(), &stream.Error{Condition: stream.Conflict, Text: "replaced by a new session"})
	})
}

// stanza routes one stanza of the client, on the session's reader.
func (c *serverConn) stanza(ctx context.Context, el *stream.Element) error {
	if reply, ok := bind.AnswerSession(el); ok {
		return ignoreClosed(c.session.Send(ctx, encoded(reply)))
	}
	from, err := c.sender(el)
	if err != nil {
		return err
	}
	return ignoreClosed(c.server.route(ctx, c, from, el))
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
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("xmpp: routing: %w", err)
	}
	return nil
}
