package xmpp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// Client connects an account to its server. JID and something to log in with,
// a password most of the time, are required; the zero value of everything else
// is a default that is safe. Set the fields before the first call of Connect; a
// Client is safe for concurrent use after that, and each call makes a connection
// of its own.
type Client struct {
	// JID is the account. Its resource, if any, is asked for; the server may
	// give another one (RFC 6120 §7.7), see LocalAddr of the connection.
	JID jid.JID

	// Tag is a short name for the program that becomes part of the resource,
	// where the server supports that and JID has none of its own; others can see
	// it. See bind.ClientOptions.
	Tag string

	// Password is the account's password. Empty means that Auth says where to get
	// it or how to do without, or that TLS has a certificate for SASL EXTERNAL.
	// Format and LogValue do not show it.
	Password string

	// Addr is a host and port to connect to instead of what the DNS says about
	// the domain. The certificate still has to name the domain.
	Addr string

	// DirectTLS begins TLS with the first byte of the connection (XEP-0368), at
	// a port for that: Addr, or what the DNS says about the service xmpps-client
	// of the domain, or 5223. False means STARTTLS. Neither falls back to the
	// other; both are as secure.
	DirectTLS bool

	// RootCAs are the authorities to trust; nil means the system's. It is a
	// shorthand for TLS.RootCAs.
	RootCAs *x509.CertPool

	// TLS adjusts the TLS layer; nil means the defaults of tls.ClientOptions.
	// Its Target is set by Connect, which knows where it has connected to.
	TLS *xtls.ClientOptions

	// Auth adjusts authentication; nil means the defaults of
	// auth.ClientOptions.
	Auth *auth.ClientOptions

	// Dial adjusts how the server is found; nil means the defaults of
	// dial.Options. Its TLS is as DirectTLS of the Client has it.
	Dial *dial.Options

	// Conn adjusts the connection that Connect returns; nil means the defaults
	// of stanza.Options.
	Conn *stanza.Options

	// Features are negotiated in addition to TLS, authentication and binding: each
	// as soon as the facts that it needs hold, and before those three where it has
	// the choice, as in-band registration has.
	Features []stream.Feature

	// Lang is the default language of what the client sends; empty means "en".
	Lang string

	// Limits bounds what the server can make this side hold. Nil means 2 MiB and
	// 65,536 elements for one stanza, so that a long contact list fits, and the
	// defaults of stream.Limits for everything else.
	Limits *stream.Limits

	// Timeout bounds the negotiation, from the first byte to the bound
	// resource. Zero means 30 seconds. Finding the server and connecting is
	// bounded by the context and by the Timeout of Dial, one minute unless set.
	Timeout time.Duration

	// Trace observes the stream; nil observes nothing. With DirectTLS it hears
	// nothing until there is TLS, except that it is Closed if that fails.
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
// A token of an earlier login (XEP-0484, see auth.ClientOptions.Credentials) that
// the server refuses costs a second connection, for which the password is used.
//
// ctx bounds everything up to then; cancelling it later has no effect. Errors
// tell what went wrong by type: *dial.Error, *tls.CertificateError, *sasl.Error,
// *stream.Error, *bind.Error. One that wraps [ErrClient] says that a field of the
// Client cannot be used, and that nothing was tried.
func (c *Client) Connect(ctx context.Context) (*stanza.Conn, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx)
	if errors.Is(err, auth.ErrTokenRefused) && c.hasPassword() && ctx.Err() == nil {
		// The token is forgotten, and what else there is to log in with takes a
		// connection of its own.
		return c.dial(ctx)
	}
	return conn, err
}

// dial makes one attempt to connect.
func (c *Client) dial(ctx context.Context) (*stanza.Conn, error) {
	var o dial.Options
	if c.Dial != nil {
		o = *c.Dial
	}
	if c.Addr != "" {
		o.Server = c.Addr
	}
	o.TLS = dial.StartTLS
	if c.DirectTLS {
		o.TLS = dial.DirectTLS
	}
	nc, target, err := dial.Client(ctx, c.JID.DomainJID(), &o)
	if err != nil {
		return nil, err
	}
	t := c.tlsOptions()
	t.Target = net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port)))
	return c.connect(ctx, nc, &t)
}

