package xmpp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

// serverAndInside returns a server in memory, and what is inside.
func serverAndInside(t *testing.T, configure func(*xmpp.Server)) (*xmpptest.Server, *xmpp.Server) {
	t.Helper()
	var inside *xmpp.Server
	outside := memoryServer(t, func(s *xmpp.Server) {
		inside = s
		if configure != nil {
			configure(s)
		}
	})
	return outside, inside
}

//conformance:proves 6120-4.9.3.19-1
func TestSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, server := serverAndInside(t, nil)
		begin := time.Now()
		juliet := join(t, s, "juliet", "balcony")
		<-time.After(time.Minute)
		romeo := join(t, s, "romeo", "orchard")
		chamber := join(t, s, "juliet", "chamber")
		synctest.Wait() // the client knows first
		addrs := func(account jid.JID) (out []string) {
			for _, c := range server.Sessions(account) {
				out = append(out, c.Addr().String())
			}
			return out
		}
		require.Equal(t, []string{"juliet@xmpp.test/balcony", "juliet@xmpp.test/chamber", "romeo@xmpp.test/orchard"}, addrs(jid.JID{}))
		require.Equal(t, []string{"juliet@xmpp.test/balcony", "juliet@xmpp.test/chamber"}, addrs(juliet.LocalAddr()))
		require.Empty(t, addrs(jid.MustParse("mercutio@xmpp.test")))

		c := server.Sessions(juliet.LocalAddr())[0]
		require.Equal(t, begin, c.Since())
		require.Equal(t, netip.AddrPort{}, c.NetworkAddr(), "it is no connection of a network")
		sec := c.Security()
		require.True(t, sec.Secure())
		require.Equal(t, stream.UserAgent{}, c.UserAgent())
		before, _ := c.Stanzas()
		traffic := c.Traffic()
		juliet.say("<message to='romeo@xmpp.test/orchard'><body>Ay me!</body></message>")
		romeo.hear()
		synctest.Wait() // it counts when its handler has returned
		after, _ := c.Stanzas()
		require.Equal(t, before+1, after)
		require.Equal(t, traffic.BytesIn+uint64(len("<message to='romeo@xmpp.test/orchard'><body>Ay me!</body></message>")), c.Traffic().BytesIn)

		require.NoError(t, c.End(t.Context(), &stream.Error{Condition: stream.PolicyViolation, Text: "enough"}))
		<-c.Done()
		<-juliet.Done()
		require.ErrorIs(t, juliet.Err(), stream.PolicyViolation)
		synctest.Wait()
		require.Equal(t, []string{"juliet@xmpp.test/chamber"}, addrs(juliet.LocalAddr()))

		require.NoError(t, server.Sessions(chamber.LocalAddr())[0].End(t.Context(), &stream.Error{
			Condition: stream.SeeOtherHost, OtherHost: "other.example:5222",
		}))
		<-chamber.Done()
		var e *stream.Error
		require.ErrorAs(t, chamber.Err(), &e)
		require.Equal(t, stream.SeeOtherHost, e.Condition)
		require.Equal(t, "other.example:5222", e.OtherHost)
		require.Empty(t, addrs(chamber.LocalAddr()))
	})
}

// A client that floods is slowed down; others are not, and nothing is lost.
func TestRatesThrottle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Rates.Stanzas = stream.Rate{PerSecond: 1, Burst: 5} })
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		begin := time.Now()
		for range 10 {
			romeo.say("<message to='juliet@xmpp.test/balcony'/>")
		}
		juliet.say("<message to='romeo@xmpp.test/orchard'/>")
		romeo.hear()
		require.Zero(t, time.Since(begin))
		for range 10 {
			juliet.hear()
		}
		require.InDelta(t, 5, time.Since(begin).Seconds(), 0.1)
	})
}

