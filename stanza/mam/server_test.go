package mam_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/sid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// user is a client with an archive, whose other messages come through a channel.
type user struct {
	*stanza.Conn
	mam.Client
	messages chan *stanza.Message
}

// login connects a user; it is available if that is asked for.
func login(t *testing.T, server *xmpptest.Server, name string, available bool) *user {
	t.Helper()
	u := &user{Conn: server.Connect(t, name), messages: make(chan *stanza.Message, 16)}
	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, &u.Client))
	mux.Fallback(stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
		if msg, ok := st.(*stanza.Message); ok {
			u.messages <- msg.Clone()
		}
		return nil
	}))
	served := make(chan struct{})
	// Owner: the test. Stops when the session ends. Joined through served.
	go func() {
		defer close(served)
		_ = u.Serve(context.Background(), &mux)
	}()
	t.Cleanup(func() {
		u.Abort(errors.New("the test is over"))
		<-served
	})
	if available {
		require.NoError(t, u.Send(t.Context(), &stanza.Presence{}))
		synctest.Wait()
	}
	return u
}

func (u *user) say(t *testing.T, to jid.JID, body string) {
	t.Helper()
	require.NoError(t, u.Send(t.Context(), &stanza.Message{
		To: to, Type: stanza.ChatMessage, Body: stanza.Plain(body),
		Extra: []stanza.Payload{sid.StanzaID{ID: "forged", By: to.Bare()}},
	}))
	synctest.Wait()
}

// history returns the whole archive of a user.
func (u *user) history(t *testing.T) (bodies, ids []string) {
	t.Helper()
	for r, err := range u.SyncSince(t.Context(), u, jid.JID{}, "") {
		require.NoError(t, err)
		bodies, ids = append(bodies, r.Message.Body.String()), append(ids, r.ID)
	}
	return bodies, ids
}

// The module in a server, from login to login: messages that were delivered, stored
// offline, and sent to oneself.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, &mam.Module{MaxPage: 2})
		}})
		juliet, romeo := login(t, server, "juliet", true), login(t, server, "romeo", true)
		for _, body := range []string{"1", "2", "3", "4", "5"} {
			juliet.say(t, romeo.LocalAddr().Bare(), body)
		}
		romeo.say(t, juliet.LocalAddr(), "6")
		bodies, ids := romeo.history(t)
		require.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, bodies)
		for i := range 5 {
			// XEP-0313 §3.5: the id in the message is that of the archive.
			msg := <-romeo.messages
			el, ok := msg.Payload(stream.Name{Space: sid.NS, Local: "stanza-id"})
			require.True(t, ok)
			require.Equal(t, ids[i], el.Attr("id"))
			require.Equal(t, romeo.LocalAddr().Bare().String(), el.Attr("by"))
		}
		bodies, others := juliet.history(t)
		require.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, bodies)
		require.NotEqual(t, ids, others)

		// Offline: in the archive once, and with the same id when it arrives.
		nurse := jid.MustParse("nurse@" + server.Domain.String())
		n := login(t, server, "nurse", false)
		juliet.say(t, nurse, "later")
		require.NoError(t, n.Send(t.Context(), &stanza.Presence{}))
		msg := <-n.messages
		el, ok := msg.Payload(stream.Name{Space: sid.NS, Local: "stanza-id"})
		require.True(t, ok)
		bodies, ids = n.history(t)
		require.Equal(t, []string{"later"}, bodies)
		require.Equal(t, ids[0], el.Attr("id"))

		// To oneself, once.
		n.say(t, nurse, "note")
		bodies, _ = n.history(t)
		require.Equal(t, []string{"later", "note"}, bodies)

		// Somebody else's archive.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := juliet.Ask(ctx, juliet, nurse, &mam.Query{})
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
		_, err = mam.GetMetadata(ctx, juliet, server.Domain)
		require.Error(t, err)
		md, err := mam.GetMetadata(ctx, n, nurse)
		require.NoError(t, err)
		require.Equal(t, ids[0], md.Start.ID)
	})
}
