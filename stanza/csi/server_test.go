package csi_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// A client that begins inactive, on a real server: what waits, what does not, and
// what happens when it comes back, or when another session takes its place.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, new(csi.Module), new(carbons.Module))
		}})
		romeo, juliet := s.AddAccount(t, "romeo", "secret"), s.AddAccount(t, "juliet", "secret")
		login := func(c *xmpp.Client) (*stanza.Conn, chan string) {
			conn, err := c.Connect(t.Context())
			require.NoError(t, err)
			got, served := make(chan string, 100), make(chan struct{})
			go func() { // ends with the connection, in the cleanup
				defer close(served)
				for st, err := range conn.All(context.Background()) { // in order, whoever sends
					if err != nil {
						return
					}
					what := st.Kind().String()
					if m, ok := st.(*stanza.Message); ok {
						what += " " + m.Body.String()
					}
					got <- what
				}
			}()
			t.Cleanup(func() { conn.Abort(nil); <-served })
			return conn, got
		}
		take := func(from chan string) (list []string) {
			synctest.Wait()
			for len(from) > 0 {
				list = append(list, <-from)
			}
			return list
		}
		var state csi.Client
		state.Inactive = true
		c := s.Client(juliet, "secret")
		c.Features = []stream.Feature{state.Feature(), carbons.Client(nil)}
		phone, got := login(c)
		require.True(t, state.Offered())
		require.NoError(t, phone.Send(t.Context(), &stanza.Presence{}))
		require.Empty(t, take(got), "its own presence waits")

		friend, _ := login(s.Client(romeo, "secret"))
		to := phone.LocalAddr()
		for range 3 {
			require.NoError(t, friend.Send(t.Context(), &stanza.Presence{To: to}))
		}
		require.NoError(t, friend.Send(t.Context(), &stanza.Message{To: to, Type: stanza.ChatMessage, Extra: []stanza.Payload{xml(composing)}}))
		require.Empty(t, take(got))
		require.NoError(t, friend.Send(t.Context(), &stanza.Message{To: to, Type: stanza.ChatMessage, Body: stanza.Plain("hi")}))
		require.Equal(t, []string{"presence", "presence", "message ", "message hi"}, take(got))

		// §5.1: the answer to a request comes after what waited.
		require.NoError(t, friend.Send(t.Context(), &stanza.Presence{To: to}))
		require.Empty(t, take(got))
		require.NoError(t, csi.Active(t.Context(), phone.Session()))
		_, err := phone.Do(t.Context(), &stanza.IQ{Type: stanza.GetIQ, Payload: xml("<ping xmlns='urn:xmpp:ping'/>")})
		require.NoError(t, err)
		require.Equal(t, []string{"presence"}, take(got))

		// A client that leaves while something waits for it is told no more, and the
		// one that the friend sees going is told to him: the server does that while
		// it handles presence that nobody has sent.
		require.NoError(t, csi.Inactive(t.Context(), phone.Session()))
		require.Empty(t, take(got))
		friend.Abort(nil)
		require.Empty(t, take(got))
		require.NoError(t, csi.Active(t.Context(), phone.Session()))
		require.Equal(t, []string{"presence"}, take(got), "unavailable")
		require.NoError(t, csi.Inactive(t.Context(), phone.Session()))
		require.NoError(t, phone.Close(t.Context()))

		// The next session begins active.
		fresh, got := login(s.Client(juliet, "secret"))
		require.NoError(t, fresh.Send(t.Context(), &stanza.Presence{}))
		require.Equal(t, []string{"presence"}, take(got))
	})
}
