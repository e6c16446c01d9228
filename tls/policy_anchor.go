package tls

import (
	"crypto/x509"
)

// leadsTo checks that the chain of certificates that a peer presented leads to
// one of anchors, by the rules of RFC 5280 §6 for the time and the use, as if
// there were no other trusted roots. Names are not looked at.
func leadsTo(p *Presented, anchors []*x509.Certificate) error {
	roots := x509.NewCertPool()
	for _, cert := range anchors {
		roots.AddCert(cert)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if p.Domain.IsZero() { // a client's; see verifyClient
		usages = append(usages, x509.ExtKeyUsageClientAuth)
	}
	_, err := verifyPath(p.Chain, roots, p.Now, usages...)
	return err
}
