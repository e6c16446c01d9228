package streamtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"stanzakit.dev/xmpp/stream/streamtest"
)

const address = "im.example:5222"

// pair returns the ends of a connection on a network.
func pair(t testing.TB, n *streamtest.Network) (client, server *streamtest.Conn) {
	t.Helper()
	l, err := n.Listen(address)
	require.NoError(t, err)
	defer l.Close()
	return connect(t, n, l)
}

func connect(t testing.TB, n *streamtest.Network, l net.Listener) (client, server *streamtest.Conn) {
	t.Helper()
	a, err := n.DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	return a.(*streamtest.Conn), b.(*streamtest.Conn)
}

// A connection is a net.Conn by the suite of golang.org/x/net, outside of a
// bubble, with and without delays.
func TestConformance(t *testing.T) {
	for name, o := range map[string]*streamtest.Options{
		"plain":  nil,
		"slow":   {Up: streamtest.Path{Latency: time.Millisecond, Jitter: time.Millisecond}, Down: streamtest.Path{Latency: time.Millisecond}},
		"pieces": {Up: streamtest.Path{Split: streamtest.Random}, Down: streamtest.Path{Split: streamtest.Random}},
		"narrow": {Buffer: 100},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
				n := streamtest.NewNetwork(o)
				a, b = pair(t, n)
				return a, b, func() { a.Close(); b.Close(); n.Close() }, nil
			})
		})
	}
}

func read(t testing.TB, c net.Conn, size int) string {
	t.Helper()
	b := make([]byte, size)
	n, err := c.Read(b)
	require.NoError(t, err)
	return string(b[:n])
}

func write(t testing.TB, c net.Conn, s string) {
	t.Helper()
	n, err := io.WriteString(c, s)
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(&streamtest.Options{
			Up: streamtest.Path{Latency: 3 * time.Second}, Down: streamtest.Path{Latency: 4 * time.Second},
		})
		start := time.Now()
		passed := func() time.Duration { return time.Since(start) }
		client, server := pair(t, n)
		require.Equal(t, 7*time.Second, passed(), "a TCP handshake takes a round trip")

		write(t, client, "ping")
		require.Equal(t, 7*time.Second, passed(), "Write waits for nobody")
		require.Equal(t, "ping", read(t, server, 10))
		require.Equal(t, 10*time.Second, passed())
		write(t, server, "pong")
		require.Equal(t, "pong", read(t, client, 10))
		require.Equal(t, 14*time.Second, passed())

		require.NoError(t, client.Close())
		_, err := server.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.Equal(t, 17*time.Second, passed(), "the end travels too")
		require.Equal(t, []string{"client→im.example:5222#1 (im.example:5222)"}, n.Open())
		require.NoError(t, server.Close())
		require.Empty(t, n.Open())
	})
}

func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(&streamtest.Options{Up: streamtest.Path{BytesPerSecond: 1000, Latency: time.Second}})
		client, server := pair(t, n)
		start := time.Now()
		write(t, client, string(make([]byte, 10_000)))
		_, err := io.ReadFull(server, make([]byte, 1460))
		require.NoError(t, err)
		require.Equal(t, 2460*time.Millisecond, time.Since(start), "packets arrive one by one")
		_, err = io.ReadFull(server, make([]byte, 8540))
		require.NoError(t, err)
		require.Equal(t, 11*time.Second, time.Since(start))
		n.Close()
	})
}

// What one Write sends at a moment arrives as if many had sent it, whatever the
// path is like.
func TestWritesOfOneMoment(t *testing.T) {
	for name, path := range map[string]streamtest.Path{
		"jitter":    {Latency: time.Second, Jitter: time.Second},
		"bandwidth": {BytesPerSecond: 700},
		"all":       {Latency: time.Second, Jitter: time.Second, BytesPerSecond: 700, Split: streamtest.Random},
	} {
		t.Run(name, func(t *testing.T) {
			arrivals := func(size int) (log string) {
				synctest.Test(t, func(t *testing.T) {
					n := streamtest.NewNetwork(&streamtest.Options{Up: path, Seed: 3})
					client, server := pair(t, n)
					for range 6000 / size {
						write(t, client, string(make([]byte, size)))
					}
					require.NoError(t, client.CloseWrite())
					_, err := io.Copy(io.Discard, server)
					require.NoError(t, err)
					n.Close()
					log = n.Log()
				})
				return log
			}
			want := arrivals(6000)
			require.Contains(t, want, "read")
			for _, size := range []int{1, 7 * 8, 1500} {
				if 6000%size == 0 {
					require.Equal(t, want, arrivals(size), "writes of %d bytes", size)
				}
			}
		})
	}
}

