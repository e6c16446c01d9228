package tls

import (
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
)

var errOtherNameConstraint = errors.New("name constraints on otherNames")

// otherNamesPermitted applies the name constraints of a path to the SRV-IDs and
// XmppAddrs of its first certificate.
//
// RFC 5280 §4.2.1.10 has constraints apply to names of their own kind only. An
// authority that may vouch for names in the DNS below one domain could then
// issue an XmppAddr for any other, which it was hardly meant to. So the domains
// in otherNames have to be permitted as if they were DNS-IDs, or IP-IDs.
// Constraints on otherNames as such cannot be applied: crypto/x509 refuses them
// when they are critical, as they have to be, and this function otherwise.
func otherNamesPermitted(path []*x509.Certificate, now time.Time) error {
	if !slices.ContainsFunc(path[1:], constrainsNames) {
		return nil
	}
	root := path[len(path)-1]
	at := clamp(now, root)
	leaf := lenientCopy(path[0], at)
	leaf.DNSNames, leaf.IPAddresses = otherNameDomains(leaf)
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		return nil
	}
	if slices.ContainsFunc(path[1:], constrainsOtherNames) {
		return errOtherNameConstraint
	}
	// crypto/x509 knows how to compare; it is shown a certificate with these
	// names instead of those that it has seen already.
	opts := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	opts.Roots.AddCert(root)
	for _, cert := range path[1 : len(path)-1] {
		opts.Intermediates.AddCert(lenientCopy(cert, at))
	}
	_, err := leaf.Verify(opts)
	return err
}

// constrainsNames reports whether an authority has constraints that matter for
// domains.
func constrainsNames(ca *x509.Certificate) bool {
	return len(ca.PermittedDNSDomains)+len(ca.ExcludedDNSDomains)+
		len(ca.PermittedIPRanges)+len(ca.ExcludedIPRanges) > 0 || constrainsOtherNames(ca)
}

// otherNameDomains returns the domains in the SRV-IDs and XmppAddrs of cert.
// Those that nothing here could match, because they are malformed or too many,
// are left out.
func otherNameDomains(cert *x509.Certificate) (names []string, addrs []net.IP) {
	for _, j := range xmppAddrs(cert) {
		names, addrs = appendDomain(names, addrs, j)
	}
	san, ok := subjectAltName(cert)
	if !ok {
		return nil, nil
	}
	services := 0
	_ = eachName(san, func(kind idKind, value []byte) bool {
		if kind != srvID || services == maxIdentities {
			return true
		}
		services++
		if _, host, ok := strings.Cut(string(value), "."); ok {
			if j, err := jid.New("", host, ""); err == nil {
				names, addrs = appendDomain(names, addrs, j)
			}
		}
		return true
	})
	return names, addrs
}

func appendDomain(names []string, addrs []net.IP, j jid.JID) ([]string, []net.IP) {
	if addr, ok := j.DomainAddr(); ok {
		return names, append(addrs, addr.AsSlice())
	}
	if host, err := j.ASCIIDomain(); err == nil {
		names = append(names, host)
	}
	return names, addrs
}
