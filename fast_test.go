package xmpp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// withTokens returns a server that gives tokens (XEP-0484), and who keeps them.
func withTokens(t *testing.T) (*xmpptest.Server, *xmpp.Server, *auth.MemoryTokens) {
	t.Helper()
	tokens := new(auth.MemoryTokens)
	var inside *xmpp.Server
	s := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) {
		inside = s
		s.Auth = &auth.ServerOptions{SASL2: auth.SASL2ServerOptions{Tokens: tokens}}
	}})
	return s, inside, tokens
}

const installation = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// remembering makes a client keep what it learns.
func remembering(c *xmpp.Client) (mechanisms *[]string) {
	mechanisms = new([]string)
	c.Auth = &auth.ClientOptions{
		Credentials: new(auth.MemoryCredentials),
		UserAgent:   stream.UserAgent{ID: installation, Software: "AwesomeBot"},
	}
	c.Tag = "bot"
	c.Trace = &stream.Trace{Authenticated: func(_ jid.JID, m string) { *mechanisms = append(*mechanisms, m) }}
	return mechanisms
}

// A client that remembers logs in with its password once, and with tokens after
// that; the server knows the installation, and gives it the same resource.
func TestClientLogsInWithTokens(t *testing.T) {
	s, inside, _ := withTokens(t)
	c := victim(t, s, s.Addr)
	mechanisms := remembering(c)
	var addrs []jid.JID
	for range 3 {
		conn, err := c.Connect(t.Context())
		require.NoError(t, err)
		addrs = append(addrs, conn.LocalAddr())
		sessions := inside.Sessions(c.JID)
		require.LessOrEqual(t, len(sessions), 1)
		for _, session := range sessions { // not there for a moment after the client is
			require.Equal(t, stream.UserAgent{ID: installation, Software: "AwesomeBot"}, session.UserAgent())
		}
		require.NoError(t, conn.Close(t.Context()))
	}
	require.Equal(t, []string{"SCRAM-SHA-256-PLUS", "HT-SHA-256-EXPR", "HT-SHA-256-EXPR"}, *mechanisms)
	require.Equal(t, []jid.JID{addrs[0], addrs[0], addrs[0]}, addrs)
	require.True(t, strings.HasPrefix(addrs[0].Resource(), "bot/"), "%s", addrs[0])
}

// A token that is good no more is forgotten, and the password takes over on a
// connection of its own.
func TestClientWhoseTokenIsRefused(t *testing.T) {
	s, _, tokens := withTokens(t)
	c := victim(t, s, s.Addr)
	mechanisms := remembering(c)
	require.NoError(t, connectThrough(t, c))
	require.NoError(t, tokens.Revoke(t.Context(), c.JID.Bare()))
	require.NoError(t, connectThrough(t, c))
	require.NoError(t, connectThrough(t, c))
	require.Equal(t, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", "HT-SHA-256-EXPR"}, *mechanisms)

	// Without a password there is nothing else to try.
	require.NoError(t, tokens.Revoke(t.Context(), c.JID.Bare()))
	c.Password = ""
	require.ErrorIs(t, connectThrough(t, c), auth.ErrTokenRefused)
}

// A token is no use to whoever is in the middle, with a valid certificate and
// all: it is bound to the channel, and saying it again is saying it elsewhere.
func TestAttackerWithToken(t *testing.T) {
	s, _, _ := withTokens(t)
	valid, err := s.CA.Issue("xmpp.test")
	require.NoError(t, err)
	c := victim(t, s, s.Addr)
	mechanisms := remembering(c)
	require.NoError(t, connectThrough(t, c))

	said, answer := "", ""
	a := newAttacker(t, s, func(a *attack) {
		if err := a.startTLS(valid); err != nil {
			a.t.Error(err)
			return
		}
		a.opening(same)
		said = a.client.until("</authenticate>")
		a.server.say(said)
		answer = a.server.until("</failure>", "</success>")
		a.client.say(answer)
		a.pass()
	})
	c.Addr, c.Password = a.addr(), "" // it has the token alone
	require.ErrorIs(t, connectThrough(t, c), auth.ErrTokenRefused)
	a.over()
	require.Contains(t, said, "mechanism='HT-SHA-256-EXPR'")
	require.Contains(t, answer, "<not-authorized", fmt.Sprintf("the server answered %q", answer))
	require.Equal(t, []string{"SCRAM-SHA-256-PLUS"}, *mechanisms)
}

// What the client remembers of its last login is the least that it accepts,
// whatever it would accept from a stranger.
func TestClientRemembersTheFloor(t *testing.T) {
	s := xmpptest.NewServer(t, nil)
	weak := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) {
		s.Auth = &auth.ServerOptions{Mechanisms: []sasl.Mechanism{sasl.Plain()}, AllowPlain: true}
	}})
	account := s.AddAccount(t, "juliet", "capulet")
	weak.AddAccount(t, "juliet", "capulet")
	credentials := new(auth.MemoryCredentials)
	client := func(s *xmpptest.Server) *xmpp.Client {
		return &xmpp.Client{
			JID: account, Password: "capulet", Addr: s.Addr, RootCAs: s.CA.Pool(),
			Auth: &auth.ClientOptions{AllowPlain: true, Credentials: credentials},
		}
	}
	stranger := client(weak)
	stranger.Auth.Credentials = nil
	require.NoError(t, connectThrough(t, stranger))
	require.NoError(t, connectThrough(t, client(s)))
	require.ErrorIs(t, connectThrough(t, client(weak)), sasl.ErrDowngrade)
}
