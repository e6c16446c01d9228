package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

// BenchmarkLogin is a whole login over loopback with both sides in this process:
// TCP, TLS 1.3 with ECDSA, SCRAM-SHA-256-PLUS, binding, and the end of the
// connection. Beside the whole it reports what TLS took in these logins, on both
// sides together, and what PBKDF2 takes meanwhile, which is the client's alone.
func BenchmarkLogin(b *testing.B) {
	for _, kind := range []string{"STARTTLS", "direct TLS"} {
		for _, iterations := range []int{4096, sasl.DefaultIterations} {
			for _, keys := range []string{"fresh keys", "cached keys"} {
				b.Run(fmt.Sprintf("%s/%d iterations/%s", kind, iterations, keys), func(b *testing.B) {
					l := newLogins(b, kind == "direct TLS", iterations)
					if l.cached = keys == "cached keys"; l.cached {
						l.client.Auth = &auth.ClientOptions{Cache: &sasl.MemoryKeyCache{}}
					}
					l.run(b, iterations)
				})
			}
		}
	}
}

// logins is a client that logs in again and again.
type logins struct {
	client    *xmpp.Client
	cached    bool // the client derives no keys
	mechanism string
	begin     time.Time     // of TLS
	tls       time.Duration // in all logins
}

func newLogins(b *testing.B, direct bool, iterations int) *logins {
	var inner *xmpp.Server
	s := xmpptest.NewServer(b, &xmpptest.Options{Configure: func(server *xmpp.Server) {
		inner = server
		server.Logger = slog.New(slog.DiscardHandler) // logins that end without a word are what this is about
		server.Accounts.(*xmpp.MemoryAccounts).Iterations = iterations
	}})
	l := &logins{client: s.Client(s.AddAccount(b, "juliet", "secret"), "secret")}
	l.client.Trace = &stream.Trace{
		FeatureStart: func(name stream.Name) {
			if name.Space == xtls.NS {
				l.begin = time.Now()
			}
		},
		Secured:       func(stream.Security) { l.tls += time.Since(l.begin) },
		Authenticated: func(_ jid.JID, name string) { l.mechanism = name },
	}
	if direct {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		ended := make(chan error, 1)
		go func() { ended <- inner.ServeTLS(context.Background(), listener) }() // stops when the server is closed, joined below
		b.Cleanup(func() {
			s.Close()
			<-ended
		})
		l.client.DirectTLS, l.client.Addr = true, listener.Addr().String()
	}
	return l
}

var errLoggedIn = errors.New("that was the login")

func (l *logins) once(b *testing.B) {
	nc, err := net.Dial("tcp", l.client.Addr)
	require.NoError(b, err)
	l.begin = time.Now() // with STARTTLS it begins later
	conn, err := l.client.ConnectOn(context.Background(), nc)
	require.NoError(b, err)
	conn.Session().Abort(errLoggedIn)
	<-conn.Done()
}

func (l *logins) run(b *testing.B, iterations int) {
	l.once(b) // fills the cache, if there is one
	require.Equal(b, "SCRAM-SHA-256-PLUS", l.mechanism)
	l.tls = 0
	var pbkdf2 time.Duration
	b.ReportAllocs()
	for b.Loop() {
		l.once(b)
		if l.cached {
			continue
		}
		// Beside the logins, so that both have the same machine to run on.
		b.StopTimer()
		begin := time.Now()
		_, err := sasl.DeriveKeys(b.Context(), sasl.SHA256, "secret", []byte("sixteen bytes it"), iterations)
		require.NoError(b, err)
		pbkdf2 += time.Since(begin)
		b.StartTimer()
	}
	b.ReportMetric(float64(l.tls)/float64(b.N), "tls-ns/op")
	b.ReportMetric(float64(pbkdf2)/float64(b.N), "pbkdf2-ns/op")
}
