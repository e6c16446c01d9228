package interop_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
	xtls "stanzakit.dev/xmpp/tls"
)

// managed logs alice in with the features put together by hand, and gives the conversation nothing to outlive the session with.
func (s *managedServer) managed(ctx context.Context, t *testing.T, addr string, m *sm.Client, sasl2 bool) (*ourVoice, *witness) {
	t.Helper()
	w := &witness{}
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	require.NoError(t, err)
	secure := &xtls.ClientOptions{RootCAs: s.roots, Config: &tls.Config{MinVersion: s.version, MaxVersion: s.version}}
	features := []stream.Feature{xtls.StartTLSClient(secure)}
	if sasl2 {
		features = append(features, auth.SASL2Client(&auth.ClientOptions{Password: password}))
	}
	features = append(features, auth.Client(&auth.ClientOptions{Password: password}), m.Feature(), bind.Client(&bind.ClientOptions{Tag: "interop"}))
	session, err := stream.Initiate(ctx, nc, &stream.InitiateOptions{
		To: jid.MustParse(s.domain), From: s.account("alice"), Features: features, Timeout: 20 * time.Second, Trace: w.trace(),
	})
	require.NoError(t, err)
	return startOurVoice(t, stanza.NewConn(session, nil)), w
}

// suspends waits until a session was lost, and can be resumed.
func suspends(ctx context.Context, t *testing.T, v *ourVoice, m *sm.Client) {
	t.Helper()
	happened(ctx, t, "the session ends", v.Done())
	require.True(t, m.Resumable())
}

// expire breaks the connection of alice such that bob hears "heard", whose acknowledgement is lost, and does not hear "lost". The server notices that
// it is broken; alice will when it is cut.
func expire(ctx context.Context, t *testing.T, alice, bob *ourVoice, b *breaker) (heard, lost *stream.Receipt) {
	t.Helper()
	b.deafen(t, toClient)
	alice.say(ctx, t, bob.who(), said{"heard", "this is heard"})
	heardBy(ctx, t, bob, []said{{"heard", "this is heard"}})
	b.deafen(t, toServer)
	alice.say(ctx, t, bob.who(), said{"lost", "this is lost"})
	heard, lost = alice.receipts[0], alice.receipts[1]
	require.NoError(t, lost.Wait(ctx, stream.Written))
	require.Equal(t, stream.Written, heard.State())
	alice.receipts = nil
	b.lose(t)
	return heard, lost
}

// TestResumeExpired: the server has given the session up when the client comes back. It says how many stanzas it got (XEP-0198 §5, <failed h=”/>), which
// are acknowledged with that; what is left is reported; and the client has a fresh session.
func TestResumeExpired(t *testing.T) {
	managedServers(t, time.Second, func(t *testing.T, s managedServer) {
		ctx := patient(t)
		b := startBreaker(t, s.addr)
		bob := s.bob(ctx, t)
		m, err := sm.NewClient(nil)
		require.NoError(t, err)
		alice, _ := s.managed(ctx, t, b.addr.String(), m, false)
		alice.appears(ctx, t, bob)
		first, address := m.Link(), alice.who()
		heard, lost := expire(ctx, t, alice, bob, b)
		bob.meets(ctx, t, address, stanza.UnavailablePresence)
		b.cut(t)
		suspends(ctx, t, alice, m)

		alice, w := s.managed(ctx, t, b.addr.String(), m, false)
		_, _, flow := w.seen()
		require.True(t, flow.has(sent, "<resume xmlns='urn:xmpp:sm:3'"))
		failed := flow.index(received, "<failed ")
		require.GreaterOrEqual(t, failed, 0)
		require.Regexp(t, `h=['"]2['"]`, flow[failed].xml, "the presence, and what was heard")
		require.Contains(t, flow[failed].xml, "<item-not-found")

		var why *sm.FailedError
		require.ErrorAs(t, first.Err(), &why)
		require.Equal(t, "item-not-found", why.Condition)
		require.Equal(t, stream.Acked, heard.State())
		require.Equal(t, stream.Unknown, lost.State())
		left := m.TakeLeft()
		require.Len(t, left, 1)
		require.Same(t, lost, left[0].Receipt)
		require.False(t, left[0].Unsent)
		require.Contains(t, string(left[0].XML), "this is lost")

		// The fresh session works, and is managed.
		alice.say(ctx, t, bob.who(), said{"again", "this is heard too"})
		alice.settled(ctx, t)
		heardBy(ctx, t, bob, []said{{"again", "this is heard too"}})
		require.NotSame(t, first, m.Link())
	})
}

// index returns where the first item from d with text in it is, or -1.
func (f flow) index(d direction, text string) int {
	for i := range f {
		if f[i].direction == d && strings.Contains(f[i].xml, text) {
			return i
		}
	}
	return -1
}

