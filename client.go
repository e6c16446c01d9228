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
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/sm"
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

	// Open makes the connections instead of Dial, one for each attempt: over
	// WebSocket, for example (adapters/websocket). Security describes the TLS
	// layer that they have, and is nil if they have none; then STARTTLS is used.
	// Addr, DirectTLS, Dial, redirects and locations have no effect with it.
	Open func(ctx context.Context) (net.Conn, *stream.Security, error)

	// DirectTLS begins TLS with the first byte of the connection (XEP-0368), at
	// a port for that: Addr, or what the DNS says about the service xmpps-client
	// of the domain, or 5223, and nothing else will do. False leaves it to the
	// records of the domain, those for direct TLS and those for STARTTLS as one
	// set; without such records, and with Addr, it is STARTTLS. Both are as
	// secure: the certificate is checked in the same way, and without TLS there is
	// no connection. For STARTTLS alone set the TLS of Dial.
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
	// dial.Options. Addr and DirectTLS, if set, prevail over its Server and TLS.
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

	// Reconnect says how to stay connected: with it the connection that Connect
	// returns outlives its sessions, see [stanza.Conn]. Nil means that it ends with
	// its session.
	Reconnect *Reconnect

	// Management adjusts stream management (XEP-0198), by which receipts tell what
	// the server has acknowledged and lost sessions are resumed. It is used where
	// the server has it. Nil means the defaults of sm.ClientOptions; sessions can be
	// resumed with Reconnect only then.
	Management *sm.ClientOptions
	// NoManagement uses no stream management.
	NoManagement bool

	// Liveness says when a server that is silent is asked for a sign of life, and
	// when it is given up for lost. Zero fields are 5 minutes for Soft, 6 for
	// Hard, 1 for UserTimeout, no Keepalive, and a ping (XEP-0199) for Probe; negative ones switch off.
	Liveness stream.Liveness

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
// Of several places where the server may be, the next one is tried if one cannot be
// reached, or fails before the client has begun to authenticate. A redirect
// (§4.9.3.19) of a server that has shown its certificate is followed, three times
// at most. A token of an earlier login (XEP-0484, see
// auth.ClientOptions.Credentials) that the server refuses costs a second connection,
// for which the password is used.
//
// With Reconnect, the connection gets another session when one is lost. A failure
// of Connect itself is the caller's, and is not repeated.
//
// ctx bounds everything up to then; cancelling it later has no effect. Errors
// tell what went wrong by type: *dial.Error, *tls.CertificateError, *sasl.Error,
// *stream.Error, *bind.Error. One that wraps [ErrClient] says that a field of the
// Client cannot be used, and that nothing was tried.
func (c *Client) Connect(ctx context.Context) (*stanza.Conn, error) {
	return c.begin(func(a *attempt) (*stream.Session, error) { return a.session(ctx) })
}

// ConnectOn is Connect on a connection that exists already. It closes nc on
// error. With Reconnect, further sessions are on connections that the Client makes
// itself, as Connect does.
func (c *Client) ConnectOn(ctx context.Context, nc net.Conn) (*stanza.Conn, error) {
	tried := false
	conn, err := c.begin(func(a *attempt) (*stream.Session, error) {
		tried = true
		t := c.tlsOptions()
		return a.negotiate(ctx, nc, &t, c.DirectTLS, nil)
	})
	if !tried {
		nc.Close()
	}
	return conn, err
}

// begin makes the first session, and the connection on it.
func (c *Client) begin(first func(*attempt) (*stream.Session, error)) (*stanza.Conn, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	managed, err := c.managed()
	if err != nil {
		return nil, err
	}
	if c.Reconnect == nil {
		session, err := first(&attempt{client: c, managed: managed})
		if err != nil {
			return nil, err
		}
		return stanza.NewConn(session, c.Conn), nil
	}
	s, err := c.supervise(managed)
	if err != nil {
		return nil, err
	}
	a := &attempt{client: c, managed: managed}
	session, err := first(a)
	if err != nil {
		return nil, err
	}
	return s.begin(session, a.target), nil
}

// managed returns what manages the streams of one connection, or nil.
func (c *Client) managed() (*sm.Client, error) {
	if c.NoManagement {
		return nil, nil
	}
	o := c.Management
	if o == nil {
		o = &sm.ClientOptions{NoResume: c.Reconnect == nil}
	}
	m, err := sm.NewClient(o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClient, err)
	}
	return m, nil
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
