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
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
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
