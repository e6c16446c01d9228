package websocket_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/adapters/websocket"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// raw is an element that is XML already.
type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

// A client logs in with channel binding (RFC 9266), says something, hears it, and
// both sides end in good order.
func TestLogin(t *testing.T) {
	s := newSite(t, nil, "im.example")
	conn, sec, err := websocket.Dial(t.Context(), s.url("im.example"), s.options())
	require.NoError(t, err)
	require.True(t, sec.Verified)
	require.Equal(t, []jid.JID{domain}, sec.Domains)
	session, mechanism, err := login(t, conn, sec)
	require.NoError(t, err)
	require.Regexp(t, `^SCRAM-SHA-\d+-PLUS$`, mechanism)

	heard := make(chan string, 100)
	served := make(chan error, 1)
	go func() { // ends with the stream
		served <- session.Serve(func(el *stream.Element) error {
			heard <- el.Name().Local + " " + el.Attr("id")
			return nil
		})
	}()
	for _, id := range []string{"1", "2", "3"} {
		require.NoError(t, session.Send(t.Context(), raw(`<message id='`+id+`'><body>`+strings.Repeat("x", 50_000)+`</body></message>`)))
		require.Equal(t, "message "+id, <-heard)
	}
	begin := time.Now()
	require.NoError(t, session.Close(t.Context()))
	require.NoError(t, <-served)
	require.NoError(t, <-s.ended)
	require.Less(t, time.Since(begin), 5*time.Second, "the closing handshakes wait for nothing")
}

// Whose certificate it has to be (RFC 7395 §4, §6).
func TestIdentity(t *testing.T) {
	s := newSite(t, nil, "ws.host.example")
	for name, c := range map[string]struct {
		host      string
		domain    jid.JID
		delegated bool
		refused   bool
	}{
		"host":                             {host: "ws.host.example"},
		"host, not in the certificate":     {host: "im.example", refused: true},
		"domain, not in the certificate":   {host: "ws.host.example", domain: domain, refused: true},
		"domain that has named the host":   {host: "ws.host.example", domain: domain, delegated: true},
		"delegated to who it is not":       {host: "other.example", domain: domain, delegated: true, refused: true},
		"an address is no name of a host":  {host: "127.0.0.1", refused: true},
		"neither is one of IPv6":           {host: "[::1]", refused: true},
		"delegated, and nobody to be that": {host: "ws.host.example", delegated: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.options()
			o.Domain, o.Delegated = c.domain, c.delegated
			conn, sec, err := websocket.Dial(t.Context(), s.url(c.host), o)
			if c.refused {
				require.ErrorIs(t, err, xtls.ErrNameMismatch)
				return
			}
			require.NoError(t, err)
			defer conn.Close()
			want := c.domain
			if want.IsZero() {
				want = jid.MustParse(c.host)
			}
			require.Equal(t, []jid.JID{want}, sec.Domains)
			if want != domain {
				_, _, err = login(t, conn, sec)
				require.ErrorIs(t, err, stream.ErrOptions, "a stream to another domain")
				return
			}
			_, _, err = login(t, conn, sec)
			require.NoError(t, err)
		})
	}
	o := s.options()
	o.TLS = nil
	_, _, err := websocket.Dial(t.Context(), s.url("ws.host.example"), o)
	require.ErrorIs(t, err, xtls.ErrUntrusted)
	// A policy decides as on any other connection.
	o.TLS = &xtls.ClientOptions{Policy: xtls.PolicyFunc(func(context.Context, *xtls.Presented) error { return nil })}
	conn, sec, err := websocket.Dial(t.Context(), s.url("ws.host.example"), o)
	require.NoError(t, err)
	require.True(t, sec.Verdict.Has(stream.UnknownAuthority))
	conn.Close()
}

