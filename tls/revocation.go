package tls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ErrRevocationUnknown is wrapped by errors of a [RevocationChecker] that could
// not find out whether a certificate is revoked.
var ErrRevocationUnknown = errors.New("xmpp/tls: revocation status unknown")

// RevocationKnown returns a policy that refuses a certificate that the
// [RevocationChecker] could not vouch for: AllOf(Default(), RevocationKnown()).
// Whoever can keep lists of revoked certificates from arriving can then keep
// connections from being made; without it, such a one can have a revoked
// certificate accepted. About a certificate that no trusted authority vouches
// for nobody is asked, and this policy says nothing.
func RevocationKnown() VerifyPolicy {
	return PolicyFunc(func(_ context.Context, p *Presented) error { return p.RevocationErr })
}

// FirstToTell returns a checker that asks others, in their order, about each
// certificate of a path, until one of them can tell: stapled responses before
// lists, say. A nil one is left out.
func FirstToTell(checkers ...RevocationChecker) RevocationChecker {
	var out firstToTell
	for _, c := range checkers {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

type firstToTell []RevocationChecker

// CheckRevocation implements [RevocationChecker].
func (f firstToTell) CheckRevocation(ctx context.Context, path []*x509.Certificate, now time.Time) error {
	return eachIssued(path, func(i int) error {
		if i == 1 { // a stapled response is about the first certificate
			ctx = WithStapledOCSP(ctx, nil)
		}
		err := fmt.Errorf("%w: nobody to ask", ErrRevocationUnknown)
		for n, c := range f {
			e := c.CheckRevocation(ctx, path[i:i+2], now)
			switch {
			case e == nil || errors.Is(e, ErrRevoked):
				return e
			case n == 0:
				err = e
			default:
				err = fmt.Errorf("%w; %w", err, e)
			}
		}
		return err
	})
}

// eachIssued calls check for each certificate of a path that another one of it
// has issued: all but the last. What is revoked counts for more than what is not
// known, and that for more than what is in order.
func eachIssued(path []*x509.Certificate, check func(i int) error) error {
	var unknown error
	for i := range max(len(path), 1) - 1 {
		err := check(i)
		if errors.Is(err, ErrRevoked) {
			return err
		}
		if unknown == nil {
			unknown = err
		}
	}
	return unknown
}

type stapledKey struct{}

// WithStapledOCSP returns a context that carries the OCSP response that came
// with a certificate in the handshake (RFC 6066 §8), as DER. This package calls
// it for the context of a [RevocationChecker].
func WithStapledOCSP(ctx context.Context, response []byte) context.Context {
	return context.WithValue(ctx, stapledKey{}, response)
}

// StapledOCSP returns the OCSP response about the first certificate of the path
// that a [RevocationChecker] is asked about, or nil. Nobody has looked at it
// yet.
func StapledOCSP(ctx context.Context) []byte {
	response, _ := ctx.Value(stapledKey{}).([]byte)
	return response
}
