package xmpp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

// directPort is a port of a server on which TLS begins with the first byte.
type directPort struct {
	*xmpptest.Server
	inner *xmpp.Server
	l     *memconn.Listener
}

// listenDirect opens one more port of a server in memory.
func listenDirect(t testing.TB, configure func(*xmpp.Server)) *directPort {
	t.Helper()
	s, inner := serverOf(t, configure)
	p := &directPort{s, inner, memconn.Listen()}
	ended := make(chan error, 1)
	// Owner: the test. Stops when the server is closed. Joined below.
	go func() { ended <- inner.ServeTLS(context.Background(), p.l) }()
	t.Cleanup(func() {
		s.Close()
		require.ErrorIs(t, <-ended, xmpp.ErrServerClosed)
	})
	return p
}

// client returns a client for an account of the server that comes by this port.
func (p *directPort) client(t testing.TB, localpart string) *xmpp.Client {
	t.Helper()
	c := p.Client(p.AddAccount(t, localpart, "secret of "+localpart), "secret of "+localpart)
	c.DirectTLS = true
	c.Addr = ""
	c.Dial = &dial.Options{Resolver: srvOnly{}, Dialer: listenerDialer{t, p.l, "192.0.2.1:443"}}
	return c
}

// srvOnly knows where direct TLS is, and nothing else.
type srvOnly struct{}

func (srvOnly) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if service+"."+proto+"."+name != "xmpps-client.tcp.xmpp.test." {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, []*net.SRV{{Target: "x.example.", Port: 443}}, nil
}

func (srvOnly) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
}

// listenerDialer leads to a listener in memory.
type listenerDialer struct {
	t    testing.TB
	l    *memconn.Listener
	want string
}

func (d listenerDialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	require.Equal(d.t, d.want, address)
	return d.l.Dial(ctx)
}

// XEP-0368 for both roles, found by the DNS, with everything that follows.
func TestDirectTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var features []stream.Name
		var mechanism string
		p := listenDirect(t, nil)
		c := p.client(t, "juliet")
		c.Trace = &stream.Trace{
			FeaturesReceived: func(n []stream.Name) { features = append(features, n...) },
			Authenticated:    func(_ jid.JID, name string) { mechanism = name },
		}
		juliet, err := c.Connect(t.Context())
		require.NoError(t, err)
		sec := juliet.Session().Security()
		require.True(t, sec.Secure() && sec.Verified)
		require.Equal(t, "xmpp-client", sec.ALPN)
		require.Equal(t, "xmpp.test", sec.ServerName)
		require.Equal(t, "SCRAM-SHA-256-PLUS", mechanism)
		for _, f := range features {
			require.NotEqual(t, xtls.NS, f.Space, "XEP-0368 §2: no STARTTLS over direct TLS")
		}

		// A client of the other port is as near as one of this.
		romeo := p.Connect(t, "romeo")
		require.NoError(t, romeo.Send(t.Context(), &stanza.Message{To: juliet.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("psst")}))
		m, ok := next(t, juliet).(*stanza.Message)
		require.True(t, ok)
		require.Equal(t, romeo.LocalAddr(), m.From)
		require.NoError(t, juliet.Close(t.Context()))
	})
}

// A policy is told where the connection leads, with either kind of TLS.
func TestPoliciesLearnTheTarget(t *testing.T) {
	for name, direct := range map[string]bool{"STARTTLS": false, "direct TLS": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := listenDirect(t, nil)
				c, want := p.client(t, "juliet"), "x.example:443"
				if !direct {
					c, want = p.Client(c.JID, c.Password), "127.0.0.1:5222"
				}
				var told []string
				c.TLS = &xtls.ClientOptions{Target: "elsewhere.example:1", Policy: xtls.PolicyFunc(func(_ context.Context, p *xtls.Presented) error {
					told = append(told, p.Target)
					return p.Err
				})}
				conn, err := c.Connect(t.Context())
				require.NoError(t, err)
				require.Equal(t, []string{want}, told)
				require.NoError(t, conn.Close(t.Context()))
				require.Equal(t, "elsewhere.example:1", c.TLS.Target, "what the caller owns stays as it is")
			})
		})
	}
}

