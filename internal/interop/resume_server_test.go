package interop_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/dial"
)

// managedServer is a foreign server with stream management (XEP-0198).
type managedServer struct {
	*foreignServer
	version uint16 // of TLS
	returns bool   // it has no storage for messages that wait
}

// managedServers starts each server whose sessions can be resumed for some time, and tests it.
func managedServers(t *testing.T, resumption time.Duration, test func(t *testing.T, s managedServer)) {
	t.Run("Prosody", func(t *testing.T) {
		t.Parallel()
		p := startProsodyWith(t, interop.ProsodyOptions{Resumption: resumption})
		test(t, managedServer{&p.foreignServer, tls.VersionTLS13, false})
	})
	t.Run("ejabberd", func(t *testing.T) {
		t.Parallel()
		e := startEjabberd(t, interop.EjabberdOptions{Resumption: resumption})
		test(t, managedServer{&e.foreignServer, tls.VersionTLS12, true})
	})
}

// bob is somebody whose connection is fine.
func (s *managedServer) bob(ctx context.Context, t *testing.T) *ourVoice {
	t.Helper()
	client, _ := s.client("bob", s.version)
	conn, err := client.Connect(ctx)
	require.NoError(t, err)
	v := startOurVoice(t, conn)
	require.NoError(t, conn.Send(ctx, &stanza.Presence{}))
	return v
}

// alice is somebody who is behind a breaker, and reconnects.
func (s *managedServer) alice(ctx context.Context, t *testing.T, b *breaker, edits ...func(*xmpp.Client)) (*ourVoice, *events, *witness) {
	t.Helper()
	client, w := s.client("alice", s.version)
	e := newEvents()
	client.Addr, client.Reconnect = b.addr.String(), soon(e)
	for _, edit := range edits {
		edit(client)
	}
	conn, err := client.Connect(ctx)
	require.NoError(t, err)
	v := startOurVoice(t, conn)
	require.NoError(t, conn.Send(ctx, &stanza.Presence{}))
	return v, e, w
}

// patient is bounded for what takes a while: each resumption derives keys.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// breakPoints are where conversations break.
func breakPoints() []breakPoint {
	var points []breakPoint
	for i, after := range []int{0, 1, 30, 200, 1000, 3000, 9000, 17000, 30000, 45000} {
		points = append(points, breakPoint{to: toServer, after: after, reset: i%2 == 1}, breakPoint{to: toClient, after: after, reset: i%2 == 0})
	}
	return points
}

// TestResumeServer: a client of ours, whose connection breaks in the middle of a conversation, resumes its session (XEP-0198 §5). What both have said
// is heard by the other once and in order, and is acknowledged.
func TestResumeServer(t *testing.T) {
	managedServers(t, 5*time.Minute, func(t *testing.T, s managedServer) {
		ctx := patient(t)
		b := startBreaker(t, s.addr)
		bob := s.bob(ctx, t)
		alice, e, w := s.alice(ctx, t, b)
		address, resumptions := alice.who(), 0
		// again waits until the session was resumed once more.
		again := func() {
			resumptions++
			require.True(t, nth[xmpp.Connected](ctx, t, e, resumptions).Resumed, "a fresh session")
		}
		said := 0
		conversation := func(n int, between func(int)) {
			toAlice, toBob := talk(ctx, t, alice, bob, said, n, between)
			said += n
			heardBy(ctx, t, bob, toBob)
			heardBy(ctx, t, alice, toAlice)
			alice.settled(ctx, t)
		}
		conversation(3, nil)

		for _, p := range breakPoints() {
			broken := b.breakAt(t, p)
			conversation(6, nil)
			happened(ctx, t, "the connection breaks", broken)
			again()
		}

		// In a handshake, a login, and around <resumed/> too, which the server has sent and the client does not get.
		var points []breakPoint
		for after := 600; after <= 5000; after += 400 {
			points = append(points, breakPoint{to: toClient, after: after})
		}
		b.breakNext(points...)
		conversation(6, func(i int) {
			if i == 3 {
				b.cut(t)
			}
		})
		again()
		require.NoError(t, alice.Err())

		// XEP-0198 §5: a request is answered on the session that was resumed.
		broken := b.breakAt(t, breakPoint{to: toServer})
		_, err := ping.Ping(ctx, alice, jid.JID{})
		require.NoError(t, err)
		happened(ctx, t, "the connection breaks", broken)
		again()
		conversation(3, nil)

		require.Equal(t, address, alice.who())
		_, _, flow := w.seen()
		require.Equal(t, 1, flow.count(sent, "<enable xmlns='urn:xmpp:sm:3'"), "one session")
		require.False(t, flow.has(received, "<failed "))
		t.Logf("%d connections, %d resumptions", b.connections(), resumptions)
	})
}

