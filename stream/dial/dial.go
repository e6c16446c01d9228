package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// ContextDialer makes connections. [*net.Dialer] is one, and so are the dialers
// of golang.org/x/net/proxy.
type ContextDialer interface {
	// DialContext connects to an address of the form "ip:port" or "[ip]:port".
	// The network is "tcp".
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Options says how to find and reach a service. Nil and the zero value are
// right for a client on the public internet.
type Options struct {
	// Server is where the service is, as "host" or "host:port", when that is
	// known and the DNS is not to be asked for it (RFC 6120 §3.2.3). It does not
	// change whom the certificate has to name. Empty means to look up the
	// domain.
	Server string

	// DirectTLS looks for a service that wants TLS from the first byte
	// (XEP-0368), and for no other: _xmpps-client records, and port 5223 where
	// nothing names one. False means the service for STARTTLS. TLS is not
	// begun either way: Target.DirectTLS tells the caller to.
	DirectTLS bool

	// Resolver looks names up. Nil means net.DefaultResolver.
	Resolver Resolver

	// Dialer makes the connections. Nil means a net.Dialer without settings. The
	// DNS of a domain can name any address and port, inside the caller's own
	// network too: a program that connects to domains which strangers choose
	// has a Dialer that refuses what they must not reach.
	Dialer ContextDialer

	// AttemptTimeout bounds each lookup and each attempt to connect. Zero means
	// ten seconds.
	AttemptTimeout time.Duration

	// Timeout bounds the whole. Zero means one minute; a context with an earlier
	// deadline prevails.
	Timeout time.Duration
}

const (
	defaultAttemptTimeout = 10 * time.Second
	defaultTimeout        = time.Minute
)

// dialing is one call of Client.
type dialing struct {
	opts   Options // complete
	random func(n int) int
}

// Client connects to the service for clients of a domain (RFC 6120 §3.2). The
// targets are tried one after the other until one accepts the connection. The
// caller closes the connection, or hands it to stream.Initiate, which does.
//
// The SRV records of the domain say what to try. If there are none, or the
// lookup fails, that is the usual port, 5222 or with DirectTLS 5223, at the
// addresses of the domain itself; if there are some and none can be reached, it
// is nothing else (§3.2.1 steps 8 and 9). A domain that is an IP address, and a
// configured server, need no SRV records.
//
// The error is an [*Error], or wraps [ErrOptions] or is a [*jid.Error] if
// nothing could be tried. Client is safe for concurrent use.
func Client(ctx context.Context, domain jid.JID, opts *Options) (net.Conn, Target, error) {
	d := dialing{random: intN}
	if opts != nil {
		d.opts = *opts
	}
	if d.opts.Resolver == nil {
		d.opts.Resolver = net.DefaultResolver
	}
	if d.opts.Dialer == nil {
		d.opts.Dialer = new(net.Dialer)
	}
	if d.opts.AttemptTimeout <= 0 {
		d.opts.AttemptTimeout = defaultAttemptTimeout
	}
	if d.opts.Timeout <= 0 {
		d.opts.Timeout = defaultTimeout
	}
	return d.client(ctx, domain)
}

func (d *dialing) client(ctx context.Context, domain jid.JID) (net.Conn, Target, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	failed := &Error{Domain: domain.Domain()}
	targets, lookup, err := d.targets(ctx, domain)
	failed.Lookup = lookup
	switch {
	case err == nil:
	case errors.Is(err, ErrNotAvailable) || ctx.Err() != nil:
		failed.Cause = err
		return nil, Target{}, failed
	default:
		return nil, Target{}, fmt.Errorf("dial: %w", err)
	}
	for _, t := range targets {
		conn, used := d.connect(ctx, t, failed)
		if conn != nil {
			return conn, used, nil
		}
		if ctx.Err() != nil {
			failed.Cause = context.Cause(ctx)
			break
		}
	}
	return nil, Target{}, failed
}

// connect tries the addresses of one target in turn (RFC 6120 §3.2.1 step 6).
// What fails is added to failed.
func (d *dialing) connect(ctx context.Context, t Target, failed *Error) (net.Conn, Target) {
	candidates, err := d.addresses(ctx, t)
	if err != nil {
		failed.Attempts = append(failed.Attempts, Attempt{t, err})
		return nil, Target{}
	}
	for _, c := range candidates {
		conn, err := d.attempt(ctx, c)
		if err == nil {
			return conn, c
		}
		failed.Attempts = append(failed.Attempts, Attempt{c, err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, Target{}
}

func (d *dialing) attempt(ctx context.Context, t Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opts.AttemptTimeout)
	defer cancel()
	conn, err := d.opts.Dialer.DialContext(ctx, "tcp", t.address())
	if err == nil && conn == nil {
		err = errors.New("the dialer returned neither a connection nor an error")
	}
	return conn, err
}
