package xmpp_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// XEP-0352 §5.2: no session knows the state of the one before, resumed or not.
func TestReconnectClientState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, &csi.Module{}) })
		said := &sniffer{}
		state := &csi.Client{}
		v := travel(t, s, func(c *xmpp.Client) {
			c.Features = append(c.Features, state.Feature())
			c.Trace = &stream.Trace{XMLSent: func(b []byte) { said.xml = append(said.xml, string(b)) }}
		})
		require.True(t, state.Offered())
		said.xml = nil
		require.NoError(t, state.Set(t.Context(), v.Session(), false))
		synctest.Wait()
		require.Equal(t, 1, said.count("<inactive xmlns='urn:xmpp:csi:0'"))

		said.xml = nil
		v.net.cut()
		passes(10 * time.Second)
		require.Equal(t, "Resumed", v.news.kinds()[2])
		require.Equal(t, 1, said.count("<inactive xmlns='urn:xmpp:csi:0'"))

		// It is set while there is no session.
		v.net.pull(errCable)
		v.net.cut()
		synctest.Wait()
		require.NoError(t, state.Set(t.Context(), v.Session(), true))
		said.xml = nil
		v.net.pull(nil)
		passes(time.Minute)
		require.Equal(t, "Resumed", v.news.kinds()[len(v.news.kinds())-1])
		require.Zero(t, said.count("<inactive"))
	})
}

// Presence that came on the session before and waits for a slow handler is not taken
// for presence of the fresh one.
func TestReconnectForgetsOldPresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, neverAlone)
		romeo := join(t, s, "romeo", "orchard")
		v := newTraveller(t, s, func(c *xmpp.Client) { c.NoManagement = true })
		people, err := presence.NewTracker(&presence.TrackerOptions{Account: v.client.JID})
		require.NoError(t, err)
		v.Conn, err = v.client.Connect(t.Context())
		require.NoError(t, err)
		slow := make(chan struct{})
		served := make(chan error, 1)
		go func() { // ends with the Conn, below
			served <- v.Serve(context.Background(), stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
				if p, ok := st.(*stanza.Presence); ok {
					people.Apply(p)
				} else if st.Kind() == stanza.MessageKind {
					<-slow
				}
				return nil
			}))
		}()
		require.NoError(t, people.Available(t.Context(), v.Conn, "", "", 0))
		synctest.Wait()
		to := v.LocalAddr().String()
		romeo.say(`<message to='` + to + `'><body>x</body></message><presence to='` + to + `'/>`)
		synctest.Wait()
		v.net.cut()
		synctest.Wait()
		romeo.Abort(nil)
		for v.news.kinds()[len(v.news.kinds())-1] != "Connected" {
			passes(time.Second)
		}
		close(slow)
		passes(10 * time.Second)
		require.Equal(t, v.LocalAddr(), people.Resources(v.client.JID)[0].JID)
		require.Empty(t, people.Resources(romeo.LocalAddr()))
		require.NoError(t, v.Close(t.Context()))
		require.NoError(t, <-served)
	})
}

// Answer becomes available again.
func TestReconnectAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, neverAlone)
		user := s.Connect(t, "user")
		v := newTraveller(t, s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- v.client.Answer(ctx, func(m *stanza.Message) *stanza.Message { return m.Reply("re: " + m.Body.String()) })
		}()
		ask := func(text string) string {
			synctest.Wait()
			require.NoError(t, user.Send(t.Context(), &stanza.Message{To: v.client.JID, Type: stanza.ChatMessage, Body: stanza.Plain(text)}))
			return next(t, user).(*stanza.Message).Body.String()
		}
		require.Equal(t, "re: 1", ask("1"))
		passes(time.Minute) // until the server knows that it was handled
		v.net.pull(errCable)
		v.net.cut()
		passes(10 * time.Minute)
		v.net.pull(nil)
		passes(10 * time.Minute)
		require.Equal(t, "re: 2", ask("2"))
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// XEP-0198 §5: a session is resumed where the server would like that, and where it
// was before if nobody is there. A place that a redirect must not lead to is not
// tried.
func TestReconnectLocation(t *testing.T) {
	for name, row := range map[string]struct {
		location string
		reached  bool
		want     []string
	}{
		"there":         {"127.0.0.1:5333", true, []string{"127.0.0.1:5222", "127.0.0.1:5333"}},
		"nobody there":  {"127.0.0.1:5333", false, []string{"127.0.0.1:5222", "127.0.0.1:5333", "127.0.0.1:5222"}},
		"nonsense":      {"::::", true, []string{"127.0.0.1:5222", "127.0.0.1:5222"}},
		"not specified": {"", true, []string{"127.0.0.1:5222", "127.0.0.1:5222"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, func(s *xmpp.Server) {
					neverAlone(s)
					s.Management = &sm.ServerOptions{Location: func(jid.JID) string { return row.location }}
				})
				v := travel(t, s, nil)
				dialer := v.net.inner
				v.net.inner = dialerFunc(func(ctx context.Context, address string) (net.Conn, error) {
					if address == row.location && !row.reached {
						return nil, errNoRoute
					}
					return dialer.DialContext(ctx, "tcp", address)
				})
				v.net.cut()
				passes(20 * time.Second)
				require.Equal(t, []string{"Connected", "Suspended", "Resumed"}, v.news.kinds())
				v.net.mu.Lock()
				defer v.net.mu.Unlock()
				require.Equal(t, row.want, v.net.dialed)
			})
		})
	}
}
