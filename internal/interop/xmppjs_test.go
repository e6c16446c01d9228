package interop_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream/auth"
)

// startXMPPJS starts a client for foreign, which logs in with the password unless the options have a token.
func (s *ourServer) startXMPPJS(ctx context.Context, t *testing.T, o interop.XMPPJSOptions) *interop.XMPPJSClient {
	t.Helper()
	o.Domain, o.Resource = ourDomain, "balcony"
	if o.Password != "" || o.Token != nil {
		o.Username = foreign.Local()
	}
	o.UserAgent, o.CA = "d4565fa7-4d72-4749-b3d3-740edbf87770", s.file
	o.Addr = s.addr
	if o.Direct {
		o.Addr = s.direct
	}
	if o.TLS == "" {
		o.TLS = "1.3"
	}
	c := interop.FindXMPPJS(t).Start(t, o)
	require.Equal(t, "hello", nextXMPPJS(ctx, t, c).Event)
	if !o.Direct {
		require.Equal(t, interop.XMPPJSEvent{Event: "sent", Name: "starttls", With: []string{}}, *nextXMPPJS(ctx, t, c))
	}
	return c
}

func nextXMPPJS(ctx context.Context, t *testing.T, c *interop.XMPPJSClient) *interop.XMPPJSEvent {
	t.Helper()
	e, err := c.Next(ctx)
	require.NoError(t, err)
	return e
}

// sessionXMPPJS waits for the session, and returns its address.
func (s *ourServer) sessionXMPPJS(ctx context.Context, t *testing.T, c *interop.XMPPJSClient, version string) jid.JID {
	t.Helper()
	session := nextXMPPJS(ctx, t, c)
	require.Equal(t, "session", session.Event, "%+v", session)
	require.Equal(t, version, session.TLS)
	return jid.MustParse(session.JID)
}

// talkXMPPJS exchanges messages between a session and a client of ours, and closes both.
func (s *ourServer) talkXMPPJS(ctx context.Context, t *testing.T, c *interop.XMPPJSClient, who jid.JID) {
	t.Helper()
	conn := s.login(ctx, t)
	const there, back = "Wherefore <art> thou & “Romeo”? \U0001F319", "Call me but \u2764 & I'll be new baptis'd ]]>"
	require.NoError(t, conn.Send(ctx, &stanza.Message{To: who, Type: stanza.ChatMessage, Body: stanza.Plain(there)}))
	got := nextXMPPJS(ctx, t, c)
	require.Equal(t, interop.XMPPJSEvent{Event: "message", From: conn.LocalAddr().String(), Type: "chat", Body: there}, *got)

	require.NoError(t, c.Send(conn.LocalAddr().String(), back))
	message := nextMessage(ctx, t, conn)
	require.Equal(t, who, message.From)
	require.Equal(t, back, message.Body.String())

	require.NoError(t, c.Close())
	require.Equal(t, "disconnected", nextXMPPJS(ctx, t, c).Event)
	require.NoError(t, conn.Close(ctx))
	require.Empty(t, s.errorsSent())
}