// ConnectOn is Connect on a connection that exists already. It closes nc on
// error.
func (c *Client) ConnectOn(ctx context.Context, nc net.Conn) (*stanza.Conn, error) {
	if err := c.check(); err != nil {
		nc.Close()
		return nil, err
	}
	t := c.tlsOptions()
	return c.connect(ctx, nc, &t)
}

// connect opens a stream on nc, with TLS beneath it or in it.
func (c *Client) connect(ctx context.Context, nc net.Conn, t *xtls.ClientOptions) (*stanza.Conn, error) {
	o := c.options(t)
	if c.DirectTLS {
		timeout := c.Timeout
		if timeout <= 0 {
			timeout = defaultNegotiationTimeout
		}
		deadline := time.Now().Add(timeout)
		bounded, cancel := context.WithDeadlineCause(ctx, deadline, stream.ErrNegotiationTimeout)
		secured, sec, err := xtls.ClientHandshake(bounded, nc, o.To, t)
		cancel()
		if err != nil {
			if c.Trace != nil && c.Trace.Closed != nil {
				c.Trace.Closed(err)
			}
			return nil, err
		}
		nc, o.Security = secured, &sec
		o.Timeout = remaining(deadline)
	}
	session, err := stream.Initiate(ctx, nc, o)
	if err != nil {
		return nil, err
	}
	return stanza.NewConn(session, c.Conn), nil
}

// remaining returns the time until a deadline, for options in which zero means
// a default.
func remaining(deadline time.Time) time.Duration { return max(time.Until(deadline), 1) }

// check finds what the server would only find later, or never.
func (c *Client) check() error {
	if c.JID.Local() == "" {
		return fmt.Errorf("%w: %q is not the address of an account", ErrClient, c.JID)
	}
	if c.DirectTLS && c.InsecureWithoutTLS {
		return fmt.Errorf("%w: DirectTLS and InsecureWithoutTLS", ErrClient)
	}
	if c.Password == "" && !c.hasOtherCredential() {
		return fmt.Errorf("%w: no password for %s, nor anything else to log in with", ErrClient, c.JID.Bare())
	}
	return nil
}

// hasPassword reports whether there is a password, or somebody to ask for one.
func (c *Client) hasPassword() bool {
	a := c.Auth
	return c.Password != "" || a != nil && (a.Password != "" || a.GetPassword != nil || a.Cache != nil)
}

// hasOtherCredential reports whether there may be something to log in with
// beside Password.
func (c *Client) hasOtherCredential() bool {
	// Mechanisms of the program's own may need nothing.
	if a := c.Auth; a != nil && (a.Password != "" || a.GetPassword != nil || a.Token != "" || a.GetToken != nil ||
		a.Cache != nil || a.Credentials != nil || a.Mechanisms != nil) {
		return true
	}
	t := c.TLS
	if t == nil {
		return false
	}
	return len(t.Certificates) > 0 || t.Config != nil && (len(t.Config.Certificates) > 0 || t.Config.GetClientCertificate != nil)
}

// tlsOptions puts together what TLS needs, of either kind.
func (c *Client) tlsOptions() xtls.ClientOptions {
	var t xtls.ClientOptions
	if c.TLS != nil {
		t = *c.TLS
	}
	if c.RootCAs != nil {
		t.RootCAs = c.RootCAs
	}
	return t
}

// options puts the parts together.
func (c *Client) options(t *xtls.ClientOptions) *stream.InitiateOptions {
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
	if o.Limits == nil {
		o.Limits = &stream.Limits{ElementBytes: 2 << 20, Elements: 65_536}
	}
	switch {
	case c.InsecureWithoutTLS:
		o.Profile = stream.InsecureC2S()
		a.InsecureWithoutTLS = true
	case !c.DirectTLS: // XEP-0368 §2: STARTTLS is not used over direct TLS
		o.Features = append(o.Features, xtls.StartTLSClient(t))
	}
	// Before authentication, for those that come before it, such as registration;
	// the others are not considered until they may be.
	o.Features = append(o.Features, c.Features...)
	o.Features = append(o.Features,
		auth.SASL2Client(&a), // where the server has it
		auth.Client(&a),
		bind.Client(&bind.ClientOptions{Resource: c.JID.Resource(), Tag: c.Tag}),
	)
	return o
}
