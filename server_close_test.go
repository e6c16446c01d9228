package xmpp_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

// serverOf returns a server that runs, and the xmpp.Server inside.
func serverOf(t testing.TB, configure func(*xmpp.Server)) (*xmpptest.Server, *xmpp.Server) {
	t.Helper()
	var inner *xmpp.Server
	s := memoryServer(t, func(s *xmpp.Server) {
		inner = s
		if configure != nil {
			configure(s)
		}
	})
	return s, inner
}

// ownServer returns a server of which the test runs Serve itself, and one that
// is closed, for its clients.
func ownServer(t testing.TB) (*xmpptest.Server, *xmpp.Server) {
	t.Helper()
	s, inner := serverOf(t, nil)
	s.Close()
	return s, &xmpp.Server{Domains: inner.Domains, Accounts: inner.Accounts, TLS: inner.TLS, Logger: inner.Logger}
}

// RFC 6120 §4.9.3.20.
func TestShutdownTellsEverybody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, inner := serverOf(t, nil)
		var all []*peer
		for _, r := range []string{"1", "2", "3"} {
			all = append(all, join(t, s, "juliet", r))
		}
		negotiating := dialWire(t, s)
		negotiating.open("")
		start := time.Now()
		require.NoError(t, inner.Shutdown(t.Context()))
		require.Less(t, time.Since(start), 2*time.Second)
		for _, p := range all {
			err := p.ended()
			var e *stream.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, stream.SystemShutdown, e.Condition)
			require.True(t, e.Received)
		}
		require.Empty(t, negotiating.rest())
		require.NoError(t, inner.Shutdown(t.Context()), "idempotent")
		require.NoError(t, inner.Close())
	})
}

func TestShutdownAfterItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, inner := serverOf(t, allowPlain)
		w := dialWire(t, s) // a client that does not close its side
		w.login("juliet", "balcony", "")
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, cause)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, inner.Shutdown(ctx), cause)
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Contains(t, w.rest(), "<system-shutdown")
		require.NoError(t, inner.Shutdown(t.Context()), "nothing is left")
	})
}

func TestServeEndsWithShutdownAndRefusesAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, server := ownServer(t)
		first, second := memconn.Listen(), memconn.Listen()
		ended := make(chan error, 2)
		go func() { ended <- server.Serve(t.Context(), first) }()
		go func() { ended <- server.Serve(t.Context(), second) }()
		synctest.Wait()
		require.NoError(t, server.Shutdown(t.Context()))
		require.ErrorIs(t, <-ended, xmpp.ErrServerClosed)
		require.ErrorIs(t, <-ended, xmpp.ErrServerClosed)

		third := memconn.Listen()
		require.ErrorIs(t, server.Serve(t.Context(), third), xmpp.ErrServerClosed)
		_, err := third.Dial(t.Context())
		require.ErrorIs(t, err, net.ErrClosed, "Serve closes its listener in any case")
		a, b := xmpptest.Pipe()
		require.ErrorIs(t, server.ServeConn(t.Context(), a), xmpp.ErrServerClosed)
		_, err = b.Read(make([]byte, 1))
		require.Error(t, err, "ServeConn closes its connection in any case")
	})
}

func TestShutdownOfAServerThatNeverServed(t *testing.T) {
	var s xmpp.Server
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, s.Close())
}

func TestServeConn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, server := ownServer(t)
		account := s.AddAccount(t, "juliet", "secret")
		serve := func() (net.Conn, chan error) {
			a, b := xmpptest.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- server.ServeConn(t.Context(), a) }()
			return b, ended
		}
		client := &xmpp.Client{JID: account, Password: "secret", TLS: &xtls.ClientOptions{}}
		b, ended := serve()
		_, err := client.ConnectOn(t.Context(), b)
		require.Error(t, err, "the certificate is from an authority that this client does not know")
		require.Error(t, <-ended)

		client = s.Client(account, "secret")
		b, ended = serve()
		conn, err := client.ConnectOn(t.Context(), b)
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
		require.NoError(t, <-ended, "in good order")

		b, ended = serve()
		b.Close()
		require.Error(t, <-ended)
	})
}

func TestServeContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, server := ownServer(t)
		s.AddAccount(t, "juliet", "secret")
		cause := errors.New("the program ends")
		ctx, cancel := context.WithCancelCause(t.Context())
		l := memconn.Listen()
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(ctx, l) }()
		nc, err := l.Dial(t.Context())
		require.NoError(t, err)
		conn, err := s.Client(address("juliet@xmpp.test"), "secret").ConnectOn(t.Context(), nc)
		require.NoError(t, err)
		negotiating, err := l.Dial(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		cancel(cause)
		require.ErrorIs(t, <-ended, cause)
		<-conn.Done()
		_, err = negotiating.Read(make([]byte, 1))
		require.Error(t, err)
		require.NoError(t, server.Shutdown(t.Context()))
	})
}

func TestServerThatCannotBeUsed(t *testing.T) {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	cert, err := ca.Issue("xmpp.test")
	require.NoError(t, err)
	good := func() *xmpp.Server {
		return &xmpp.Server{
			Domains: []jid.JID{address("xmpp.test")}, Accounts: &xmpp.MemoryAccounts{},
			TLS: &xtls.ServerOptions{Certificates: certificates(cert)},
		}
	}
	for name, spoil := range map[string]func(*xmpp.Server){
		"zero":             func(s *xmpp.Server) { *s = xmpp.Server{} },
		"no domain":        func(s *xmpp.Server) { s.Domains = nil },
		"zero domain":      func(s *xmpp.Server) { s.Domains = make([]jid.JID, 1) },
		"account domain":   func(s *xmpp.Server) { s.Domains[0] = address("a@xmpp.test") },
		"no accounts":      func(s *xmpp.Server) { s.Accounts = nil },
		"no TLS":           func(s *xmpp.Server) { s.TLS = nil },
		"zero TLS":         func(s *xmpp.Server) { s.TLS = &xtls.ServerOptions{} },
		"impossible limit": func(s *xmpp.Server) { s.Limits = &stream.Limits{ElementBytes: 1} },
		"retries":          func(s *xmpp.Server) { s.Auth = retries(99) },
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			spoil(s)
			l := memconn.Listen()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			require.ErrorIs(t, s.Serve(ctx, l), xmpp.ErrServer)
			_, err := l.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
			a, _ := xmpptest.Pipe()
			require.ErrorIs(t, s.ServeConn(ctx, a), xmpp.ErrServer)
			_, err = a.Write([]byte("x"))
			require.ErrorIs(t, err, net.ErrClosed)
			require.NoError(t, s.Close())
		})
	}
}

type brokenListener struct {
	net.Listener
	errs chan error
}

func (l brokenListener) Accept() (net.Conn, error) { return nil, <-l.errs }

type passing struct{ error }

func (passing) Temporary() bool { return true }
func (passing) Timeout() bool   { return false }

// Running out of file descriptors passes; anything else ends Serve.
func TestServeAndErrorsOfAccept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, server := ownServer(t)
		var log records
		server.Logger = log.logger()
		full := &net.OpError{Op: "accept", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 5222}, Err: passing{errors.New("too many open files")}}
		l := brokenListener{memconn.Listen(), make(chan error, 10)}
		for range 9 {
			l.errs <- full
		}
		final := errors.New("the cable is gone")
		l.errs <- final
		start := time.Now()
		require.ErrorIs(t, server.Serve(t.Context(), l), final)
		// 5 ms, doubled each time up to one second.
		require.Equal(t, (5+10+20+40+80+160+320+640+1000)*time.Millisecond, time.Since(start))
		require.Contains(t, log.String(), "too many open files")
		require.NotContains(t, log.String(), "192.0.2.7")
	})
}

func TestMaxConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := serverOf(t, func(s *xmpp.Server) { s.MaxConnections = 2 })
		first := dialWire(t, s)
		first.open("")
		second := join(t, s, "juliet", "balcony")
		third := dialWire(t, s)
		require.Empty(t, third.rest(), "one more is closed at once")
		first.Close()
		synctest.Wait()
		join(t, s, "romeo", "orchard")
		require.NoError(t, second.Close(t.Context()))
	})
}

