package xmpp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §4.9.3.3: whoever comes back after a conflict, against the advice of the
// policy, comes back as somebody else. Otherwise two clients would throw each other out
// for ever.
//
//conformance:proves 6120-4.9.3.3-1
func TestReconnectAfterConflict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &ender{}
		s := memoryServer(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, e) })
		v := travel(t, s, func(c *xmpp.Client) {
			account, err := c.JID.WithResource("balcony")
			require.NoError(t, err)
			c.JID = account
			c.Reconnect.Retry = func(error, bool) bool { return true }
		})
		before := v.LocalAddr()
		require.Equal(t, "balcony", before.Resource())
		require.NoError(t, e.host.Resource(before).End(t.Context(), &stream.Error{Condition: stream.Conflict}))
		passes(10 * time.Minute)
		require.Equal(t, []string{"Connected", "Suspended", "Connected"}, v.news.kinds())
		require.NotEqual(t, before, v.LocalAddr())
	})
}

// A client that says nothing is asked every five minutes and no more often (RFC 6120
// §4.6.4), and given up when it does not answer.
//
//conformance:proves 6120-4.6.4-1 6120-4.9.3.4-1
func TestSilentClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		juliet := join(t, s, "juliet", "balcony")
		for range 3 {
			<-time.After(5*time.Minute - time.Second)
			require.Empty(t, juliet.in)
			<-time.After(2 * time.Second)
			require.Equal(t, "get", juliet.hear().Attr("type"))
			juliet.say("<iq type='result' id='alive' to='xmpp.test'/>")
		}
		<-time.After(5*time.Minute + time.Second)
		require.Equal(t, "get", juliet.hear().Attr("type"))
		<-time.After(time.Minute)
		var e *stream.Error
		require.ErrorAs(t, juliet.ended(), &e)
		require.Equal(t, stream.ConnectionTimeout, e.Condition)
	})
}
