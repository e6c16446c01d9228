package dial

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
)

// HTTPProxy is a ContextDialer that has an HTTP proxy make the connections, by
// the method CONNECT (RFC 9110 §9.3.6). What goes through it the proxy could
// read and change if it were not for the TLS of the stream, which is between
// client and server as always. It is safe for concurrent use; do not change it
// while it is used.
//
// Use it with Options.ResolveAtDialer if the proxy is to look names up.
type HTTPProxy struct {
	// Addr is where the proxy is, as "host:port".
	Addr string

	// TLS secures the connection to the proxy. Nil means that there is no TLS.
	// Without a ServerName it is the host of Addr whose certificate is wanted.
	TLS *tls.Config

	// Username and Password are for the proxy, by the scheme Basic (RFC 7617).
	// Without a Username there is no authentication.
	Username, Password string

	// InsecureAuth sends Username and Password without TLS too, for everybody on
	// the way to the proxy to read. False makes that an error.
	InsecureAuth bool

	// Dialer makes the connections to the proxy. Nil means a net.Dialer without
	// settings.
	Dialer ContextDialer
}

// ProxyError says that an HTTP proxy has refused a connection.
type ProxyError struct {
	// Status is that of the response (RFC 9110 §15); 407 asks for another
	// Username or Password.
	Status int
	// Reason is the text behind it, quoted and cut.
	Reason string
}

// Error describes the refusal.
func (e *ProxyError) Error() string {
	return "dial: the proxy refuses: " + strconv.Itoa(e.Status) + " " + e.Reason
}

// ErrProxy is wrapped by errors about proxies that do not answer as one does.
var ErrProxy = errors.New("dial: not an HTTP proxy")

const (
	maxProxyResponse = 16 << 10 // of all responses to a request
	maxInterim       = 8
)

// Format prints the proxy without its password, whatever the verb.
func (p HTTPProxy) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "dial.HTTPProxy{Addr:%q}", p.Addr) }

// DialContext connects to the proxy and has it connect to address. ctx bounds
// both. The error may be a [*ProxyError] or wrap [ErrProxy] or [ErrOptions].
func (p *HTTPProxy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	proxyHost, _, err := net.SplitHostPort(p.Addr)
	switch {
	case network != "tcp":
		return nil, fmt.Errorf("%w: an HTTP proxy has no network %s", ErrOptions, quote.ASCII(network, textPart))
	case err != nil:
		return nil, fmt.Errorf("%w: the address of the proxy: %w", ErrOptions, err)
	case p.Username != "" && p.TLS == nil && !p.InsecureAuth:
		return nil, fmt.Errorf("%w: a password for a proxy without TLS", ErrOptions)
	case strings.Contains(p.Username, ":"): // RFC 7617 §2
		return nil, fmt.Errorf("%w: a colon in the user name for a proxy", ErrOptions)
	}
	request, err := p.request(address)
	if err != nil {
		return nil, err
	}
	var dialer ContextDialer = new(net.Dialer)
	if p.Dialer != nil {
		dialer = p.Dialer
	}
	conn, err := dialer.DialContext(ctx, "tcp", p.Addr)
	if err != nil {
		return nil, err
	}
	if p.TLS != nil {
		config := p.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName = proxyHost
		}
		config.NextProtos = []string{"http/1.1"}
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secured
	}
	if err := tunnel(ctx, conn, request); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// request returns the request for a tunnel to address.
func (p *HTTPProxy) request(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOptions, err)
	}
	// The request is lines of text, and the address must not become one.
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || quoteHost(host) != host {
		return "", fmt.Errorf("%w: the address %s", ErrOptions, quote.ASCII(address, textPart))
	}
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if p.Username != "" {
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.Username+":"+p.Password)) + "\r\n"
	}
	return request + "\r\n", nil
}

// tunnel sends a request and reads the response, until ctx ends.
func tunnel(ctx context.Context, conn net.Conn, request string) (err error) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { // waited for below
		defer close(woken)
		conn.SetDeadline(time.Unix(1, 0)) // in the past
	})
	defer func() {
		if !stop() {
			<-woken
			err = context.Cause(ctx)
		}
	}()
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	left := maxProxyResponse
	for range maxInterim {
		status, reason, err := readResponse(conn, &left)
		switch {
		case err != nil:
			return err
		case status/100 == 2: // RFC 9110 §9.3.6: whichever it is, the tunnel begins
			return nil
		case status/100 != 1 || status == 101:
			return &ProxyError{Status: status, Reason: quote.ASCII(reason, textPart)}
		}
		// RFC 9110 §15.2: interim; the final one follows.
	}
	return fmt.Errorf("%w: too many interim responses", ErrProxy)
}

// readResponse reads the status line and the header fields of a response, which
// do not matter here. It takes one byte at a time: what follows belongs to the
// tunnel.
func readResponse(r io.Reader, left *int) (status int, reason string, err error) {
	var first string
	for n := 0; ; n++ {
		line, err := readLine(r, left)
		if err != nil {
			return 0, "", err
		}
		if n == 0 {
			first = line
			if !strings.HasPrefix(line, "HTTP/1.") { // something else would go on for ever
				break
			}
			continue
		}
		if line == "" {
			break
		}
	}
	// RFC 9112 §4: HTTP-version SP status-code SP [reason-phrase].
	version, rest, _ := strings.Cut(first, " ")
	code, reason, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || len(code) != 3 || n < 100 || version != "HTTP/1.1" && version != "HTTP/1.0" {
		return 0, "", fmt.Errorf("%w: it says %s", ErrProxy, quote.ASCII(first, textPart))
	}
	return int(n), reason, nil
}

// readLine reads a line and drops its end (RFC 9112 §2.2: a lone LF is one too).
func readLine(r io.Reader, left *int) (string, error) {
	var line []byte
	var b [1]byte
	for {
		if *left--; *left < 0 {
			return "", fmt.Errorf("%w: a response longer than %d bytes", ErrProxy, maxProxyResponse)
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", fmt.Errorf("%w: %w", ErrProxy, err)
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
}
