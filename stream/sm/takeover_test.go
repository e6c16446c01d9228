package sm_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// XEP-0198 §5: a session is resumed whose connection the server believes in. The
// old one is told of the conflict, and what still comes over it is not handled:
// it comes again on the new one.
func TestTakeover(t *testing.T) {
	for _, slow := range []time.Duration{0, 500 * time.Millisecond, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			server := sm.NewServer(nil)
			var got log
			handle := func(el *stream.Element) error {
				got.handle(el)
				if el.Attr("id") == "m2" && slow > 0 {
					<-time.After(slow)
				}
				return nil
			}
			p, old := rawClient(t, server, handle)
			p.login()
			p.say(bindRequest)
			_, id, _ := strings.Cut(p.say(enable), "id='")
			id, _, _ = strings.Cut(id, "'")
			require.NoError(t, old.session.Send(t.Context(), message(1)))
			// With a slow handler the third one has been read, and waits.
			p.say(message0("m1") + message0("m2") + message0("m3"))

			q, party := rawClient(t, server, handle)
			q.login()
			q.say(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='` + id + `'/>`)
			require.NotContains(t, p.say(message0("late")), "id='late'")
			<-time.After(3 * time.Second)
			handled := "3"
			if slow > 0 {
				handled = "2" // also if that one is not finished
			}
			heard := q.all()
			require.Contains(t, heard, `<resumed xmlns='urn:xmpp:sm:3' h='`+handled+`' previd='`+id+`'/>`)
			require.Contains(t, heard, string(message(1)))
			require.Contains(t, p.all(), `<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>`)
			require.True(t, strings.HasSuffix(p.all(), `</stream:stream>`))
			if handled == "2" {
				q.say(message0("m3"))
			}
			q.heard()
			require.Equal(t, ids(1, 3), got.all())
			var e *stream.Error
			require.ErrorAs(t, <-old.served, &e)
			require.Equal(t, stream.Conflict, e.Condition)
			require.True(t, sm.Of(party.session).Resumed())
			require.Len(t, server.Links(), 1)
			q.say(`</stream:stream>`)
			require.NoError(t, <-party.served)
			p.conn.Close()
			server.Wait()
		})
	}
}

// A server that shuts down ends the streams, and not the sessions.
func TestShutdownSuspends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, c := sm.NewServer(nil), newClient(t, nil)
		var atClient, atServer log
		e := connect(t, c, server, &atClient, &atServer)
		synctest.Wait()
		e.server.CloseError(t.Context(), &stream.Error{Condition: stream.SystemShutdown})
		<-e.clientDone
		<-e.served
		require.True(t, c.Resumable())
		require.NoError(t, e.client.Send(t.Context(), message(1)))
		require.NoError(t, e.server.Send(t.Context(), message(1)))
		f := connect(t, c, server, &atClient, &atServer)
		synctest.Wait()
		require.Equal(t, ids(1, 1), atClient.all())
		require.Equal(t, ids(1, 1), atServer.all())
		require.NoError(t, f.client.Close(t.Context()))
		<-f.served
	})
}

// A link that is given up leaves its session alone, and keeps nothing of it.
func TestGiveUpAttached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &sm.ClientOptions{Policy: sm.Policy{QueueBytes: 500}})
		var atClient, atServer log
		e := connect(t, c, sm.NewServer(nil), &atClient, &atServer)
		synctest.Wait()
		c.Link().GiveUp(nil)
		for i := 1; i <= 50; i++ {
			require.NoError(t, e.client.Send(t.Context(), message(i)))
		}
		require.NoError(t, e.server.Send(t.Context(), message(1)))
		r, err := e.server.SendReceipt(t.Context(), message(2))
		require.NoError(t, err)
		require.NoError(t, r.Wait(t.Context(), stream.Acked), "what is asked is answered")
		require.Equal(t, ids(1, 50), atServer.all())
		require.Empty(t, c.TakeLeft())
		e.cut()
		require.False(t, c.Resumable())
		require.Error(t, e.client.Send(t.Context(), message(51)))
		sm.Of(e.server).GiveUp(nil)
	})
}

// Policy.AckEvery gives acknowledgements unasked, and Policy.Every asks for them
// now and then; a receipt is waited for at once.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sm.NewServer(&sm.ServerOptions{Policy: sm.Policy{Every: 5, AckEvery: 3}})
		p, party := rawClient(t, server, nil)
		p.login()
		p.say(bindRequest)
		p.say(enable)
		require.Empty(t, p.say(message0("m1")+message0("m2")))
		require.Equal(t, answer(3), p.say(message0("m3")))
		require.Empty(t, p.say(message0("m4")))
		require.Equal(t, answer(4), p.say(request))
		require.Empty(t, p.say(message0("m5")+message0("m6")), "it has just got one")
		require.Equal(t, answer(9), p.say(message0("m7")+message0("m8")+message0("m9")))

		for i := range 4 {
			require.NoError(t, party.session.Send(t.Context(), message(i)))
			require.Equal(t, string(message(i)), p.heard())
		}
		require.NoError(t, party.session.Send(t.Context(), message(4)))
		require.Equal(t, string(message(4))+request, p.heard())
		r, err := party.session.SendReceipt(t.Context(), message(5))
		require.NoError(t, err)
		require.Equal(t, string(message(5)), p.heard(), "one request at a time")
		require.Equal(t, request, p.say(answer(5)), "but it is not forgotten")
		p.say(answer(6))
		require.Equal(t, stream.Acked, r.State())
		p.say(`</stream:stream>`)
		require.NoError(t, <-party.served)
	})
}
