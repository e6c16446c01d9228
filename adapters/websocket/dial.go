package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/ws"
	xtls "stanzakit.dev/xmpp/tls"
)

// DialOptions says how to connect. Nil and the zero value are right if the domain
// of the stream is the host of the URL.
type DialOptions struct {
	// Domain is the domain that the stream will be to. Zero means the host of the
	// URL. The certificate has to name it, wherever the URL leads.
	Domain jid.JID
	// Delegated says that Domain itself has named the URL: in a document that it
	// serves by HTTPS (RFC 7395 §4), or that the program has been configured with
	// it. Then the certificate has to name the host of the URL (§6). Never set it
	// for a URL that came through the DNS.
	Delegated bool

	// TLS adjusts the TLS layer; nil means the defaults of tls.ClientOptions.
	TLS *xtls.ClientOptions
	// DialContext connects to a host and port; nil means net.Dialer. A proxy goes
	// here.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Header is sent with the request, for instance an Origin where a server asks
	// for one. Nil means nothing besides what has to be sent.
	Header http.Header
	// Limits are those of the stream; see ws.Options.
	Limits *stream.Limits
	// Timeout bounds connecting, TLS and the handshake. Zero means 30 seconds.
	Timeout time.Duration

	// InsecurePlaintext permits URLs with ws instead of wss, for tests on loopback.
	// Whoever is in between can then read and change everything.
	InsecurePlaintext bool
}

// defaultTimeout bounds a handshake.
const defaultTimeout = 30 * time.Second

// maxHeaders bounds what a server may say in its response.
const maxHeaders = 16 << 10

// Dial opens a WebSocket for XMPP (RFC 7395 §3.1) at a wss URL. What it returns
// belongs into stream.Initiate: the connection as it is, the Security as
// InitiateOptions.Security, and a stream to another domain is refused there.
// Redirections are not followed.
//
// ctx bounds the call; cancelling it later has no effect. Errors are [ErrURL],
// [ErrSubprotocol], a [*HandshakeError], those of tls.WebSocketHandshake and of the
// network.
func Dial(ctx context.Context, rawURL string, opts *DialOptions) (net.Conn, stream.Security, error) {
	var o DialOptions
	if opts != nil {
		o = *opts
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d, err := prepare(rawURL, &o)
	if err != nil {
		return nil, stream.Security{}, err
	}
	if err := d.connect(ctx); err != nil {
		return nil, stream.Security{}, fmt.Errorf("websocket: connecting to %s: %w", quote.ASCII(d.url.Host, 256), cause(ctx, err))
	}
	c, response, err := websocket.Dial(ctx, d.url.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: d,
			// A redirection would lead to a place that nobody has vouched for.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:   o.Header,
		Subprotocols: []string{subprotocol},
		// RFC 7692 has a history of bombs and leaks, and XMPP is small.
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		d.drop()
		failed := &HandshakeError{Err: cause(ctx, err)}
		if response != nil {
			failed.Status = response.StatusCode
		}
		return nil, stream.Security{}, failed
	}
	if c.Subprotocol() != subprotocol {
		// RFC 7395 §3.1: "the client MUST close the WebSocket connection".
		d.drop()
		c.CloseNow()
		return nil, stream.Security{}, ErrSubprotocol
	}
	return ws.NewConn(newConn(c, d.guarded), stream.Initiating, &ws.Options{Limits: o.Limits}), d.sec, nil
}

// cause adds why a context has ended to an error that came of it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && !errors.Is(err, c) {
		return fmt.Errorf("%w: %w", c, err)
	}
	return err
}

// dialer is one connection in the making. It is the transport of one request, so
// that there is a hand on the connection that the request goes over.
type dialer struct {
	o       *DialOptions
	url     *url.URL
	host    jid.JID
	raw     net.Conn
	sec     stream.Security
	guarded *guarded
}

// prepare checks the URL.
func prepare(rawURL string, o *DialOptions) (*dialer, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s", ErrURL, quote.ASCII(rawURL, 256))
	case u.Scheme != "wss" && (u.Scheme != "ws" || !o.InsecurePlaintext):
		// RFC 7395 §3.9
		return nil, fmt.Errorf("%w: the scheme is %s, and not wss", ErrURL, quote.ASCII(u.Scheme, 64))
	case u.User != nil || u.Fragment != "" || u.Hostname() == "":
		// RFC 6455 §3
		return nil, fmt.Errorf("%w: no host, or a user or a fragment", ErrURL)
	}
	name := u.Hostname()
	if ip := net.ParseIP(name); ip != nil && ip.To4() == nil {
		name = "[" + name + "]" // as in a JID
	}
	d := &dialer{o: o, url: u}
	if d.host, err = jid.New("", name, ""); err != nil {
		return nil, fmt.Errorf("%w: the host is %s", ErrURL, quote.ASCII(name, 256))
	}
	return d, nil
}

// connect connects, and secures the connection if the URL says so.
func (d *dialer) connect(ctx context.Context) error {
	dial, port := d.o.DialContext, d.url.Port()
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if port == "" {
		// RFC 6455 §3
		port = map[string]string{"ws": "80", "wss": "443"}[d.url.Scheme]
	}
	name, err := d.host.ASCIIDomain()
	if ip, ok := d.host.DomainAddr(); ok {
		name, err = ip.String(), nil
	}
	if err != nil {
		return err
	}
	addr := net.JoinHostPort(name, port)
	c, err := dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	d.raw = c
	if d.url.Scheme == "ws" {
		return nil
	}
	domain := d.o.Domain.DomainJID()
	if domain.IsZero() {
		domain = d.host
	}
	identity := domain
	if d.o.Delegated {
		identity = d.host
	}
	var t xtls.ClientOptions
	if d.o.TLS != nil {
		t = *d.o.TLS
	}
	if t.Target == "" {
		t.Target = addr
	}
	d.raw, d.sec, err = xtls.WebSocketHandshake(ctx, c, d.host, identity, &t)
	d.sec.Domains = []jid.JID{domain}
	return err
}

// RoundTrip makes the one request, on the connection that is there.
func (d *dialer) RoundTrip(r *http.Request) (*http.Response, error) {
	there := func(context.Context, string, string) (net.Conn, error) { return d.raw, nil }
	t := &http.Transport{
		DialContext:            there,
		DialTLSContext:         there,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaders,
	}
	response, err := t.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if body, ok := response.Body.(io.ReadWriteCloser); ok && response.StatusCode == http.StatusSwitchingProtocols {
		d.guarded = &guarded{Conn: d.raw, body: body, guard: newGuard(false, time.Now())}
		response.Body = d.guarded
	}
	return response, nil
}

// drop closes the connection.
func (d *dialer) drop() { beneath(d.raw).Close() }

// beneath returns the connection that TLS runs on, or c itself.
func beneath(c net.Conn) net.Conn {
	if layer, ok := c.(*tls.Conn); ok {
		return layer.NetConn()
	}
	return c
}
