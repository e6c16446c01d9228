package interop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// password has characters that SCRAM and XML escape, and one that is not ASCII.
const password = "p,a=s&s<wörd"

// foreignServer is a server that is not ours, as our client sees it.
type foreignServer struct {
	addr   string
	direct string // where TLS begins with the first byte
	domain string
	ca     *xtls.DevCA
	roots  *x509.CertPool // ca
}

// account returns a JID at the server.
func (s *foreignServer) account(local string) jid.JID { return jid.MustParse(local + "@" + s.domain) }

// certificate returns one for a client with these XMPP addresses.
func (s *foreignServer) certificate(t *testing.T, accounts ...jid.JID) *tls.Certificate {
	t.Helper()
	c, err := s.ca.IssueWith(xtls.IssueOptions{Client: true, XMPPAddrs: accounts})
	require.NoError(t, err)
	return &c
}

// client returns a client for an account of s that uses one version of TLS, and what will be known about its stream.
func (s *foreignServer) client(local string, version uint16) (*xmpp.Client, *witness) {
	w := &witness{}
	return &xmpp.Client{
		JID:      jid.MustParse(local + "@" + s.domain),
		Password: password,
		Addr:     s.addr,
		TLS:      &xtls.ClientOptions{RootCAs: s.roots, Config: &tls.Config{MinVersion: version, MaxVersion: version}},
		Auth:     &auth.ClientOptions{Mechanisms: w.mechanisms(usual())},
		Timeout:  10 * time.Second,
		Trace:    w.trace(),
	}, w
}

// usual returns the mechanisms that clients and servers of ours use if nothing is said about them.
func usual() []sasl.Mechanism { return append([]sasl.Mechanism{sasl.External()}, sasl.Default()...) }

// loginOptions says how to log in where the front door has no handle for it.
type loginOptions struct {
	account     jid.JID // zero: nobody
	version     uint16
	auth        *auth.ClientOptions
	sasl2       bool // SASL 2 and Bind 2, if the server has them
	certificate *tls.Certificate
}

// login logs in with the features put together by hand.
func (s *foreignServer) login(ctx context.Context, o loginOptions) (*stanza.Conn, *witness, error) {
	w := &witness{}
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, w, err
	}
	secure := &xtls.ClientOptions{RootCAs: s.roots, Config: &tls.Config{MinVersion: o.version, MaxVersion: o.version}}
	if o.certificate != nil {
		secure.Certificates = []tls.Certificate{*o.certificate}
	}
	a := *o.auth
	if a.Mechanisms == nil && a.Token == "" {
		a.Mechanisms = usual()
	}
	a.Mechanisms = w.mechanisms(a.Mechanisms)
	features := []stream.Feature{xtls.StartTLSClient(secure)}
	if o.sasl2 {
		features = append(features, auth.SASL2Client(&a))
	}
	features = append(features, auth.Client(&a), bind.Client(&bind.ClientOptions{Tag: "interop"}))
	session, err := stream.Initiate(ctx, nc, &stream.InitiateOptions{
		To: jid.MustParse(s.domain), From: o.account, Features: features, Timeout: 10 * time.Second, Trace: w.trace(),
	})
	if err != nil {
		return nil, w, err
	}
	return stanza.NewConn(session, nil), w, nil
}

// connect logs local in and closes the stream in good order when the test ends.
func (s *foreignServer) connect(t *testing.T, local string, version uint16) (*stanza.Conn, *witness) {
	t.Helper()
	client, w := s.client(local, version)
	conn, err := client.Connect(bounded(t))
	require.NoError(t, err)
	t.Cleanup(func() { closeInOrder(t, conn) })
	return conn, w
}

func closeInOrder(t *testing.T, conn *stanza.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, conn.Close(ctx))
	require.ErrorIs(t, conn.Err(), net.ErrClosed)
}

// bounded returns a context for what should take no time at all.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// witness is what the trace of one stream tells.
type witness struct {
	overheard

	mu        sync.Mutex
	security  stream.Security
	mechanism string
	flow      flow
}

func (w *witness) trace() *stream.Trace {
	locked := func(f func()) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	}
	return &stream.Trace{
		Secured:       func(s stream.Security) { locked(func() { w.security = s }) },
		Authenticated: func(_ jid.JID, mechanism string) { locked(func() { w.mechanism = mechanism }) },
		XMLSent:       func(b []byte) { locked(func() { w.flow.add(sent, b) }) },
		XMLReceived:   func(b []byte) { locked(func() { w.flow.add(received, b) }) },
	}
}

func (w *witness) seen() (stream.Security, string, flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.security, w.mechanism, append(flow(nil), w.flow...)
}
