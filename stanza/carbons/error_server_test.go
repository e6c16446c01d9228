package carbons_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// XEP-0280 §6.1: an error in response to an eligible message, on a real server.
func TestServerError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, new(carbons.Module))
		}})
		romeo, juliet := s.AddAccount(t, "romeo", "secret"), s.AddAccount(t, "juliet", "secret")
		garden, home := login(t, s, romeo, carbons.Client(nil)), login(t, s, romeo, carbons.Client(nil))
		balcony := login(t, s, juliet)
		require.NoError(t, home.Send(t.Context(), &stanza.Message{To: balcony.LocalAddr(), Type: stanza.ChatMessage, ID: "1"}))
		garden.next(carbons.Sent)
		require.NoError(t, balcony.Send(t.Context(), &stanza.Message{
			To: home.LocalAddr(), Type: stanza.ErrorMessage, ID: "1", Error: &stanza.Error{Condition: stanza.ServiceUnavailable},
		}))
		require.True(t, garden.next(carbons.Received).IsError())
		synctest.Wait()
		require.Len(t, home.got, 1) // the error itself, and no copy
	})
}