// The bound on negotiation holds for callbacks of the program too.
func TestNegotiationTimeout(t *testing.T) {
	for name, configure := range map[string]func(*xmpp.Server){
		"silent client": nil,
		"slow accounts": func(s *xmpp.Server) { s.Accounts = slowAccounts{s.Accounts} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, _ := serverOf(t, func(s *xmpp.Server) {
					s.NegotiationTimeout = 7 * time.Second
					if configure != nil {
						configure(s)
					}
				})
				start := time.Now()
				if configure == nil {
					require.Empty(t, dialWire(t, s).rest())
				} else {
					_, err := tryJoin(t, s, "juliet", "balcony")
					require.Error(t, err)
				}
				require.Equal(t, 7*time.Second, time.Since(start))
			})
		})
	}
}

// adversarialG01: Close and Shutdown from anywhere, several times.
func adversarialG01(t *testing.T) {
	const soon = time.Second
	quick := func(t *testing.T, what string, f func() error) {
		t.Helper()
		start := time.Now()
		require.NoError(t, f(), what)
		require.Less(t, time.Since(start), soon, what)
	}
	t.Run("server/during handshake", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, inner := serverOf(t, nil)
			inHeader, inTLS := dialWire(t, s), dialWire(t, s)
			inTLS.open("")
			inTLS.say(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
			inTLS.until("/>")
			synctest.Wait()
			quick(t, "first", inner.Close)
			quick(t, "second", inner.Close)
			quick(t, "shutdown", func() error { return inner.Shutdown(t.Context()) })
			require.Empty(t, inHeader.rest())
			require.Empty(t, inTLS.rest())
		})
	})
	t.Run("server/from many goroutines", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, inner := serverOf(t, nil)
			p := join(t, s, "juliet", "balcony")
			over := make(chan error, 20)
			for i := range 20 {
				go func() {
					if i%2 == 0 {
						over <- inner.Close()
						return
					}
					over <- inner.Shutdown(t.Context())
				}()
			}
			start := time.Now()
			for range 20 {
				require.NoError(t, <-over)
			}
			require.Less(t, time.Since(start), soon)
			require.Error(t, p.ended())
		})
	})
	for name, stop := range map[string]func(context.Context, *xmpp.Server) error{
		"close":    func(_ context.Context, s *xmpp.Server) error { return s.Close() },
		"shutdown": func(ctx context.Context, s *xmpp.Server) error { return s.Shutdown(ctx) },
	} {
		t.Run("server/inside a handler/"+name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				took := make(chan time.Duration, 2)
				var inner *xmpp.Server
				s, inner := serverOf(t, func(s *xmpp.Server) {
					s.Handler = stanza.HandlerFunc(func(ctx context.Context, _ stanza.Sender, _ stanza.Stanza) error {
						for range 2 {
							start := time.Now()
							if err := stop(ctx, inner); err != nil && ctx.Err() == nil {
								return err
							}
							took <- time.Since(start)
						}
						return nil
					})
					inner = s
				})
				p, other := join(t, s, "juliet", "balcony"), join(t, s, "romeo", "orchard")
				p.say(`<message to='xmpp.test'/>`)
				require.Less(t, <-took, soon)
				require.Less(t, <-took, soon)
				require.Error(t, p.ended())
				require.Error(t, other.ended())
				require.NoError(t, inner.Shutdown(t.Context()))
			})
		})
	}
	t.Run("server/while a handler does not return", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			inside, goOn := make(chan struct{}), make(chan struct{})
			s, inner := serverOf(t, func(s *xmpp.Server) {
				s.Handler = stanza.HandlerFunc(func(context.Context, stanza.Sender, stanza.Stanza) error {
					close(inside)
					<-goOn // whatever its context says
					return nil
				})
			})
			p := join(t, s, "juliet", "balcony")
			p.say(`<message to='xmpp.test'/>`)
			<-inside
			quick(t, "close", inner.Close)
			require.Error(t, p.ended())
			close(goOn)
			require.NoError(t, inner.Shutdown(t.Context()))
		})
	})
	t.Run("client", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, nil)
			conn := s.Connect(t, "juliet")
			quick(t, "close", func() error { return conn.Close(t.Context()) })
			quick(t, "close", func() error { return conn.Close(t.Context()) })
			before := runtime.NumGoroutine()
			quick(t, "close", func() error { return conn.Close(t.Context()) })
			require.LessOrEqual(t, runtime.NumGoroutine(), before)
		})
	})
}