func TestRatesStanza(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Rates.Stanza = func(from jid.JID, el *stream.Element) (time.Duration, error) {
				switch {
				case el.Attr("id") == "bad":
					return 0, &stream.Error{Condition: stream.PolicyViolation, Text: "not from " + from.Local()}
				case el.Attr("id") == "slow":
					return 30 * time.Second, nil
				}
				return 0, nil
			}
		})
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		begin := time.Now()
		romeo.say("<message id='slow' to='juliet@xmpp.test/balcony'/>")
		juliet.hear()
		require.InDelta(t, 30, time.Since(begin).Seconds(), 0.1)
		romeo.say("<message id='bad' to='juliet@xmpp.test/balcony'/>")
		<-romeo.Done()
		require.ErrorIs(t, romeo.Err(), stream.PolicyViolation)
		require.ErrorContains(t, romeo.Err(), "not from romeo")
		juliet.quiet()
	})
}

// fromConn is a connection from somewhere in the network.
type fromConn struct {
	net.Conn
	from string
}

func (c fromConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// Connections that are too many, or not wanted, are closed before anything is
// read or said.
func TestRatesConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		unwanted := errors.New("unwanted")
		var asked []string
		_, server := serverAndInside(t, func(s *xmpp.Server) {
			s.Rates.Connections = stream.Rate{PerSecond: 1e-6, Burst: 2}
			s.Rates.Connect = func(_ context.Context, from netip.AddrPort) error {
				asked = append(asked, from.String())
				if from.Addr() == netip.MustParseAddr("198.51.100.7") {
					return unwanted
				}
				return nil
			}
		})
		connect := func(from string) (string, error) {
			a, b := memconn.Pipe()
			served := make(chan error, 1)
			go func() { served <- server.ServeConn(t.Context(), fromConn{b, from}) }()
			_, _ = io.WriteString(a, "</>") // not XML: who is let in is answered
			heard, _ := io.ReadAll(a)
			return string(heard), <-served
		}
		for i, c := range []struct {
			from    string
			allowed bool
		}{
			{"192.0.2.1:1001", true}, {"192.0.2.1:1002", true}, {"192.0.2.1:1003", false}, {"192.0.2.2:1001", true}, {"198.51.100.7:1", false},
		} {
			heard, err := connect(c.from)
			require.Error(t, err)
			require.Equal(t, c.allowed, strings.Contains(heard, "stream:error"), "%d: %q, %v", i, heard, err)
			require.NotContains(t, err.Error(), "192.0.2.1")
		}
		_, err := connect("198.51.100.7:2")
		require.ErrorIs(t, err, unwanted)
		require.Equal(t, []string{"192.0.2.1:1001", "192.0.2.1:1002", "192.0.2.2:1001", "198.51.100.7:1", "198.51.100.7:2"}, asked)
	})
}

// Nobody has to configure anything to be safe, or to get on with work.
func TestRatesDefaults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		begin := time.Now()
		for range 10_000 {
			romeo.say("<message to='juliet@xmpp.test/balcony'/>")
			juliet.hear()
		}
		require.Less(t, time.Since(begin), time.Second)
		for range 2_000 {
			romeo.say("<message to='juliet@xmpp.test/balcony'/>")
			juliet.hear()
		}
		require.Greater(t, time.Since(begin), time.Second)
	})
}

