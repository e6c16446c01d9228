package tls

import (
	"context"
	"crypto/x509"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Presented is a certificate that a peer has presented, with everything there is
// to know for somebody who decides about it. It is for the duration of the call.
type Presented struct {
	// Domain is who the peer should be: the domain that the stream is for. For
	// a client's certificate it is zero, since the client says later who it
	// wants to be.
	Domain jid.JID
	// Target is the host and port, "host:port", that the connection was made to;
	// empty if not known. It is no name to look for in the certificate.
	Target string
	// Chain is what the peer presented, its own certificate first; never empty.
	Chain []*x509.Certificate
	// Chains are the paths to trusted roots, if there are any: those without a
	// fault if Verdict is OK, else those with the fewest. A path with a revoked
	// certificate is not among them.
	Chains [][]*x509.Certificate
	// Verdict is what the rules of RFC 5280 and RFC 9525 say, and the
	// RevocationChecker, who is asked about paths: of a certificate that leads to
	// no trusted root it is not known whether it is revoked, and a peer can leave
	// out what would lead there. A policy that overlooks UnknownAuthority, or an
	// Unacceptable for which there are no Chains, overlooks that too.
	Verdict Verdict
	// Err is the error with which the handshake ends if nobody accepts the
	// certificate: nil if Verdict is OK, else a [*CertificateError].
	Err error
	// RevocationErr is not nil if there are Chains and a [RevocationChecker], and
	// it could not vouch for any of them. That is no part of Verdict: whoever can
	// hold back a list of revoked certificates could keep everybody out. A policy
	// that would rather have that returns this error.
	RevocationErr error
	// Revocation is who was asked, or nil, for policies that find paths of their
	// own to authorities of their own.
	Revocation RevocationChecker
	// Now is the time that the verdict is about.
	Now time.Time

	// rests is where a policy of this package says on which paths it rests its
	// acceptance, if not on Chains.
	rests *[][]*x509.Certificate
}

// A VerifyPolicy decides whether a peer's certificate is accepted. It sees each
// certificate that is presented, with the verdict on it, and decides about this
// one: there is no way to switch checking off.
//
// Implementations are safe for concurrent use. The context ends with the
// handshake; a policy that waits for something has to heed it. A policy that
// panics has refused the certificate, with a [*stream.PanicError] as the cause.
type VerifyPolicy interface {
	// VerifyCertificate returns nil to accept the peer's certificate. A client's
	// handshake fails with the error otherwise; p.Err is the usual one. An
	// error that is no [*CertificateError] becomes the Cause of one. A server
	// goes on with a client that is not verified.
	//
	// The peer may not have proved yet that it has the key to the certificate:
	// that comes with the rest of the handshake.
	VerifyCertificate(ctx context.Context, p *Presented) error
}

// PolicyFunc is a function as a [VerifyPolicy].
type PolicyFunc func(ctx context.Context, p *Presented) error

// VerifyCertificate calls f.
func (f PolicyFunc) VerifyCertificate(ctx context.Context, p *Presented) error { return f(ctx, p) }

// A RevocationChecker finds out whether certificates were taken back by those
// who issued them. Implementations are safe for concurrent use.
type RevocationChecker interface {
	// CheckRevocation looks at a path, from the peer's certificate to a trusted
	// root. It returns nil if nothing in it is revoked, an error that wraps
	// [ErrRevoked] if something is, and any other error if it cannot tell, which
	// does not make a path bad by itself.
	CheckRevocation(ctx context.Context, path []*x509.Certificate, now time.Time) error
}
