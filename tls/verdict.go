package tls

import (
	"errors"

	"stanzakit.dev/xmpp/stream"
)

// Verdict is [stream.Verdict].
type Verdict = stream.Verdict

// What can be wrong with a certificate. errors.Is finds each of these that a
// [*CertificateError]'s Verdict has: a certificate that is self-signed, expired
// and for somebody else is all three.
var (
	// ErrUntrusted: no chain of certificates leads to a trusted root. The
	// Verdict tells an unknown authority from a self-signed certificate (cases 2
	// and 3 of RFC 3920 §14.2).
	ErrUntrusted = errors.New("xmpp/tls: certificate from an untrusted issuer")
	// ErrNameMismatch: the certificate is for somebody else.
	ErrNameMismatch = errors.New("xmpp/tls: certificate does not name the domain")
	// ErrExpired: a certificate has expired or is not valid yet.
	ErrExpired = errors.New("xmpp/tls: certificate not valid at this time")
	// ErrRevoked: the certificate was taken back by whoever issued it. A
	// [RevocationChecker] wraps it.
	ErrRevoked = errors.New("xmpp/tls: certificate revoked")
	// ErrUnacceptable: anything else that is wrong with a certificate, such as
	// one for another use, with a weak key or signature, or with a name that its
	// authority may not vouch for; and no certificate at all.
	ErrUnacceptable = errors.New("xmpp/tls: certificate not acceptable")
)

// verdictErrors is which members of a Verdict match which error.
var verdictErrors = map[error]Verdict{
	ErrUntrusted:    stream.UnknownAuthority | stream.SelfSigned,
	ErrNameMismatch: stream.WrongName,
	ErrExpired:      stream.WrongTime,
	ErrRevoked:      stream.Revoked,
	ErrUnacceptable: stream.Unacceptable,
}
