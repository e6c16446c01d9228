package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// This file is the certificate policy, and the only one in which
// InsecureSkipVerify occurs: crypto/tls cannot check identifiers other than
// DNS names and addresses and keeps no chain when it rejects one, so its check
// is switched off and replaced, on every connection, by serverPolicy.

// serverPolicy decides whether a server's certificate proves that it is the
// domain of a JID (RFC 6120 §13.7.2.1, RFC 9525 §6).
type serverPolicy struct {
	domain string // as in the JID, for people
	host   string // the reference identifier: A-labels, or an IP address
	roots  *x509.CertPool
	now    func() time.Time
}

// skipsVerification reports whether c, given by a caller, would accept any
// certificate.
func skipsVerification(c *tls.Config) bool { return c.InsecureSkipVerify }

// referenceHost returns the reference identifier for the domain of a JID: its
// A-labels (RFC 9525 §6.3), or the IP address without brackets. Where the
// connection leads, through SRV or otherwise, has no influence on it
// (RFC 9525 §6.1.1).
func referenceHost(domain jid.JID) (string, error) {
	if ip, ok := domain.DomainAddr(); ok {
		return ip.String(), nil
	}
	return domain.ASCIIDomain()
}

// install makes c, a client's configuration, verify servers by the policy. The
// callbacks that c has run afterwards, with the verified chains: they can only
// make it stricter.
func (p *serverPolicy) install(c *tls.Config) {
	peer, conn := c.VerifyPeerCertificate, c.VerifyConnection
	c.VerifyPeerCertificate = nil
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		chains, err := p.verify(cs.PeerCertificates)
		if err != nil {
			return err
		}
		cs.VerifiedChains = chains
		if peer != nil {
			raw := make([][]byte, len(cs.PeerCertificates))
			for i, cert := range cs.PeerCertificates {
				raw[i] = cert.Raw
			}
			if err := peer(raw, chains); err != nil {
				return err
			}
		}
		if conn != nil {
			return conn(cs)
		}
		return nil
	}
}

// verify checks the path first and the name after it: a name means something
// only when somebody trusted has vouched for it.
func (p *serverPolicy) verify(chain []*x509.Certificate) ([][]*x509.Certificate, error) {
	fail := func(r Reason, cause error) error {
		return &CertificateError{Reason: r, Domain: p.domain, Chain: chain, Cause: cause}
	}
	if len(chain) == 0 {
		return nil, fail(Unacceptable, errors.New("the server presented no certificate"))
	}
	chains, err := verifyPath(chain, p.roots, p.now(), x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, fail(pathReason(err), err)
	}
	// DNS-ID or IP-ID by the kind of the reference identifier; a Common Name is
	// never looked at (RFC 9525 §6.2, §6.3, §6.4).
	if err := chain[0].VerifyHostname(p.host); err != nil {
		return nil, fail(NameMismatch, err)
	}
	return chains, nil
}

// verifyPath builds and checks the paths from chain[0] to a root (RFC 5280 §6).
func verifyPath(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, usages ...x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	opts := x509.VerifyOptions{
		Roots:         roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     usages,
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	return chain[0].Verify(opts)
}

// pathReason sorts the errors of path validation.
func pathReason(err error) Reason {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.Expired:
			return OutsideValidity
		case x509.CANotAuthorizedForThisName:
			return UntrustedIssuer // trusted, but not to vouch for this name
		}
		return Unacceptable
	}
	var authority x509.UnknownAuthorityError
	var system x509.SystemRootsError
	if errors.As(err, &authority) || errors.As(err, &system) {
		return UntrustedIssuer
	}
	return Unacceptable
}

// verifyClient reports whether a client's certificate leads to one of roots.
// Whom it names is for SASL EXTERNAL to judge (RFC 6120 §13.7.2.2). Public
// authorities issue certificates for servers only these days, and a server is a
// client of other servers: either usage will do.
func verifyClient(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) bool {
	if len(chain) == 0 || roots == nil {
		return false
	}
	_, err := verifyPath(chain, roots, now, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	return err == nil
}

// maxIdentities bounds the names taken from one certificate. Names beyond it
// are as good as absent, which is the safe direction.
const maxIdentities = 256

// identities returns up to limit names from the subjectAltName of cert: DNS
// names as they stand there, then IP addresses. The subject itself is text for
// people and never a source of names.
func identities(cert *x509.Certificate, limit int) []string {
	out := slices.Clone(cert.DNSNames[:min(len(cert.DNSNames), limit)])
	for _, ip := range cert.IPAddresses[:min(len(cert.IPAddresses), limit-len(out))] {
		out = append(out, ip.String())
	}
	return out
}

func identityCount(cert *x509.Certificate) int {
	return len(cert.DNSNames) + len(cert.IPAddresses)
}
