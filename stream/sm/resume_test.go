package sm_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

func ids(from, to int) (out []string) {
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprintf("m%d", i))
	}
	return out
}

// What was sent before, while and after the connection was lost arrives once and
// in order, in both directions (XEP-0198 §5).
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := sm.NewClient(nil)
		require.NoError(t, err)
		server := sm.NewServer(nil)
		var atClient, atServer log
		e := connect(t, client, server, &atClient, &atServer)
		addr := e.client.LocalAddr()
		var last *stream.Receipt
		for i := 1; i <= 3; i++ {
			last, err = e.client.SendReceipt(t.Context(), message(i))
			require.NoError(t, err)
			require.NoError(t, e.server.Send(t.Context(), message(i)))
		}
		require.NoError(t, last.Wait(t.Context(), stream.Acked))
		synctest.Wait()
		require.Equal(t, ids(1, 3), atServer.all())
		require.Equal(t, ids(1, 3), atClient.all())

		e.cut()
		require.True(t, client.Resumable())
		for i := 4; i <= 6; i++ {
			last, err = e.client.SendReceipt(t.Context(), message(i))
			require.NoError(t, err, "what is sent now waits")
			require.NoError(t, e.server.Send(t.Context(), message(i)))
		}
		require.Equal(t, stream.Queued, last.State())

		f := connect(t, client, server, &atClient, &atServer)
		require.Equal(t, addr, f.client.LocalAddr())
		require.True(t, client.Link().Resumed())
		require.NoError(t, last.Wait(t.Context(), stream.Acked))
		require.NoError(t, e.client.Send(t.Context(), message(7)), "the old session passes it on")
		require.NoError(t, f.server.Send(t.Context(), message(7)))
		synctest.Wait()
		require.Equal(t, ids(1, 7), atServer.all())
		require.Equal(t, ids(1, 7), atClient.all())

		require.NoError(t, f.client.Close(t.Context()))
		<-f.served
		<-client.Link().Done()
		synctest.Wait()
		require.Error(t, client.Link().Err())
		require.Empty(t, server.Links())
		require.Empty(t, client.TakeLeft())
	})
}
