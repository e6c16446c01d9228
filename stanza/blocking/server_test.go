package blocking_test

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
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// user is a client of a server, and what it hears.
type user struct {
	*stanza.Conn
	t  *testing.T
	in chan string
}

func connect(t *testing.T, s *xmpptest.Server, name string) *user {
	t.Helper()
	u := &user{s.Connect(t, name), t, make(chan string, 100)}
	var mux stanza.Mux
	note := func(what string) func(context.Context, []jid.JID) {
		return func(_ context.Context, addrs []jid.JID) {
			text := "push " + what
			for _, a := range addrs {
				text += " " + a.String()
			}
			u.in <- text
		}
	}
	require.NoError(t, stanza.Install(&mux, &blocking.Pushes{Account: u.LocalAddr(), Blocked: note("blocked"), Unblocked: note("unblocked")}))
	mux.Fallback(stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
		switch st := st.(type) {
		case *stanza.Message:
			text := "message " + string(st.Type) + " " + st.From.Local()
			if st.Error != nil {
				text += " " + string(st.Error.Condition)
				if blocking.IsBlocked(st.Error) {
					text += " blocked"
				}
			}
			u.in <- text
		case *stanza.Presence:
			u.in <- "presence " + string(st.Type) + " " + st.From.Local()
		}
		return nil
	}))
	// Owner: the test. Ends with the session. Joined by the cleanup.
	served := make(chan struct{})
	go func() {
		defer close(served)
		u.Serve(context.Background(), &mux)
	}()
	t.Cleanup(func() {
		u.Abort(errors.New("the test is over"))
		<-served
	})
	return u
}

// hears requires what comes next, and nothing after that. What different peers send
// is handled in any order.
func (u *user) hears(want ...string) {
	u.t.Helper()
	var got []string
	for range want {
		select {
		case what := <-u.in:
			got = append(got, what)
		case <-time.After(time.Minute):
			require.FailNow(u.t, "nothing came", "after %q instead of %q", got, want)
		}
	}
	require.ElementsMatch(u.t, want, got)
	synctest.Wait()
	select {
	case got := <-u.in:
		require.FailNow(u.t, "unexpected", "%s", got)
	default:
	}
}

func (u *user) says(st stanza.Stanza) {
	u.t.Helper()
	require.NoError(u.t, u.Send(u.t.Context(), st))
}

// XEP-0191 §3.3 and §3.4 with a whole server.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		store := &blocking.MemoryStore{}
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, &blocking.Module{Store: store})
		}})
		juliet, romeo := connect(t, s, "juliet"), connect(t, s, "romeo")
		her, him := juliet.LocalAddr().Bare(), romeo.LocalAddr().Bare()
		juliet.says(&stanza.Presence{})
		juliet.hears("presence  juliet")
		romeo.says(&stanza.Presence{})
		romeo.hears("presence  romeo")
		romeo.says(&stanza.Presence{To: her, Type: stanza.SubscribePresence})
		juliet.hears("presence subscribe romeo")
		juliet.says(&stanza.Presence{To: him, Type: stanza.SubscribedPresence})
		romeo.hears("presence  juliet") // the rest is for clients that asked for the roster

		list, err := blocking.List(ctx, juliet)
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoError(t, blocking.Block(ctx, juliet, him))
		juliet.hears("push blocked romeo@xmpp.test")
		romeo.hears("presence unavailable juliet")

		// In.
		romeo.says(&stanza.Message{To: her, Type: stanza.ChatMessage, Body: stanza.Plain("hello")})
		romeo.hears("message error juliet service-unavailable")
		romeo.says(&stanza.Message{To: juliet.LocalAddr(), Type: stanza.GroupChatMessage, Body: stanza.Plain("hello")})
		romeo.says(&stanza.Presence{To: her})
		romeo.says(&stanza.Presence{To: her, Type: stanza.ProbePresence})
		romeo.says(&stanza.Presence{To: her, Type: stanza.SubscribePresence})
		romeo.hears()
		_, err = romeo.Do(ctx, &stanza.IQ{To: juliet.LocalAddr(), Type: stanza.GetIQ, Payload: blocking.Blocklist{}})
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
		juliet.hears()
		// Out: also what she broadcasts.
		juliet.says(&stanza.Message{To: him, Type: stanza.ChatMessage, Body: stanza.Plain("hello")})
		juliet.hears("message error romeo not-acceptable blocked")
		juliet.says(&stanza.Presence{Show: stanza.ShowAway})
		juliet.hears("presence  juliet")
		romeo.hears()
		_, err = juliet.Do(ctx, &stanza.IQ{To: him, Type: stanza.GetIQ, Payload: blocking.Blocklist{}})
		require.True(t, blocking.IsBlocked(err))
		// She still reaches her server and herself.
		require.NoError(t, blocking.Block(ctx, juliet, her, her.DomainJID()))
		juliet.hears("push blocked juliet@xmpp.test xmpp.test")
		_, err = ping.Ping(ctx, juliet, her.DomainJID())
		require.NoError(t, err)
		juliet.says(&stanza.Message{To: her, Type: stanza.ChatMessage, Body: stanza.Plain("hello")})
		juliet.hears("message chat juliet")
		require.NoError(t, blocking.Unblock(ctx, juliet, her.DomainJID(), her))
		juliet.hears("push unblocked xmpp.test juliet@xmpp.test")

		// While she is away, nothing is stored of him, and all that others send.
		juliet.Abort(errors.New("away"))
		synctest.Wait()
		romeo.says(&stanza.Message{To: her, Type: stanza.ChatMessage, Body: stanza.Plain("hello")})
		romeo.hears("message error juliet service-unavailable")
		nurse := connect(t, s, "nurse")
		nurse.says(&stanza.Message{To: her, Type: stanza.ChatMessage, Body: stanza.Plain("hello")})
		nurse.hears()
		juliet = connect(t, s, "juliet")
		juliet.says(&stanza.Presence{})
		juliet.hears("presence  juliet", "message chat nurse")
		romeo.hears()

		// A stranger is not told that she is there.
		require.NoError(t, blocking.Block(ctx, juliet, nurse.LocalAddr().Bare()))
		nurse.says(&stanza.Presence{})
		nurse.hears("presence  nurse")
		list, err = blocking.List(ctx, juliet)
		require.NoError(t, err)
		require.Equal(t, []jid.JID{nurse.LocalAddr().Bare(), him}, list)
		require.NoError(t, blocking.UnblockAll(ctx, juliet))
		juliet.hears("push unblocked")
		romeo.hears("presence  juliet")
		nurse.hears()
		romeo.says(&stanza.Message{To: her, Type: stanza.ChatMessage, Body: stanza.Plain("hello")})
		juliet.hears("message chat romeo")
	})
}