// A ClientSession tells where its client is and what else there is to know, and
// the sessions are in order.
func TestSessionsTellOfTheirClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, server := serverAndInside(t, nil)
		c := loginFrom(t, s, server, "juliet", "secret of juliet", "[::ffff:192.0.2.1]:1001")
		require.NoError(t, c.err)
		synctest.Wait() // the client knows first
		sessions := server.Sessions(jid.JID{})
		require.Len(t, sessions, 1)
		require.Equal(t, netip.MustParseAddrPort("192.0.2.1:1001"), sessions[0].NetworkAddr())
	})
	// A client that does not answer is waited for as long as the context says.
	bubble(t, func(t *testing.T) {
		s, server := serverAndInside(t, nil)
		nc, err := s.Dial(t.Context())
		require.NoError(t, err)
		client, err := stream.Initiate(t.Context(), nc, &stream.InitiateOptions{
			To: s.Domain, From: s.AddAccount(t, "juliet", "secret"),
			Features: []stream.Feature{
				xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: s.CA.Pool()}),
				auth.Client(&auth.ClientOptions{Password: "secret"}), bind.Client(nil),
			},
		})
		require.NoError(t, err)
		defer client.Abort(errors.New("the test is over")) // nobody has read
		synctest.Wait()
		cause := errors.New("no time")
		begin := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		require.ErrorIs(t, server.Sessions(jid.JID{})[0].End(ctx, nil), cause)
		require.Equal(t, time.Second, time.Since(begin))
		synctest.Wait()
		require.Empty(t, server.Sessions(jid.JID{}))
	})
	bubble(t, func(t *testing.T) {
		s, server := serverAndInside(t, nil)
		var want []string
		for _, r := range []string{"e", "b", "d", "a", "c"} {
			join(t, s, "juliet", r)
		}
		for _, r := range []string{"a", "b", "c", "d", "e"} {
			want = append(want, "juliet@xmpp.test/"+r)
		}
		synctest.Wait()
		for range 5 { // a map is in a different order each time
			var got []string
			for _, c := range server.Sessions(jid.JID{}) {
				got = append(got, c.Addr().String())
			}
			require.Equal(t, want, got)
		}
	})
}

// login is what came of an attempt to connect.
type login struct {
	conn *stanza.Conn
	err  error
}

// loginFrom connects a client that comes from somewhere in the network.
func loginFrom(t *testing.T, s *xmpptest.Server, server *xmpp.Server, localpart, password, from string) login {
	t.Helper()
	account := address(localpart + "@xmpp.test")
	if _, err := s.Accounts.Keys(t.Context(), account, sasl.SHA256); err != nil {
		s.AddAccount(t, localpart, "secret of "+localpart)
	}
	a, b := memconn.Pipe()
	served := make(chan struct{})
	// Owner: the test. Ends with the connection. Joined by the cleanup.
	go func() {
		defer close(served)
		_ = server.ServeConn(context.Background(), fromConn{b, from})
	}()
	c := s.Client(account, password)
	conn, err := c.ConnectOn(t.Context(), a)
	t.Cleanup(func() {
		if conn != nil {
			conn.Session().Abort(errors.New("the test is over"))
		}
		<-served
	})
	return login{conn, err}
}

// Who guesses passwords is counted by address over all connections, with no
// configuration, unless the address is the proxy's.
func TestLoginsAreCountedByAddress(t *testing.T) {
	for name, c := range map[string]struct {
		from    string
		counted bool
	}{"network": {"192.0.2.1:1", true}, "mapped": {"[::ffff:192.0.2.1]:1", true}, "loopback": {"127.0.0.1:1", false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, server := serverAndInside(t, nil)
				for range 5 {
					require.ErrorIs(t, loginFrom(t, s, server, "juliet", "wrong", c.from).err, sasl.NotAuthorized)
				}
				err := loginFrom(t, s, server, "juliet", "secret of juliet", c.from).err
				if c.counted {
					require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
				} else {
					require.NoError(t, err)
				}
				require.NoError(t, loginFrom(t, s, server, "juliet", "secret of juliet", "198.51.100.1:1").err, "the owner is elsewhere")
			})
		})
	}
	t.Run("an Address of the program's own", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s, server := serverAndInside(t, func(s *xmpp.Server) {
				s.Auth = &auth.ServerOptions{Address: func(context.Context) netip.Addr { return netip.Addr{} }}
			})
			for range 5 {
				require.Error(t, loginFrom(t, s, server, "juliet", "wrong", "192.0.2.1:1").err)
			}
			require.NoError(t, loginFrom(t, s, server, "juliet", "secret of juliet", "192.0.2.1:1").err)
		})
	})
}

