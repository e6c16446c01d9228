package streamtest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/streamtest"
	xtls "stanzakit.dev/xmpp/tls"
)

// A network and its DNS are all that package dial needs.
var (
	_ dial.ContextDialer = (*streamtest.Network)(nil)
	_ dial.ContextDialer = (*streamtest.Host)(nil)
	_ dial.Resolver      = (*streamtest.Resolver)(nil)
)

const password = "secret"

var (
	domain = jid.MustParse("im.example")
	romeo  = jid.MustParse("romeo@im.example/orchard")
	juliet = jid.MustParse("juliet@im.example/balcony")

	// Deriving keys is what takes the time in here: once for all.
	derived  sasl.MemoryKeyCache
	accounts = sync.OnceValue(func() *xmpp.MemoryAccounts {
		a := &xmpp.MemoryAccounts{Iterations: sasl.MinIterations}
		for _, j := range []jid.JID{romeo, juliet} {
			if err := a.Set(context.Background(), j.Bare(), password); err != nil {
				panic(err)
			}
		}
		return a
	})
)

// serve runs a server for im.example on the network until the test is over.
func serve(t testing.TB, n *streamtest.Network, configure func(*xmpp.Server)) {
	t.Helper()
	s := &xmpp.Server{
		Domains:                []jid.JID{domain},
		Accounts:               accounts(),
		InsecureAllowPlaintext: true,
		Logger:                 slog.New(slog.DiscardHandler),
		Handler:                new(stanza.Mux),
	}
	if configure != nil {
		configure(s)
	}
	l, err := n.Listen("im.example:5222")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		s.Close()
		s.Shutdown(context.Background())
		require.ErrorIs(t, <-ended, xmpp.ErrServerClosed)
	})
}

// client returns a client without TLS whose world is the network.
func client(n *streamtest.Network, account jid.JID) *xmpp.Client {
	return &xmpp.Client{
		JID:                account,
		Auth:               &auth.ClientOptions{Password: password, Cache: &derived},
		Dial:               &dial.Options{Dialer: n.Host(account.Local()), Resolver: n.Resolver()},
		InsecureWithoutTLS: true,
	}
}

// drop ends a connection and waits for its end.
func drop(c *stanza.Conn) {
	c.Abort(errors.New("the test is over"))
	<-c.Done()
}

var wan = streamtest.Options{
	Up:   streamtest.Path{Latency: 40 * time.Millisecond, Jitter: 20 * time.Millisecond},
	Down: streamtest.Path{Latency: 41 * time.Millisecond, Jitter: 20 * time.Millisecond},
}

// A client finds its server by the records of the network and logs in over it,
// and a message goes to another one.
func TestClientAndServer(t *testing.T) {
	streamtest.Run(t, 3, &wan, func(t *testing.T, lab *streamtest.Lab) {
		serve(t, lab.Network, nil)
		lab.Resolver().AddSRV("xmpp-client", "tcp", "im.example",
			net.SRV{Target: "nobody.example.", Port: 5222, Priority: 1}, net.SRV{Target: "im.example.", Port: 5222, Priority: 2})
		lab.Host("nobody.example")
		start := time.Now()
		a, err := client(lab.Network, romeo).Connect(t.Context())
		require.NoError(t, err)
		defer drop(a)
		require.Greater(t, time.Since(start), 300*time.Millisecond)
		b, err := client(lab.Network, juliet).Connect(t.Context())
		require.NoError(t, err)
		defer drop(b)
		require.NoError(t, a.Send(t.Context(), &stanza.Message{To: juliet, Body: stanza.Plain("hi")}))
		for st, err := range b.All(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, "hi", st.(*stanza.Message).Body.String())
			break
		}
	})
}

// inBubble runs an experiment without Run, in the same test.
func inBubble(t *testing.T, opts *streamtest.Options, f func(t *testing.T, n *streamtest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(opts)
		t.Cleanup(func() {
			// The other side may be waiting for a connection that has vanished.
			<-time.After(2 * time.Minute)
			require.Empty(t, n.Open())
		})
		f(t, n)
	})
}

// The same seed and the same program give the same log, to the byte and the
// nanosecond, and another seed another one.
func TestDeterminism(t *testing.T) {
	logOf := func(seed uint64) (log string) {
		opts := wan
		opts.Seed = seed
		opts.Up.Split, opts.Down.BytesPerSecond = streamtest.Random, 100_000
		inBubble(t, &opts, func(t *testing.T, n *streamtest.Network) {
			serve(t, n, nil)
			c, err := client(n, romeo).Connect(t.Context())
			require.NoError(t, err)
			require.NoError(t, c.Close(t.Context()))
			<-c.Done()
			<-time.After(time.Minute)
			log = n.Log()
		})
		return log
	}
	first := logOf(1)
	require.Contains(t, first, "closed")
	for range 10 {
		require.Equal(t, first, logOf(1))
	}
	require.NotEqual(t, first, logOf(2))
}

