package interop_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// breaker is a proxy between a client and a server, whose connections a test breaks. What goes through it is TLS; so where a connection breaks is
// anywhere: in a handshake, in a record, and as an element longer than a record is in several of them, in the middle of an element.
type breaker struct {
	addr   net.Addr
	target string

	mu     sync.Mutex
	cables map[*cable]struct{} // that have not been joined
	last   *cable              // of the last connection
	count  int                 // of connections
	next   []breakPoint        // for those to come
	over   bool
}

// breakPoint is where a connection breaks: when after more bytes have gone to one side. The next one breaks it and does not get there.
type breakPoint struct {
	to    side
	after int
	reset bool // the ends notice by a TCP reset, not by the end of the stream
}

// side is an end of a connection.
type side int

const (
	toServer side = iota
	toClient
)

// cable is one connection through the breaker.
type cable struct {
	ends [2]net.Conn // what is written to, by side

	mu    sync.Mutex
	limit [2]int // how many bytes may still pass; less than none: as many as come
	reset bool
	deaf  [2]bool       // what goes there is dropped
	half  bool          // one end was closed, and the other is not to know
	gone  chan struct{} // closed when the connection is broken, or closed by one end
}

// startBreaker starts a breaker in front of a server.
func startBreaker(t *testing.T, target string) *breaker {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &breaker{addr: listener.Addr(), target: target, cables: map[*cable]struct{}{}}
	var all sync.WaitGroup
	// Owner: the breaker. Ends when the listener is closed, below. Joined by all.
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.carry(client) }) // ends when its connections are closed, below at the latest
		}
	})
	t.Cleanup(func() {
		listener.Close()
		b.mu.Lock()
		b.over = true
		for w := range b.cables {
			w.cut()
		}
		b.mu.Unlock()
		all.Wait()
	})
	return b
}

// carry carries one connection.
func (b *breaker) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", b.target)
	if err != nil {
		return
	}
	w := &cable{limit: [2]int{-1, -1}, gone: make(chan struct{})}
	w.ends[toServer], w.ends[toClient] = server, client
	b.mu.Lock()
	if b.over {
		w.cut()
	}
	b.cables[w], b.last = struct{}{}, w
	b.count++
	if len(b.next) > 0 {
		w.breakAt(b.next[0])
		b.next = b.next[1:]
	}
	b.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { w.copy(toServer, client) })
	both.Go(func() { w.copy(toClient, server) })
	both.Wait()
	b.mu.Lock()
	delete(b.cables, w)
	b.mu.Unlock()
}

// copy passes on what comes from one end until the connection is broken or closed.
func (w *cable) copy(to side, from net.Conn) {
	defer w.ended()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		pass, broken := w.pass(to, n)
		if pass > 0 {
			if _, err := w.ends[to].Write(buf[:pass]); err != nil {
				return
			}
		}
		if broken || err != nil {
			return
		}
	}
}

// pass returns how many of n bytes may pass, and whether the connection breaks behind them.
func (w *cable) pass(to side, n int) (pass int, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch limit := w.limit[to]; {
	case w.deaf[to]:
		return 0, false
	case limit < 0:
		return n, false
	case n > limit:
		return limit, true
	}
	w.limit[to] -= n
	return n, false
}

func (w *cable) breakAt(p breakPoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit[p.to], w.reset = p.after, p.reset
}

// ended closes both ends when one is closed.
func (w *cable) ended() {
	w.mu.Lock()
	half := w.half
	w.mu.Unlock()
	if !half {
		w.cut()
	}
}

// cut closes both ends.
func (w *cable) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.gone:
		return
	default:
	}
	close(w.gone)
	for _, end := range w.ends {
		if w.reset {
			_ = end.(*net.TCPConn).SetLinger(0)
		}
		end.Close()
	}
}

// current returns the last connection.
func (b *breaker) current(t *testing.T) *cable {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NotNil(t, b.last, "nobody has connected")
	return b.last
}

// breakAt breaks the current connection at a point. What is returned is closed then.
func (b *breaker) breakAt(t *testing.T, p breakPoint) <-chan struct{} {
	t.Helper()
	w := b.current(t)
	w.breakAt(p)
	return w.gone
}

// breakNext breaks the connections to come, each at its point, counted from its beginning.
func (b *breaker) breakNext(points ...breakPoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = append(b.next, points...)
}

// connections returns how many there were.
func (b *breaker) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// deafen has the breaker swallow what goes to one side on the current connection, which stays as it is.
func (b *breaker) deafen(t *testing.T, to side) {
	t.Helper()
	w := b.current(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf[to] = true
}

// cut breaks the current connection.
func (b *breaker) cut(t *testing.T) {
	t.Helper()
	b.current(t).cut()
}

// lose closes the server's end of the current connection. The client does not notice, and talks to nobody.
func (b *breaker) lose(t *testing.T) {
	t.Helper()
	w := b.current(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.half, w.deaf = true, [2]bool{true, true}
	require.NoError(t, w.ends[toServer].Close())
}

// happened waits for something that closes a channel.
func happened(ctx context.Context, t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-ctx.Done():
		require.FailNow(t, "did not happen in time: "+what)
	}
}
