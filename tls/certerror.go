package tls

import (
	"crypto/x509"
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
)

// Reason is why a certificate was not accepted. It is an error itself, so that
// errors.Is(err, xtls.NameMismatch) matches every [*CertificateError] with that
// reason.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	// OutsideValidity: a certificate has expired or is not valid yet.
	OutsideValidity Reason = "certificate not valid at this time"
	// UntrustedIssuer: no chain of certificates leads to a trusted root that
	// may vouch for this one.
	UntrustedIssuer Reason = "certificate from an untrusted issuer"
	// Unacceptable: anything else that is wrong with the certificate, such as
	// an extended key usage for something other than TLS servers.
	Unacceptable Reason = "certificate not acceptable"
	// NameMismatch: the certificate is good, but for somebody else.
	NameMismatch Reason = "certificate does not name the domain"
)

// Error returns the reason as a phrase.
func (r Reason) Error() string { return string(r) }

// CertificateError says that a server's certificate was not accepted. The
// handshake has failed and the connection is gone.
type CertificateError struct {
	// Reason is what errors.Is matches.
	Reason Reason
	// Domain is the domain that the certificate should have named, as in the
	// JID. A warning for a person has to show it (RFC 6120 §13.7.2.3).
	Domain string
	// Chain is what the server presented, its own certificate first, for a
	// program that shows it or wants to pin it. Nothing in it is trustworthy.
	Chain []*x509.Certificate
	// Cause is the error of crypto/x509, or nil. Its text can be long and
	// holds bytes from the peer: print the CertificateError instead.
	Cause error
}

// Error describes the error in at most about a thousand bytes; what comes from
// the certificate is quoted.
func (e *CertificateError) Error() string {
	s := "xmpp/tls: " + string(e.Reason) + " " + quote.ASCII(e.Domain, 256)
	if e.Reason != NameMismatch {
		s = "xmpp/tls: " + string(e.Reason) + " for " + quote.ASCII(e.Domain, 256)
		if e.Cause != nil {
			s += ": " + quote.ASCII(e.Cause.Error(), 512)
		}
		return s
	}
	if len(e.Chain) == 0 {
		return s
	}
	names := identities(e.Chain[0], 4)
	if len(names) == 0 {
		return s + ": it presents no name"
	}
	for i, n := range names {
		names[i] = quote.ASCII(n, 64)
	}
	s += ": it presents " + strings.Join(names, ", ")
	if more := identityCount(e.Chain[0]) - len(names); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// Is reports whether target is the reason of e.
func (e *CertificateError) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && r == e.Reason
}

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Cause }
