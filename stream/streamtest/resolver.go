package streamtest

import (
	"context"
	"net"
	"net/netip"
	"slices"
)

// Resolver is the DNS of a network. It knows the address of each host, and the
// SRV records that it was given. It is a Resolver of package dial, so a client
// finds its server as it would elsewhere. It is safe for concurrent use.
type Resolver struct {
	network *Network
	srv     map[string][]*net.SRV
}

// Resolver returns the DNS of the network.
func (n *Network) Resolver() *Resolver { return &n.resolver }

// AddSRV adds records for a service of a domain, such as "xmpp-client" over
// "tcp". Targets are the names of hosts.
func (r *Resolver) AddSRV(service, proto, domain string, records ...net.SRV) {
	r.network.mu.Lock()
	defer r.network.mu.Unlock()
	if r.srv == nil {
		r.srv = make(map[string][]*net.SRV)
	}
	name := "_" + service + "._" + proto + "." + canonical(domain)
	for _, record := range records {
		r.srv[name] = append(r.srv[name], &record)
	}
}

// LookupSRV is like that of [net.Resolver]; the order of the records is that in
// which they were added.
func (r *Resolver) LookupSRV(ctx context.Context, service, proto, domain string) (string, []*net.SRV, error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	name := canonical(domain)
	if service != "" || proto != "" {
		name = "_" + service + "._" + proto + "." + name
	}
	r.network.mu.Lock()
	defer r.network.mu.Unlock()
	records := r.srv[name]
	if len(records) == 0 {
		return "", nil, notFound(domain)
	}
	out := slices.Clone(records)
	for i, record := range out {
		c := *record
		out[i] = &c
	}
	return name + ".", out, nil
}

// LookupNetIP is like that of [net.Resolver]. Every host has one address, of
// IPv4.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	r.network.mu.Lock()
	defer r.network.mu.Unlock()
	h := r.network.hosts[canonical(host)]
	if h == nil || network == "ip6" {
		return nil, notFound(host)
	}
	return []netip.Addr{h.addr}, nil
}

func notFound(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, Server: "streamtest", IsNotFound: true}
}
