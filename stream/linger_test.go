package stream_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// The reader finds an error, and the peer does not read what is said about it:
// that has an end.
func TestLastWordsToAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		require.NoError(t, client.Send(t.Context(), raw("<message><body>"+strings.Repeat("x", 200_000)+"</body></message>")))
		synctest.Wait()
		_, end := serve(client)
		_, err := stream.RawConn(server).Write([]byte("</nonsense>"))
		require.NoError(t, err)
		start := time.Now()
		require.ErrorIs(t, <-end, stream.NotWellFormed)
		require.Equal(t, 500*time.Millisecond, time.Since(start))
	})
}

// Good order means that everything was said; a peer that closes its half and
// does not read ours prevents it.
func TestPeerThatClosesAndDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, &stream.InitiateOptions{CloseTimeout: 2 * time.Second}, nil)
		require.NoError(t, client.Send(t.Context(), raw("<message><body>"+strings.Repeat("x", 200_000)+"</body></message>")))
		_, end := serve(client)
		_, err := stream.RawConn(server).Write([]byte("</stream:stream>"))
		require.NoError(t, err)
		start := time.Now()
		require.ErrorIs(t, <-end, stream.ErrCloseTimeout)
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

// wrapped hides what a connection can do besides being one, as counters and
// rate limiters do.
type wrapped struct{ net.Conn }

// The last words reach the peer although its input was not read to the end:
// the connection is drained before it is closed, half closed or not.
func TestLastWordsOverAWrappedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		_, err := a.Write([]byte(clientHeader + "</nonsense>" + strings.Repeat("x", 20_000)))
		require.NoError(t, err)
		s, err := stream.Accept(t.Context(), wrapped{b}, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		require.NoError(t, err)
		result := make(chan error, 1)
		go func() { result <- s.Serve(nil) }()
		synctest.Wait()
		_, err = a.Write([]byte(strings.Repeat("x", 60_000)))
		require.NoError(t, err, "somebody still listens")
		require.Empty(t, result)
		require.NoError(t, a.(*memconn.Conn).CloseWrite())
		require.ErrorIs(t, <-result, stream.NotWellFormed)
		wire, err := io.ReadAll(a)
		require.NoError(t, err)
		wantErrorWithText(t, string(wire), stream.NotWellFormed)
		a.Close()
	})
}

// alerting sends a goodbye of its own when it is half closed, under a deadline
// of its own, as crypto/tls does.
type alerting struct {
	net.Conn
	written int
}

func (c *alerting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written += n
	return n, err
}

func (c *alerting) CloseWrite() error {
	c.SetWriteDeadline(time.Now().Add(time.Hour))
	_, err := c.Write(make([]byte, 100))
	return err
}

func TestLastWordsToAPeerThatDoesNotReadTheAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		defer a.Close()
		c := &alerting{Conn: b}
		_, err := a.Write([]byte(clientHeader))
		require.NoError(t, err)
		s, err := stream.Accept(t.Context(), c, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		require.NoError(t, err)
		// The closing tag fits in, just, and the alert does not.
		room := 64<<10 - c.written - len("</stream:stream>") - len("<message></message>")
		require.NoError(t, s.Send(t.Context(), raw("<message>"+strings.Repeat("x", room)+"</message>")))
		_, err = a.Write([]byte("</stream:stream>"))
		require.NoError(t, err)
		start := time.Now()
		require.NoError(t, s.Serve(nil))
		require.Equal(t, 500*time.Millisecond, time.Since(start))
	})
}
