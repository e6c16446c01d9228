package dial

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// ContextDialer makes connections. [*net.Dialer] is one, and so are the dialers
// of golang.org/x/net/proxy and [*HTTPProxy].
type ContextDialer interface {
	// DialContext connects to an address of the form "ip:port" or "[ip]:port", or
	// with Options.ResolveAtDialer "host:port". The network is "tcp". It returns
	// soon after ctx has ended, and may be called concurrently.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// TLS is how TLS begins.
type TLS uint8

// The ways to begin with TLS.
const (
	// EitherTLS: as the DNS has it. The records of both ways count as one set
	// (XEP-0368 §2), and Target.DirectTLS says which way it is. Where no record
	// says so, which is without records, at an IP address and with
	// Options.Server, it is STARTTLS.
	EitherTLS TLS = iota
	// StartTLS: only a service for STARTTLS (RFC 6120 §5).
	StartTLS
	// DirectTLS: only a service that wants TLS from the first byte (XEP-0368).
	// Where no record names a port it is 5223, or 5270 between servers.
	DirectTLS
)

// String names the value.
func (t TLS) String() string {
	switch t {
	case EitherTLS:
		return "either"
	case StartTLS:
		return "STARTTLS"
	case DirectTLS:
		return "direct TLS"
	}
	return "TLS(" + strconv.Itoa(int(t)) + ")"
}

// Service is one of the services of a domain.
type Service uint8

// The services.
const (
	// ForClients is the service that clients connect to: the records
	// _xmpp-client and _xmpps-client, and port 5222.
	ForClients Service = iota
	// ForServers is the one that other servers connect to: _xmpp-server and
	// _xmpps-server, and port 5269.
	ForServers
)

// String names the service.
func (s Service) String() string {
	switch s {
	case ForClients:
		return "for clients"
	case ForServers:
		return "for servers"
	}
	return "Service(" + strconv.Itoa(int(s)) + ")"
}

// Options says how to find and reach a service. Nil and the zero value are
// right for a client on the public internet that can do both, STARTTLS and
// direct TLS.
type Options struct {
	// Service is what is looked for. Zero means the service for clients.
	Service Service

	// TLS says how TLS may begin. Zero means either way. TLS is not begun here:
	// Target.DirectTLS tells the caller how to.
	TLS TLS

	// Server is where the service is, as "host" or "host:port", when that is
	// known and the DNS is not to be asked for it (RFC 6120 §3.2.3). It does not
	// change whom the certificate has to name. Empty means to look up the
	// domain.
	Server string

	// Lookup is the domain that is looked up in place of the domain connected
	// to, by the same rules; [Redirects] sets it. It does not change whom the
	// certificate has to name. Zero means the domain itself.
	Lookup jid.JID

	// Resolver looks names up. Nil means net.DefaultResolver.
	Resolver Resolver

	// Dialer makes the connections. Nil means a net.Dialer without settings. The
	// DNS of a domain can name any address and port, inside the caller's own
	// network too: a program that connects to domains which strangers choose
	// has a Dialer that refuses what they must not reach.
	Dialer ContextDialer

	// ResolveAtDialer hands names to the Dialer, which is a proxy that looks them
	// up. The DNS is not asked for addresses, and without a Resolver it is not
	// asked at all: nobody on the way to the proxy learns which service is
	// meant, and the service is where Server says, or at the domain's own name
	// and the usual port. With a Resolver, that is asked for SRV records. False
	// means that the Dialer gets addresses.
	ResolveAtDialer bool

	// Delay is how long an attempt to connect may take before the next one is
	// begun beside it (RFC 8305 §5), and four times that, but no more than two
	// seconds, if the next one is at a target of lower priority. Zero means 250
	// milliseconds. It is at least 10 milliseconds and at most two seconds.
	Delay time.Duration

	// AttemptTimeout bounds each lookup and each attempt to connect. Zero means
	// ten seconds.
	AttemptTimeout time.Duration

	// Timeout bounds the whole, but for what the function given to Connect does.
	// Zero means one minute; a context with an earlier deadline prevails.
	Timeout time.Duration

	reach reach // what a redirect may lead to
}

const (
	defaultAttemptTimeout = 10 * time.Second
	defaultTimeout        = time.Minute
)

// complete returns o with everything filled in that is needed.
func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Service > ForServers || c.TLS > DirectTLS {
		return c, fmt.Errorf("%w: Service %v, TLS %v", ErrOptions, c.Service, c.TLS)
	}
	if c.Resolver == nil && !c.ResolveAtDialer {
		c.Resolver = net.DefaultResolver
	}
	if c.Dialer == nil {
		c.Dialer = new(net.Dialer)
	}
	if c.Delay == 0 {
		c.Delay = defaultDelay
	}
	c.Delay = min(max(c.Delay, minDelay), maxDelay)
	if c.AttemptTimeout <= 0 {
		c.AttemptTimeout = defaultAttemptTimeout
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	return c, nil
}
