package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// This file answers what there is to say about the path from a certificate to a
// root (RFC 5280 §6). crypto/x509 stops at the first fault, so where it says no,
// what it objects to is taken away from copies of the certificates, it is asked
// again, and the faults of the path that it finds are looked for here.

// finding is what there is to say about a chain that a peer has presented.
type finding struct {
	verdict Verdict
	chains  [][]*x509.Certificate // the best paths to trusted roots
	cause   error                 // what is wrong, for people; nil if nothing is

	revocationErr error // see Presented
}

// add notes a fault.
func (f *finding) add(v Verdict, cause error) {
	f.verdict |= v
	switch {
	case cause == nil:
	case f.cause == nil:
		f.cause = cause
	default:
		f.cause = fmt.Errorf("%w; %w", f.cause, cause)
	}
}

// maxPaths bounds the paths that are looked at more closely, and that a
// RevocationChecker is asked about. One is usual, cross-signed authorities make
// it two or three.
const maxPaths = 8

// inspectPath looks at everything but names and revocation. The roots are as in
// x509.VerifyOptions; the usages are those of which one is enough.
func inspectPath(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, usages []x509.ExtKeyUsage) finding {
	paths, err := buildPaths(chain, roots, now, false)
	if err != nil {
		paths, err = buildLenient(chain, roots, now)
	}
	if err != nil {
		return noPath(chain, now, usages, err)
	}
	var best finding
	for i, path := range paths[:min(len(paths), maxPaths)] {
		f := finding{verdict: stream.Anchored}
		f.inspect(path, now, usages)
		if err := otherNamesPermitted(path, now); err != nil {
			f.add(stream.Unacceptable, err)
		}
		switch {
		case f.verdict == best.verdict:
			best.chains = append(best.chains, path)
		case i == 0 || bits.OnesCount8(uint8(f.verdict)) < bits.OnesCount8(uint8(best.verdict)):
			best = f
			best.chains = [][]*x509.Certificate{path}
		}
	}
	return best
}

// verifyPath returns the paths from chain[0] to a root, or an error if there is
// none without a fault.
func verifyPath(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, usages ...x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	f := inspectPath(chain, roots, now, usages)
	if f.cause != nil {
		return nil, f.cause
	}
	return f.chains, nil
}

// inspect looks for faults in the certificates of a path. If it is Anchored,
// crypto/x509 has looked at the signatures, and its last certificate is trusted
// whoever signed it.
func (f *finding) inspect(path []*x509.Certificate, now time.Time, usages []x509.ExtKeyUsage) {
	for i, cert := range path {
		switch {
		case now.Before(cert.NotBefore):
			f.add(stream.WrongTime, x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired,
				Detail: "it begins to be valid at " + cert.NotBefore.UTC().Format(time.RFC3339)})
		case now.After(cert.NotAfter):
			f.add(stream.WrongTime, x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired,
				Detail: "it was valid until " + cert.NotAfter.UTC().Format(time.RFC3339)})
		}
		if len(unhandled(cert, i == 0)) > 0 {
			f.add(stream.Unacceptable, x509.UnhandledCriticalExtension{})
		}
		if err := weakKey(cert); err != nil {
			f.add(stream.Unacceptable, err)
		}
		if !f.verdict.Has(stream.Anchored) && weakSignature(cert) {
			f.add(stream.Unacceptable, x509.InsecureAlgorithmError(cert.SignatureAlgorithm))
		}
	}
	if !usable(path, usages) {
		f.add(stream.Unacceptable, x509.CertificateInvalidError{Cert: path[0], Reason: x509.IncompatibleUsage})
	}
}