// TestResumeExpiredReconnect is TestResumeExpired by the front door: what has a receipt is reported and what has none is sent again, with the time.
func TestResumeExpiredReconnect(t *testing.T) {
	managedServers(t, time.Second, func(t *testing.T, s managedServer) {
		ctx := patient(t)
		b := startBreaker(t, s.addr)
		bob := s.bob(ctx, t)
		alice, e, _ := s.alice(ctx, t, b)
		alice.appears(ctx, t, bob)
		first := alice.who()
		heard, lost := expire(ctx, t, alice, bob, b)
		require.NoError(t, alice.Send(ctx, &stanza.Message{ID: "later", To: bob.who(), Type: stanza.ChatMessage, Body: stanza.Plain("this is late")}))
		require.NoError(t, bob.Send(ctx, &stanza.Message{ID: "away", To: first, Type: stanza.ChatMessage, Body: stanza.Plain("are you away?")}))
		bob.meets(ctx, t, first, stanza.UnavailablePresence)
		b.cut(t)

		fresh := nth[xmpp.Connected](ctx, t, e, 1)
		require.False(t, fresh.Resumed)
		require.Len(t, fresh.Unacked, 1)
		require.Equal(t, "this is lost", fresh.Unacked[0].(*stanza.Message).Body.String())
		require.Len(t, fresh.Resent, 1)
		require.Equal(t, "this is late", fresh.Resent[0].(*stanza.Message).Body.String())
		require.NoError(t, heard.Wait(ctx, stream.Acked))
		require.Equal(t, stream.Unknown, lost.State())

		// XEP-0198 §4: what the server had for the session is dealt with as if it had been for nobody: returned, or kept.
		if s.returns {
			back := next(ctx, t, bob.messages)
			require.Equal(t, "away", back.ID)
			require.Equal(t, stanza.ErrorMessage, back.Type)
		}
		late := next(ctx, t, bob.messages)
		require.Equal(t, "later", late.ID)
		require.Equal(t, alice.who(), late.From)
		_, stamped, err := delay.Of(late)
		require.NoError(t, err)
		require.True(t, stamped)

		require.NoError(t, alice.Send(ctx, &stanza.Presence{}))
		if !s.returns {
			require.Equal(t, "away", next(ctx, t, alice.messages).ID)
		}
		_, err = ping.Ping(ctx, alice, jid.JID{})
		require.NoError(t, err)
		require.Empty(t, alice.messages)
	})
}

// TestResumeProcess: another process, to which the state of the session is handed, resumes it.
func TestResumeProcess(t *testing.T) {
	managedServers(t, 5*time.Minute, func(t *testing.T, s managedServer) {
		ctx := patient(t)
		b := startBreaker(t, s.addr)
		bob := s.bob(ctx, t)
		m, err := sm.NewClient(nil)
		require.NoError(t, err)
		alice, _ := s.managed(ctx, t, b.addr.String(), m, false)
		require.NoError(t, alice.Send(ctx, &stanza.Presence{}))
		toAlice, toBob := talk(ctx, t, alice, bob, 0, 4, nil)
		heardBy(ctx, t, bob, toBob)
		heardBy(ctx, t, alice, toAlice)
		alice.settled(ctx, t)

		b.deafen(t, toServer)
		b.deafen(t, toClient)
		address := alice.who()
		toAlice, toBob = talk(ctx, t, alice, bob, 4, 4, nil)
		bob.settled(ctx, t)
		alice.Abort(context.Canceled)
		suspends(ctx, t, alice, m)
		b.cut(t)
		state, err := m.State()
		require.NoError(t, err)
		stored, err := state.MarshalBinary()
		require.NoError(t, err)

		var read sm.State
		require.NoError(t, read.UnmarshalBinary(stored))
		m, err = sm.NewClient(&sm.ClientOptions{State: &read})
		require.NoError(t, err)
		alice, _ = s.managed(ctx, t, b.addr.String(), m, false)
		require.Equal(t, address, alice.who())
		require.True(t, m.Link().Resumed())
		heardBy(ctx, t, bob, toBob)
		heardBy(ctx, t, alice, toAlice)
		toAlice, toBob = talk(ctx, t, alice, bob, 8, 3, nil)
		heardBy(ctx, t, bob, toBob)
		heardBy(ctx, t, alice, toAlice)
		alice.settled(ctx, t)
	})
}

// TestProsodyResumeInElement: what happens without mod_interop_resume when the connection breaks inside an element. Prosody takes all that the
// client says afterwards for a part of that element. It hears of nothing, and does not acknowledge anything either, so nothing seems to be delivered
// that is not.
func TestProsodyResumeInElement(t *testing.T) {
	t.Parallel()
	ctx := patient(t)
	p := startProsodyWith(t, interop.ProsodyOptions{Resumption: 5 * time.Minute, Unmended: true})
	if !strings.HasPrefix(p.Version, "0.12.") {
		t.Skipf("Prosody %s may know better", p.Version)
	}
	s := managedServer{&p.foreignServer, tls.VersionTLS13, false}
	b := startBreaker(t, s.addr)
	bob := s.bob(ctx, t)
	m, err := sm.NewClient(nil)
	require.NoError(t, err)
	alice, _ := s.managed(ctx, t, b.addr.String(), m, false)
	alice.say(ctx, t, bob.who(), said{"a0", text(0)})
	heardBy(ctx, t, bob, []said{{"a0", text(0)}})
	alice.settled(ctx, t)

	// At the beginning of an element all is well.
	broken := b.breakAt(t, breakPoint{to: toServer})
	alice.say(ctx, t, bob.who(), said{"a1", text(1)})
	happened(ctx, t, "the connection breaks", broken)
	suspends(ctx, t, alice, m)
	alice, _ = s.managed(ctx, t, b.addr.String(), m, false)
	heardBy(ctx, t, bob, []said{{"a1", text(1)}})
	alice.say(ctx, t, bob.who(), said{"a2", text(2)})
	alice.settled(ctx, t)
	heardBy(ctx, t, bob, []said{{"a2", text(2)}})

	broken = b.breakAt(t, breakPoint{to: toServer, after: 20_000})
	alice.say(ctx, t, bob.who(), said{"a4", text(4)})
	lost := alice.receipts[0]
	happened(ctx, t, "the connection breaks", broken)
	suspends(ctx, t, alice, m)
	alice, _ = s.managed(ctx, t, b.addr.String(), m, false)
	require.True(t, m.Link().Resumed())
	_ = alice.Close(ctx)
	require.NoError(t, p.WaitLogCount(ctx, 1, "Received invalid XML (mismatched tag)"))
	require.Equal(t, stream.Unknown, lost.State())
	require.Empty(t, bob.messages)
}
