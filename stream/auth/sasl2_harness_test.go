package auth_test

import (
	"crypto/sha256"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

const (
	xmlns2 = ` xmlns='urn:xmpp:sasl:2'`
	agent1 = "d4565fa7-4d72-4749-b3d3-740edbf87770"
	agent2 = "5b3ae1ea-3f0e-4c29-9a3c-8f4c3a0f8f00"
)

// directTLS is a server's certificate, and makes connections with a real TLS layer below the streams.
type directTLS struct {
	ca   *xtls.DevCA
	cert tls.Certificate
}

func newDirectTLS(t *testing.T) *directTLS {
	ca, cert := newAuthority(t)
	return &directTLS{ca, cert}
}

// pair returns the two ends of a new connection.
func (d *directTLS) pair(t *testing.T) (client, server net.Conn, cs, ss *stream.Security) {
	t.Helper()
	a, b := memconn.Pipe()
	client = tls.Client(a, &tls.Config{RootCAs: d.ca.Pool(), ServerName: "im.example"})
	server = tls.Server(b, &tls.Config{Certificates: []tls.Certificate{d.cert}})
	done := make(chan error, 1)
	go func() { done <- server.(*tls.Conn).Handshake() }() // ends with the client's
	require.NoError(t, client.(*tls.Conn).Handshake())
	require.NoError(t, within(t, done))
	return client, server, d.security(t, client), d.security(t, server)
}

// security describes one end of a connection.
func (d *directTLS) security(t *testing.T, conn net.Conn) *stream.Security {
	t.Helper()
	state := conn.(*tls.Conn).ConnectionState()
	exported, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	require.NoError(t, err)
	endpoint := sha256.Sum256(d.cert.Certificate[0])
	return &stream.Security{
		Version:  state.Version,
		Verified: true,
		Bindings: map[string][]byte{sasl.TLSExporter: exported, sasl.TLSServerEndPoint: endpoint[:]},
	}
}

// record is what was seen of one login.
type record struct {
	mu             sync.Mutex
	writes         int    // of the client, on top of TLS
	wire           string // what it wrote
	answers        int    // writes of the server
	seen           []string
	client, server string // mechanisms
	bound          jid.JID
	reached        []stream.State // by SASL 2, on either side
}

// counted counts what the client writes.
type counted struct {
	net.Conn
	r *record
}

func (c counted) Write(b []byte) (int, error) {
	c.r.mu.Lock()
	c.r.writes++
	c.r.wire += string(b)
	c.r.mu.Unlock()
	return c.Conn.Write(b)
}

// CloseWrite lets the stream end in good order, and at once.
func (c counted) CloseWrite() error { return c.Conn.(*tls.Conn).CloseWrite() }

// answered counts what the server writes.
type answered struct {
	net.Conn
	r *record
}

func (c answered) Write(b []byte) (int, error) {
	c.r.mu.Lock()
	c.r.answers++
	c.r.mu.Unlock()
	return c.Conn.Write(b)
}

// CloseWrite is that of counted.
func (c answered) CloseWrite() error { return c.Conn.(*tls.Conn).CloseWrite() }

// trace returns hooks for one side.
func (r *record) trace(mechanism *string) *stream.Trace {
	locked := func(f func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		f()
	}
	return &stream.Trace{
		Authenticated: func(_ jid.JID, m string) { locked(func() { *mechanism = m }) },
		FeatureDone: func(name stream.Name, out stream.Outcome, _ error) {
			if name.Space == auth.NS2 {
				locked(func() { r.reached = append(r.reached, out.Reached) })
			}
		},
		Bound:       func(j jid.JID) { locked(func() { r.bound = j }) },
		XMLSent:     func(b []byte) { locked(func() { r.seen = append(r.seen, string(b)) }) },
		XMLReceived: func(b []byte) { locked(func() { r.seen = append(r.seen, string(b)) }) },
	}
}

// traced is all that the traces of both sides have shown.
func (r *record) traced() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.seen, "\n")
}

// world is a server, a client and what both remember.
type world struct {
	t           *testing.T
	tls         *directTLS
	accounts    *sasl.MemoryStore
	tokens      *auth.MemoryTokens
	credentials *auth.MemoryCredentials
	so          auth.ServerOptions
	co          auth.ClientOptions

	editClient, editServer func(*stream.Security)
	noBind                 bool // bind by RFC 6120 §7 on the client's side
}