// TestXMPPJS: @xmpp/client prefers SASL 2 with Bind 2 (XEP-0388, XEP-0386). SCRAM-SHA-1 is the strongest mechanism that it has, and it has no channel
// binding.
func TestXMPPJS(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run("TLS "+name, func(t *testing.T) {
			s := startOurServer(t, tlsVersion(version))
			ctx := bounded(t)
			c := s.startXMPPJS(ctx, t, interop.XMPPJSOptions{Password: password, TLS: name})
			require.Equal(t, interop.XMPPJSEvent{
				Event: "sent", Name: "authenticate", Mechanism: "SCRAM-SHA-1", With: []string{"initial-response", "user-agent", "bind"},
			}, *nextXMPPJS(ctx, t, c))
			who := s.sessionXMPPJS(ctx, t, c, "TLSv"+name)
			require.Equal(t, "SCRAM-SHA-1", s.mechanism(foreign.Local()))
			require.Equal(t, "n,,", s.gs2())
			require.Equal(t, foreign.Bare(), who.Bare())
			// XEP-0386 §3.2: the tag is the beginning of the resource.
			require.True(t, strings.HasPrefix(who.Resource(), "balcony"), "%s", who)
			require.NotEqual(t, "balcony", who.Resource())
			s.talkXMPPJS(ctx, t, c, who)
		})
	}
	t.Run("ANONYMOUS", func(t *testing.T) {
		s := startOurServer(t, func(s *xmpp.Server) { s.Auth.Anonymous = auth.RandomAccount })
		ctx := bounded(t)
		c := s.startXMPPJS(ctx, t, interop.XMPPJSOptions{})
		require.Equal(t, "ANONYMOUS", nextXMPPJS(ctx, t, c).Mechanism)
		who := s.sessionXMPPJS(ctx, t, c, "TLSv1.3")
		require.Equal(t, "ANONYMOUS", s.mechanism(who.Local()))
		s.talkXMPPJS(ctx, t, c, who)
	})
	t.Run("direct TLS", func(t *testing.T) {
		s := startOurServer(t)
		ctx := bounded(t)
		c := s.startXMPPJS(ctx, t, interop.XMPPJSOptions{Password: password, Direct: true})
		require.Equal(t, "authenticate", nextXMPPJS(ctx, t, c).Name)
		s.talkXMPPJS(ctx, t, c, s.sessionXMPPJS(ctx, t, c, "TLSv1.3"))
	})
	t.Run("bad password", func(t *testing.T) {
		s := startOurServer(t)
		ctx := bounded(t)
		c := s.startXMPPJS(ctx, t, interop.XMPPJSOptions{Password: "wrong"})
		require.Equal(t, "authenticate", nextXMPPJS(ctx, t, c).Name)
		failed := nextXMPPJS(ctx, t, c)
		require.Equal(t, "failed", failed.Event)
		require.Equal(t, string(sasl.NotAuthorized), failed.Condition)
		require.Empty(t, s.mechanism(foreign.Local()))
	})
}

// TestXMPPJSFAST: after the login with the password, a token does, in one round trip (XEP-0484). @xmpp/client has the mechanism for tokens without
// channel binding only.
func TestXMPPJSFAST(t *testing.T) {
	s := startOurServer(t, func(s *xmpp.Server) { s.Auth.SASL2.Tokens = &auth.MemoryTokens{} })
	ctx := bounded(t)
	c := s.startXMPPJS(ctx, t, interop.XMPPJSOptions{Password: password})
	require.Equal(t, interop.XMPPJSEvent{
		Event: "sent", Name: "authenticate", Mechanism: "SCRAM-SHA-1", With: []string{"initial-response", "user-agent", "bind", "request-token"},
	}, *nextXMPPJS(ctx, t, c))
	issued := nextXMPPJS(ctx, t, c)
	require.Equal(t, "token", issued.Event)
	var token struct{ Mechanism, Token, Expiry string }
	require.NoError(t, json.Unmarshal(issued.Token, &token))
	require.Equal(t, "HT-SHA-256-NONE", token.Mechanism)
	who := s.sessionXMPPJS(ctx, t, c, "TLSv1.3")
	require.Equal(t, "SCRAM-SHA-1", s.mechanism(foreign.Local()))
	s.talkXMPPJS(ctx, t, c, who)

	for range 2 { // a token serves more than once
		c = s.startXMPPJS(ctx, t, interop.XMPPJSOptions{Token: issued.Token})
		require.Equal(t, interop.XMPPJSEvent{
			Event: "sent", Name: "authenticate", Mechanism: "HT-SHA-256-NONE", With: []string{"initial-response", "user-agent", "bind", "fast"},
		}, *nextXMPPJS(ctx, t, c))
		who = s.sessionXMPPJS(ctx, t, c, "TLSv1.3")
		require.Equal(t, foreign.Bare(), who.Bare())
		require.Equal(t, "HT-SHA-256-NONE", s.mechanism(foreign.Local()))
		s.talkXMPPJS(ctx, t, c, who)
	}

	// Without the password a token that the server did not issue leads nowhere.
	token.Token += "x"
	forged, err := json.Marshal(map[string]string{"mechanism": token.Mechanism, "token": token.Token, "expiry": token.Expiry})
	require.NoError(t, err)
	c = s.startXMPPJS(ctx, t, interop.XMPPJSOptions{Token: forged, Password: "wrong"})
	require.Equal(t, "HT-SHA-256-NONE", nextXMPPJS(ctx, t, c).Mechanism)
	require.Contains(t, nextRefusal(ctx, t, s), "<not-authorized")
	require.Equal(t, "SCRAM-SHA-1", nextXMPPJS(ctx, t, c).Mechanism, "it tries the password next")
	failed := nextXMPPJS(ctx, t, c)
	require.Equal(t, "failed", failed.Event)
	require.Equal(t, string(sasl.NotAuthorized), failed.Condition)
}