func TestSplit(t *testing.T) {
	n := streamtest.NewNetwork(&streamtest.Options{Up: streamtest.Path{Split: streamtest.Bytes}, Down: streamtest.Path{Split: streamtest.Random}})
	client, server := pair(t, n)
	write(t, client, "abc")
	for _, want := range []string{"a", "b", "c"} {
		require.Equal(t, want, read(t, server, 10))
	}
	sent := make([]byte, 60_000)
	for i := range sent {
		sent[i] = byte(i * 7 >> 3)
	}
	write(t, server, string(sent))
	var got []byte
	sizes := map[int]bool{}
	for len(got) < len(sent) {
		piece := read(t, client, len(sent))
		sizes[len(piece)] = true
		got = append(got, piece...)
	}
	require.True(t, bytes.Equal(sent, got))
	require.Greater(t, len(sizes), 20)
	require.True(t, sizes[1])
}

func TestBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(&streamtest.Options{Buffer: 1000})
		client, server := pair(t, n)
		start := time.Now()
		require.NoError(t, client.SetWriteDeadline(start.Add(time.Minute)))
		k, err := client.Write(make([]byte, 1500))
		require.Equal(t, 1000, k)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok && timeout.Timeout())
		require.Equal(t, time.Minute, time.Since(start))

		require.NoError(t, client.SetDeadline(time.Time{}))
		done := make(chan error, 1)
		go func() {
			_, err := client.Write(make([]byte, 1500))
			done <- err
		}()
		synctest.Wait()
		require.Empty(t, done)
		_, err = io.ReadFull(server, make([]byte, 2500))
		require.NoError(t, err)
		require.NoError(t, <-done)
		n.Close()
	})
}

