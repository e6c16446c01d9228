package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"runtime/debug"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// This file decides about certificates, and is the only one in which
// InsecureSkipVerify occurs: crypto/tls cannot check identifiers other than DNS
// names and addresses and keeps no chain when it rejects one, so its check is
// switched off and replaced, on every connection, by a verifier.

// verifier decides whether a peer's certificate is accepted (RFC 6120 §13.7.2,
// RFC 9525 §6).
type verifier struct {
	ref        *reference // whom a server has to be; nil for clients, who say that later
	target     string
	roots      *x509.CertPool
	usages     []x509.ExtKeyUsage
	now        func() time.Time
	policy     VerifyPolicy      // nil: what has no fault
	revocation RevocationChecker // nil: nobody is asked
}

// skipsVerification reports whether c, given by a caller, would accept any
// certificate.
func skipsVerification(c *tls.Config) bool { return c.InsecureSkipVerify }

// install makes c, a client's configuration for one handshake, verify the server
// with v, and leaves in result what was accepted. The callbacks that c has run
// afterwards, with the verified chains: they can only make it stricter.
func (v *verifier) install(ctx context.Context, c *tls.Config, result **Presented) {
	peer, conn := c.VerifyPeerCertificate, c.VerifyConnection
	c.VerifyPeerCertificate = nil
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		p, err := v.judge(WithStapledOCSP(ctx, cs.OCSPResponse), cs.PeerCertificates)
		if err != nil {
			return err
		}
		*result = p
		cs.VerifiedChains = p.Chains
		if peer != nil {
			raw := make([][]byte, len(cs.PeerCertificates))
			for i, cert := range cs.PeerCertificates {
				raw[i] = cert.Raw
			}
			if err := peer(raw, p.Chains); err != nil {
				return err
			}
		}
		if conn != nil {
			return conn(cs)
		}
		return nil
	}
}

// judge returns everything there is to know about the chain that a peer has
// presented, and nil if it is accepted: by the policy or, without one, because
// nothing is wrong with it. A callback that panics has not accepted it.
func (v *verifier) judge(ctx context.Context, chain []*x509.Certificate) (p *Presented, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p = &Presented{Target: v.target, Chain: chain, Revocation: v.revocation, Now: v.now()}
	if v.ref != nil {
		p.Domain = v.ref.domain
	}
	defer func() {
		if r := recover(); r != nil {
			p.Verdict |= stream.Unacceptable
			err = p.refused(&stream.PanicError{Value: r, Stack: debug.Stack()})
		}
	}()
	if len(chain) == 0 {
		p.Verdict = stream.Unacceptable
		p.Err = p.refused(errors.New("no certificate was presented"))
		return p, p.Err
	}
	f := v.inspect(ctx, chain, p.Now)
	p.Chains, p.Verdict, p.RevocationErr = f.chains, f.verdict, f.revocationErr
	if !p.Verdict.OK() {
		p.Err = p.refused(f.cause)
	}
	if v.policy == nil {
		return p, p.Err
	}
	shown := *p // what the policy does to it is its own business
	var rests [][]*x509.Certificate
	shown.rests = &rests
	if err = v.policy.VerifyCertificate(ctx, &shown); err == nil {
		if rests != nil {
			p.Chains = rests
		}
		return p, nil
	}
	var known *CertificateError
	if !errors.As(err, &known) {
		err = p.refused(err)
	}
	return p, err
}

// inspect computes the verdict.
func (v *verifier) inspect(ctx context.Context, chain []*x509.Certificate, now time.Time) finding {
	f := inspectPath(chain, v.roots, now, v.usages)
	// RFC 6120 §13.7.1.1: the certificate has to conform to RFC 5280. A
	// subjectAltName that does not names nobody, and is not ignored either:
	// whoever issued it meant something by it.
	if !readable(chain[0]) {
		f.add(stream.Unacceptable, errors.New("malformed subjectAltName"))
	}
	if v.ref != nil && !v.ref.matches(chain[0]) {
		f.add(stream.WrongName, nil)
	}
	f.checkRevocation(ctx, v.revocation, now)
	return f
}

// checkRevocation drops the paths in which something is revoked. As long as one
// path is known to be good, the others do not matter; if none is, one that is
// revoked outweighs those about which nothing can be found out.
func (f *finding) checkRevocation(ctx context.Context, checker RevocationChecker, now time.Time) {
	if checker == nil {
		return
	}
	var good, unknown [][]*x509.Certificate
	var revoked, unsure error
	for _, path := range f.chains {
		err := checker.CheckRevocation(ctx, path, now)
		switch {
		case err == nil:
			good = append(good, path)
		case errors.Is(err, ErrRevoked):
			revoked = err
		default:
			unknown, unsure = append(unknown, path), err
		}
	}
	switch {
	case len(good) > 0:
		f.chains = good
	case revoked != nil:
		f.chains = nil
		f.add(stream.Revoked, revoked)
	default:
		f.chains, f.revocationErr = unknown, unsure
	}
}

// refused returns the error that says that p is not accepted.
func (p *Presented) refused(cause error) error {
	return &CertificateError{Verdict: p.Verdict, Domain: p.Domain.Domain(), Chain: p.Chain, Cause: cause}
}

// expires returns when an accepted certificate stops being valid, or anything
// on which it depends, by the path that lasts longest (RFC 6120 §13.7.2.3). It
// is zero if it was not valid to begin with and accepted all the same.
func (p *Presented) expires() (last time.Time) {
	if p.Verdict.Has(stream.WrongTime) {
		return time.Time{}
	}
	paths := p.Chains
	if len(paths) == 0 {
		paths = [][]*x509.Certificate{p.Chain[:1]}
	}
	for _, path := range paths {
		first := path[0].NotAfter
		for _, cert := range path[1:] {
			if cert.NotAfter.Before(first) {
				first = cert.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}
