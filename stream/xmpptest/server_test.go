package xmpptest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// next returns the next stanza of a connection, as a copy.
func next(t *testing.T, c *stanza.Conn) stanza.Stanza {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for st, err := range c.All(ctx) {
		require.NoError(t, err)
		return stanza.Clone(st)
	}
	t.Fatal("the stream is over")
	return nil
}

func converse(t *testing.T, s *xmpptest.Server) {
	bot, user := s.Connect(t, "bot"), s.Connect(t, "user")
	require.True(t, bot.Session().Security().Verified)
	require.NoError(t, user.Send(t.Context(), &stanza.Message{
		To: bot.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("hello"),
	}))
	m := next(t, bot).(*stanza.Message)
	require.Equal(t, "hello", m.Body.String())
	require.Equal(t, user.LocalAddr(), m.From, "the server says who it is from")
	require.NoError(t, bot.Send(t.Context(), m.Reply("hi")))
	require.Equal(t, "hi", next(t, user).(*stanza.Message).Body.String())
	_, err := ping.Ping(t.Context(), user, s.Domain)
	require.NoError(t, err)
}

func TestServerOnLoopback(t *testing.T) {
	s := xmpptest.NewServer(t, nil)
	require.NotEmpty(t, s.Addr)
	converse(t, s)
}

func TestServerInMemory(t *testing.T) {
	converse(t, xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Domain: jid.MustParse("münchen.example")}))
}

func TestServerInsideABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, 2000, time.Now().Year())
		converse(t, xmpptest.NewServer(t, &xmpptest.Options{InMemory: true}))
	})
}

func TestConfigureAndWrongPassword(t *testing.T) {
	configured := false
	s := xmpptest.NewServer(t, &xmpptest.Options{
		InMemory:  true,
		Configure: func(*xmpp.Server) { configured = true },
	})
	require.True(t, configured)
	account := s.AddAccount(t, "juliet", "secret")
	_, err := s.Client(account, "wrong").Connect(t.Context())
	require.ErrorIs(t, err, sasl.NotAuthorized)
	s.Close()
	s.Close()
	_, err = s.Client(account, "secret").Connect(t.Context())
	require.Error(t, err)
}