// Who decides about connections gets an address that compares, and no more time
// than there is for a negotiation.
func TestRatesConnectIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked netip.AddrPort
		_, server := serverAndInside(t, func(s *xmpp.Server) {
			s.NegotiationTimeout = 7 * time.Second
			s.Rates.Connect = func(ctx context.Context, from netip.AddrPort) error {
				asked = from
				<-ctx.Done()
				return context.Cause(ctx)
			}
		})
		a, b := memconn.Pipe()
		defer a.Close()
		begin := time.Now()
		err := server.ServeConn(t.Context(), fromConn{b, "[::ffff:192.0.2.1]:1001"})
		require.ErrorIs(t, err, stream.ErrNegotiationTimeout)
		require.Equal(t, 7*time.Second, time.Since(begin))
		require.True(t, netip.MustParsePrefix("192.0.2.0/24").Contains(asked.Addr()))
	})
	// What it took is not there for the client.
	bubble(t, func(t *testing.T) {
		_, server := serverAndInside(t, func(s *xmpp.Server) {
			s.NegotiationTimeout = 7 * time.Second
			s.Rates.Connect = func(context.Context, netip.AddrPort) error {
				<-time.After(5 * time.Second)
				return nil
			}
		})
		a, b := memconn.Pipe()
		defer a.Close()
		begin := time.Now()
		require.ErrorIs(t, server.ServeConn(t.Context(), fromConn{b, "192.0.2.1:1001"}), stream.ErrNegotiationTimeout)
		require.Equal(t, 7*time.Second, time.Since(begin))
	})
}

// Who cannot be let in is one record a second, without an address.
func TestRefusedConnectionsAreLoggedSparingly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var records records
		s, server := serverAndInside(t, func(s *xmpp.Server) {
			s.Logger = records.logger()
			s.Rates.Connect = func(context.Context, netip.AddrPort) error { return errors.New("unwanted") }
		})
		dial := func(n int) {
			for range n {
				nc, err := s.Dial(t.Context())
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, nc)
				nc.Close()
			}
			synctest.Wait()
		}
		dial(20)
		require.Equal(t, 1, strings.Count(records.String(), "unwanted"), records.String())
		<-time.After(time.Second)
		dial(1)
		require.Equal(t, 2, strings.Count(records.String(), "unwanted"))
		require.Contains(t, records.String(), "count=20")
		require.Zero(t, server.OpenConnections())
	})
}

// What Rates.Stanza says and Rates.Stanzas says add up to the longer one of both,
// errors win, and what is no stanza is no business of Rates.Stanza.
func TestRatesStanzaIsAskedAboutStanzas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked []string
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Rates.Stanza = func(_ jid.JID, el *stream.Element) (time.Duration, error) {
				asked = append(asked, el.Name().Local)
				if el.Name().Local == "presence" {
					panic("a mistake")
				}
				return 0, nil
			}
		})
		romeo, other := join(t, s, "romeo", "orchard"), join(t, s, "romeo", "chamber")
		romeo.say("<message to='romeo@xmpp.test/orchard'/>")
		romeo.hear()
		romeo.say("<x xmlns='urn:example:no-stanza'/>")
		<-romeo.Done()
		require.ErrorIs(t, romeo.Err(), stream.UnsupportedStanzaType)
		require.Equal(t, []string{"message"}, asked)
		other.say("<presence/>")
		<-other.Done()
		require.ErrorIs(t, other.Err(), stream.InternalServerError, "a panic is told, and nothing more")
		require.NotContains(t, other.Err().Error(), "mistake")
		join(t, s, "romeo", "chamber")
	})
}

func TestRatesThatLetNothingPass(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, server := ownServer(t)
		server.Rates.Connections = stream.Rate{PerSecond: 5}
		err := server.Serve(t.Context(), memconn.Listen())
		require.ErrorIs(t, err, xmpp.ErrServer)
		require.ErrorContains(t, err, "rates: Connections")
	})
}
