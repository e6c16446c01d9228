package websocket

import (
	"context"
	"crypto/tls"
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
	c, response, err := websocket.Dial(ctx, d.url.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: d,
			// A redirection would lead to a place that nobody has vouched for.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:   o.Header,
		Subprotocols: []string{subprotocol},
		// RFC 7692 has a history of bombs and leaks (CRIME), and XMPP is small.
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		d.drop()
		return nil, stream.Security{}, d.explain(ctx, response, err)
	}
	if c.Subprotocol() != subprotocol {
		// RFC 7395 §3.1: "the client MUST close the WebSocket connection".
		d.drop()
		c.CloseNow()
		return nil, stream.Security{}, ErrSubprotocol
	}
	return ws.NewConn(newConn(c, d.guarded), stream.Initiating, &ws.Options{Limits: o.Limits}), d.sec, nil
}

// dialer is one connection in the making. It is the transport of one request, so
// that there is a hand on the connection that the request goes over.
type dialer struct {
	o    *DialOptions
	url  *url.URL
	host jid.JID

	raw     net.Conn
	sec     stream.Security
	failed  error // of connecting and TLS
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

// RoundTrip makes the one request.
func (d *dialer) RoundTrip(r *http.Request) (*http.Response, error) {
	t := &http.Transport{
		DialContext:            d.plain,
		DialTLSContext:         d.secure,
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

func (d *dialer) plain(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := d.o.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(ctx, network, addr)
	d.raw, d.failed = c, err
	return c, err
}

func (d *dialer) secure(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.plain(ctx, network, addr)
	if err != nil {
		return nil, err
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
	secured, sec, err := xtls.WebSocketHandshake(ctx, c, d.host, identity, &t)
	if err != nil {
		d.raw, d.failed = nil, err
		return nil, err
	}
	sec.Domains = []jid.JID{domain}
	d.raw, d.sec = secured, sec
	return secured, nil
}

// drop closes the connection, if there is one.
func (d *dialer) drop() {
	if d.raw == nil {
		return
	}
	if layer, ok := d.raw.(*tls.Conn); ok {
		layer.NetConn().Close()
	}
	d.raw.Close()
}

// explain says why there is no WebSocket.
func (d *dialer) explain(ctx context.Context, response *http.Response, err error) error {
	switch {
	case d.failed != nil:
		return fmt.Errorf("websocket: connecting to %s: %w", quote.ASCII(d.url.Host, 256), d.failed)
	case ctx.Err() != nil:
		return fmt.Errorf("websocket: connecting to %s: %w", quote.ASCII(d.url.Host, 256), context.Cause(ctx))
	case response != nil:
		return &HandshakeError{Status: response.StatusCode, Err: err}
	}
	return &HandshakeError{Err: err}
}
