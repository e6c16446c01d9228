package xmpp

import (
	"context"
	"net"
	"runtime/debug"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// serverConn is one connection of a server, from the first byte to the last.
type serverConn struct {
	server    *Server
	raw       net.Conn
	since     time.Time
	directTLS bool                 // TLS comes before the stream
	sec       *stream.Security     // of a TLS layer that was there before; see ServeSecured
	parent    context.Context      // of Serve, which ends it; see Server.drop
	refused   bool                 // turned away before anything was read; for whoever called serve
	place     *presence.Connection // its place in the router
	done      chan struct{}        // closed when everything about the connection is over
}

// connKey finds the serverConn in the contexts of negotiation and handlers.
type connKey struct{}

// defaultNegotiationTimeout bounds a negotiation unless the Server says
// otherwise.
const defaultNegotiationTimeout = 30 * time.Second

// serve negotiates and then routes what the client sends.
func (c *serverConn) serve(ctx context.Context) error {
	session, err := c.open()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { session.Abort(context.Cause(ctx)) })()
	return c.run(session)
}

// open negotiates. A panic of a callback costs this connection and nobody else's.
func (c *serverConn) open() (session *stream.Session, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &stream.PanicError{Value: v, Stack: debug.Stack()}
		}
		if err != nil {
			c.abort(err)
			c.place.Leave()
		}
	}()
	return c.negotiate()
}

// run routes what the client sends. An idle session keeps the stack of this
// function and of those that it calls down to the read: let them stay small.
func (c *serverConn) run(session *stream.Session) error {
	defer c.place.Leave()
	return c.place.Serve(session)
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
	ctx, stop := context.WithDeadlineCause(c.place.Context(), deadline, stream.ErrNegotiationTimeout)
	defer stop()
	if err := s.admit(ctx, c.raw); err != nil {
		c.refused = true
		c.abort(err)
		return nil, err
	}
	opts := &stream.AcceptOptions{
		Domains:  s.Domains,
		Features: s.features,
		Security: c.sec,
		Limits:   s.limits(),
		Admit:    c.throttle(),
		Timeout:  remaining(deadline),
		Liveness: s.liveness,
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

// limits returns the limits of streams.
func (s *Server) limits() *stream.Limits {
	var l stream.Limits
	if s.Limits != nil {
		l = *s.Limits
	}
	if l.ElementBytes == 0 {
		l.ElementBytes = 240 << 10
	}
	return &l
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
		c.place.Cancel(cause)
		if closed != nil {
			closed(cause)
		}
	}
	return &t
}

// addr returns the full JID of the client, once it has one.
func (c *serverConn) addr() jid.JID {
	if r := c.place.Resource(); r != nil {
		return r.Addr()
	}
	return jid.JID{}
}

// end closes the stream because the server shuts down, and waits for that.
func (c *serverConn) end(ctx context.Context, reason *stream.Error) {
	if !c.place.End(ctx, reason) {
		c.raw.Close()
	}
}

// abort drops the connection.
func (c *serverConn) abort(cause error) {
	c.place.Abort(cause)
	c.raw.Close()
}