// noPath is the finding when there is no path to a trusted root, and err what
// crypto/x509 says about that.
func noPath(chain []*x509.Certificate, now time.Time, usages []x509.ExtKeyUsage, err error) finding {
	f := finding{verdict: stream.UnknownAuthority}
	if isSelfSigned(chain[0]) {
		f.verdict = stream.SelfSigned
	}
	var authority x509.UnknownAuthorityError
	var system x509.SystemRootsError
	switch {
	case errors.As(err, &authority), errors.As(err, &system):
		f.add(0, err)
	case refusedAtTheEnd(err):
		f.verdict = stream.Anchored
		f.add(stream.Unacceptable, err)
	case invalidity(err).Reason == x509.Expired:
		f.add(stream.WrongTime, err)
	default:
		f.add(stream.Unacceptable, err)
	}
	// Which certificates the path would have consisted of is not known for sure.
	// Names are good enough to say what else is wrong. Whoever has signed itself
	// has nobody above.
	named := []*x509.Certificate{chain[0]}
	for !f.verdict.Has(stream.SelfSigned) && len(named) < maxPaths {
		last := named[len(named)-1]
		i := slices.IndexFunc(chain[1:], func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && !slices.Contains(named, c)
		})
		if i < 0 {
			break
		}
		named = append(named, chain[1+i])
	}
	f.inspect(named, now, usages)
	return f
}

// refusedAtTheEnd reports whether err is one that crypto/x509 returns when it
// has found a path to a root and something in it forbids the certificate: a
// name constraint or a policy.
func refusedAtTheEnd(err error) bool {
	reason := invalidity(err).Reason
	return reason == x509.CANotAuthorizedForThisName || reason == x509.NoValidChains
}

// invalidity returns what crypto/x509 says about a certificate in err. The Reason
// is none of those there are if that is nothing.
func invalidity(err error) x509.CertificateInvalidError {
	invalid := x509.CertificateInvalidError{Reason: -1}
	errors.As(err, &invalid)
	return invalid
}

// buildLenient finds the paths that there are when what chain presents is valid
// whenever it has to be, and has no critical extensions that nobody here
// understands. The roots stay as they are, so the time has to be one at which they
// are valid, and if it can be one at which chain[0] is, its dates stay as well, for
// whoever trusts a root for those of certain dates only. Where the operating
// system verifies, it sees the certificates as they are.
func buildLenient(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) (paths [][]*x509.Certificate, err error) {
	at := clamp(now, chain[0])
	for range 3 {
		paths, err = buildPaths(chain, roots, at, true)
		invalid := invalidity(err)
		if invalid.Reason != x509.Expired {
			break
		}
		at = clamp(now, invalid.Cert) // a root; what is presented is valid
	}
	if err == nil && !at.Equal(now) {
		// What is valid now has had its chance now; if a root did not want it then,
		// the dates of another time must not change its mind.
		paths = slices.DeleteFunc(paths, func(path []*x509.Certificate) bool {
			return !slices.ContainsFunc(path, func(c *x509.Certificate) bool { return !clamp(now, c).Equal(now) })
		})
		if len(paths) == 0 {
			err = x509.UnknownAuthorityError{Cert: chain[0]}
		}
	}
	return paths, err
}

// clamp returns the time nearest to t at which cert is valid.
func clamp(t time.Time, cert *x509.Certificate) time.Time {
	switch {
	case t.Before(cert.NotBefore):
		return cert.NotBefore
	case t.After(cert.NotAfter):
		return cert.NotAfter
	}
	return t
}

// buildPaths has crypto/x509 find the paths from chain[0] to a root at a time,
// for any usage. To be lenient it changes certificates, which are shared between
// connections, by a cache of crypto/tls among others: it changes copies, and the
// paths have the originals in their place.
func buildPaths(chain []*x509.Certificate, roots *x509.CertPool, at time.Time, lenient bool) ([][]*x509.Certificate, error) {
	originals := make(map[*x509.Certificate]*x509.Certificate)
	adapt := func(cert *x509.Certificate) *x509.Certificate {
		if !lenient {
			return cert
		}
		c := lenientCopy(cert, at)
		originals[c] = cert
		return c
	}
	opts := x509.VerifyOptions{
		Roots:         roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // see usable
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(adapt(cert))
	}
	paths, err := adapt(chain[0]).Verify(opts)
	for _, path := range paths {
		for i, cert := range path {
			if original := originals[cert]; original != nil {
				path[i] = original
			}
		}
	}
	return paths, err
}

