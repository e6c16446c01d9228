package dial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Resolver looks names up. [*net.Resolver] is one. Names end in a dot, so that
// no search list applies, except for a host that the caller configured. The
// methods may be called concurrently, and return soon after ctx has ended.
type Resolver interface {
	// LookupSRV is like that of net.Resolver. The order of the records does not
	// matter. When it returns records and an error, the records are used.
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
	// LookupNetIP is like that of net.Resolver; the network is "ip6" or "ip4".
	// Addresses of the other family are ignored.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	maxTargets   = 20 // records taken from the answers, the best ones
	maxAddresses = 8  // addresses tried per record

	// otherSet is how long the other set of records is waited for once there is
	// one to go by.
	otherSet = 2 * time.Second
)

// wellKnown are the names and ports of a service, for STARTTLS and for direct
// TLS.
type wellKnown struct {
	name string
	port uint16
}

// services: RFC 6120 §3.2.2, §14.7. XEP-0368 §2 names the services of direct TLS
// and assigns no ports; these were in use for TLS from the first byte before.
var services = map[Service][2]wellKnown{
	ForClients: {{"xmpp-client", 5222}, {"xmpps-client", 5223}},
	ForServers: {{"xmpp-server", 5269}, {"xmpps-server", 5270}},
}

// find returns where to look for the service, in the order in which to try,
// without addresses unless they are known. The second result is the error of an
// SRV lookup that gave no answer.
func (d *dialing) find(ctx context.Context, domain jid.JID) (targets []Target, lookup, err error) {
	known := services[d.opts.Service]
	t := Target{Port: known[0].port}
	if d.opts.TLS == DirectTLS {
		t.Port, t.DirectTLS = known[1].port, true
	}
	if d.opts.Server != "" {
		// RFC 6120 §3.2.3: a configured host takes the place of SRV.
		t, err := configured(d.opts.Server, t)
		return []Target{t}, nil, err
	}
	if !d.opts.Lookup.IsZero() {
		domain = d.opts.Lookup
	}
	if addr, ok := domain.DomainAddr(); ok {
		t.Host, t.Addr, t.Source = addr.String(), addr, Literal
		return []Target{t}, nil, nil
	}
	name, err := domain.ASCIIDomain()
	if err != nil {
		return nil, nil, err
	}
	t.Host, t.Source = name, Fallback
	if d.opts.Resolver == nil {
		return []Target{t}, nil, nil // Options.ResolveAtDialer
	}
	sets := d.records(ctx, name)
	if ctx.Err() != nil {
		return nil, sets.err, context.Cause(ctx)
	}
	switch {
	case len(sets.offers) > 0:
	case sets.dot && sets.err == nil:
		// RFC 2782, RFC 6120 §3.2.1 step 3: "." means that there is no service.
		return nil, nil, ErrNotAvailable
	case sets.dot:
		// XEP-0368 §4: no fallback once there is a record, and the other set is
		// not known.
		return nil, sets.err, nil
	default:
		// RFC 6120 §3.2.1 step 9: without a response to the SRV query, the
		// fallback. A server failure or a timeout is no response either. It lets
		// an attacker choose between two places to be refused in: the
		// certificate has to name the domain in both.
		return []Target{t}, sets.err, nil
	}
	for _, o := range order(sets.offers, maxTargets, d.random) {
		targets = append(targets, Target{
			Host: strings.TrimSuffix(o.Target, "."), Port: o.Port, DirectTLS: o.direct, Source: SRV, Priority: o.Priority, Weight: o.Weight,
		})
	}
	return targets, sets.err, nil
}

// answers is what the SRV lookups gave.
type answers struct {
	offers []offer
	dot    bool  // a set says that its service is not available
	err    error // of a lookup that gave no answer, the first of them
}

