package dial

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

var (
	// ErrNoRedirect: the error given to Redirects.Follow is not a see-other-host
	// error that the peer sent.
	ErrNoRedirect = errors.New("dial: not a redirect")

	// ErrRedirect is wrapped by errors about redirects that are not followed.
	ErrRedirect = errors.New("dial: redirect not followed")
)

const (
	defaultRedirects = 3
	maxRedirects     = 5 // RFC 6120 §4.9.3.19
)

// Redirects decides whether a see-other-host error is followed, and where to
// (RFC 6120 §4.9.3.19). One value is for one attempt to get a session, however
// many connections that takes; it must not be used concurrently. The zero value
// is ready.
//
// A redirect is a way for a server, and for who speaks in its place, to have the
// client connect to any host and port. So there is a limit to their number, who
// sends one has to have shown a certificate first, and none leads into a private
// network unless the server itself was in one. That holds for the addresses of
// names too, but not for names that a proxy looks up.
type Redirects struct {
	// Max is how many redirects are followed one after the other. Zero means
	// three, and no more than five are followed. With a negative number none is.
	Max int

	// InsecureBeforeTLS follows redirects that come before the server has been
	// authenticated. Whoever is between client and server can then send the
	// client elsewhere, to be refused there: the certificate has to name the same
	// domain. RFC 6120 would not have servers redirect so early, but some do.
	InsecureBeforeTLS bool

	followed int
}

// Follow returns the options for the next call of Client or Connect, for the
// same domain as before: the address of the stream, the policies and whom the
// certificate has to name stay as they are. err is why the stream ended. from is
// where it led to, and authenticated says whether TLS was established and the
// certificate accepted by then. opts are the options that were used, nil being
// the defaults; they are not changed.
//
// The alternative is a host name or an address, in brackets if IPv6, and perhaps
// a port. A name alone is looked up as a domain is, SRV records and all. With a
// port it is connected to there, and TLS begins as it did at from.
//
// The error is [ErrNoRedirect] or wraps [ErrRedirect].
func (r *Redirects) Follow(err error, from Target, authenticated bool, opts *Options) (*Options, error) {
	var ended *stream.Error
	if !errors.As(err, &ended) || !ended.Received || ended.Condition != stream.SeeOtherHost {
		return nil, ErrNoRedirect
	}
	host, port, err := parseOtherHost(ended.OtherHost)
	if err != nil {
		return nil, err
	}
	limit := min(r.Max, maxRedirects)
	if limit == 0 {
		limit = defaultRedirects
	}
	if r.followed >= limit {
		return nil, fmt.Errorf("%w: too many in succession", ErrRedirect)
	}
	if !authenticated && !r.InsecureBeforeTLS {
		return nil, fmt.Errorf("%w: the server has not been authenticated", ErrRedirect)
	}
	var next Options
	if opts != nil {
		next = *opts
	}
	next.reach = next.reach.narrowed(from.Addr)
	next.Server, next.Lookup = "", jid.JID{}
	addr, literal := host.DomainAddr()
	if literal && !next.reach.allows(addr) {
		return nil, fmt.Errorf("%w: %v is in a private network", ErrRedirect, addr)
	}
	switch {
	case port == 0:
		next.Lookup = host
	case from.Addr.IsValid() && sameHost(host, from):
		// The same host and another port: no need to look it up again.
		next.Server = netip.AddrPortFrom(from.Addr, port).String()
	default:
		name, err := host.ASCIIDomain()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRedirect, err)
		}
		if literal {
			name = addr.String()
		}
		next.Server = joinHostPort(name, port)
	}
	if next.Server != "" || literal {
		next.TLS = StartTLS
		if from.DirectTLS {
			next.TLS = DirectTLS
		}
	}
	r.followed++
	return &next, nil
}

// parseOtherHost parses the content of see-other-host: "a valid domainpart or a
// domainpart plus port number", with IPv6 addresses in brackets. The port is
// zero if there is none. White space around it is ignored, since the example of
// the RFC has some.
func parseOtherHost(s string) (host jid.JID, port uint16, err error) {
	fail := func(why string) (jid.JID, uint16, error) {
		return jid.JID{}, 0, fmt.Errorf("%w: %s %s", ErrRedirect, quote.ASCII(s, textPart), why)
	}
	domain := strings.Trim(s, " \t\r\n")
	if strings.HasSuffix(domain, ":") {
		return fail("has an empty port")
	}
	if i := strings.LastIndexByte(domain, ':'); i > strings.LastIndexByte(domain, ']') {
		n, err := strconv.ParseUint(domain[i+1:], 10, 16)
		if err != nil || n == 0 {
			return fail("has no usable port")
		}
		domain, port = domain[:i], uint16(n)
	}
	if host, err = jid.New("", domain, ""); err != nil {
		return fail("is not a domainpart")
	}
	return host, port, nil
}

// sameHost reports whether a redirect names the host that sent it.
func sameHost(host jid.JID, from Target) bool {
	if addr, ok := host.DomainAddr(); ok {
		return addr == from.Addr
	}
	name, err := host.ASCIIDomain()
	return err == nil && strings.EqualFold(name, from.Host)
}

// reach says which addresses may be connected to. Each value takes in those
// before it, but for the zero value, which takes in everything.
type reach uint8

const (
	anywhere   reach = iota
	internet         // addresses of the internet only
	site             // and those of private networks
	link             // and those of the same link
	thisDevice       // and loopback
	nowhere          // what nobody can be connected to
)

// narrowed returns the reach of a redirect by a server at addr. Who was within a
// private network may know of others there.
func (r reach) narrowed(addr netip.Addr) reach {
	n := internet
	if addr.IsValid() {
		n = min(reachOf(addr), thisDevice)
	}
	if r != anywhere {
		n = min(n, r)
	}
	return n
}

// allows reports whether addr may be connected to.
func (r reach) allows(addr netip.Addr) bool { return r == anywhere || reachOf(addr) <= r }

// Blocks that are not of the internet without netip knowing: shared address
// space (RFC 6598), benchmarking (RFC 2544), the reserved block with broadcast,
// "this network", and IPv4 addresses inside IPv6 ones, for tunnels and local
// translation, whatever they stand for (RFC 8215, RFC 3056, RFC 4380).
var siteBlocks = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

var nowhereBlocks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("::/96"),
}

// nat64 is the prefix under which a network without IPv4 has the IPv4 internet
// (RFC 6052 §2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// reachOf returns the least reach that takes addr in.
func reachOf(addr netip.Addr) reach {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid() || addr.Zone() != "":
		return nowhere
	case nat64.Contains(addr):
		b := addr.As16()
		return reachOf(netip.AddrFrom4([4]byte(b[12:])))
	case addr.IsLoopback():
		return thisDevice
	case addr.IsMulticast() || contains(nowhereBlocks, addr):
		return nowhere
	case addr.IsLinkLocalUnicast():
		return link
	case addr.IsPrivate() || contains(siteBlocks, addr):
		return site
	}
	return internet
}

func contains(blocks []netip.Prefix, addr netip.Addr) bool {
	for _, b := range blocks {
		if b.Contains(addr) {
			return true
		}
	}
	return false
}
