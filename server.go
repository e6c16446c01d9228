package xmpp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/sm"
	xtls "stanzakit.dev/xmpp/tls"
)

// Server accepts streams from clients, authenticates them, binds resources and
// routes stanzas between them, with rosters, presence and messages that wait for
// who is away (RFC 6120, RFC 6121). It is wiring: a program that wants other parts
// puts them together itself, from stream.Accept, the features and
// presence.Router.
//
// Set the fields before the first call of Serve or ServeConn and leave them
// alone afterwards. Domains, Accounts and, unless InsecureAllowPlaintext is set,
// TLS are required; without them Serve and ServeConn fail with an error that
// wraps [ErrServer]. A Server is safe for concurrent use and must not be copied.
type Server struct {
	// Domains are the domains served. The first one is the default for clients
	// that name none.
	Domains []jid.JID

	// Accounts is who may log in; see [MemoryAccounts].
	Accounts Accounts

	// TLS holds the certificates, at least. Nil is an error, unless
	// InsecureAllowPlaintext is set, and then means that there is no STARTTLS.
	TLS *xtls.ServerOptions

	// Auth adjusts authentication; nil means the defaults of
	// auth.ServerOptions. Its Store and StoreFor are set by the server, from
	// Accounts. Where its Address is nil, that is the address of the connection,
	// or none if it is a loopback address: who comes from there may be a proxy.
	Auth *auth.ServerOptions

	// Modules extend the server, in this order: service discovery, an archive,
	// carbons, rules of the program's own. The packages below stanza have them; an
	// account that wants nothing but rosters, presence and messages needs none.
	Modules []stanza.Module

	// Rosters, Offline and LastSeen keep what belongs to accounts. Nil means a
	// store in memory, which is lost with the program.
	Rosters  roster.Store
	Offline  presence.OfflineStore
	LastSeen presence.LastSeenStore
	// NoOffline returns messages that nobody can take to their senders, instead of
	// keeping them in Offline.
	NoOffline bool

	// Management says how streams are managed (XEP-0198): what clients acknowledge,
	// and for how long a session may be resumed after its connection was lost. Nil
	// means the defaults of sm.ServerOptions.
	Management *sm.ServerOptions
	// NoManagement offers no stream management.
	NoManagement bool

	// Liveness says when a client that is silent is asked for a sign of life, and
	// when it is given up for lost. Zero fields are 5 minutes for Soft, 6 for
	// Hard, 1 for UserTimeout, no Keepalive, and a ping (XEP-0199) for Probe;
	// negative ones switch off. Clients are told of Hard (XEP-0478).
	Liveness stream.Liveness

	// Handler gets stanzas that are addressed to the server itself or to the
	// sender's own account and that no module has a route for. A [stanza.Mux] is a good one. Nil answers requests
	// and messages with service-unavailable. It runs on the reader of the session
	// that the stanza came from: while it runs that client, and only that one,
	// waits. Its context ends with that session.
	//
	// What it sends goes to any resource that is connected, from the server if it
	// says nothing else. Its Do waits for 30 seconds at most if the context has no
	// deadline, and not at all for the client whose stanza is being handled, which
	// is not heard meanwhile.
	Handler stanza.Handler

	// Conflict decides what happens when a client asks for a resource that is
	// connected already. Nil means [ReplaceOld].
	Conflict func(ctx context.Context, asked jid.JID) ConflictPolicy

	// Limits bounds what one client can make the server hold; nil means the
	// defaults of stream.Limits. But where ElementBytes is zero it is 240 KiB: a
	// stanza grows on its way, by addresses and what modules add, and is still to
	// be one that clients with the default of 256 KiB accept. Otherwise whoever
	// sends them the largest there is would end their sessions.
	Limits *stream.Limits

	// NegotiationTimeout is the absolute bound from connection to bound
	// resource. Zero means 30 seconds.
	NegotiationTimeout time.Duration

	// MaxConnections is how many connections may be open, those that are still
	// being negotiated included. One more is closed at once. Zero means 20,000.
	MaxConnections int

	// MaxResources is how many resources one account may have connected. One
	// more is refused with resource-constraint. Zero means 64.
	MaxResources int

	// Rates bounds what clients may do over time.
	Rates Rates

	// Trace returns hooks for a new connection, or nil. It may be nil itself.
	Trace func(net.Conn) *stream.Trace

	// Logger gets one record for each session, handler and store that failed, 20 a
	// second at most, and one a second for connections that are turned away. Nil means
	// slog.Default. Neither addresses of the network nor secrets are logged.
	Logger *slog.Logger

	// InsecureAllowPlaintext lets clients authenticate and talk without TLS, for
	// load generators and conformance tools on loopback. STARTTLS is offered all
	// the same if TLS is set.
	InsecureAllowPlaintext bool

	setup    sync.Once
	setupErr error
	features []stream.Feature
	router   presence.Router
	liveness stream.Liveness
	admitter admitter
	refusals refusals
	logs     logLimit

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	crowd     int // the most there were in conns since it was made
}

