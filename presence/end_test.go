package presence

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// A client that knows its address, and whose session is about to begin, is told why it
// ends: the session finds the reason, and End waits until all is over.
func TestEndBeforeTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testRouter(t)
		c := r.Connect(t.Context())
		_, err := r.Bind(c.Context(), nil, jid.MustParse("user1@xmpp.test/x"))
		require.NoError(t, err)
		res := r.Connected(jid.JID{})[0]
		reason := &stream.Error{Condition: stream.SystemShutdown}
		ended := make(chan error, 1)
		// Ends when c is over. Joined below.
		go func() { ended <- res.End(t.Context(), reason) }()
		synctest.Wait()
		require.Empty(t, ended, "it waits")
		require.Equal(t, reason, c.attach(nil))

		// The wait is bounded by the context of whoever waits.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, res.End(gone, reason), context.Canceled)
		c.Leave()
		require.NoError(t, <-ended)
		require.ErrorIs(t, res.End(t.Context(), reason), errGone)
	})
}
