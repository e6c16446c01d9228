package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/jid"
)

// Resolver looks names up. [*net.Resolver] is one. Names end in a dot, so that
// no search list applies, except for a host that the caller configured.
type Resolver interface {
	// LookupSRV is like that of net.Resolver. The order of the records does not
	// matter. When it returns records and an error, the records are used.
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
	// LookupNetIP is like that of net.Resolver; the network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	service     = "xmpp-client"
	defaultPort = 5222 // RFC 6120 §3.2.2, §14.7

	// XEP-0368 §2 names the service and assigns no port; this is the one that
	// was in use for TLS from the first byte before.
	directService     = "xmpps-client"
	defaultDirectPort = 5223

	maxTargets   = 20 // records taken from one answer, the best ones
	maxAddresses = 8  // addresses tried per record
)

// targets returns where to look for the service, in the order in which to try,
// without addresses unless they are known. The second result is the error of an
// SRV lookup that gave no answer.
func (d *dialing) targets(ctx context.Context, domain jid.JID) (targets []Target, lookup, err error) {
	t := Target{Port: defaultPort, DirectTLS: d.opts.DirectTLS}
	if t.DirectTLS {
		t.Port = defaultDirectPort
	}
	if d.opts.Server != "" {
		// RFC 6120 §3.2.3: a configured host takes the place of SRV.
		t, err := configured(d.opts.Server, t)
		return []Target{t}, nil, err
	}
	if addr, ok := domain.DomainAddr(); ok {
		t.Host, t.Addr, t.Source = addr.String(), addr, Literal
		return []Target{t}, nil, nil
	}
	name, err := domain.ASCIIDomain()
	if err != nil {
		return nil, nil, err
	}
	records, lookup := d.lookupSRV(ctx, name)
	if ctx.Err() != nil {
		return nil, lookup, context.Cause(ctx)
	}
	if len(records) == 0 {
		// RFC 6120 §3.2.1 step 9: without a response to the SRV query, the
		// fallback. A server failure or a timeout is no response either. It lets
		// an attacker choose between two places to be refused in: the
		// certificate has to name the domain in both.
		t.Host, t.Source = name, Fallback
		return []Target{t}, lookup, nil
	}
	// RFC 2782, RFC 6120 §3.2.1 step 3: "." means that there is no service; and
	// no fallback, which is step 8. XEP-0368 §4 sends those who would take
	// STARTTLS as well to its records then; who asked for direct TLS would not.
	records = slices.DeleteFunc(records, func(r *net.SRV) bool { return r.Target == "." })
	if len(records) == 0 {
		return nil, nil, ErrNotAvailable
	}
	for _, r := range order(records, maxTargets, d.random) {
		t.Host, t.Port, t.Source = strings.TrimSuffix(r.Target, "."), r.Port, SRV
		t.Priority, t.Weight = r.Priority, r.Weight
		targets = append(targets, t)
	}
	return targets, nil, nil
}

// lookupSRV returns the SRV records of a domain. That there are none is no
// error.
func (d *dialing) lookupSRV(ctx context.Context, name string) ([]*net.SRV, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opts.AttemptTimeout)
	defer cancel()
	asked := service
	if d.opts.DirectTLS {
		asked = directService
	}
	_, found, err := d.opts.Resolver.LookupSRV(ctx, asked, "tcp", name+".")
	var records []*net.SRV
	for _, r := range found {
		if r != nil && r.Target != "" {
			records = append(records, r)
		}
	}
	var dns *net.DNSError
	if len(records) > 0 || errors.As(err, &dns) && dns.IsNotFound {
		return records, nil
	}
	return nil, err
}

// addresses returns the targets that t stands for, one per address.
func (d *dialing) addresses(ctx context.Context, t Target) ([]Target, error) {
	if t.Addr.IsValid() {
		return []Target{t}, nil
	}
	host := t.Host
	if t.Source != Configured {
		host += "."
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.AttemptTimeout)
	defer cancel()
	addrs, err := d.opts.Resolver.LookupNetIP(ctx, "ip", host)
	if len(addrs) == 0 {
		if err == nil {
			err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
		}
		return nil, err
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	out := make([]Target, len(addrs))
	for i, a := range addrs {
		t.Addr = a.Unmap()
		out[i] = t
	}
	return out, nil
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