// ConflictPolicy is one of the three ways to settle a conflict of resources
// (RFC 6120 §7.7.2.2).
type ConflictPolicy = presence.ConflictPolicy

// The policies; see package presence.
const (
	ReplaceOld = presence.ReplaceOld
	AssignNew  = presence.AssignNew
	RefuseNew  = presence.RefuseNew
)

// ErrServer is wrapped by errors about a Server whose fields cannot be used.
var ErrServer = errors.New("xmpp: unusable server")

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("xmpp: server closed")

// init checks the fields and builds what all connections share.
func (s *Server) init() error {
	s.setup.Do(func() {
		switch {
		case len(s.Domains) == 0:
			s.setupErr = fmt.Errorf("%w: no domain", ErrServer)
			return
		case s.Accounts == nil:
			s.setupErr = fmt.Errorf("%w: no accounts", ErrServer)
			return
		case s.TLS == nil && !s.InsecureAllowPlaintext:
			s.setupErr = fmt.Errorf("%w: no TLS", ErrServer)
			return
		}
		for _, d := range s.Domains {
			if d.IsZero() || d != d.DomainJID() {
				s.setupErr = fmt.Errorf("%w: %q is not a domain", ErrServer, d)
				return
			}
		}
		var a auth.ServerOptions
		if s.Auth != nil {
			a = *s.Auth
		}
		a.Store = nil
		a.StoreFor = func(domain jid.JID) sasl.KeyStore { return domainStore{s.Accounts, domain} }
		if a.Address == nil {
			a.Address = loginAddr
		}
		if a.Attempts == nil {
			a.Attempts = auth.NewAttempts(nil) // one for both profiles of SASL
		}
		a.InsecureWithoutTLS = a.InsecureWithoutTLS || s.InsecureAllowPlaintext
		// Rather learn of a mistake now than from every client.
		if err := s.checkParts(&a); err != nil {
			s.setupErr = fmt.Errorf("%w: %w", ErrServer, err)
			return
		}
		if s.TLS != nil {
			s.features = append(s.features, s.startTLS())
		}
		s.features = append(s.features,
			auth.SASL2Server(&a), // preferred by clients that have it
			auth.Server(&a),
		)
		if err := s.route(); err != nil {
			s.setupErr = fmt.Errorf("%w: %w", ErrServer, err)
			return
		}
		s.features = append(s.features, s.router.Features()...)
		s.liveness = s.watch()
		s.features = append(s.features, stream.AdvertiseLimits(s.liveness.Hard))
	})
	return s.setupErr
}

// route sets the router up.
func (s *Server) route() error {
	s.router = presence.Router{
		Hosted:        s.Domains,
		Accounts:      existing{s.Accounts},
		Rosters:       s.Rosters,
		Offline:       s.Offline,
		NoOffline:     s.NoOffline,
		LastSeenStore: s.LastSeen,
		Modules:       s.Modules,
		Handler:       s.Handler,
		Conflict:      s.Conflict,
		Management:    s.Management,
		NoManagement:  s.NoManagement,
		MaxResources:  s.MaxResources,
		NetworkAddr:   loginAddr,
		Report:        s.logFailure,
	}
	return s.router.Init()
}

// checkParts checks what is configured in other packages' terms.
func (s *Server) checkParts(a *auth.ServerOptions) error {
	if s.TLS != nil {
		if err := s.TLS.Validate(); err != nil {
			return err
		}
	}
	if err := a.Validate(); err != nil {
		return err
	}
	if _, err := stream.ParseElement([]byte("<limits/>"), s.Limits); err != nil {
		return err
	}
	return s.Rates.check()
}

// startTLS returns STARTTLS as this server offers it.
func (s *Server) startTLS() stream.Feature {
	f := xtls.StartTLSServer(s.TLS)
	if s.InsecureAllowPlaintext {
		// RFC 6120 §5.3.1: <required/> would tell clients that plaintext is not
		// allowed, when it is. §5.4.3.3: it is offered before SASL or never.
		f.Forbids |= stream.Authenticated
		f.Advertise = func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(f.Name)
			w.End()
			return nil
		}
	}
	return f
}

func orDefault(v, def int) int {
	if v <= 0 {
		return def
	}
	return v
}

// Serve accepts connections from l until l fails or the server is shut down. It
// closes l, and returns ErrServerClosed after a shutdown. The sessions outlive
// it; Shutdown ends them. ctx is the parent of the contexts that handlers get;
// when it ends Serve returns its cause and the sessions are dropped.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, false)
}

// ServeTLS is Serve for a port on which TLS begins with the first byte
// (XEP-0368, conventionally 5223), instead of with STARTTLS. The listener is one
// of plain connections, and TLS is required whatever InsecureAllowPlaintext
// says. The handshake counts as negotiation: the connection is one of
// MaxConnections meanwhile, and NegotiationTimeout bounds it. The certificate is
// chosen by the Server Name Indication of the client, and the stream has to be
// to the domain that it names; tls.ServerHandshake has the rules.
//
// A server may have any number of listeners of both kinds. Until there is TLS a
// trace hears nothing, except that it is Closed if that fails.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, true)
}

