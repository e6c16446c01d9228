package tls

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// A PublicKeyPin stands for a public key: the SHA-256 hash of the
// SubjectPublicKeyInfo of a certificate. A certificate that is renewed for the
// same key has the same pin. As text it is in base64, as in RFC 7469 §2.4.
type PublicKeyPin [sha256.Size]byte

// PinOf returns the pin of a certificate's public key.
func PinOf(cert *x509.Certificate) PublicKeyPin {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// ParsePin parses what [PublicKeyPin.String] returns. A line of a shell that
// prints it for cert.pem:
//
//	openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64
func ParsePin(s string) (PublicKeyPin, error) {
	var pin PublicKeyPin
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(pin) || strings.ContainsAny(s, "\r\n") {
		return PublicKeyPin{}, fmt.Errorf("xmpp/tls: %s is not the base64 of a SHA-256 hash", quote.ASCII(s, 64))
	}
	copy(pin[:], raw)
	return pin, nil
}

// String returns the pin in base64. It is no secret.
func (p PublicKeyPin) String() string { return base64.StdEncoding.EncodeToString(p[:]) }

// MarshalText is String, for files of pins.
func (p PublicKeyPin) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePin, for files of pins.
func (p *PublicKeyPin) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePin(string(text))
	return err
}

// PinError says that a peer has shown another key than those that are known to
// be its own: either it has a new one, or somebody else has answered.
type PinError struct {
	// Domain is who the peer should be.
	Domain string
	// Got is the pin of the key that the peer has shown.
	Got PublicKeyPin
	// Want are the pins of the keys that it may have.
	Want []PublicKeyPin
}

// Error names the pins, four of those wanted at most.
func (e *PinError) Error() string {
	const most = 4
	s := "xmpp/tls: " + quote.ASCII(e.Domain, 256) + " has the public key " + e.Got.String()
	for i, pin := range e.Want[:min(len(e.Want), most)] {
		s += [...]string{"; expected ", " or "}[min(i, 1)] + pin.String()
	}
	if more := len(e.Want) - most; more > 0 {
		s += fmt.Sprintf(" or one of %d more", more)
	}
	return s
}

// Pin returns a policy for a domain whose keys are known beforehand: a private
// server with a certificate of its own making, say. RFC 6125 §6.6.2 and §7.1
// have it that a pin belongs to the source domain, so for other domains this
// policy accepts nothing. The zero JID is for servers, to pin the certificates
// of clients.
//
// A certificate with a pinned key is accepted whoever has signed it and whatever
// it names. The pin says nothing about the rest: the certificate has to be valid
// at this time, fit for the use, and not known to be revoked. That it is revoked
// can be known only if the peer sends what leads to a trusted authority.
//
// If it is the key of an authority in the chain that is pinned, that authority
// alone is trusted, and the name is checked: it has signed for others as well. The
// [RevocationChecker], if there is one, is asked about the way to it.
//
// Other certificates are refused with a [*PinError], also when a trusted
// authority vouches for them. AllOf(Default(), Pin(…)) demands both, AnyOf(…)
// either.
func Pin(domain jid.JID, pins ...PublicKeyPin) VerifyPolicy {
	return &pinPolicy{domain: domain.Domain(), pins: slices.Clone(pins)}
}

type pinPolicy struct {
	domain string
	pins   []PublicKeyPin
}

func (o *pinPolicy) pinned(cert *x509.Certificate) bool { return slices.Contains(o.pins, PinOf(cert)) }

// VerifyCertificate implements [VerifyPolicy].
func (o *pinPolicy) VerifyCertificate(ctx context.Context, p *Presented) error {
	if len(p.Chain) == 0 {
		return errNoCertificate
	}
	if o.domain != p.Domain.Domain() {
		return fmt.Errorf("xmpp/tls: no public key is pinned for %s", quote.ASCII(p.Domain.Domain(), 256))
	}
	if o.pinned(p.Chain[0]) {
		// RFC 6125 §6.6.2: a pinned certificate may name somebody else.
		if nothingBut(p.Verdict, stream.UnknownAuthority|stream.SelfSigned|stream.WrongName) {
			return nil
		}
		return verdictError(p)
	}
	for _, path := range p.Chains {
		if slices.ContainsFunc(path[min(1, len(path)):], o.pinned) {
			return verdictError(p)
		}
	}
	var anchors []*x509.Certificate
	for _, cert := range p.Chain[1:] {
		if o.pinned(cert) {
			anchors = append(anchors, cert)
		}
	}
	switch chains, err := leadsTo(ctx, p, anchors); {
	case errors.Is(err, ErrRevoked):
		return err
	case err == nil && nothingBut(p.Verdict, stream.UnknownAuthority):
		p.restOn(chains)
		return nil
	case err == nil:
		return verdictError(p)
	}
	return &PinError{Domain: p.Domain.Domain(), Got: PinOf(p.Chain[0]), Want: slices.Clone(o.pins)}
}

var errNoCertificate = errors.New("xmpp/tls: no certificate was presented")
