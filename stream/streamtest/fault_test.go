package streamtest_test

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream/streamtest"
)

// Each kind of fault does what it says, at each offset, in either direction.
func TestFaults(t *testing.T) {
	const text = "0123456789"
	for _, d := range []streamtest.Direction{streamtest.Up, streamtest.Down} {
		for _, latency := range []time.Duration{0, time.Second} {
			for after := range int64(len(text)) + 1 {
				for kind, check := range map[streamtest.FaultKind]func(t *testing.T, n *streamtest.Network, writer, reader *streamtest.Conn){
					streamtest.Reset: func(t *testing.T, _ *streamtest.Network, writer, reader *streamtest.Conn) {
						_, err := writer.Write([]byte(text))
						if latency > 0 && after > 0 {
							require.NoError(t, err, "nobody has said yet")
						}
						got, err := io.ReadAll(reader)
						require.ErrorIs(t, err, syscall.ECONNRESET)
						require.Equal(t, text[:after], string(got))
						_, err = writer.Read(make([]byte, 1))
						require.ErrorIs(t, err, syscall.ECONNRESET)
						_, err = writer.Write([]byte("x"))
						require.ErrorIs(t, err, syscall.ECONNRESET)
					},
					streamtest.End: func(t *testing.T, _ *streamtest.Network, writer, reader *streamtest.Conn) {
						write(t, writer, text)
						got, err := io.ReadAll(reader)
						require.NoError(t, err)
						require.Equal(t, text[:after], string(got))
						write(t, reader, "the other direction lives")
						require.Equal(t, "the other direction lives", read(t, writer, 100))
						require.NoError(t, reader.Close())
						if after == int64(len(text)) {
							_, err = writer.Read(make([]byte, 1))
							require.Equal(t, io.EOF, err)
							write(t, writer, "x")
						}
						_, err = writer.Read(make([]byte, 1))
						if err == io.EOF { // the reset is a nanosecond behind it
							<-time.After(3 * time.Second)
							_, err = writer.Write([]byte("x"))
						}
						require.ErrorIs(t, err, syscall.ECONNRESET, "what was lost is answered now")
					},
					streamtest.Vanish: func(t *testing.T, _ *streamtest.Network, writer, reader *streamtest.Conn) {
						write(t, writer, text)
						require.NoError(t, reader.SetReadDeadline(time.Now().Add(time.Hour)))
						got, err := io.ReadAll(reader)
						require.ErrorIs(t, err, os.ErrDeadlineExceeded)
						require.Equal(t, text[:after], string(got))
						require.NoError(t, writer.SetWriteDeadline(time.Now().Add(time.Hour)))
						k, err := writer.Write(make([]byte, 1<<20))
						require.ErrorIs(t, err, os.ErrDeadlineExceeded)
						require.Equal(t, 65_536-len(text)+int(after), k, "nobody acknowledges it")
						require.NoError(t, writer.Close())
						require.NoError(t, reader.SetReadDeadline(time.Now().Add(time.Hour)))
						_, err = reader.Read(make([]byte, 1))
						require.ErrorIs(t, err, os.ErrDeadlineExceeded, "nor does the end arrive")
					},
				} {
					synctest.Test(t, func(t *testing.T) {
						n := streamtest.NewNetwork(&streamtest.Options{
							Up: streamtest.Path{Latency: latency}, Down: streamtest.Path{Latency: latency},
							Plan: streamtest.OnConn(1, d, streamtest.Fault{Kind: kind, After: after}),
						})
						writer, reader := pair(t, n)
						if d == streamtest.Down {
							writer, reader = reader, writer
						}
						<-time.After(2 * time.Second) // for a reset to be known
						if kind == streamtest.Reset && after == 0 {
							for _, c := range []net.Conn{writer, reader} {
								_, err := c.Read(make([]byte, 1))
								require.ErrorIs(t, err, syscall.ECONNRESET)
							}
						} else {
							check(t, n, writer, reader)
						}
						require.Contains(t, n.Log(), d.String()+" fault "+kind.String())
						n.Close()
						require.Empty(t, n.Open())
					})
				}
			}
		}
	}
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(&streamtest.Options{Plan: func(streamtest.ConnID) *streamtest.Script {
			return &streamtest.Script{Up: []streamtest.Fault{
				{Kind: streamtest.Stall, After: 6}, {Kind: streamtest.Stall, After: 3, For: time.Minute},
			}}
		}})
		client, server := pair(t, n)
		start := time.Now()
		write(t, client, "abcdefghi")
		require.Equal(t, "abc", read(t, server, 10))
		require.Zero(t, time.Since(start))
		require.Equal(t, "def", read(t, server, 10))
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, server.SetReadDeadline(start.Add(time.Hour)))
		_, err := server.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "for ever")
		n.Close()
	})
}

