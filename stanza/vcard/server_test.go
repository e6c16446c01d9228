package vcard_test

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
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// XEP-0054 §3.3 and XEP-0153 §3 with a whole server: what is published by one
// client is announced for it, and read by another one.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, &vcard.Module{})
		}})
		juliet, romeo := s.Connect(t, "juliet"), s.Connect(t, "romeo")
		updates := make(chan vcard.Update, 10)
		// Owner: the test. Ends with the session. Joined by the cleanup.
		served := make(chan struct{})
		go func() {
			defer close(served)
			romeo.Serve(context.Background(), stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
				if p, ok := st.(*stanza.Presence); ok && p.From == juliet.LocalAddr() {
					u, _ := vcard.UpdateOf(p)
					updates <- u
				}
				return nil
			}))
		}()
		t.Cleanup(func() {
			romeo.Abort(errors.New("the test is over"))
			<-served
		})
		next := func() vcard.Update {
			select {
			case u := <-updates:
				return u
			case <-time.After(time.Minute):
				require.FailNow(t, "no presence came")
			}
			return vcard.Update{}
		}
		her := juliet.LocalAddr().Bare()

		// None, and nobody: no difference (XEP-0054 §3.3).
		_, none := vcard.Get(ctx, romeo, her)
		_, nobody := vcard.Get(ctx, romeo, jid.MustParse("nobody@xmpp.test"))
		require.ErrorIs(t, none, vcard.ErrNone)
		require.Equal(t, none.Error(), nobody.Error())
		require.ErrorIs(t, none, stanza.ServiceUnavailable)
		_, err := vcard.Get(ctx, juliet, jid.JID{})
		require.ErrorIs(t, err, stanza.ItemNotFound)

		photo := &vcard.Photo{Type: "image/png", Data: []byte("abc")}
		require.NoError(t, vcard.Set(ctx, juliet, &vcard.VCard{FullName: "Juliet", Photo: photo}))
		// A client that knows nothing of pictures.
		require.NoError(t, juliet.Send(ctx, &stanza.Presence{To: romeo.LocalAddr()}))
		u := next()
		require.Equal(t, vcard.Announce(photo), u)
		require.True(t, u.Fetch(""))
		got, err := vcard.Get(ctx, romeo, her)
		require.NoError(t, err)
		require.Equal(t, photo, got.Photo)
		require.False(t, u.Fetch(got.Photo.Hash()))
		// One that says that there is none.
		require.NoError(t, juliet.Send(ctx, &stanza.Presence{To: romeo.LocalAddr(), Extra: []stanza.Payload{vcard.Announce(nil)}}))
		require.Equal(t, vcard.Announce(nil), next())

		// To those who are subscribed too.
		require.NoError(t, juliet.Send(ctx, &stanza.Presence{}))
		require.NoError(t, romeo.Send(ctx, &stanza.Presence{}))
		require.NoError(t, romeo.Send(ctx, &stanza.Presence{To: her, Type: stanza.SubscribePresence}))
		synctest.Wait()
		require.NoError(t, juliet.Send(ctx, &stanza.Presence{To: romeo.LocalAddr().Bare(), Type: stanza.SubscribedPresence}))
		require.Equal(t, vcard.Announce(photo), next())
	})
}