// serve accepts connections from l, on which TLS comes first if directTLS is
// set.
func (s *Server) serve(ctx context.Context, l net.Listener, directTLS bool) error {
	defer l.Close()
	if err := s.init(); err != nil {
		return err
	}
	if directTLS && s.TLS == nil {
		return fmt.Errorf("%w: no TLS", ErrServer)
	}
	if !s.track(l) {
		return ErrServerClosed
	}
	defer s.untrack(l)
	// The sessions may outlive this call. One function for all of them costs each of
	// them nothing.
	context.AfterFunc(ctx, func() {
		l.Close()
		s.drop(ctx)
	})
	var delay time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.serveAsync(ctx, nc, directTLS)
			continue
		case s.isClosing(): // first of all: a program that shuts down ends its context too
			return ErrServerClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !isTemporary(err):
			return fmt.Errorf("xmpp: accept: %w", err)
		}
		// As net/http does: running out of file descriptors passes.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.logger().Error("accepting a connection failed; trying again", "error", withoutAddresses(err), "after", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drop ends the sessions that were accepted with a context which is over.
func (s *Server) drop(ctx context.Context) {
	s.mu.Lock()
	var over []*serverConn
	for c := range s.conns {
		if c.parent == ctx {
			over = append(over, c)
		}
	}
	s.mu.Unlock()
	for _, c := range over {
		c.abort(context.Cause(ctx))
	}
}

// isTemporary reports whether an error of Accept may pass.
func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() && !errors.Is(err, net.ErrClosed)
}

// serveAsync serves a connection in a goroutine of its own.
func (s *Server) serveAsync(ctx context.Context, nc net.Conn, directTLS bool) {
	c, err := s.enter(ctx, nc)
	if err != nil {
		nc.Close()
		s.logRefusal(err)
		return
	}
	c.directTLS = directTLS
	if ctx.Err() != nil {
		c.abort(context.Cause(ctx)) // drop may have come before it
	}
	// Owner: the server. Stops when the session ends, which Shutdown and Close
	// bring about. Joined through c.done.
	go func() {
		session, err := c.open()
		if err != nil {
			s.ended(c, err)
			return
		}
		// In a goroutine of its own, since negotiation takes a large stack, and
		// this one may be idle for days.
		go func() { s.ended(c, c.run(session)) }()
	}()
}

// ended is the end of a connection that was served in the background.
func (s *Server) ended(c *serverConn, err error) {
	defer s.leave(c)
	switch {
	case err == nil, s.isClosing(), errors.Is(err, stream.ErrPeerClosed): // in good order
	case c.refused:
		s.logRefusal(err)
	default:
		s.logFailure("session ended", err)
	}
}

// ServeConn serves one connection and returns when it is over: nil if the
// stream was closed in good order. It closes nc. Use it to take connections
// from elsewhere than a listener. ctx is as in Serve, and bounds the negotiation.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	return s.ServeSecured(ctx, nc, nil)
}

// ServeSecured is ServeConn for a connection on which TLS comes before the stream
// and has been taken care of, such as a WebSocket (RFC 7395 §3.9): sec describes
// it, as in stream.AcceptOptions. Nil means that there is no TLS, and that
// STARTTLS can be used as on any other connection.
func (s *Server) ServeSecured(ctx context.Context, nc net.Conn, sec *stream.Security) error {
	if err := s.init(); err != nil {
		nc.Close()
		return err
	}
	c, err := s.enter(ctx, nc)
	if err != nil {
		nc.Close()
		return err
	}
	defer s.leave(c)
	c.sec = sec
	return c.serve(ctx)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.listeners == nil {
		s.listeners = make(map[net.Listener]struct{})
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// enter registers a connection.
func (s *Server) enter(ctx context.Context, nc net.Conn) (*serverConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, ErrServerClosed
	case len(s.conns) >= orDefault(s.MaxConnections, 20_000):
		return nil, fmt.Errorf("xmpp: %d connections are open already", len(s.conns))
	}
	c := &serverConn{server: s, raw: nc, parent: ctx, since: time.Now(), done: make(chan struct{})}
	c.place = s.router.Connect(context.WithValue(ctx, connKey{}, c))
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[c] = struct{}{}
	s.crowd = max(s.crowd, len(s.conns))
	return c, nil
}

// leave is the end of a connection.
func (s *Server) leave(c *serverConn) {
	c.place.Leave()
	s.mu.Lock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.crowd > 256 {
		// A map does not shrink: what a flood of connections has made of it
		// goes when the flood has gone.
		s.conns, s.crowd = nil, 0
	}
	s.mu.Unlock()
	close(c.done)
}
