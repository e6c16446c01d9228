package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/adapters/websocket"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

var (
	domain = jid.MustParse("im.example")
	juliet = jid.MustParse("juliet@im.example")
)

// site is an HTTP server with an endpoint for XMPP.
type site struct {
	*httptest.Server
	t     *testing.T
	ca    *xtls.DevCA
	ended chan error // of each stream
}

// newSite starts a server on loopback whose certificate names the given hosts; none
// means no TLS. The handler may be adjusted.
func newSite(t *testing.T, adjust func(*websocket.Handler), names ...string) *site {
	t.Helper()
	s := &site{t: t, ended: make(chan error, 100)}
	accounts := new(sasl.MemoryStore)
	require.NoError(t, accounts.Set(t.Context(), "juliet", "r0m30"))
	h := &websocket.Handler{Serve: func(ctx context.Context, conn net.Conn, sec *stream.Security) {
		session, err := stream.Accept(ctx, conn, &stream.AcceptOptions{
			Domains:  []jid.JID{domain},
			Security: sec,
			Features: []stream.Feature{auth.Server(&auth.ServerOptions{Store: accounts, AllowPlain: true}), bind.Server(nil)},
		})
		if err == nil {
			// Whatever comes goes back.
			err = session.Serve(func(el *stream.Element) error { return session.Send(ctx, el.Clone()) })
		}
		s.ended <- err
	}}
	if adjust != nil {
		adjust(h)
	}
	s.Server = httptest.NewUnstartedServer(h)
	if len(names) > 0 {
		var err error
		s.ca, err = xtls.NewDevCA()
		require.NoError(t, err)
		cert, err := s.ca.Issue(names...)
		require.NoError(t, err)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// url is that of the endpoint, for a host that leads to the site whatever the DNS
// says.
func (s *site) url(host string) string {
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(s.t, err)
	return strings.Replace(s.URL[:strings.Index(s.URL, ":")], "http", "ws", 1) + "://" + host + ":" + port + "/xmpp"
}

// options are those of a client of this site.
func (s *site) options() *websocket.DialOptions {
	o := &websocket.DialOptions{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}}
	if s.ca != nil {
		o.TLS = &xtls.ClientOptions{RootCAs: s.ca.Pool()}
	}
	return o
}

// login opens a stream, and tells the mechanism.
func login(t *testing.T, conn net.Conn, sec stream.Security) (session *stream.Session, mechanism string, err error) {
	t.Helper()
	session, err = stream.Initiate(t.Context(), conn, &stream.InitiateOptions{
		To: domain, From: juliet, Security: &sec,
		Features: []stream.Feature{auth.Client(&auth.ClientOptions{Password: "r0m30"}), bind.Client(nil)},
		Trace:    &stream.Trace{Authenticated: func(_ jid.JID, m string) { mechanism = m }},
	})
	if err == nil {
		t.Cleanup(func() { session.Abort(errors.New("test over")) })
	}
	return session, mechanism, err
}

// handshake is the request of a client that is none of ours.
func handshake(host string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, "/xmpp", nil)
	if err != nil {
		panic(err)
	}
	r.Host = host
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "xmpp",
	} {
		r.Header.Set(name, value)
	}
	return r
}