// lenientCopy returns a certificate that is valid at a time and has no critical
// extensions that nobody has processed. They are looked at elsewhere. Dates that
// are no obstacle stay: a root may be trusted only for what it has issued before
// a certain day (x509.CertPool.AddCertWithConstraint).
func lenientCopy(cert *x509.Certificate, at time.Time) *x509.Certificate {
	c := *cert
	c.UnhandledCriticalExtensions = nil
	if at.Before(c.NotBefore) {
		c.NotBefore = at
	}
	if at.After(c.NotAfter) {
		c.NotAfter = at
	}
	return &c
}

// unhandled returns the critical extensions of cert that nobody has processed
// (RFC 5280 §4.2). The subjectAltName of a leaf is one for crypto/x509 if it
// holds nothing but otherNames; here those are read.
func unhandled(cert *x509.Certificate, isLeaf bool) []asn1.ObjectIdentifier {
	i := slices.IndexFunc(cert.UnhandledCriticalExtensions, oidSubjectAltName.Equal)
	if i < 0 || !isLeaf || !readable(cert) {
		return cert.UnhandledCriticalExtensions
	}
	return slices.Delete(slices.Clone(cert.UnhandledCriticalExtensions), i, i+1)
}

// readable reports whether the subjectAltName of cert is well-formed, if it has
// one.
func readable(cert *x509.Certificate) bool {
	san, ok := subjectAltName(cert)
	return !ok || eachName(san, func(idKind, []byte) bool { return true }) == nil
}

// isSelfSigned reports whether cert is its own authority (RFC 3920 §14.2 case 3).
// Whether it may sign others does not matter.
func isSelfSigned(cert *x509.Certificate) bool {
	if !bytes.Equal(cert.RawSubject, cert.RawIssuer) {
		return false
	}
	err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
	var insecure x509.InsecureAlgorithmError // cannot be told, and is no better for it
	return err == nil || errors.As(err, &insecure)
}

// weakKey says what is wrong with the size or kind of a key: RFC 9325 §4.5.
func weakKey(cert *x509.Certificate) error {
	switch k := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 {
			return fmt.Errorf("RSA key of %d bits", n)
		}
		return nil
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n < 224 {
			return fmt.Errorf("elliptic curve of %d bits", n)
		}
		return nil
	}
	if cert.PublicKeyAlgorithm == x509.Ed25519 {
		return nil
	}
	return fmt.Errorf("key of type %v", cert.PublicKeyAlgorithm)
}

// weakSignature reports whether a certificate is signed with what RFC 9325 §4.5
// excludes. crypto/x509 does not accept such signatures as part of a path.
func weakSignature(cert *x509.Certificate) bool {
	switch cert.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return true
	}
	return false
}

// What the keys of servers and of clients have to be good for, one being enough.
// Public authorities issue certificates for servers only these days, and a
// server is a client of other servers.
var (
	serverUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	clientUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
)

// usable reports whether a path is good for one of usages, or for XMPP as such
// (id-on-xmppAddr as a usage, RFC 6120 §13.7.1.4). As is common practice, an
// authority that lists usages vouches for no others.
func usable(path []*x509.Certificate, usages []x509.ExtKeyUsage) bool {
	allowed := func(permits func(*x509.Certificate) bool) bool {
		return !slices.ContainsFunc(path, func(c *x509.Certificate) bool {
			restricted := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0
			return restricted && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) && !permits(c)
		})
	}
	for _, usage := range usages {
		if allowed(func(c *x509.Certificate) bool { return slices.Contains(c.ExtKeyUsage, usage) }) {
			return true
		}
	}
	return allowed(func(c *x509.Certificate) bool { return slices.ContainsFunc(c.UnknownExtKeyUsage, oidXMPPAddr.Equal) })
}
