package last_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/last"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// Last activity over real sessions (XEP-0012 §3 to §5).
func TestServerSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, new(last.Server))
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		juliet, romeo, tybalt := s.Connect(t, "juliet"), s.Connect(t, "romeo"), s.Connect(t, "tybalt")
		account := juliet.LocalAddr().Bare()

		<-time.After(time.Hour)
		l, err := last.Get(ctx, romeo, s.Domain)
		require.NoError(t, err)
		require.Equal(t, uint64(3600), l.Seconds)

		_, err = last.Get(ctx, tybalt, account)
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
		_, err = last.Get(ctx, tybalt, juliet.LocalAddr())
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
		l, err = last.Get(ctx, juliet, account)
		require.NoError(t, err)
		require.Zero(t, l)

		// Romeo may see her.
		require.NoError(t, juliet.Send(ctx, &stanza.Presence{}))
		require.NoError(t, romeo.Send(ctx, &stanza.Presence{To: account, Type: stanza.SubscribePresence}))
		require.NoError(t, juliet.Send(ctx, &stanza.Presence{To: romeo.LocalAddr().Bare(), Type: stanza.SubscribedPresence}))
		synctest.Wait()
		l, err = last.Get(ctx, romeo, account)
		require.NoError(t, err)
		require.Zero(t, l)

		require.NoError(t, juliet.Send(ctx, &stanza.Presence{Type: stanza.UnavailablePresence, Status: stanza.Plain("Heading Home")}))
		require.NoError(t, juliet.Close(ctx))
		<-time.After(903 * time.Second)
		l, err = last.Get(ctx, romeo, account)
		require.NoError(t, err)
		require.Equal(t, last.Last{Seconds: 903, Status: "Heading Home"}, l)
		_, err = last.Get(ctx, tybalt, account)
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
	})
}
