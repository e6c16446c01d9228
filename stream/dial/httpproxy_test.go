package dial_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// proxyConn is a dialer whose connections lead to a function.
type proxyConn func(conn net.Conn)

func (p proxyConn) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	if address != "proxy.example:8080" {
		return nil, errors.New("not the proxy: " + address)
	}
	near, far := memconn.Pipe()
	go p(far) // ends when either end is closed
	return near, nil
}

// answering reads a request, which net/http parses, and answers it.
func answering(t *testing.T, got **http.Request, answer string) proxyConn {
	return func(conn net.Conn) {
		r := bufio.NewReader(conn)
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Error(err)
			return
		}
		*got = req
		_, _ = io.WriteString(conn, answer)
	}
}

// saying waits for a request, says something and closes the connection.
func saying(answer string) proxyConn {
	return func(conn net.Conn) {
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, answer)
		}
	}
}

func TestHTTPProxy(t *testing.T) {
	var req *http.Request
	p := &dial.HTTPProxy{
		Addr: "proxy.example:8080", Username: "Aladdin", Password: "open sesame", InsecureAuth: true,
		Dialer: answering(t, &req, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\nhello"),
	}
	conn, target, err := dial.Client(t.Context(), im, &dial.Options{Dialer: p, ResolveAtDialer: true})
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, "im.example:5222", target.String())
	require.Equal(t, "CONNECT", req.Method)
	require.Equal(t, "im.example:5222", req.RequestURI)
	require.Equal(t, "im.example:5222", req.Host)
	require.Equal(t, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", req.Header.Get("Proxy-Authorization"), "RFC 7617 §2")
	// RFC 9110 §9.3.6: Content-Length means nothing, and what follows is the
	// server's.
	b := make([]byte, 5)
	_, err = io.ReadFull(conn, b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, p), "sesame")
	}
}

func TestHTTPProxyRefuses(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct {
		answer string
		status int // 0 for not a proxy
	}{
		"forbidden":             {"HTTP/1.1 403 Forbidden\r\n\r\n", 403},
		"authentication":        {"HTTP/1.0 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", 407},
		"a redirect":            {"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n", 302},
		"another protocol":      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", 101},
		"no reason":             {"HTTP/1.1 500\n\n", 500},
		"a reason with escapes": {"HTTP/1.1 502 \x1b[2J\xff" + strings.Repeat("x", 1000) + "\r\n\r\n", 502},
		"nothing":               {"", 0},
		"no end":                {"HTTP/1.1 200 OK\r\nX: y\r\n", 0},
		"XMPP":                  {"<?xml version='1.0'?>\n<stream:stream>", 0},
		"HTTP/2":                {"HTTP/2 200 OK\r\n\r\n", 0},
		"no status":             {"HTTP/1.1 OK\r\n\r\n", 0},
		"a sign":                {"HTTP/1.1 +20 OK\r\n\r\n", 0},
		"a long status":         {"HTTP/1.1 2000 OK\r\n\r\n", 0},
		"a long line":           {"HTTP/1.1 200 " + long + "\r\n\r\n", 0},
		"a long header":         {"HTTP/1.1 200 OK\r\nX: " + long, 0},
		"many lines":            {"HTTP/1.1 200 OK\r\n" + strings.Repeat("a:b\r\n", 20_000), 0},
		"interim for ever":      {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dial.HTTPProxy{Addr: "proxy.example:8080", Dialer: saying(c.answer)}
			conn, err := p.DialContext(t.Context(), "tcp", "im.example:5222")
			require.Nil(t, conn)
			require.Less(t, len(err.Error()), 500)
			require.NotContains(t, err.Error(), "\x1b")
			var refused *dial.ProxyError
			if c.status != 0 {
				require.ErrorAs(t, err, &refused)
				require.Equal(t, c.status, refused.Status)
				return
			}
			require.ErrorIs(t, err, dial.ErrProxy)
		})
	}
}

