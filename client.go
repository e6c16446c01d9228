package xmpp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// Client connects an account to its server. JID and a password are required;
// the zero value of everything else is a default that is safe. Set the fields
// before the first call of Connect; a Client is safe for concurrent use after
// that, and each call makes a connection of its own.
type Client struct {
	// JID is the account. Its resource, if any, is asked for; the server may
	// give another one (RFC 6120 §7.7), see LocalAddr of the connection.
	JID jid.JID

	// Password is the account's password. Empty means that Auth says where to get
	// it or how to do without. Printing or logging a Client shows it.
	Password string

	// Addr is a host and port to connect to instead of what the DNS says about
	// the domain. The certificate still has to name the domain.
	Addr string

	// RootCAs are the authorities to trust; nil means the system's. It is a
	// shorthand for TLS.RootCAs.
	RootCAs *x509.CertPool

	// TLS adjusts the TLS layer; nil means the defaults of tls.ClientOptions.
	TLS *xtls.ClientOptions

	// Auth adjusts authentication; nil means the defaults of
	// auth.ClientOptions.
	Auth *auth.ClientOptions

	// Dial adjusts how the server is found; nil means the defaults of
	// dial.Options.
	Dial *dial.Options

	// Conn adjusts the connection that Connect returns; nil means the defaults
	// of stanza.Options.
	Conn *stanza.Options

	// Features are negotiated in addition to TLS, authentication and binding.
	Features []stream.Feature

	// Lang is the default language of what the client sends; empty means "en".
	Lang string

	// Limits bounds what the server can make this side hold; nil means the
	// defaults of stream.Limits.
	Limits *stream.Limits

	// Timeout bounds the negotiation, from the first byte to the bound
	// resource. Zero means 30 seconds. Finding the server and connecting is
	// bounded by the context and by the Timeout of Dial, one minute unless set.
	Timeout time.Duration

	// Trace observes the stream; nil observes nothing.
	Trace *stream.Trace

	// InsecureWithoutTLS connects without TLS, also where the server offers
	// it, for load generators and tests on loopback. Whoever is between client
	// and server can then read and change everything.
	InsecureWithoutTLS bool
}

// Format prints the client without its password, whatever the verb.
func (c Client) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "xmpp.Client{JID:%q Addr:%q}", c.JID, c.Addr)
}

// LogValue is what log/slog shows of the client.
func (c Client) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// ErrClient is wrapped by errors about a Client whose fields cannot be used.
var ErrClient = errors.New("xmpp: unusable client")

// Connect finds the server, connects, secures the connection with TLS,
// authenticates and binds a resource (RFC 6120 §3 to §7). The caller closes the
// connection that it returns.
//
// ctx bounds everything up to then; cancelling it later has no effect. Errors
// tell what went wrong by type: *dial.Error, *tls.CertificateError, *sasl.Error,
// *stream.Error, *bind.Error. One that wraps [ErrClient] says that a field of the
// Client cannot be used, and that nothing was tried.
func (c *Client) Connect(ctx context.Context) (*stanza.Conn, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var o dial.Options
	if c.Dial != nil {
		o = *c.Dial
	}
	if c.Addr != "" {
		o.Server = c.Addr
	}
	nc, _, err := dial.Client(ctx, c.JID.DomainJID(), &o)
	if err != nil {
		return nil, err
	}
	return c.ConnectOn(ctx, nc)
}

// ConnectOn is Connect on a connection that exists already. It closes nc on
// error.
func (c *Client) ConnectOn(ctx context.Context, nc net.Conn) (*stanza.Conn, error) {
	if err := c.check(); err != nil {
		nc.Close()
		return nil, err
	}
	session, err := stream.Initiate(ctx, nc, c.options())
	if err != nil {
		return nil, err
	}
	return stanza.NewConn(session, c.Conn), nil
}

// check finds what the server would only find later, or never.
func (c *Client) check() error {
	if c.JID.Local() == "" {
		return fmt.Errorf("%w: %q is not the address of an account", ErrClient, c.JID)
	}
	if c.Password != "" {
		return nil
	}
	// Mechanisms of the program's own may need none.
	a := c.Auth
	if a == nil || a.Password == "" && a.GetPassword == nil && a.Cache == nil && a.Mechanisms == nil {
		return fmt.Errorf("%w: no password for %s", ErrClient, c.JID.Bare())
	}
	return nil
}

// options puts the parts together.
func (c *Client) options() *stream.InitiateOptions {
	var t xtls.ClientOptions
	if c.TLS != nil {
		t = *c.TLS
	}
	if c.RootCAs != nil {
		t.RootCAs = c.RootCAs
	}
	var a auth.ClientOptions
	if c.Auth != nil {
		a = *c.Auth
	}
	if c.Password != "" {
		a.Password = c.Password
	}
	o := &stream.InitiateOptions{
		To:      c.JID.DomainJID(),
		From:    c.JID,
		Lang:    c.Lang,
		Limits:  c.Limits,
		Timeout: c.Timeout,
		Trace:   c.Trace,
	}
	if c.InsecureWithoutTLS {
		o.Profile = stream.InsecureC2S()
		a.InsecureWithoutTLS = true
	} else {
		o.Features = append(o.Features, xtls.StartTLSClient(&t))
	}
	o.Features = append(o.Features,
		auth.Client(&a),
		bind.Client(&bind.ClientOptions{Resource: c.JID.Resource()}),
	)
	o.Features = append(o.Features, c.Features...)
	return o
}