func TestDirectTLSOverTheNetwork(t *testing.T) {
	s, inner := serverOverTCP(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- inner.ServeTLS(t.Context(), l) }() // stops when the server is closed, joined below
	c := s.Client(s.AddAccount(t, "juliet", "secret"), "secret")
	c.DirectTLS, c.Addr = true, l.Addr().String()
	conn, err := c.Connect(t.Context())
	require.NoError(t, err)
	require.Equal(t, "xmpp-client", conn.Session().Security().ALPN)
	require.NoError(t, conn.Close(t.Context()))

	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	conn, err = c.ConnectOn(t.Context(), nc)
	require.NoError(t, err, "on a connection that exists already")
	require.NoError(t, conn.Close(t.Context()))
	s.Close()
	require.ErrorIs(t, <-ended, xmpp.ErrServerClosed)
}

// serverOverTCP returns a server on loopback, and the xmpp.Server inside.
func serverOverTCP(t testing.TB) (*xmpptest.Server, *xmpp.Server) {
	t.Helper()
	var inner *xmpp.Server
	return xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) { inner = s }}), inner
}

// adversarialT16: the wrong protocol on either port, and the wrong stream in the
// right one. That no goroutine is left is what the bubble sees to.
func adversarialT16(t *testing.T) {
	hello := func(conn net.Conn, s *xmpptest.Server, protocols ...string) (*tls.Conn, error) {
		c := tls.Client(conn, &tls.Config{RootCAs: s.CA.Pool(), ServerName: "xmpp.test", NextProtos: protocols})
		return c, c.Handshake()
	}
	each := func(name string, test func(t *testing.T, p *directPort)) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := listenDirect(t, nil)
				test(t, p)
				synctest.Wait()
				// The port is as good as before.
				conn, err := p.client(t, "romeo").Connect(t.Context())
				require.NoError(t, err)
				require.NoError(t, conn.Close(t.Context()))
			})
		})
	}
	each("server/ALPN", func(t *testing.T, p *directPort) {
		for _, bad := range []string{"http/1.1", "xmpp-server", "h2"} {
			conn, err := p.l.Dial(t.Context())
			require.NoError(t, err)
			_, err = hello(conn, p.Server, bad)
			require.ErrorContains(t, err, "no application protocol")
			_, err = io.Copy(io.Discard, conn)
			require.NoError(t, err, "the connection is closed")
			conn.Close()
		}
	})
	each("server/no ALPN", func(t *testing.T, p *directPort) {
		conn, err := p.l.Dial(t.Context())
		require.NoError(t, err)
		c, err := hello(conn, p.Server)
		require.NoError(t, err)
		w := &wire{Conn: c, t: t, server: p.Server}
		require.Contains(t, w.open(""), "SCRAM-SHA-256-PLUS")
		require.NoError(t, c.Close())
	})
	each("server/STARTTLS over direct TLS", func(t *testing.T, p *directPort) {
		conn, err := p.l.Dial(t.Context())
		require.NoError(t, err)
		c, err := hello(conn, p.Server, "xmpp-client")
		require.NoError(t, err)
		w := &wire{Conn: c, t: t, server: p.Server}
		require.NotContains(t, w.open(""), "starttls")
		w.say(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
		require.Contains(t, w.rest(), "<not-authorized")
		c.Close()
	})
	each("server/plaintext", func(t *testing.T, p *directPort) {
		conn, err := p.l.Dial(t.Context())
		require.NoError(t, err)
		w := &wire{Conn: conn, t: t, server: p.Server}
		w.say(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='xmpp.test'>`)
		require.Empty(t, w.rest())
		conn.Close()
	})
	each("client/STARTTLS on the port of direct TLS", func(t *testing.T, p *directPort) {
		c := p.client(t, "juliet")
		c.DirectTLS = false
		c.Addr, c.Dial = "192.0.2.1:5222", &dial.Options{Dialer: listenerDialer{t, p.l, "192.0.2.1:5222"}}
		_, err := c.Connect(t.Context())
		require.ErrorIs(t, err, stream.ErrTruncated)
	})
	each("client/direct TLS on the port of STARTTLS", func(t *testing.T, p *directPort) {
		c := p.client(t, "juliet")
		nc, err := p.Dial(t.Context())
		require.NoError(t, err)
		_, err = c.ConnectOn(t.Context(), nc)
		require.ErrorIs(t, err, xtls.ErrNotTLS)
	})
	t.Run("server/SNI and to", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := listenDirect(t, func(s *xmpp.Server) {
				other, err := xtls.NewDevCA()
				require.NoError(t, err)
				cert, err := other.Issue("other.test")
				require.NoError(t, err)
				s.Domains = append(s.Domains, address("other.test"))
				s.TLS.Certificates = append(s.TLS.Certificates, cert)
			})
			conn, err := p.l.Dial(t.Context())
			require.NoError(t, err)
			c, err := hello(conn, p.Server, "xmpp-client")
			require.NoError(t, err)
			w := &wire{Conn: c, t: t, server: p.Server}
			w.say(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='other.test'>`)
			require.Contains(t, w.rest(), "<host-unknown")
			c.Close()
		})
	})
}

