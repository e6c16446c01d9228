// Package xmpptest runs an XMPP server inside a test, in the manner of
// net/http/httptest: real STARTTLS, real SCRAM, real routing between the
// sessions that connect to it. It is for the tests of programs that use
// StanzaKit, and for other clients too, since by default the server listens on a
// port of loopback.
//
//	server := xmpptest.NewServer(t, nil)
//	bot := server.Connect(t, "bot")
//	user := server.Connect(t, "user")
//
// With Options.InMemory nothing leaves the process, and the server works inside
// the bubbles of testing/synctest, where time is fake and begins in the year
// 2000: its certificates are issued there and then.
//
// The server is an [xmpp.Server], and does what that does: no rosters, no
// storage, no federation.
package xmpptest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// Options says what server to run. Nil and the zero value are a server for the
// domain "xmpp.test" on a free port of 127.0.0.1.
type Options struct {
	// Domain is the domain to serve; zero means "xmpp.test".
	Domain jid.JID

	// InMemory makes connections without the network; see [Server.Dial].
	InMemory bool

	// Configure is called with the server before it starts, to change what it
	// likes. Domains, Accounts, TLS, a Handler that answers pings, and a Logger
	// that writes to the output of the test are set by then.
	Configure func(*xmpp.Server)
}

// Server is a running server. It is safe for concurrent use.
type Server struct {
	// Domain is the domain served.
	Domain jid.JID

	// Addr is the host and port that the server listens on; empty for one that
	// runs in memory.
	Addr string

	// CA is the authority that issued the server's certificate, for clients to
	// trust.
	CA *xtls.DevCA

	// Accounts are the accounts of the server.
	Accounts *xmpp.MemoryAccounts

	server *xmpp.Server
	memory *memconn.Listener
	ended  chan struct{}
}

// NewServer starts a server, which is closed when the test and its subtests are
// over. Failing to start fails the test.
func NewServer(tb testing.TB, opts *Options) *Server {
	tb.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Domain.IsZero() {
		o.Domain = jid.MustParse("xmpp.test")
	}
	ca, err := xtls.NewDevCA()
	check(tb, err)
	certificate, err := ca.Issue(o.Domain.Domain())
	check(tb, err)
	mux := &stanza.Mux{}
	check(tb, ping.Responder().Register(mux))

	s := &Server{
		Domain: o.Domain,
		CA:     ca,
		// Logging in is what tests do most: no more work than the RFC wants.
		Accounts: &xmpp.MemoryAccounts{Iterations: sasl.MinIterations},
		ended:    make(chan struct{}),
	}
	s.server = &xmpp.Server{
		Domains:  []jid.JID{o.Domain},
		Accounts: s.Accounts,
		TLS:      &xtls.ServerOptions{Certificates: []tls.Certificate{certificate}},
		Handler:  mux,
		Logger:   slog.New(slog.NewTextHandler(tb.Output(), nil)),
	}
	if o.Configure != nil {
		o.Configure(s.server)
	}
	var l net.Listener
	if o.InMemory {
		s.memory = memconn.Listen()
		l = s.memory
	} else {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		check(tb, err)
		s.Addr = l.Addr().String()
	}
	// Owner: s. Stops when the server is closed. Joined through s.ended.
	go func() {
		defer close(s.ended)
		if err := s.server.Serve(context.Background(), l); !errors.Is(err, xmpp.ErrServerClosed) {
			tb.Errorf("xmpptest: %v", err)
		}
	}()
	tb.Cleanup(s.Close)
	return s
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("xmpptest: %v", err)
	}
}

// Close drops all connections and waits until the server has ended; for handlers
// that do not, ten seconds. Tests need not call it. It is idempotent.
func (s *Server) Close() {
	s.server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.server.Shutdown(ctx)
	<-s.ended
}

// AddAccount creates an account or changes its password, and returns its bare
// JID. A localpart that is none fails the test.
func (s *Server) AddAccount(tb testing.TB, localpart, password string) jid.JID {
	tb.Helper()
	account, err := jid.New(localpart, s.Domain.Domain(), "")
	check(tb, err)
	check(tb, s.Accounts.Set(tb.Context(), account, password))
	return account
}

// Client returns a client for an account of the server that trusts the server's
// authority and knows the way to it. Change it as you like before it connects.
func (s *Server) Client(account jid.JID, password string) *xmpp.Client {
	c := &xmpp.Client{JID: account, Password: password, RootCAs: s.CA.Pool(), Addr: s.Addr}
	if s.memory != nil {
		// A literal address keeps the DNS out of it.
		c.Addr = "127.0.0.1:5222"
		c.Dial = &dial.Options{Dialer: memoryDialer{s.memory}}
	}
	return c
}

// Connect creates an account with a random password, connects it and closes the
// connection when the test is over. Failing to connect fails the test.
func (s *Server) Connect(tb testing.TB, localpart string) *stanza.Conn {
	tb.Helper()
	password := rand.Text()
	account := s.AddAccount(tb, localpart, password)
	conn, err := s.Client(account, password).Connect(tb.Context())
	check(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // the test is over: nobody is left to be polite to
		conn.Close(ctx)
		<-conn.Done()
	})
	return conn
}

// Dial makes a connection to the server, without anything on it yet.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	if s.memory != nil {
		return s.memory.Dial(ctx)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
}

// memoryDialer dials the in-memory listener, whatever the address.
type memoryDialer struct{ l *memconn.Listener }

func (d memoryDialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return d.l.Dial(ctx)
}

// Pipe returns the two ends of a buffered connection in memory, with deadlines
// and half close, that works inside the bubbles of testing/synctest.
func Pipe() (a, b net.Conn) { return memconn.Pipe() }