// count counts the items from d with text in it.
func (f flow) count(d direction, text string) (n int) {
	for _, i := range f {
		if i.direction == d && strings.Contains(i.xml, text) {
			n++
		}
	}
	return n
}

// socket remembers the last connection that it has made.
type socket struct {
	mu   sync.Mutex
	last net.Conn
}

// DialContext implements dial.ContextDialer.
func (s *socket) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = c
	return c, err
}

// close closes the connection under whoever uses it.
func (s *socket) close(t *testing.T, reset bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if reset {
		require.NoError(t, s.last.(*net.TCPConn).SetLinger(0))
	}
	require.NoError(t, s.last.Close())
}

// TestResumeSocket: the socket is closed on the client's side, while it is in use.
func TestResumeSocket(t *testing.T) {
	managedServers(t, 5*time.Minute, func(t *testing.T, s managedServer) {
		ctx := patient(t)
		var sock socket
		bob := s.bob(ctx, t)
		client, _ := s.client("alice", s.version)
		e := newEvents()
		client.Reconnect, client.Dial = soon(e), &dial.Options{Dialer: &sock}
		conn, err := client.Connect(ctx)
		require.NoError(t, err)
		alice := startOurVoice(t, conn)
		require.NoError(t, conn.Send(ctx, &stanza.Presence{}))
		alice.say(ctx, t, bob.who(), said{"a", "hello"})
		heardBy(ctx, t, bob, []said{{"a", "hello"}})
		alice.settled(ctx, t) // so there is something to resume
		for round := range 6 {
			toAlice, toBob := talk(ctx, t, alice, bob, round*6, 6, func(i int) {
				if i == round {
					sock.close(t, round%2 == 1)
				}
			})
			heardBy(ctx, t, bob, toBob)
			heardBy(ctx, t, alice, toAlice)
			alice.settled(ctx, t)
			require.True(t, nth[xmpp.Connected](ctx, t, e, round+1).Resumed)
		}
	})
}

// TestResumeLiveness: an idle server answers <r/> (XEP-0198 §4), and one that does not is left for another connection on which the session goes on,
// although the server still holds the first to be fine.
func TestResumeLiveness(t *testing.T) {
	managedServers(t, 5*time.Minute, func(t *testing.T, s managedServer) {
		ctx := patient(t)
		b := startBreaker(t, s.addr)
		bob := s.bob(ctx, t)
		asked, answered := make(chan struct{}, 256), make(chan struct{}, 256)
		alice, e, _ := s.alice(ctx, t, b, func(c *xmpp.Client) {
			c.Liveness = stream.Liveness{Soft: time.Second, Hard: 2 * time.Second}
			note := func(c chan struct{}, xml []byte, prefix string) {
				if strings.HasPrefix(string(xml), prefix) {
					c <- struct{}{}
				}
			}
			c.Trace = stream.JoinTraces(c.Trace, &stream.Trace{
				XMLSent:     func(xml []byte) { note(asked, xml, "<r ") },
				XMLReceived: func(xml []byte) { note(answered, xml, "<a ") },
			})
		})
		alice.say(ctx, t, bob.who(), said{"a0", "hello"})
		heardBy(ctx, t, bob, []said{{"a0", "hello"}})
		alice.settled(ctx, t)
		for range 4 { // the first may have been for the stanzas
			next(ctx, t, asked)
			next(ctx, t, answered)
		}
		require.Equal(t, 1, b.connections())

		b.deafen(t, toServer)
		b.deafen(t, toClient)
		bob.say(ctx, t, alice.who(), said{"b1", "are you there?"})
		alice.say(ctx, t, bob.who(), said{"a1", "is anybody there?"})
		lost := nth[xmpp.Suspended](ctx, t, e, 0)
		require.ErrorIs(t, lost.Cause, stream.ErrSilent)
		require.True(t, lost.Resumable)
		require.True(t, nth[xmpp.Connected](ctx, t, e, 1).Resumed)
		heardBy(ctx, t, bob, []said{{"a1", "is anybody there?"}})
		heardBy(ctx, t, alice, []said{{"b1", "are you there?"}})
		alice.settled(ctx, t)
		bob.settled(ctx, t)
	})
}