// A handshake is bounded, counts as a connection, and keeps nobody else waiting.
func TestDirectTLSHandshakeIsNegotiation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var records records
		var closed []error
		p := listenDirect(t, func(s *xmpp.Server) {
			s.NegotiationTimeout = 7 * time.Second
			s.MaxConnections = 2
			s.Logger = records.logger()
			s.Trace = func(net.Conn) *stream.Trace {
				return &stream.Trace{Closed: func(err error) { closed = append(closed, err) }}
			}
		})
		silent, err := p.l.Dial(t.Context())
		require.NoError(t, err)
		defer silent.Close()
		begin := time.Now()
		conn, err := p.client(t, "juliet").Connect(t.Context())
		require.NoError(t, err)
		require.Less(t, time.Since(begin), time.Second)
		_, err = p.client(t, "juliet").Connect(t.Context())
		require.Error(t, err, "one more than MaxConnections")
		synctest.Wait()
		require.Contains(t, records.String(), "2 connections are open already")

		_, err = io.Copy(io.Discard, silent)
		require.NoError(t, err)
		require.Equal(t, 7*time.Second, time.Since(begin))
		synctest.Wait()
		require.Len(t, closed, 1)
		require.ErrorIs(t, closed[0], stream.ErrNegotiationTimeout)
		require.NoError(t, conn.Close(t.Context()))
	})
	// What the handshake took is not there for the rest.
	bubble(t, func(t *testing.T) {
		p := listenDirect(t, func(s *xmpp.Server) { s.NegotiationTimeout = 7 * time.Second })
		conn, err := p.l.Dial(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		begin := time.Now()
		<-time.After(5 * time.Second)
		c := tls.Client(conn, &tls.Config{RootCAs: p.CA.Pool(), ServerName: "xmpp.test"})
		require.NoError(t, c.Handshake())
		_, err = io.Copy(io.Discard, c)
		require.NoError(t, err)
		require.Less(t, time.Since(begin), 8*time.Second)
	})
	// The same on the other side.
	bubble(t, func(t *testing.T) {
		near, far := xmpptest.Pipe()
		defer far.Close()
		c := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "x", DirectTLS: true, Timeout: 7 * time.Second}
		begin := time.Now()
		_, err := c.ConnectOn(t.Context(), near)
		require.ErrorIs(t, err, stream.ErrNegotiationTimeout)
		require.Equal(t, 7*time.Second, time.Since(begin))
	})
}

func TestShutdownDuringHandshake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := listenDirect(t, nil)
		conn, err := p.l.Dial(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, p.inner.Shutdown(t.Context()))
		require.Zero(t, time.Since(begin))
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err)
	})
}

func TestDirectTLSConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, server := ownServer(t)
		server.TLS, server.InsecureAllowPlaintext = nil, true
		require.ErrorIs(t, server.ServeTLS(t.Context(), memconn.Listen()), xmpp.ErrServer)

		c := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "x", DirectTLS: true, InsecureWithoutTLS: true}
		near, far := xmpptest.Pipe()
		_, err := c.ConnectOn(t.Context(), near)
		require.ErrorIs(t, err, xmpp.ErrClient)
		_, err = io.Copy(io.Discard, far)
		require.NoError(t, err)
	})
}

// Trace.Closed runs whatever ends a connection, on a client as on a server.
func TestDirectTLSFailureIsTraced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		near, far := xmpptest.Pipe()
		far.Close()
		var closed []error
		c := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "x", DirectTLS: true, Trace: &stream.Trace{
			Closed: func(err error) { closed = append(closed, err) },
		}}
		_, err := c.ConnectOn(t.Context(), near)
		require.Error(t, err)
		require.Equal(t, []error{err}, closed)
		c.Trace = &stream.Trace{}
		near, far = xmpptest.Pipe()
		far.Close()
		_, err = c.ConnectOn(t.Context(), near)
		require.Error(t, err)
	})
}