// records returns the SRV records of a domain, of both sets if both will do
// (XEP-0368 §2), looked up side by side. That there are none is no error.
func (d *dialing) records(ctx context.Context, name string) answers {
	ctx, cancel := context.WithTimeout(ctx, d.opts.AttemptTimeout)
	defer cancel()
	type result struct {
		set int
		answers
	}
	results := make(chan result)
	pending := 0
	for set, known := range services[d.opts.Service] {
		direct := set == 1
		if direct && d.opts.TLS == StartTLS || !direct && d.opts.TLS == DirectTLS {
			continue
		}
		pending++
		go func() { // ends with ctx at the latest; it is waited for below
			r := result{set, answers{err: errExited}}
			defer func() { results <- r }()
			r.answers = d.lookupSRV(ctx, known.name, name, direct)
		}()
	}
	var both [2]answers
	for ; pending > 0; pending-- {
		got := <-results
		both[got.set] = got.answers
		if len(got.offers) > 0 && pending > 1 {
			// A name server that ignores questions about one of the sets does not
			// keep a user of the other one waiting for long.
			defer time.AfterFunc(otherSet, cancel).Stop()
		}
	}
	return answers{
		offers: slices.Concat(both[0].offers, both[1].offers),
		dot:    both[0].dot || both[1].dot,
		err:    cmp.Or(both[0].err, both[1].err),
	}
}

// lookupSRV returns the SRV records of one set.
func (d *dialing) lookupSRV(ctx context.Context, service, name string, direct bool) (a answers) {
	_, found, err := d.opts.Resolver.LookupSRV(ctx, service, "tcp", name+".")
	for _, r := range found {
		switch {
		case r == nil || r.Target == "":
		case r.Target == ".": // RFC 2782: decidedly not available
			a.dot = true
		default:
			a.offers = append(a.offers, offer{r, direct})
		}
	}
	var dns *net.DNSError
	if len(a.offers) == 0 && !a.dot && err != nil && (!errors.As(err, &dns) || !dns.IsNotFound) {
		a.err = err
	}
	return a
}

// addresses returns the addresses of one family that a target has.
func (d *dialing) addresses(ctx context.Context, t Target, family int) ([]netip.Addr, error) {
	host := t.Host
	if t.Source != Configured || d.opts.reach != anywhere {
		host += "." // also what a redirect names is complete
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.AttemptTimeout)
	defer cancel()
	network := "ip6"
	if family == ipv4 {
		network = "ip4"
	}
	addrs, err := d.opts.Resolver.LookupNetIP(ctx, network, host)
	var out []netip.Addr
	refused := false
	for _, a := range addrs {
		a = a.Unmap()
		switch {
		case !a.IsValid() || a.Is4() != (family == ipv4) || slices.Contains(out, a):
		case !d.opts.reach.allows(a):
			refused = true
		case len(out) < maxAddresses:
			out = append(out, a)
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case refused:
		return nil, fmt.Errorf("%w: the name leads into a private network", ErrRedirect)
	case err == nil:
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	return nil, err
}

// configured completes t, which has the default port, by Options.Server.
func configured(s string, t Target) (Target, error) {
	t.Source = Configured
	fail := func(why string) (Target, error) {
		return Target{}, fmt.Errorf("%w: Server %s %s", ErrOptions, clip(strconv.Quote(s)), why)
	}
	t.Host = s
	bare := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]")
	}
	if _, err := netip.ParseAddr(bare); err == nil {
		t.Host = bare
	} else if host, port, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fail("has no usable port")
		}
		t.Host, t.Port = host, uint16(n)
	}
	if addr, err := netip.ParseAddr(t.Host); err == nil {
		t.Host, t.Addr = addr.String(), addr
		return t, nil
	}
	if quoteHost(t.Host) == t.Host && !strings.Contains(t.Host, ":") {
		return t, nil
	}
	// An internationalised name, or nothing that could be one.
	j, err := jid.New("", t.Host, "")
	if err != nil {
		return fail("is neither a host nor host:port")
	}
	if t.Host, err = j.ASCIIDomain(); err != nil {
		return fail("is too long a name")
	}
	return t, nil
}
