package stream_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// heldConn is a connection whose writes can be held up. A write that is held
// has given its bytes away already, as the kernel may have.
type heldConn struct {
	net.Conn
	mu       sync.Mutex
	hold     chan struct{} // nil: writes return at once
	cut      int           // how many bytes of a held write are not taken
	deadline time.Time     // for writes
}

func (c *heldConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	hold, cut := c.hold, c.cut
	c.mu.Unlock()
	if hold == nil {
		return c.Conn.Write(b)
	}
	n := max(len(b)-cut, 0)
	c.Conn.Write(b[:n])
	<-hold
	if n < len(b) {
		return n, net.ErrClosed
	}
	return n, nil
}

func (c *heldConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

// holdWrites holds every write that begins from now on, short of cut bytes,
// until release is called. Another call takes over from this one for writes that
// begin after it.
func (c *heldConn) holdWrites(cut int) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hold := make(chan struct{})
	c.hold, c.cut = hold, cut
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(hold)
		if c.hold == hold {
			c.hold = nil
		}
	})
}

// held returns a session of the receiving entity over a heldConn, and its peer.
func held(t testing.TB, opts *stream.AcceptOptions) (*stream.Session, *heldConn, *peer) {
	t.Helper()
	a, b := memconn.Pipe()
	p := newPeer(a)
	c := &heldConn{Conn: b}
	p.say(t, clientHeader)
	opts.Profile, opts.Domains = bare, []jid.JID{domain}
	s, err := stream.Accept(t.Context(), c, opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Abort(errors.New("test over"))
		a.Close()
	})
	return s, c, p
}

// A write that has not returned may have been carried out or not: its receipts
// are told when that is known, and never too much.
func TestReceiptsOfAWriteUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		cut  int
		want [3]stream.ReceiptState
	}{
		"all of it written":  {0, [3]stream.ReceiptState{stream.Unknown, stream.Unknown, stream.Failed}},
		"half of the second": {6, [3]stream.ReceiptState{stream.Unknown, stream.Failed, stream.Failed}},
		"nothing":            {1000, [3]stream.ReceiptState{stream.Failed, stream.Failed, stream.Failed}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conn, _ := held(t, &stream.AcceptOptions{})
				// While the writer is held by something else, two elements
				// come together behind it.
				before := conn.holdWrites(0)
				require.NoError(t, s.Send(t.Context(), raw(`<presence/>`)))
				synctest.Wait()
				release := conn.holdWrites(c.cut)
				var receipts [3]*stream.Receipt
				for i := range receipts {
					if i == 2 {
						before()
						synctest.Wait() // the writer has taken the first two
					}
					var err error
					receipts[i], err = s.SendReceipt(t.Context(), raw(`<message/>`))
					require.NoError(t, err)
				}
				synctest.Wait()
				gone := errors.New("gone")
				s.Abort(gone)
				require.Equal(t, stream.Failed, receipts[2].State(), "still in the queue, so this is known at once")
				require.Equal(t, stream.Queued, receipts[0].State())
				waiting := make(chan error, 1)
				go func() { waiting <- receipts[1].Wait(context.Background(), stream.Written) }()
				synctest.Wait()
				require.Empty(t, waiting)
				release()
				require.ErrorIs(t, <-waiting, gone)
				for i, r := range receipts {
					require.Equal(t, c.want[i].String(), r.State().String(), i)
					require.ErrorIs(t, r.Wait(t.Context(), stream.Acked), net.ErrClosed)
				}
			})
		})
	}
}

func TestWaitForAReceiptMatchesTheContextAndItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, _ := held(t, &stream.AcceptOptions{})
		defer conn.holdWrites(0)()
		r, err := s.SendReceipt(t.Context(), raw(`<message/>`))
		require.NoError(t, err)
		why := errors.New("bored")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		err = r.Wait(ctx, stream.Written)
		require.ErrorIs(t, err, why)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, s.Err())
	})
}

// crypto/tls writes of its own accord, the answer to a key update for one, and
// a deadline that has passed then would break the connection for good.
func TestIdleSessionHasNoWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, _ := held(t, &stream.AcceptOptions{})
		require.NoError(t, s.Send(t.Context(), raw(`<message/>`)))
		synctest.Wait()
		require.Zero(t, conn.deadline)
	})
}

// WriteTimeout is for a peer that does not read, not for one that reads slowly:
// a full queue need not be through in that time.
func TestSlowPeerHasTheWriteTimeoutForEachPiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, &stream.InitiateOptions{WriteTimeout: 10 * time.Second, CloseTimeout: time.Hour}, nil)
		const messages = 10
		text := strings.Repeat("x", 90_000)
		for range messages {
			require.NoError(t, client.Send(t.Context(), raw("<message><body>"+text+"</body></message>")))
		}
		start, got := time.Now(), 0
		go server.Serve(func(*stream.Element) error {
			<-time.After(5 * time.Second)
			got++
			return nil
		})
		require.NoError(t, client.Close(t.Context()))
		require.Equal(t, messages, got)
		require.Greater(t, time.Since(start), 40*time.Second)
	})
}

func TestReceiptsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		_, _ = serve(server)
		var last *stream.Receipt
		for range 1000 {
			r, err := client.SendReceipt(t.Context(), raw(`<presence/>`))
			require.NoError(t, err)
			last = r
		}
		require.NoError(t, last.Wait(t.Context(), stream.Written))
		synctest.Wait()
		require.Zero(t, stream.HeldReceipts(client))
	})
}

// A connection that breaks the contract of io.Writer costs its session.
func TestShortWriteWithoutError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		p := newPeer(a)
		p.say(t, clientHeader)
		c := &shortConn{Conn: b}
		s, err := stream.Accept(t.Context(), c, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		require.NoError(t, err)
		c.short = true
		require.NoError(t, s.Send(t.Context(), raw(`<message/>`)))
		<-s.Done()
		require.ErrorContains(t, s.Err(), "short write")
		p.all(t)
	})
}

type shortConn struct {
	net.Conn
	short bool
}

func (c *shortConn) Write(b []byte) (int, error) {
	if c.short {
		return 0, nil
	}
	return c.Conn.Write(b)
}

// cached is an encoder that hands out its own slice instead of appending. If
// that got into the pool, another session would write over it.
type cached []byte

func (c cached) AppendXML([]byte) ([]byte, error) { return c, nil }

func TestAppenderThatDoesNotAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		got, _ := serve(server)
		require.ErrorContains(t, client.Send(t.Context(), cached(`<message/>`)), "did not append")
		require.ErrorContains(t, client.Send(t.Context(), cached(nil)), "did not append")
		require.ErrorContains(t, client.Send(t.Context(), raw(``)), "nothing to send")
		require.NoError(t, client.Send(t.Context(), raw(`<presence/>`)))
		require.Equal(t, `<presence/>`, <-got)
	})
}