// Closing is what TCP makes of it: unread bytes are answered with a reset (RFC
// 2525 §2.17), and so are those that arrive later.
func TestClose(t *testing.T) {
	second := streamtest.Path{Latency: time.Second}
	bubble := func(name string, f func(t *testing.T, n *streamtest.Network, client, server *streamtest.Conn)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := streamtest.NewNetwork(&streamtest.Options{Up: second, Down: second})
				client, server := pair(t, n)
				f(t, n, client, server)
				require.NoError(t, client.Close())
				require.NoError(t, server.Close())
				require.NoError(t, server.Close(), "again")
				require.Empty(t, n.Open())
			})
		})
	}
	bubble("half", func(t *testing.T, _ *streamtest.Network, client, server *streamtest.Conn) {
		write(t, client, "bye")
		require.NoError(t, client.CloseWrite())
		require.NoError(t, client.CloseWrite())
		_, err := client.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
		write(t, server, "bye bye")
		require.NoError(t, server.Close())
		got, err = io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, "bye bye", string(got))
	})
	bubble("with unread bytes", func(t *testing.T, _ *streamtest.Network, client, server *streamtest.Conn) {
		write(t, client, "unread")
		<-time.After(time.Second)
		write(t, server, "last words")
		require.NoError(t, server.Close())
		<-time.After(2 * time.Second)
		_, err := client.Read(make([]byte, 100))
		require.ErrorIs(t, err, syscall.ECONNRESET, "the last words are lost with it")
	})
	bubble("with bytes on their way", func(t *testing.T, _ *streamtest.Network, client, server *streamtest.Conn) {
		write(t, client, "unread")
		require.NoError(t, server.Close())
		_, err := client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		<-time.After(time.Second + 1)
		_, err = client.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
	bubble("written to afterwards", func(t *testing.T, _ *streamtest.Network, client, server *streamtest.Conn) {
		require.NoError(t, server.Close())
		_, err := client.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		write(t, client, "x") // nobody has said that there is nobody
		<-time.After(2*time.Second + 1)
		_, err = client.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
	bubble("unblocks", func(t *testing.T, _ *streamtest.Network, client, server *streamtest.Conn) {
		write(t, client, string(make([]byte, 65_536)))
		errs := make(chan error, 4)
		go func() { _, err := client.Write([]byte("x")); errs <- err }()
		go func() { _, err := client.Write([]byte("x")); errs <- err }()
		go func() { _, err := client.Read(make([]byte, 1)); errs <- err }()
		synctest.Wait()
		require.NoError(t, client.Close())
		for range 3 {
			require.ErrorIs(t, <-errs, net.ErrClosed)
		}
		require.ErrorIs(t, client.SetDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, client.CloseWrite(), net.ErrClosed)
		_, err := io.Copy(io.Discard, server)
		require.NoError(t, err)
	})
	bubble("writer waits for a reader that goes", func(t *testing.T, _ *streamtest.Network, client, server *streamtest.Conn) {
		errs := make(chan error, 1)
		go func() { _, err := client.Write(make([]byte, 1<<20)); errs <- err }()
		<-time.After(2 * time.Second)
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-errs, syscall.ECONNRESET)
	})
}

func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scripts := map[int]*streamtest.Script{2: {Dial: streamtest.Refused}, 3: {Dial: streamtest.Unanswered}}
		n := streamtest.NewNetwork(&streamtest.Options{
			Plan:    func(id streamtest.ConnID) *streamtest.Script { return scripts[id.N] },
			Up:      streamtest.Path{Latency: time.Second},
			Backlog: 1,
		})
		dial := func(address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			return n.Host("bot").DialContext(ctx, "tcp", address)
		}
		_, err := dial(address)
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "nobody listens")
		l, err := n.Listen(address)
		require.NoError(t, err)
		_, err = n.Listen("IM.example.:5222")
		require.Error(t, err, "one listener for an address")

		_, err = dial(address)
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "by the plan")
		start := time.Now()
		_, err = dial(address)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok && timeout.Timeout())
		require.Equal(t, time.Hour, time.Since(start))

		c, err := dial(l.Addr().String())
		require.NoError(t, err, "by its address")
		require.Equal(t, streamtest.ConnID{From: "bot", To: address, N: 4}, c.(*streamtest.Conn).ID())
		require.Equal(t, l.Addr().String(), c.RemoteAddr().String())
		require.Equal(t, n.Host("bot").Addr(), c.LocalAddr().(*net.TCPAddr).AddrPort().Addr())
		_, err = dial(address)
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "the backlog is full")

		for _, bad := range []string{"", "im.example", "im.example:http", "im.example:0", ":5222", "10.9.9.9:1", "[::1]:5222"} {
			_, err := dial(bad)
			require.Error(t, err, "%q", bad)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = n.DialContext(ctx, "tcp", address)
		require.ErrorIs(t, err, context.Canceled)

		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET, "it was never accepted")
		require.NoError(t, c.Close())
		require.NoError(t, n.Close())
		_, err = n.Listen(address)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = dial(address)
		require.Error(t, err)
		require.Empty(t, n.Open())
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	n := streamtest.NewNetwork(nil)
	client, server := pair(b, n)
	msg, got := make([]byte, 512), make([]byte, 512)
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		client.Write(msg)
		io.ReadFull(server, got)
	}
}

// BenchmarkThroughput is a stream of bytes from one goroutine to another.
func BenchmarkThroughput(b *testing.B) {
	n := streamtest.NewNetwork(nil)
	client, server := pair(b, n)
	msg := make([]byte, 4096)
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, server)
	}()
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		client.Write(msg)
	}
	client.CloseWrite()
	<-done
}

// BenchmarkConn is the cost of a connection that carries little.
func BenchmarkConn(b *testing.B) {
	n := streamtest.NewNetwork(&streamtest.Options{LogEvents: 1})
	l, err := n.Listen(address)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		client, server := connect(b, n, l)
		client.Write([]byte("hello"))
		server.Read(make([]byte, 5))
		client.Close()
		server.Close()
	}
}
