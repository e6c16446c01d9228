package interop_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// start logs a slixmpp in, with STARTTLS unless the options have another address.
func (s *ourServer) start(ctx context.Context, t *testing.T, peer interop.Slixmpp, o interop.SlixmppOptions) (*interop.SlixmppClient, *interop.SlixmppEvent) {
	t.Helper()
	o.JID, o.CA = foreign.String(), s.file
	if o.Addr == nil {
		o.Addr = s.addr
	}
	c := peer.Start(t, o)
	hello := nextEvent(ctx, t, c)
	require.Equal(t, "hello", hello.Event)
	require.Equal(t, peer.Version, hello.Version)
	return c, hello
}

func nextEvent(ctx context.Context, t *testing.T, c *interop.SlixmppClient) *interop.SlixmppEvent {
	t.Helper()
	e, err := c.Next(ctx)
	require.NoError(t, err)
	return e
}

// TestSlixmpp: a foreign client logs in to our server and talks with a client of ours.
func TestSlixmpp(t *testing.T) {
	ca, certificate := certificateFor(t, foreign)
	for _, peer := range interop.FindSlixmpp(t) {
		t.Run(peer.Version, func(t *testing.T) {
			t.Run("TLS 1.2", func(t *testing.T) {
				s := startOurServer(t)
				ctx := bounded(t)
				c, _ := s.start(ctx, t, peer, interop.SlixmppOptions{TLS: "1.2", Password: password})
				s.talk(ctx, t, c, interop.SlixmppEvent{TLS: "TLSv1.2", Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-unique,,"})
			})
			t.Run("TLS 1.3", func(t *testing.T) {
				s := startOurServer(t)
				ctx := bounded(t)
				c, hello := s.start(ctx, t, peer, interop.SlixmppOptions{TLS: "1.3", Password: password})
				if !hello.KnowsTLS13 {
					// It takes tls-unique from TLS 1.3, where it is not defined (RFC 9266 §3).
					s.refuse(ctx, t, c, interop.SlixmppEvent{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-unique,,"})
					return
				}
				want := interop.SlixmppEvent{TLS: "TLSv1.3", Mechanism: "SCRAM-SHA-256", GS2: "n,,"}
				if slices.Contains(hello.Bindings, "tls-exporter") { // which Python 3.11 does not have
					want.Mechanism, want.GS2 = "SCRAM-SHA-256-PLUS", "p=tls-exporter,,"
				}
				s.talk(ctx, t, c, want)
			})
			t.Run("TLS 1.3 without channel binding", func(t *testing.T) {
				// What an operator can do for old clients: offer no -PLUS, so that "y" is the truth (RFC 5802 §6).
				s := startOurServer(t, func(s *xmpp.Server) { s.Auth.Mechanisms = []sasl.Mechanism{sasl.Scram(sasl.SHA256)} })
				ctx := bounded(t)
				c, _ := s.start(ctx, t, peer, interop.SlixmppOptions{TLS: "1.3", Password: password})
				s.talk(ctx, t, c, interop.SlixmppEvent{TLS: "TLSv1.3", Mechanism: "SCRAM-SHA-256", GS2: "y,,"})
			})
			if !strings.HasPrefix(peer.Version, "1.8.") { // which has to be told, in a way of its own
				t.Run("direct TLS", func(t *testing.T) {
					s := startOurServer(t)
					ctx := bounded(t)
					c, _ := s.start(ctx, t, peer, interop.SlixmppOptions{TLS: "1.3", Password: password, Addr: s.direct})
					s.talk(ctx, t, c, interop.SlixmppEvent{TLS: "TLSv1.3", Mechanism: "SCRAM-SHA-256", GS2: "n,,"})
				})
			}
			t.Run("EXTERNAL", func(t *testing.T) {
				s := startOurServer(t, func(s *xmpp.Server) { s.TLS.ClientCAs = ca.Pool() })
				for _, version := range []string{"1.2", "1.3"} {
					ctx := bounded(t)
					c, _ := s.start(ctx, t, peer, interop.SlixmppOptions{TLS: version, Certificate: certificate})
					s.talk(ctx, t, c, interop.SlixmppEvent{TLS: "TLSv" + version, Mechanism: "EXTERNAL"})
				}
			})
			t.Run("bad password", func(t *testing.T) {
				s := startOurServer(t)
				ctx := bounded(t)
				c, _ := s.start(ctx, t, peer, interop.SlixmppOptions{TLS: "1.2", Password: "wrong"})
				s.refuse(ctx, t, c, interop.SlixmppEvent{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-unique,,"})
			})
		})
	}
}

// talk waits until the slixmpp c has logged in as wanted and exchanges messages between it and a client of ours.
func (s *ourServer) talk(ctx context.Context, t *testing.T, c *interop.SlixmppClient, want interop.SlixmppEvent) {
	t.Helper()
	want.Event, want.JID = "session", foreign.String()
	require.Equal(t, want, *nextEvent(ctx, t, c))
	require.Equal(t, want.Mechanism, s.mechanism(foreign.Local()), "both sides mean the same")

	conn := s.login(ctx, t)
	const there, back = "Wherefore <art> thou & “Romeo”? \U0001F319", "Call me but \u2764 & I'll be new baptis'd ]]>"
	require.NoError(t, conn.Send(ctx, &stanza.Message{To: foreign, Type: stanza.ChatMessage, Body: stanza.Plain(there)}))
	got := nextEvent(ctx, t, c)
	require.Equal(t, interop.SlixmppEvent{Event: "message", From: conn.LocalAddr().String(), Type: "chat", Body: there}, *got)

	require.NoError(t, c.Send(conn.LocalAddr().String(), back))
	message := nextMessage(ctx, t, conn)
	require.Equal(t, foreign, message.From)
	require.Equal(t, stanza.ChatMessage, message.Type)
	require.Equal(t, back, message.Body.String())

	// Both close in good order (RFC 6120 §4.4).
	require.NoError(t, c.Close())
	require.Equal(t, "disconnected", nextEvent(ctx, t, c).Event)
	require.NoError(t, conn.Close(ctx))
}

// refuse checks that the server refuses the slixmpp c, whose attempt is as given, and ends the stream at once: channel-binding data is for one
// exchange (RFC 9266 §4.1).
func (s *ourServer) refuse(ctx context.Context, t *testing.T, c *interop.SlixmppClient, attempt interop.SlixmppEvent) {
	t.Helper()
	attempt.Event, attempt.Condition = "failed", string(sasl.NotAuthorized)
	require.Equal(t, attempt, *nextEvent(ctx, t, c))
	require.Equal(t, "disconnected", nextEvent(ctx, t, c).Event)
	require.Empty(t, s.mechanism(foreign.Local()))
	// Nothing weaker is tried; not-well-formed is the answer to TLS where STARTTLS was due.
	require.NotContains(t, s.errorsSent(), stream.PolicyViolation)
}
