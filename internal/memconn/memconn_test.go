package memconn_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"stanzakit.dev/xmpp/internal/memconn"
)

func TestConformance(t *testing.T) {
	t.Run("pipe", func(t *testing.T) {
		nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
			a, b = memconn.Pipe()
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
	t.Run("listener", func(t *testing.T) {
		nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
			l := memconn.Listen()
			accepted := make(chan net.Conn, 1)
			go func() { // ends with the Accept that the Dial below serves
				c, _ := l.Accept()
				accepted <- c
			}()
			if a, err = l.Dial(t.Context()); err != nil {
				return nil, nil, nil, err
			}
			b = <-accepted
			return a, b, func() { a.Close(); b.Close(); l.Close() }, nil
		})
	})
}

func TestWriteDoesNotWaitForReader(t *testing.T) {
	a, b := memconn.Pipe()
	defer a.Close()
	defer b.Close()
	for range 64 {
		n, err := a.Write(make([]byte, 1024))
		require.NoError(t, err)
		require.Equal(t, 1024, n)
	}
	// 64 KiB are in flight: one byte more does not fit.
	require.NoError(t, a.SetWriteDeadline(time.Unix(1, 0)))
	n, err := a.Write([]byte{1})
	require.Zero(t, n)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	// The other direction has a buffer and a deadline of its own.
	_, err = b.Write([]byte("x"))
	require.NoError(t, err)
}

func TestWriteBlocksWhileFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		const size = 1 << 20
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		done := false
		go func() {
			n, err := a.Write(sent)
			done = n == size && err == nil
			a.Close()
		}()
		synctest.Wait()
		require.False(t, done)
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, got))
		synctest.Wait()
		require.True(t, done)
	})
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	a, b := memconn.Pipe()
	const size = 100_000 // more than the buffer, so each write waits in the middle
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			_, err := a.Write(bytes.Repeat([]byte{byte('a' + i)}, size))
			require.NoError(t, err)
		})
	}
	got := make([]byte, 4*size)
	_, err := io.ReadFull(b, got)
	require.NoError(t, err)
	writers.Wait()
	for i := range 4 {
		part := got[i*size : (i+1)*size]
		require.Equal(t, size, bytes.Count(part, part[:1]))
	}
}

func TestClose(t *testing.T) {
	t.Run("buffered bytes stay readable", func(t *testing.T) {
		a, b := memconn.Pipe()
		_, err := a.Write([]byte("bye"))
		require.NoError(t, err)
		require.NoError(t, a.Close())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
		_, err = b.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
	t.Run("write after the peer closed", func(t *testing.T) {
		a, b := memconn.Pipe()
		require.NoError(t, b.Close())
		_, err := a.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		require.NotErrorIs(t, err, net.ErrClosed)
	})
	t.Run("use after close", func(t *testing.T) {
		a, _ := memconn.Pipe()
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
		_, err := a.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, a.SetDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, a.SetWriteDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, a.(*memconn.Conn).CloseWrite(), net.ErrClosed)
	})
	t.Run("half close", func(t *testing.T) {
		a, b := memconn.Pipe()
		require.NoError(t, a.(*memconn.Conn).CloseWrite())
		_, err := b.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		_, err = b.Write([]byte("still here"))
		require.NoError(t, err)
		require.NoError(t, b.Close())
		got, err := io.ReadAll(a)
		require.NoError(t, err)
		require.Equal(t, "still here", string(got))
	})
	for _, end := range []string{"near", "far"} {
		t.Run("wakes blocked calls, "+end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := memconn.Pipe()
				_, err := a.Write(make([]byte, 64<<10))
				require.NoError(t, err)
				var readErr, writeErr error
				go func() { _, readErr = a.Read(make([]byte, 1)) }()
				go func() { _, writeErr = a.Write([]byte("x")) }()
				synctest.Wait()
				require.NoError(t, readErr)
				require.NoError(t, writeErr)
				if end == "near" {
					a.Close()
				} else {
					b.Close()
				}
				synctest.Wait()
				if end == "near" {
					require.ErrorIs(t, readErr, net.ErrClosed)
					require.ErrorIs(t, writeErr, net.ErrClosed)
				} else {
					require.Equal(t, io.EOF, readErr)
					require.ErrorIs(t, writeErr, io.ErrClosedPipe)
				}
			})
		})
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		defer a.Close()
		defer b.Close()
		start := time.Now()

		require.NoError(t, a.SetReadDeadline(start.Add(time.Hour)))
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var netErr net.Error
		require.ErrorAs(t, err, &netErr)
		require.True(t, netErr.Timeout())
		require.Equal(t, time.Hour, time.Since(start))

		// A past deadline wins over bytes that wait; lifting it brings them.
		_, err = b.Write([]byte("x"))
		require.NoError(t, err)
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		n, err := a.Read(make([]byte, 1))
		require.NoError(t, err)
		require.Equal(t, 1, n)

		// A deadline set into the past wakes a call that is blocked already.
		go func() { a.SetReadDeadline(time.Unix(1, 0)) }()
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		// A deadline that was moved does not fire at its old time.
		start = time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(time.Minute)))
		require.NoError(t, a.SetReadDeadline(start.Add(time.Hour)))
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(start))

		// A write that waits for room keeps count of what it has written.
		start = time.Now()
		require.NoError(t, a.SetWriteDeadline(start.Add(time.Minute)))
		n, err = a.Write(make([]byte, 100<<10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 64<<10, n)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestListenerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memconn.Listen()
		require.Equal(t, "mem", l.Addr().Network())
		var dialErr, acceptErr error
		go func() { _, dialErr = l.Dial(t.Context()) }()
		synctest.Wait()
		require.NoError(t, dialErr)
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		synctest.Wait()
		require.ErrorIs(t, dialErr, net.ErrClosed)
		_, acceptErr = l.Accept()
		require.ErrorIs(t, acceptErr, net.ErrClosed)
	})
	synctest.Test(t, func(t *testing.T) {
		l := memconn.Listen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := l.Dial(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = l.Dial(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	near, far := memconn.Pipe()
	msg, got := make([]byte, 512), make([]byte, 512)
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		near.Write(msg)
		io.ReadFull(far, got)
	}
}