func TestURL(t *testing.T) {
	for _, u := range []string{
		"ws://im.example/", "http://im.example/", "https://im.example/", "im.example", "", "wss:///x", "wss://a:b@im.example/",
		"wss://im.example/#x", "wss://im.example:x/", "wss://\x00/", "wss://" + strings.Repeat("x", 2000) + "/",
	} {
		_, _, err := websocket.Dial(t.Context(), u, &websocket.DialOptions{DialContext: func(context.Context, string, string) (net.Conn, error) {
			t.Error("connected")
			return nil, net.ErrClosed
		}})
		require.ErrorIs(t, err, websocket.ErrURL, u)
		require.Less(t, len(err.Error()), 1024)
	}
}

// Without TLS only if that was asked for, and then without authentication.
func TestPlaintext(t *testing.T) {
	s := newSite(t, nil)
	_, _, err := websocket.Dial(t.Context(), s.url("127.0.0.1"), s.options())
	require.ErrorIs(t, err, websocket.ErrURL)
	o := s.options()
	o.InsecurePlaintext = true
	conn, sec, err := websocket.Dial(t.Context(), s.url("127.0.0.1"), o)
	require.NoError(t, err)
	require.False(t, sec.Secure())
	_, _, err = login(t, conn, sec)
	require.Error(t, err)
	require.Error(t, <-s.ended)
}

// Servers that do not open a WebSocket for XMPP.
func TestHandshakeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		check  func(*testing.T, error)
	}{
		"404": {http.NotFound, func(t *testing.T, err error) {
			var e *websocket.HandshakeError
			require.ErrorAs(t, err, &e)
			require.Equal(t, http.StatusNotFound, e.Status)
		}},
		"redirect": {http.RedirectHandler("https://127.0.0.1:1/", http.StatusTemporaryRedirect).ServeHTTP, func(t *testing.T, err error) {
			var e *websocket.HandshakeError
			require.ErrorAs(t, err, &e)
			require.Equal(t, http.StatusTemporaryRedirect, e.Status)
		}},
		"long nonsense": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", strings.Repeat("\x7f\xff", 3000))
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}, func(t *testing.T, err error) { require.Less(t, len(err.Error()), 1024) }},
		"endless headers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 100_000))
		}, func(t *testing.T, err error) { require.Error(t, err) }},
		"no subprotocol": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}, func(t *testing.T, err error) { require.Error(t, err) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			_, _, err := websocket.Dial(t.Context(), strings.Replace(s.URL, "http", "ws", 1), &websocket.DialOptions{InsecurePlaintext: true})
			require.Error(t, err)
			c.check(t, err)
		})
	}
}

// A server that says nothing does not keep anybody.
func TestDialTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, scheme := range []string{"ws://", "wss://"} {
		_, _, err = websocket.Dial(t.Context(), scheme+l.Addr().String(), &websocket.DialOptions{InsecurePlaintext: true, Timeout: 50 * time.Millisecond})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	l.Close()
	_, _, err = websocket.Dial(t.Context(), "ws://"+l.Addr().String(), &websocket.DialOptions{InsecurePlaintext: true})
	var op *net.OpError
	require.ErrorAs(t, err, &op)
}

// Connections that have ended leave nothing behind, however that was; and to end one
// takes no time, whatever the peer does.
func TestLeak(t *testing.T) {
	s := newSite(t, nil, "im.example")
	before := runtime.NumGoroutine()
	for i := range 30 {
		conn, sec, err := websocket.Dial(t.Context(), s.url("im.example"), s.options())
		require.NoError(t, err)
		begin := time.Now()
		switch i % 3 {
		case 0:
			require.NoError(t, conn.Close())
		case 1: // while somebody reads
			read := make(chan error, 1)
			go func() { _, err := conn.Read(make([]byte, 1)); read <- err }()
			require.NoError(t, conn.Close())
			require.Error(t, <-read)
		case 2:
			session, _, err := login(t, conn, sec)
			require.NoError(t, err)
			session.Abort(net.ErrClosed)
		}
		<-s.ended
		require.Less(t, time.Since(begin), 5*time.Second)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+3 }, 10*time.Second, 10*time.Millisecond)
}
