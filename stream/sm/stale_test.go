package sm_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

// A request to resume waits for the end of the lost session. Meanwhile its client is
// cut off, comes back on another connection, resumes the session, acknowledges more
// and loses that connection too. What the old request says about stanzas handled is
// less than is known by then: it is refused, and the session stays (XEP-0198 §5).
func TestResumeTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits, first := make(chan struct{}), true
		client, err := sm.NewClient(nil)
		require.NoError(t, err)
		server := sm.NewServer(&sm.ServerOptions{Takeover: func(context.Context, *sm.Link) error {
			if first {
				first = false
				<-waits
			}
			return nil
		}})
		var atClient, atServer log
		e := connect(t, client, server, &atClient, &atServer)
		require.NoError(t, e.server.Send(t.Context(), message(1)))
		synctest.Wait()
		e.cut()

		a, b := memconn.Pipe()
		initiated, accepted := make(chan error, 1), make(chan error, 1)
		go func() { // ends when the connection is cut
			_, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
				Profile: stream.InsecureC2S(), To: domain, From: account,
				Features: []stream.Feature{trusted(), client.Feature(), bind.Client(nil)},
			})
			initiated <- err
		}()
		go func() { // ends after waits
			_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
				Profile: stream.InsecureC2S(), Domains: []jid.JID{domain},
				Features: []stream.Feature{trusted(), server.Feature(), bind.Server(nil)},
			})
			accepted <- err
		}()
		synctest.Wait()
		a.Close()
		require.Error(t, <-initiated)

		f := connect(t, client, server, &atClient, &atServer)
		require.True(t, client.Link().Resumed())
		require.NoError(t, f.server.Send(t.Context(), message(2)))
		synctest.Wait()
		f.cut()
		close(waits)
		require.Error(t, <-accepted)

		g := connect(t, client, server, &atClient, &atServer)
		require.True(t, client.Link().Resumed())
		require.Equal(t, e.client.LocalAddr(), g.client.LocalAddr())
		require.NoError(t, g.server.Send(t.Context(), message(3)))
		synctest.Wait()
		require.Equal(t, ids(1, 3), atClient.all())
		require.NoError(t, g.client.Close(t.Context()))
		<-g.served
	})
}
