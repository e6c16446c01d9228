package xmpp_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/sm"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// newLoopback runs a server on a port of 127.0.0.1.
func newLoopback(t testing.TB, configure func(*xmpp.Server)) *xmpptest.Server {
	t.Helper()
	return xmpptest.NewServer(t, &xmpptest.Options{Configure: configure})
}

// reset ends a TCP connection with a reset instead of in good order.
func reset(t testing.TB, nc net.Conn) {
	t.Helper()
	if tc, ok := nc.(*net.TCPConn); ok {
		require.NoError(t, tc.SetLinger(0))
	}
	require.NoError(t, nc.Close())
}

// adversarialL13: clients that connect, negotiate up to some point and drop the
// connection, over real TCP. Goroutines, file descriptors and memory return to
// where they were.
func adversarialL13(t *testing.T) {
	cycles := scaled(200, 10_000)
	var inner *xmpp.Server
	s := newLoopback(t, func(s *xmpp.Server) {
		inner = s
		s.Auth = &auth.ServerOptions{AllowPlain: true}
		s.Management = &sm.ServerOptions{Max: time.Second} // and then a lost session is given up
		s.Logger = slog.New(slog.DiscardHandler)
	})
	s.AddAccount(t, "juliet", "secret")
	for _, phase := range []struct {
		name string
		to   func(w *cycle, n int)
	}{
		{"connected", func(*cycle, int) {}},
		{"in the header", func(w *cycle, _ int) { w.say(`<stream:stream xmlns='jabb`) }},
		{"features", func(w *cycle, _ int) { w.open("") }},
		{"starttls", func(w *cycle, _ int) {
			w.open("")
			w.say(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
		}},
		{"in the handshake", func(w *cycle, _ int) {
			w.open("")
			w.say(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
			w.until("/>")
			w.say("\x16\x03\x01\x02")
		}},
		{"secured", func(w *cycle, _ int) { w.starttls() }},
		{"in SASL", func(w *cycle, _ int) {
			w.starttls()
			w.open("")
			w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'/>`)
			w.until("<challenge")
		}},
		{"authenticated", func(w *cycle, _ int) {
			w.starttls()
			w.open("")
			w.say(loginOfJuliet)
			w.until("<success")
		}},
		{"binding", func(w *cycle, _ int) {
			w.authenticate()
			w.bind("balcony") // the same each time: each evicts the one before, or meets it on its way out
		}},
		{"bound", func(w *cycle, _ int) {
			w.authenticate()
			w.bind("balcony")
			w.until("</iq>")
			w.say(`<presence/>`)
		}},
		// XEP-0198: from here on the sessions outlive their connections. Some are
		// given up because another one takes their address, the others after Max.
		{"enabling", func(w *cycle, n int) {
			w.authenticate()
			w.bind("balcony" + strconv.Itoa(n%50))
			w.say(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
		}},
		{"enabled", func(w *cycle, n int) { w.enable(n) }},
		{"resuming", func(w *cycle, n int) {
			id := w.enable(n)
			reset(t, w.below)
			w.again()
			w.say(`<resume xmlns='urn:xmpp:sm:3' previd='` + id + `' h='0'/>`)
		}},
		{"refused", func(w *cycle, n int) {
			w.enable(n)
			reset(t, w.below)
			w.again()
			w.say(`<resume xmlns='urn:xmpp:sm:3' previd='somebody else' h='0'/>`)
			w.until("</failed>")
		}},
		{"resumed", func(w *cycle, n int) {
			id := w.enable(n)
			reset(t, w.below)
			w.again()
			w.say(`<resume xmlns='urn:xmpp:sm:3' previd='` + id + `' h='0'/>`)
			w.until("<resumed")
			w.until("<iq id='1'") // what was not acknowledged comes again
		}},
		{"resumed and resumed", func(w *cycle, n int) {
			id := w.enable(n)
			for range 3 { // before the server can have noticed that the connection was lost
				old := w.below
				w.again()
				w.say(`<resume xmlns='urn:xmpp:sm:3' previd='` + id + `' h='0'/>`)
				reset(t, old)
				w.until("<resumed")
			}
		}},
		{"resumed and closed", func(w *cycle, n int) {
			id := w.enable(n)
			reset(t, w.below)
			w.again()
			w.say(`<resume xmlns='urn:xmpp:sm:3' previd='` + id + `' h='0'/>`)
			w.until("<resumed")
			w.say(`</stream:stream>`)
		}},
	} {
		t.Run(phase.name, func(t *testing.T) {
			run := func(i int) {
				nc, err := s.Dial(t.Context())
				require.NoError(t, err)
				w := &wire{Conn: nc, t: t, server: s}
				c := &cycle{wire: w, below: nc}
				require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
				phase.to(c, i)
				if i%2 == 0 {
					reset(t, c.below)
				} else {
					c.below.Close()
				}
			}
			for i := range 4 { // pools and caches fill
				run(i)
			}
			base := settle(t, inner)
			for i := range cycles {
				run(i)
				if i%100 == 99 {
					// The runtime keeps the descriptor of every goroutine that
					// ever ran beside others, so not too many may.
					eventually(t, func() bool { return inner.OpenConnections() == 0 })
				}
			}
			// One per cent, and the noise of a heap this small. What is left
			// over stays however often one looks; what a finalizer or another
			// processor's stopped timers still hold does not.
			limit := base.heap + base.heap/100 + 256<<10
			var after usage
			for range 20 {
				after = settle(t, inner)
				if after.goroutines <= base.goroutines && after.files <= base.files && after.heap <= limit {
					break
				}
				<-time.After(100 * time.Millisecond) // until the last sessions are given up
			}
			require.Empty(t, inner.Sessions(jid.JID{}))
			require.LessOrEqual(t, after.goroutines, base.goroutines)
			require.LessOrEqual(t, after.files, base.files)
			require.LessOrEqual(t, after.heap, limit)
		})
	}
	// It still serves.
	conn, err := s.Client(s.AddAccount(t, "romeo", "secret"), "secret").Connect(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

// loginOfJuliet is SASL PLAIN of juliet, whose password is "secret".
const loginOfJuliet = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldABzZWNyZXQ=</auth>`

// cycle is a client that will drop its connection.
type cycle struct {
	*wire
	below net.Conn // the TCP connection
}

// authenticate does everything up to the features of the authenticated stream.
func (c *cycle) authenticate() {
	c.t.Helper()
	c.starttls()
	c.open("")
	c.say(loginOfJuliet)
	c.until("<success")
	c.until(">")
	c.open("")
}

// again is authenticate on another connection.
func (c *cycle) again() {
	c.t.Helper()
	nc, err := c.server.Dial(c.t.Context())
	require.NoError(c.t, err)
	require.NoError(c.t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	c.wire, c.below = &wire{Conn: nc, t: c.t, server: c.server}, nc
	c.authenticate()
}

// enable binds one of 50 resources, enables stream management, and leaves something
// that is not acknowledged. It returns the SM-ID.
func (c *cycle) enable(n int) (id string) {
	c.t.Helper()
	c.authenticate()
	c.bind("balcony" + strconv.Itoa(n%50))
	c.until("</iq>")
	c.say(`<presence/><enable xmlns='urn:xmpp:sm:3' resume='true'/><iq type='get' id='1' to='` + c.server.Domain.String() + `'><ping xmlns='urn:xmpp:ping'/></iq>`)
	m := regexp.MustCompile(`<enabled [^>]*\bid='([^']+)'`).FindStringSubmatch(c.until("<iq id='1'"))
	require.NotNil(c.t, m)
	return m[1]
}

type usage struct {
	goroutines, files int
	heap              uint64
}

// settle waits until the server is rid of all connections and returns what the
// process uses then.
func settle(t *testing.T, s *xmpp.Server) usage {
	t.Helper()
	var u usage
	last := -1
	eventually(t, func() bool {
		u.goroutines = runtime.NumGoroutine()
		u.files = openFiles(t)
		same := s.OpenConnections() == 0 && u.goroutines == last
		last = u.goroutines
		return same
	})
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.heap = m.HeapAlloc
	return u
}

// eventually waits for a condition, in the goroutine of the test so that there
// is not one more.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		require.True(t, time.Now().Before(deadline), "the condition never came true")
		<-time.After(10 * time.Millisecond)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if os.IsNotExist(err) {
		t.Skip("this system does not tell which files are open")
	}
	require.NoError(t, err)
	return len(entries)
}

// The same from the side of the client, against a server that drops it.
func TestConnectLeavesNothingBehind(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			switch i % 3 {
			case 0:
				reset(t, nc)
			case 1:
				io.WriteString(nc, `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.test' id='1' version='1.0'>`)
				nc.Close()
			default:
				io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\n\r\n")
				nc.Close()
			}
		}
	}()
	c := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "secret", Addr: l.Addr().String(), Timeout: 5 * time.Second}
	connect := func(n int) {
		for range n {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := c.Connect(ctx)
			require.Error(t, err)
			cancel()
		}
	}
	connect(6)
	base, files := runtime.NumGoroutine(), openFiles(t)
	connect(150)
	eventually(t, func() bool { return runtime.NumGoroutine() <= base && openFiles(t) <= files })
	require.NoError(t, l.Close())
	<-done
}
