package tls

import (
	"context"
	"crypto/x509"

	"stanzakit.dev/xmpp/stream"
)

// leadsTo checks that the chain of certificates that a peer presented leads to
// one of anchors, by the rules of RFC 5280 §6 for the time and the use, as if
// there were no other trusted roots, and that what leads there is not revoked.
// Names are not looked at. It returns the paths. The error wraps [ErrRevoked] if
// it is that.
func leadsTo(ctx context.Context, p *Presented, anchors []*x509.Certificate) ([][]*x509.Certificate, error) {
	roots := x509.NewCertPool()
	for _, cert := range anchors {
		roots.AddCert(cert)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if p.Domain.IsZero() { // a client's; see verifyClient
		usages = append(usages, x509.ExtKeyUsageClientAuth)
	}
	chains, err := verifyPath(p.Chain, roots, p.Now, usages...)
	if err != nil {
		return nil, err
	}
	f := finding{chains: chains}
	f.checkRevocation(ctx, p.Revocation, p.Now)
	if f.verdict.Has(stream.Revoked) {
		p.Verdict |= stream.Revoked
		return nil, p.refused(f.cause)
	}
	return f.chains, nil
}

// restOn records on which paths the acceptance of p rests, for expires.
func (p *Presented) restOn(chains [][]*x509.Certificate) {
	if p.rests != nil {
		*p.rests = chains
	}
}
