package carbons_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// client is a connected client that keeps the messages that it gets.
type client struct {
	*stanza.Conn
	tb  testing.TB
	got chan *stanza.Message
}

// login connects a client of an account, which says that it is available.
func login(tb testing.TB, s *xmpptest.Server, account jid.JID, features ...stream.Feature) *client {
	tb.Helper()
	c := s.Client(account, "secret")
	c.Lang, c.Features = "it", features
	conn, err := c.Connect(tb.Context())
	require.NoError(tb, err)
	out := &client{conn, tb, make(chan *stanza.Message, 100)}
	served := make(chan struct{})
	go func() { // ends with the connection, in the cleanup
		defer close(served)
		_ = conn.Serve(context.Background(), stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
			if m, ok := st.(*stanza.Message); ok {
				out.got <- m.Clone()
			}
			return nil
		}))
	}()
	tb.Cleanup(func() { conn.Abort(nil); <-served })
	require.NoError(tb, conn.Send(tb.Context(), &stanza.Presence{}))
	synctest.Wait()
	return out
}

// next returns the only message that has come, which is the copy of another one.
func (c *client) next(want carbons.Direction) *stanza.Message {
	c.tb.Helper()
	synctest.Wait()
	require.Len(c.tb, c.got, 1)
	m := <-c.got
	require.Equal(c.tb, c.LocalAddr(), m.To)
	cc, err := carbons.Decode(m, c.LocalAddr())
	require.NoError(c.tb, err)
	require.Equal(c.tb, want, cc.Direction)
	return cc.Message
}

// Two clients of one account and one of another, on a real server: with Bind 2, by
// request, and with a forgery.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, new(carbons.Module))
		}})
		romeo, juliet := s.AddAccount(t, "romeo", "secret"), s.AddAccount(t, "juliet", "secret")
		enabled := false
		garden := login(t, s, romeo, carbons.Client(func() { enabled = true }))
		require.True(t, enabled)
		home := login(t, s, romeo)
		balcony := login(t, s, juliet)

		// §8: to garden, that home has written; home has not asked for copies.
		require.NoError(t, home.Send(t.Context(), &stanza.Message{To: juliet, Type: stanza.ChatMessage, ID: "1", Body: stanza.Plain("hi")}))
		sent := garden.next(carbons.Sent)
		require.Equal(t, home.LocalAddr(), sent.From)
		require.Equal(t, juliet, sent.To)
		require.Equal(t, "it", sent.Lang)
		synctest.Wait()
		require.Len(t, balcony.got, 1)
		require.Empty(t, home.got)
		<-balcony.got

		// §7: to home, once it has asked, what is for garden.
		require.NoError(t, carbons.Enable(t.Context(), home))
		require.NoError(t, balcony.Send(t.Context(), &stanza.Message{To: garden.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("hi")}))
		require.Equal(t, balcony.LocalAddr(), home.next(carbons.Received).From)
		require.Len(t, garden.got, 1)
		_, err := carbons.Decode(<-garden.got, romeo)
		require.ErrorIs(t, err, carbons.ErrNone)

		// To the account: both get it and no copies.
		require.NoError(t, balcony.Send(t.Context(), &stanza.Message{To: romeo, Type: stanza.ChatMessage, Body: stanza.Plain("hi")}))
		synctest.Wait()
		require.Len(t, garden.got, 1)
		require.Len(t, home.got, 1)
		<-garden.got
		<-home.got

		// R03: what somebody writes himself gets through as what it is, and not copied.
		forged := xml("<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='nurse@xmpp.test' to='romeo@xmpp.test' type='chat'><body>x</body></message></forwarded></received>")
		require.NoError(t, balcony.Send(t.Context(), &stanza.Message{To: garden.LocalAddr(), Type: stanza.ChatMessage, Extra: []stanza.Payload{forged}}))
		synctest.Wait()
		require.Empty(t, home.got)
		_, err = carbons.Decode(<-garden.got, romeo)
		require.ErrorIs(t, err, carbons.ErrForged)

		// §5.
		require.NoError(t, carbons.Disable(t.Context(), home))
		require.NoError(t, balcony.Send(t.Context(), &stanza.Message{To: garden.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("hi")}))
		synctest.Wait()
		require.Len(t, garden.got, 1)
		require.Empty(t, home.got)
	})
}

// xml is a payload as it stands.
type xml string

func (x xml) AppendXML(dst []byte) ([]byte, error) { return append(dst, x...), nil }