// bytesOf returns how many bytes of a connection went which way.
func bytesOf(n *streamtest.Network, d streamtest.Direction) (total int64) {
	events, _ := n.Events()
	for _, e := range events {
		if e.Kind == streamtest.Write && e.Dir == d {
			total += int64(e.N)
		}
	}
	return total
}

// Cut at every byte of a login and logout, in either direction and in every way:
// the client's error comes in bounded time, and nothing is left of it anywhere,
// which Run looks at.
func TestCutAtEveryByte(t *testing.T) {
	var total [2]int64
	streamtest.Run(t, 1, &wan, func(t *testing.T, lab *streamtest.Lab) {
		serve(t, lab.Network, nil)
		c, err := client(lab.Network, romeo).Connect(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
		total = [2]int64{bytesOf(lab.Network, streamtest.Up), bytesOf(lab.Network, streamtest.Down)}
	})
	require.Greater(t, total[0], int64(500))
	step := int64(1)
	if testing.Short() {
		step = 17
	}
	kinds := []streamtest.FaultKind{streamtest.Reset, streamtest.End, streamtest.Vanish}
	for d, bytes := range total {
		d := streamtest.Direction(d)
		t.Run(d.String(), func(t *testing.T) {
			for after := int64(0); after <= bytes; after += step {
				fault := streamtest.Fault{Kind: kinds[after%3], After: after, Both: after%2 == 0}
				opts := wan
				opts.Plan = streamtest.OnConn(1, d, fault)
				inBubble(t, &opts, func(t *testing.T, n *streamtest.Network) {
					serve(t, n, nil)
					start := time.Now()
					c, err := client(n, romeo).Connect(t.Context())
					if err == nil {
						err = c.Close(t.Context())
						<-c.Done()
					}
					require.Less(t, time.Since(start), time.Minute, "%+v", fault)
					if fault.After < bytes-20 && d == streamtest.Down {
						require.Error(t, err, "%+v", fault)
					}
				})
			}
		})
	}
}

// A server that falls silent runs into the library's own deadline.
func TestStalledLogin(t *testing.T) {
	for _, both := range []bool{false, true} {
		opts := wan
		opts.Plan = streamtest.OnConn(1, streamtest.Down, streamtest.Fault{Kind: streamtest.Stall, After: 300, Both: both})
		streamtest.Run(t, 1, &opts, func(t *testing.T, lab *streamtest.Lab) {
			serve(t, lab.Network, nil)
			start := time.Now()
			_, err := client(lab.Network, romeo).Connect(t.Context())
			require.ErrorIs(t, err, stream.ErrNegotiationTimeout)
			took := time.Since(start)
			require.GreaterOrEqual(t, took, 30*time.Second)
			require.Less(t, took, 32*time.Second)
		})
	}
}

// A pause is no end: the login goes on behind it.
func TestPausedLogin(t *testing.T) {
	opts := wan
	opts.Chaos = &streamtest.Chaos{Pause: 20 * time.Second, Within: 1000}
	opts.Up.Split, opts.Down.Split = streamtest.Bytes, streamtest.Random
	streamtest.Run(t, 20, &opts, func(t *testing.T, lab *streamtest.Lab) {
		serve(t, lab.Network, nil)
		c, err := client(lab.Network, romeo).Connect(t.Context())
		require.NoError(t, err)
		if err = c.Close(t.Context()); err != nil { // the pause came only then, and is longer than anybody waits
			require.ErrorIs(t, err, stream.ErrCloseTimeout)
		}
	})
}

// TLS works in a bubble. How many bytes it takes depends on randomness, a DER
// signature being one byte longer or shorter, unless that has a seed too.
func TestTLS(t *testing.T) {
	login := func(seeded bool) (bytes int64) {
		t.Run("", func(t *testing.T) {
			inBubble(t, &wan, func(t *testing.T, n *streamtest.Network) {
				if seeded {
					cryptotest.SetGlobalRandom(t, 1)
				}
				// The clock of the bubble says 2000: a certificate of its own time.
				ca, err := xtls.NewDevCA()
				require.NoError(t, err)
				certificate, err := ca.Issue("im.example")
				require.NoError(t, err)
				serve(t, n, func(s *xmpp.Server) {
					s.TLS = &xtls.ServerOptions{Certificates: []tls.Certificate{certificate}}
					s.InsecureAllowPlaintext = false
				})
				c := client(n, romeo)
				c.InsecureWithoutTLS = false
				c.RootCAs = ca.Pool()
				c.NoManagement = true // with it, what shares a record is up to the scheduler
				conn, err := c.Connect(t.Context())
				require.NoError(t, err)
				require.NoError(t, conn.Close(t.Context()))
				bytes = bytesOf(n, streamtest.Down)
			})
		})
		return bytes
	}
	for _, seeded := range []bool{false, true} {
		sizes := map[int64]int{}
		for range 30 {
			sizes[login(seeded)]++
		}
		t.Logf("bytes from the server in 30 logins over TLS, seeded %t: %v", seeded, sizes)
		require.NotContains(t, sizes, int64(0))
		if seeded {
			require.Len(t, sizes, 1)
		}
	}
}