// newWorld returns one where tokens are in use.
func newWorld(t *testing.T) *world {
	w := &world{t: t, tls: newDirectTLS(t), accounts: store(t), tokens: new(auth.MemoryTokens), credentials: new(auth.MemoryCredentials)}
	w.so = auth.ServerOptions{Store: w.accounts, SASL2: auth.SASL2ServerOptions{Tokens: w.tokens}}
	w.co = auth.ClientOptions{
		Password: "r0m30", Credentials: w.credentials,
		UserAgent: stream.UserAgent{ID: agent1, Software: "Balcony", Device: "lute"},
	}
	w.editClient, w.editServer = func(*stream.Security) {}, func(*stream.Security) {}
	return w
}

// known is what the client remembers of juliet.
func (w *world) known() auth.Credentials {
	c, err := w.credentials.Load(w.t.Context(), juliet)
	require.NoError(w.t, err)
	return c
}

// slots is what the server keeps for the client.
func (w *world) slots() (out auth.ClientTokens) {
	require.NoError(w.t, w.tokens.Update(w.t.Context(), auth.TokenClient{Account: juliet, Agent: agent1}, func(t *auth.ClientTokens) error {
		out = *t
		return nil
	}))
	return out
}

// try lets the client connect.
func (w *world) try() (*record, result, result) {
	t := w.t
	t.Helper()
	r := new(record)
	client, server, cs, ss := w.tls.pair(t)
	w.editClient(cs)
	w.editServer(ss)
	bindClient := bind.Client(&bind.ClientOptions{Tag: "Balcony"})
	if w.noBind {
		bindClient.Inline = nil
	}
	cc := initiate(t, counted{client, r}, stream.InitiateOptions{
		From: juliet, Security: cs, Trace: r.trace(&r.client),
		Features: []stream.Feature{auth.SASL2Client(&w.co), auth.Client(&w.co), bindClient},
	})
	sc := accept(t, answered{server, r}, stream.AcceptOptions{
		Security: ss, Trace: r.trace(&r.server),
		Features: []stream.Feature{auth.SASL2Server(&w.so), auth.Server(&w.so), bind.Server(nil)},
	})
	c, s := within(t, cc), within(t, sc)
	for _, side := range []result{c, s} {
		if side.session != nil {
			side.session.Abort(nil)
		}
	}
	return r, c, s
}

// login is try where both sides succeed.
func (w *world) login() *record {
	w.t.Helper()
	r, c, s := w.try()
	require.NoError(w.t, c.err)
	require.NoError(w.t, s.err)
	require.Equal(w.t, c.session.LocalAddr(), s.session.RemoteAddr())
	require.Equal(w.t, juliet, c.session.LocalAddr().Bare())
	require.True(w.t, c.session.LocalAddr().IsFull())
	require.Equal(w.t, r.client, r.server)
	return r
}

// failing is try where the client fails.
func (w *world) failing() (*record, error) {
	w.t.Helper()
	r, c, s := w.try()
	require.Error(w.t, c.err)
	require.Nil(w.t, c.session)
	require.Error(w.t, s.err)
	require.Nil(w.t, s.session)
	return r, c.err
}

// relayed lets the client of w connect to its server through somebody with a certificate of his own.
func relayed(t *testing.T, w *world, cert tls.Certificate, edit func(string) string) (client, server result) {
	t.Helper()
	clientEnd, middleLeft := memconn.Pipe()
	middleRight, serverEnd := memconn.Pipe()
	m := &middleman{t: t, client: middleLeft, server: middleRight, cert: cert, roots: w.tls.ca.Pool(), edit: edit}
	done := make(chan struct{})
	go func() { // ends when either end is closed, which the client does
		defer close(done)
		m.run()
	}()
	cc := initiate(t, clientEnd, stream.InitiateOptions{From: juliet, Features: []stream.Feature{
		xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: w.tls.ca.Pool()}), auth.SASL2Client(&w.co), bind.Client(nil),
	}})
	sc := accept(t, serverEnd, stream.AcceptOptions{Features: []stream.Feature{
		xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{w.tls.cert}}), auth.SASL2Server(&w.so), bind.Server(nil),
	}})
	client, server = within(t, cc), within(t, sc)
	for _, r := range []result{client, server} {
		if r.session != nil {
			r.session.Abort(nil)
		}
	}
	middleLeft.Close()
	middleRight.Close()
	within(t, done)
	return client, server
}