// A reset loses what has arrived and was not read.
func TestResetLosesUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(nil)
		client, server := pair(t, n)
		write(t, client, "unread")
		n.Break(streamtest.Up, streamtest.Fault{Kind: streamtest.Reset}, func(id streamtest.ConnID) bool { return id.N == 2 })
		require.Equal(t, "u", read(t, server, 1), "that was another one")
		n.Break(streamtest.Up, streamtest.Fault{Kind: streamtest.Reset}, nil)
		<-time.After(1)
		_, err := server.Read(make([]byte, 10))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		n.Close()
	})
}

// Pulling the plug: both directions at once.
func TestBreakBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(&streamtest.Options{Up: streamtest.Path{Latency: time.Second}})
		client, server := pair(t, n)
		write(t, client, "on its way")
		n.Break(streamtest.Up, streamtest.Fault{Kind: streamtest.Vanish, Both: true}, nil)
		write(t, client, "lost")
		write(t, server, "lost")
		require.Equal(t, "on its way", read(t, server, 100))
		for _, c := range []net.Conn{client, server} {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		}
		require.Equal(t, 2, strings.Count(n.Log(), "fault vanish"))
		n.Close()
	})
}

// Chaos comes from the seed, and all of it comes.
func TestChaos(t *testing.T) {
	seen := map[string]int{}
	logs := map[string]bool{}
	chaos := &streamtest.Chaos{Refuse: 0.1, Ignore: 0.1, Cut: 0.9, Within: 1000, Pause: time.Minute}
	try := func(seed uint64) (log string) {
		synctest.Test(t, func(t *testing.T) {
			n := streamtest.NewNetwork(&streamtest.Options{
				Seed: seed, Chaos: chaos,
				// Not the same, so that nothing happens at one moment.
				Up: streamtest.Path{Latency: 10 * time.Millisecond}, Down: streamtest.Path{Latency: 11 * time.Millisecond},
			})
			l, err := n.Listen(address)
			require.NoError(t, err)
			timer := time.AfterFunc(time.Hour, func() { n.Close() })
			defer timer.Stop()
			if c, err := n.DialContext(t.Context(), "tcp", address); err == nil {
				s, err := l.Accept()
				require.NoError(t, err)
				done := make(chan struct{})
				go func() {
					defer close(done)
					io.Copy(s, s)
				}()
				c.Write(make([]byte, 2000))
				io.Copy(io.Discard, c)
				c.Close()
				s.Close()
				<-done
			}
			n.Close()
			log = n.Log()
		})
		return log
	}
	for seed := range uint64(200) {
		log := try(seed)
		require.Equal(t, log, try(seed), "seed %d", seed)
		logs[log] = true
		for _, what := range []string{"refused", "ignored", "up fault reset", "down fault end", "up fault vanish", "down fault stall"} {
			if strings.Contains(log, what) {
				seen[what]++
			}
		}
	}
	require.Len(t, seen, 6, "%v", seen)
	require.Greater(t, len(logs), 100)
}

// Jitter permutes what arrives over different connections, and nothing within
// one.
func TestOrderAcrossConnections(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			n := streamtest.NewNetwork(&streamtest.Options{Seed: seed, Up: streamtest.Path{Jitter: time.Second}})
			l, err := n.Listen(address)
			require.NoError(t, err)
			arrived := make(chan string, 6)
			for _, name := range []string{"a", "b", "c"} {
				c, s := connect(t, n, l)
				write(t, c, name)
				go func() {
					arrived <- read(t, s, 1)
					arrived <- read(t, s, 1)
				}()
				defer write(t, c, strings.ToUpper(name))
			}
			order := ""
			for range 3 {
				order += <-arrived
			}
			orders[order] = true
			t.Cleanup(func() {
				for range 3 {
					order += <-arrived
				}
				require.Equal(t, strings.Count(order, "a"), strings.Count(order, "A"))
				n.Close()
			})
		})
	}
	require.Len(t, orders, 6, "all there are")
}

func TestLogIsBounded(t *testing.T) {
	n := streamtest.NewNetwork(&streamtest.Options{LogEvents: 3})
	client, server := pair(t, n)
	for range 10 {
		write(t, client, "x")
		read(t, server, 1)
	}
	events, lost := n.Events()
	require.Len(t, events, 3)
	require.Positive(t, lost)
	require.Contains(t, n.Log(), "events more")
	n.Close()
}
