package tls

import (
	"crypto/x509"
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// CertificateError says that a peer's certificate was not accepted. Where a
// client gets it, the handshake has failed and the connection is gone.
type CertificateError struct {
	// Verdict is everything that is wrong with the certificate; errors.Is finds
	// it as [ErrUntrusted], [ErrNameMismatch], [ErrExpired], [ErrRevoked] and
	// [ErrUnacceptable]. If it is OK, the certificate was refused by a
	// [VerifyPolicy], and Cause says why.
	Verdict Verdict
	// Domain is the domain that the certificate should have named, as in the
	// JID. A warning for a person has to show it (RFC 6120 §13.7.2.3). Empty
	// for the certificate of a client.
	Domain string
	// Chain is what the peer presented, its own certificate first, for a
	// program that shows it or wants to pin it. Nothing in it is trustworthy.
	Chain []*x509.Certificate
	// Cause is the error of crypto/x509 or of the policy, or nil. Its text can
	// be long and holds bytes from the peer: print the CertificateError instead.
	Cause error
}

// Error describes the error in at most about a thousand bytes; what comes from
// the certificate is quoted.
func (e *CertificateError) Error() string {
	s := "xmpp/tls: certificate"
	if e.Domain != "" {
		s += " for " + quote.ASCII(e.Domain, 256)
	}
	s += " not accepted"
	if !e.Verdict.OK() {
		s += ": " + e.Verdict.String()
	}
	if e.Verdict.Has(stream.WrongName) && len(e.Chain) > 0 {
		s += " (it presents " + presentedText(e.Chain[0]) + ")"
	}
	if e.Cause != nil {
		s += ": " + quote.ASCII(e.Cause.Error(), 384)
	}
	return s
}

// presentedText lists a few of the names in a certificate.
func presentedText(cert *x509.Certificate) string {
	names, count, err := identities(cert, 4)
	switch {
	case err != nil:
		return "names that cannot be read"
	case len(names) == 0:
		return "no name"
	}
	for i, n := range names {
		names[i] = quote.ASCII(n, 64)
	}
	s := strings.Join(names, ", ")
	if more := count - len(names); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// Is reports whether target is one of the errors that the verdict of e stands
// for.
func (e *CertificateError) Is(target error) bool {
	switch target {
	case ErrUntrusted, ErrNameMismatch, ErrExpired, ErrRevoked, ErrUnacceptable:
		return e.Verdict&verdictErrors[target] != 0
	}
	return false
}

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Cause }
