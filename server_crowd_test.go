package xmpp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
)

// A map keeps the size that it once had. That of a server goes when the last
// connection of a crowd has gone, and not each time that the server is empty.
func TestServerForgetsACrowd(t *testing.T) {
	s := &Server{}
	for _, c := range []struct {
		connections int
		forgotten   bool
	}{{1, false}, {256, false}, {257, true}, {1, false}} {
		var open []*serverConn
		for range c.connections {
			nc, _ := memconn.Pipe()
			conn, err := s.enter(t.Context(), nc)
			require.NoError(t, err)
			open = append(open, conn)
		}
		for _, conn := range open {
			require.NotNil(t, s.conns)
			s.leave(conn)
		}
		require.Empty(t, s.conns)
		require.Equal(t, c.forgotten, s.conns == nil, c.connections)
	}
}