func TestHTTPProxyOptions(t *testing.T) {
	never := proxyConn(func(net.Conn) { t.Error("connected") })
	for name, c := range map[string]struct {
		p                dial.HTTPProxy
		network, address string
	}{
		"a password in the clear":  {dial.HTTPProxy{Addr: "proxy.example:8080", Username: "a"}, "tcp", "im.example:1"},
		"a colon in the user name": {dial.HTTPProxy{Addr: "proxy.example:8080", Username: "a:b", InsecureAuth: true}, "tcp", "im.example:1"},
		"no port of the proxy":     {dial.HTTPProxy{Addr: "proxy.example"}, "tcp", "im.example:1"},
		"UDP":                      {dial.HTTPProxy{Addr: "proxy.example:8080"}, "udp", "im.example:1"},
		"no port":                  {dial.HTTPProxy{Addr: "proxy.example:8080"}, "tcp", "im.example"},
		"a port by name":           {dial.HTTPProxy{Addr: "proxy.example:8080"}, "tcp", "im.example:http"},
		"a line end":               {dial.HTTPProxy{Addr: "proxy.example:8080"}, "tcp", "im.example\r\nX: y:1"},
		"a space":                  {dial.HTTPProxy{Addr: "proxy.example:8080"}, "tcp", "im.example HTTP/1.1:1"},
		"no host":                  {dial.HTTPProxy{Addr: "proxy.example:8080"}, "tcp", ":1"},
	} {
		c.p.Dialer = never
		_, err := c.p.DialContext(t.Context(), c.network, c.address)
		require.ErrorIs(t, err, dial.ErrOptions, name)
	}
	_, err := (&dial.HTTPProxy{Addr: "elsewhere.example:1", Dialer: never}).DialContext(t.Context(), "tcp", "im.example:1")
	require.ErrorContains(t, err, "not the proxy")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = (&dial.HTTPProxy{Addr: "127.0.0.1:1"}).DialContext(ctx, "tcp", "im.example:1")
	require.Error(t, err)
}

// A proxy that says nothing costs what the context allows, and the connection.
func TestHTTPProxySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		closed := make(chan error, 1)
		p := &dial.HTTPProxy{Addr: "proxy.example:8080", Dialer: proxyConn(func(conn net.Conn) {
			_, err := io.Copy(io.Discard, conn)
			closed <- err
		})}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := p.DialContext(ctx, "tcp", "im.example:5222")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))
		require.NoError(t, <-closed)
	})
}

func TestHTTPProxyTLS(t *testing.T) {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	for name, good := range map[string]bool{"proxy.example": true, "im.example": false} {
		cert, err := ca.Issue(name)
		require.NoError(t, err)
		var req *http.Request
		answer := answering(t, &req, "HTTP/1.1 200 OK\r\n\r\n")
		given := &tls.Config{RootCAs: ca.Pool()}
		p := &dial.HTTPProxy{Addr: "proxy.example:8080", TLS: given, Username: "a", Password: "b", Dialer: proxyConn(func(conn net.Conn) {
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
			if secured.Handshake() == nil && good {
				answer(secured)
			}
		})}
		conn, err := p.DialContext(t.Context(), "tcp", "im.example:5222")
		require.Empty(t, given.ServerName)
		if !good {
			require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
			require.Nil(t, req)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.NotEmpty(t, req.Header.Get("Proxy-Authorization"))
	}
}

func FuzzHTTPProxy(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\n\r\n")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n")
	f.Fuzz(func(t *testing.T, answer string) {
		p := &dial.HTTPProxy{Addr: "proxy.example:8080", Dialer: saying(answer)}
		conn, err := p.DialContext(t.Context(), "tcp", "im.example:5222")
		require.NotEqual(t, conn == nil, err == nil)
		if conn != nil {
			require.Contains(t, answer, " 2")
			conn.Close()
		}
	})
}
