package auth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

var (
	domain = jid.MustParse("im.example")
	juliet = jid.MustParse("juliet@im.example")
	romeo  = jid.MustParse("romeo@im.example")
)

// Goals of streams that end with authentication.
var (
	secureProfile   = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure | stream.Authenticated}
	insecureProfile = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated, InsecureGoal: true}
)

// store holds juliet with the password "r0m30" and romeo with "jul13t".
func store(tb testing.TB) *sasl.MemoryStore {
	tb.Helper()
	s := &sasl.MemoryStore{Derive: []sasl.Hash{sasl.SHA256}, Iterations: sasl.MinIterations}
	require.NoError(tb, s.Set(tb.Context(), "juliet", "r0m30"))
	require.NoError(tb, s.Set(tb.Context(), "romeo", "jul13t"))
	return s
}

// tls13 describes a TLS layer that tests pretend to have below an in-memory connection. Both sides
// see the same bindings.
func tls13() *stream.Security {
	return &stream.Security{
		Version:  tls.VersionTLS13,
		Verified: true,
		Bindings: map[string][]byte{
			sasl.TLSExporter:       []byte("exporter of this connection, 32b"),
			sasl.TLSServerEndPoint: []byte("hash of the server's certificate"),
		},
	}
}

// result is what one side of a negotiation came to.
type result struct {
	session *stream.Session
	err     error
}

// within returns what a channel yields, and fails the test rather than hang.
func within[T any](tb testing.TB, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		tb.Fatal("nothing happened")
		panic("unreachable")
	}
}

// initiate runs the client side in a goroutine, which ends with the connection.
func initiate(tb testing.TB, conn net.Conn, o stream.InitiateOptions) <-chan result {
	c := make(chan result, 1)
	o.To = domain
	go func() {
		s, err := stream.Initiate(tb.Context(), conn, &o)
		c <- result{s, err}
	}()
	return c
}

// accept is initiate for the server side.
func accept(tb testing.TB, conn net.Conn, o stream.AcceptOptions) <-chan result {
	o.Domains = []jid.JID{domain}
	return acceptAt(tb, conn, o)
}

// acceptAt is accept for the domains of the options.
func acceptAt(tb testing.TB, conn net.Conn, o stream.AcceptOptions) <-chan result {
	c := make(chan result, 1)
	go func() {
		s, err := stream.Accept(tb.Context(), conn, &o)
		c <- result{s, err}
	}()
	return c
}

// negotiate runs both sides against each other and closes what comes of it.
func negotiate(tb testing.TB, io stream.InitiateOptions, ao stream.AcceptOptions) (client, server result) {
	tb.Helper()
	a, b := memconn.Pipe()
	cc, sc := initiate(tb, a, io), accept(tb, b, ao)
	client, server = within(tb, cc), within(tb, sc)
	for _, r := range []result{client, server} {
		if r.session != nil {
			tb.Cleanup(func() { r.session.Abort(nil) })
		}
	}
	return client, server
}

// clientWith and serverWith are options over a pretended TLS layer.
func clientWith(o *auth.ClientOptions) stream.InitiateOptions {
	return stream.InitiateOptions{Profile: secureProfile, From: juliet, Security: tls13(), Features: []stream.Feature{auth.Client(o)}}
}

func serverWith(o *auth.ServerOptions) stream.AcceptOptions {
	return stream.AcceptOptions{Profile: secureProfile, Security: tls13(), Features: []stream.Feature{auth.Server(o)}}
}

// peer is a scripted other side.
type peer struct {
	tb   testing.TB
	conn net.Conn
	got  bytes.Buffer // all that was received
	read int          // how much of it was looked at
}

// send writes raw bytes.
func (p *peer) send(s string) {
	p.tb.Helper()
	require.NoError(p.tb, p.conn.SetWriteDeadline(time.Now().Add(20*time.Second)))
	_, err := io.WriteString(p.conn, s)
	require.NoError(p.tb, err)
}

// expect reads until what comes next includes s, and returns it up to and including s.
func (p *peer) expect(s string) string {
	p.tb.Helper()
	require.NoError(p.tb, p.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	for {
		rest := p.got.String()[p.read:]
		if i := strings.Index(rest, s); i >= 0 {
			p.read += i + len(s)
			return rest[:i+len(s)]
		}
		var b [4096]byte
		n, err := p.conn.Read(b[:])
		p.got.Write(b[:n])
		if n == 0 {
			require.NoError(p.tb, err, "waiting for %q, got %q", s, rest)
		}
	}
}

// rest reads until the connection ends and returns what came.
func (p *peer) rest() string {
	p.tb.Helper()
	require.NoError(p.tb, p.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	b, err := io.ReadAll(p.conn)
	require.NoError(p.tb, err)
	p.got.Write(b)
	return p.got.String()[p.read:]
}

// end reads what the other side has to say until it hangs up, hangs up too, and returns that and
// what the other side made of it.
func (p *peer) end(done <-chan result) (string, error) {
	p.tb.Helper()
	out := p.rest()
	p.conn.Close()
	r := within(p.tb, done)
	require.Nil(p.tb, r.session)
	return out, r.err
}

const (
	clientHeader = `<?xml version='1.0'?><stream:stream to='im.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	serverHeader = `<?xml version='1.0'?><stream:stream from='im.example' id='x' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	closing      = `</stream:stream>`
	xmlns        = ` xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`
)

// features returns stream features with mechanisms.
func features(names ...string) string {
	s := `<stream:features><mechanisms` + xmlns + `>`
	for _, n := range names {
		s += `<mechanism>` + n + `</mechanism>`
	}
	return s + `</mechanisms></stream:features>`
}

// scriptedServer lets a client negotiate with a script.
func scriptedServer(tb testing.TB, o stream.InitiateOptions) (*peer, <-chan result) {
	a, b := memconn.Pipe()
	tb.Cleanup(func() { b.Close() })
	return &peer{tb: tb, conn: b}, initiate(tb, a, o)
}

// scriptedClient lets a server negotiate with a script.
func scriptedClient(tb testing.TB, o stream.AcceptOptions) (*peer, <-chan result) {
	a, b := memconn.Pipe()
	tb.Cleanup(func() { a.Close() })
	return &peer{tb: tb, conn: a}, accept(tb, b, o)
}

// forbiddenStore fails the test when it is asked for an account.
type forbiddenStore struct{ tb testing.TB }

func (s forbiddenStore) Keys(context.Context, string, sasl.Hash) (sasl.Keys, string, error) {
	s.tb.Error("a credential was looked at")
	return sasl.Keys{}, "", sasl.ErrUnknownUser
}
