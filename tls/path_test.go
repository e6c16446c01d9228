package tls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// issuer signs certificates that a DevCA would not: it may have others above it
// and any kind of key.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// edit changes the template of a certificate.
type edit = func(*x509.Certificate)

// made returns a certificate below parent, or one that is its own authority.
func made(t testing.TB, parent *issuer, key crypto.Signer, edits ...edit) *issuer {
	t.Helper()
	template, err := devTemplate()
	require.NoError(t, err)
	for _, e := range edits {
		e(template)
	}
	by := parent
	if by == nil {
		by = &issuer{template, key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	return &issuer{cert, key}
}

// ca is an edit that makes a certificate an authority.
func ca(name string) edit {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
	}
}

func named(names ...string) edit { return func(c *x509.Certificate) { c.DNSNames = names } }

func called(name string) edit { return func(c *x509.Certificate) { c.Subject.CommonName = name } }

func withSAN(names ...[]byte) edit {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidSubjectAltName, Critical: true, Value: san(names...)})
	}
}

func usage(u ...x509.ExtKeyUsage) edit { return func(c *x509.Certificate) { c.ExtKeyUsage = u } }

// days is an edit of the validity, relative to now.
func days(from, to int) edit {
	return func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, from), time.Now().AddDate(0, 0, to)
	}
}

// mystery is a critical extension that nobody knows.
func mystery(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
}

func signedWith(alg x509.SignatureAlgorithm) edit {
	return func(c *x509.Certificate) { c.SignatureAlgorithm = alg }
}

func mustRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

func mustEC(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// withMD5 replaces the signature algorithm, which nobody signs with any more.
func withMD5(t testing.TB, cert *x509.Certificate) *x509.Certificate {
	t.Helper()
	sha256 := []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")
	md5 := []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04")
	out, err := x509.ParseCertificate(bytes.ReplaceAll(cert.Raw, sha256, md5))
	require.NoError(t, err)
	require.Equal(t, x509.MD5WithRSA, out.SignatureAlgorithm)
	return out
}

func poolOf(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// contents returns copies of certificates, to see whether they change.
func contents(chain []*x509.Certificate) (out []x509.Certificate) {
	for _, c := range chain {
		copied := *c
		copied.UnhandledCriticalExtensions = slices.Clone(c.UnhandledCriticalExtensions)
		copied.DNSNames = slices.Clone(c.DNSNames)
		out = append(out, copied)
	}
	return out
}

func TestVerdict(t *testing.T) {
	const (
		anchored = stream.Anchored
		unknown  = stream.UnknownAuthority
		self     = stream.SelfSigned
		name     = stream.WrongName
		date     = stream.WrongTime
		bad      = stream.Unacceptable
	)
	key, other := mustEC(t), mustEC(t)
	rsaKey, shortKey := mustRSA(t, 2048), mustRSA(t, 1024)
	root := made(t, nil, mustEC(t), ca("root"), days(-1000, 1000))
	rsaRoot := made(t, nil, rsaKey, ca("RSA root"), days(-1000, 1000))
	roots := poolOf(root.cert, rsaRoot.cert)
	middle := made(t, root, mustEC(t), ca("middle"), days(-900, 900))
	stranger := made(t, nil, mustEC(t), ca("stranger"))
	oldRoot := made(t, nil, other, ca("old"), days(-20, -10))
	newRoot := made(t, nil, other, ca("new"), days(10, 20))
	shortRoot := made(t, nil, shortKey, ca("short root"))
	shaRoot := made(t, nil, rsaKey, ca("SHA-1 root"), signedWith(x509.SHA1WithRSA))
	short := made(t, root, shortKey, ca("short"))
	first := made(t, root, other, ca("first"), func(c *x509.Certificate) { c.MaxPathLenZero = true })
	server := made(t, root, other, called("server"))
	second := made(t, first, mustEC(t), ca("second"))
	expired := made(t, nil, mustEC(t), ca("expired"), days(-20, -10))
	im := named("im.example")
	upn := appendDER(nil, 0xa0, otherNameDER(derUPN, tagUTF8, "juliet@ad.example"))
	leaf := func(by *issuer, edits ...edit) *x509.Certificate {
		return made(t, by, key, append([]edit{im}, edits...)...).cert
	}
	// below returns a leaf of an authority that is made for it, and that one.
	below := func(parent *issuer, authority []edit, edits ...edit) []*x509.Certificate {
		by := made(t, parent, other, append([]edit{ca("below")}, authority...)...)
		return []*x509.Certificate{leaf(by, edits...), by.cert}
	}
	one := func(c *x509.Certificate) []*x509.Certificate { return []*x509.Certificate{c} }
	permits := func(domains ...string) edit {
		return func(c *x509.Certificate) { c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = domains, true }
	}
	excludes := func(domains ...string) edit {
		return func(c *x509.Certificate) { c.ExcludedDNSDomains, c.PermittedDNSDomainsCritical = domains, true }
	}
	onlyOther := func(names ...[]byte) edit {
		return func(c *x509.Certificate) { c.DNSNames = nil; withSAN(names...)(c) }
	}
	// constraints on XmppAddrs: [0] permitted, otherName.
	otherConstraint := func(critical bool) edit {
		value := appendDER(nil, tagSequence, appendDER(nil, tagExplicit0, appendDER(nil, tagSequence, xmppName("im.example"))))
		return func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidNameConstraints, Critical: critical, Value: value})
		}
	}
	selfSigned := func(edits ...edit) []*x509.Certificate { return one(leaf(nil, edits...)) }

	ref, err := newReference(jid.MustParse("im.example"), serviceClient)
	require.NoError(t, err)
	for _, tc := range []struct {
		what  string
		chain []*x509.Certificate
		roots *x509.CertPool
		want  Verdict
	}{
		// RFC 3920 §14.2
		{"case 1", one(leaf(root)), roots, anchored},
		{"case 1, with an intermediate", []*x509.Certificate{leaf(middle), middle.cert}, roots, anchored},
		{"case 1, out of order, and the root too", []*x509.Certificate{leaf(middle), stranger.cert, root.cert, middle.cert}, roots, anchored},
		{"case 2", one(leaf(stranger)), roots, unknown},
		{"case 2, with the stranger", []*x509.Certificate{leaf(stranger), stranger.cert}, roots, unknown},
		{"case 2, intermediate missing", one(leaf(middle)), roots, unknown},
		{"case 2, no roots", one(leaf(root)), poolOf(), unknown},
		{"case 3", selfSigned(called("im.example")), roots, self},
		{"case 3, empty subject", selfSigned(), roots, self},
		{"case 3, and an authority", selfSigned(ca("im.example")), roots, self},
		{"a self-signed certificate that is a root", one(stranger.cert), poolOf(stranger.cert), anchored | name},
		{"an issuer of its own name that is not itself", one(made(t, made(t, nil, mustEC(t), called("x")), key, called("x"), im).cert), roots, unknown},
		{"signed by a server", []*x509.Certificate{leaf(server), server.cert}, roots, unknown},

		// RFC 9525
		{"wrong name", one(made(t, root, key, named("a.example")).cert), roots, anchored | name},
		{"no name", one(made(t, root, key, called("im.example")).cert), roots, anchored | name},
		{"malformed names beside good ones", one(leaf(root, onlyOther(dnsName("im.example"), []byte{0xa0, 0}))), roots, anchored | name | bad},
		{"malformed names", one(leaf(root, onlyOther(xmppName("im.example"), []byte{0xa0, 0}))), roots, anchored | name | bad},

		// Time
		{"expired", one(leaf(root, days(-20, -10))), roots, anchored | date},
		{"not yet valid", one(leaf(root, days(10, 20))), roots, anchored | date},
		{"intermediate expired", below(root, []edit{days(-20, -10)}), roots, anchored | date},
		{"intermediate not yet valid", below(root, []edit{days(10, 20)}, days(-20, 20)), roots, anchored | date},
		{"both, at no time together", below(root, []edit{days(10, 20)}, days(-20, -10)), roots, anchored | date},
		{"root expired", one(leaf(oldRoot, days(-15, 5))), poolOf(oldRoot.cert), anchored | date},
		{"root expired before", one(leaf(oldRoot, days(-5, 5))), poolOf(oldRoot.cert), anchored | date},
		{"root not yet valid", one(leaf(newRoot, days(-5, 5))), poolOf(newRoot.cert), anchored | date},
		{"everything expired", one(leaf(oldRoot, days(-15, -12))), poolOf(oldRoot.cert), anchored | date},
		{"authority unknown, something expired besides", []*x509.Certificate{leaf(stranger), oldRoot.cert}, roots, unknown},
		{"self-signed, a namesake expired", []*x509.Certificate{leaf(nil, called("x")), made(t, nil, other, ca("x"), days(-20, -10)).cert}, roots, self},
		{"expired, authority unknown", one(leaf(stranger, days(-20, -10))), roots, unknown | date},
		{"intermediate expired, and another in front, authority unknown", append(below(stranger, []edit{days(-20, -10)}), expired.cert), roots, unknown | date},
		{"something expired besides, authority unknown", []*x509.Certificate{leaf(stranger), expired.cert, stranger.cert}, roots, unknown},
		{"intermediate expired, authority unknown", below(stranger, []edit{days(-20, -10)}), roots, unknown | date},

		// Critical extensions: RFC 5280 §4.2
		{"SAN of otherNames only", one(leaf(root, onlyOther(serviceName("_xmpp-client.im.example")))), roots, anchored},
		{"SAN of strange otherNames only", one(leaf(root, onlyOther(upn))), roots, anchored | name},
		{"critical extension", one(leaf(root, mystery)), roots, anchored | bad},
		{"critical extension beside such a SAN", one(leaf(root, mystery, onlyOther(xmppName("im.example")))), roots, anchored | bad},
		{"critical extension of the intermediate", below(root, []edit{mystery}), roots, anchored | bad},
		{"intermediate with such a SAN", below(root, []edit{withSAN(xmppName("ca.example"))}), roots, anchored | bad},

		// Usage
		{"for clients", one(leaf(root, usage(x509.ExtKeyUsageClientAuth))), roots, anchored | bad},
		{"for both", one(leaf(root, usage(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth))), roots, anchored},
		{"for any", one(leaf(root, usage(x509.ExtKeyUsageAny))), roots, anchored},
		{"RFC 6120 §13.7.1.4 for XMPP", one(leaf(root, func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{oidXMPPAddr} })), roots, anchored},
		{"for something unknown", one(leaf(root, func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{oidDNSSRV} })), roots, anchored | bad},
		{"by an authority for clients", below(root, []edit{usage(x509.ExtKeyUsageClientAuth)}), roots, anchored | bad},
		{"by an authority for servers", below(root, []edit{usage(x509.ExtKeyUsageServerAuth)}, usage(x509.ExtKeyUsageServerAuth)), roots, anchored},
		{"self-signed, for clients", selfSigned(usage(x509.ExtKeyUsageClientAuth)), roots, self | bad},

		// RFC 9325 §4.5
		{"RSA-1024", one(made(t, root, shortKey, im).cert), roots, anchored | bad},
		{"RSA-1024 intermediate", []*x509.Certificate{leaf(short), short.cert}, roots, anchored | bad},
		{"RSA-1024 root", one(leaf(shortRoot)), poolOf(shortRoot.cert), anchored | bad},
		{"RSA-1024, self-signed", one(made(t, nil, shortKey, im).cert), roots, self | bad},
		{"RSA-2048", one(made(t, root, rsaKey, im).cert), roots, anchored},
		{"SHA-1", one(leaf(rsaRoot, signedWith(x509.SHA1WithRSA))), roots, unknown | bad},
		{"MD5", one(withMD5(t, leaf(rsaRoot))), roots, unknown | bad},
		{"SHA-1 intermediate", below(rsaRoot, []edit{signedWith(x509.SHA1WithRSA)}), roots, unknown | bad},
		{"SHA-1, self-signed", one(made(t, nil, rsaKey, im, signedWith(x509.SHA1WithRSA)).cert), roots, self | bad},
		{"MD5, self-signed", one(withMD5(t, made(t, nil, rsaKey, im).cert)), roots, self | bad},
		{"SHA-1 signature of a root", one(leaf(shaRoot)), poolOf(shaRoot.cert), anchored},

		// Constraints: RFC 5280 §4.2.1.9, §4.2.1.10
		{"path too long", []*x509.Certificate{leaf(second), second.cert, first.cert}, roots, unknown | bad},
		{"name not permitted", below(root, []edit{permits("other.example")}), roots, anchored | bad},
		{"name permitted", below(root, []edit{permits("im.example")}), roots, anchored},
		{"name excluded", below(root, []edit{excludes("im.example")}), roots, anchored | bad},
		{"XmppAddr not permitted as a DNS name", below(root, []edit{permits("other.example")}, onlyOther(xmppName("im.example"))), roots, anchored | bad},
		{"XmppAddr permitted as a DNS name", below(root, []edit{permits("example")}, onlyOther(xmppName("im.example"))), roots, anchored},
		{"XmppAddr excluded as a DNS name", below(root, []edit{excludes("im.example")}, onlyOther(xmppName("im.example"))), roots, anchored | bad},
		{"XmppAddr of an account not permitted", below(root, []edit{permits("im.example")}, onlyOther(dnsName("im.example"), xmppName("user@other.example"))), roots, anchored | bad},
		{"SRV-ID not permitted as a DNS name", below(root, []edit{permits("other.example")}, onlyOther(serviceName("_xmpp-client.im.example"))), roots, anchored | bad},
		{"SRV-ID permitted as a DNS name", below(root, []edit{permits("im.example")}, onlyOther(serviceName("_xmpp-client.im.example"))), roots, anchored},
		{"XmppAddr by an address, not permitted", below(root, []edit{func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
		}}, onlyOther(dnsName("im.example"), xmppName("user@192.0.2.1"))), roots, anchored | bad},
		{"XmppAddrs by an address and a name, not permitted", below(root, []edit{permits("im.example")}, onlyOther(dnsName("im.example"), xmppName("user@192.0.2.1"), xmppName("other.example"))), roots, anchored | bad},
		{"XmppAddr not permitted, and expired", below(root, []edit{permits("other.example"), days(-20, -10)}, onlyOther(xmppName("im.example")), days(-20, -10)), roots, anchored | bad | date},
		{"XmppAddr permitted, and expired", below(root, []edit{permits("im.example"), days(-20, -10)}, onlyOther(xmppName("im.example")), days(-20, -10)), roots, anchored | date},
		{"constraint on otherNames, critical", below(root, []edit{otherConstraint(true)}), roots, anchored | bad},
		{"constraint on otherNames, none there", below(root, []edit{otherConstraint(false)}), roots, anchored},
		{"constraint on otherNames, one there", below(root, []edit{otherConstraint(false)}, onlyOther(dnsName("im.example"), xmppName("im.example"))), roots, anchored | bad},

		// Several at once
		{"self-signed, wrong name, expired", one(made(t, nil, key, named("a.example"), days(-20, -10)).cert), roots, self | name | date},
		{"everything", one(made(t, nil, shortKey, named("a.example"), days(-20, -10), mystery, usage(x509.ExtKeyUsageCodeSigning)).cert), roots, self | name | date | bad},
		{"everything and anchored", one(made(t, root, shortKey, named("a.example"), days(-20, -10), mystery).cert), roots, anchored | name | date | bad},
		{"name not permitted, and everything expired", below(root, []edit{permits("other.example"), days(-20, -10)}, days(-20, -10)), roots, anchored | bad | date},
		{"name not permitted, and the authority expired", below(root, []edit{permits("other.example"), days(-20, -10)}), roots, anchored | bad | date},
		{"name not permitted, nor right", below(root, []edit{permits("other.example")}, named("a.example")), roots, anchored | bad | name},
	} {
		before := contents(tc.chain)
		v := &verifier{ref: ref, roots: tc.roots, usages: serverUsages, now: time.Now}
		p, err := v.judge(t.Context(), tc.chain)
		require.Equal(t, tc.want, p.Verdict, "%s: %s, %v", tc.what, p.Verdict, err)
		require.Equal(t, before, contents(tc.chain), "%s: certificates are shared", tc.what)
		require.Equal(t, tc.want == anchored, err == nil, tc.what)
		require.Equal(t, err, p.Err, tc.what)
		for _, path := range p.Chains {
			require.Same(t, tc.chain[0], path[0], tc.what)
			for _, cert := range path[1:max(1, len(path)-1)] {
				require.True(t, slices.Contains(tc.chain, cert), "%s: a copy of an intermediate", tc.what)
			}
		}
		if tc.want == anchored {
			require.NotEmpty(t, p.Chains, tc.what)
			continue
		}
		if !tc.want.Has(anchored) {
			require.Empty(t, p.Chains, tc.what)
		}
		var cerr *CertificateError
		require.ErrorAs(t, err, &cerr, tc.what)
		require.LessOrEqual(t, len(err.Error()), 1024, tc.what)
		require.Equal(t, tc.want != anchored|name, cerr.Cause != nil, tc.what)
	}
}

// Each fault has its cause, and each cause can be told.
func TestCauses(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"))
	leaf := made(t, root, mustRSA(t, 1024), days(-20, -10), mystery, usage(x509.ExtKeyUsageCodeSigning))
	f := inspectPath([]*x509.Certificate{leaf.cert}, poolOf(root.cert), time.Now(), serverUsages)
	require.ErrorContains(t, f.cause, "1024 bits")
	require.ErrorContains(t, f.cause, "it was valid until 2")
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, f.cause, &invalid)
	require.Equal(t, x509.Expired, invalid.Reason)
	require.ErrorContains(t, f.cause, "incompatible key usage")
	var critical x509.UnhandledCriticalExtension
	require.ErrorAs(t, f.cause, &critical)
}

// Where there are only names to go by, they are followed up to a bound, and each
// certificate once.
func TestNamesUpwards(t *testing.T) {
	key := mustEC(t)
	below := func(n int, edits ...edit) *x509.Certificate {
		above := &issuer{&x509.Certificate{Subject: pkix.Name{CommonName: string(rune('a' + n + 1))}}, key}
		return made(t, above, key, append([]edit{ca(string(rune('a' + n)))}, edits...)...).cert
	}
	for n := range maxPaths + 2 {
		var chain []*x509.Certificate
		for i := range maxPaths + 2 {
			if i == n {
				chain = append(chain, below(i, days(-20, -10)))
			} else {
				chain = append(chain, below(i))
			}
		}
		f := noPath(chain, time.Now(), serverUsages, x509.UnknownAuthorityError{})
		require.Equal(t, n < maxPaths, f.verdict.Has(stream.WrongTime), n)
	}
	over := made(t, nil, key, ca("over"), days(-20, -10))
	f := noPath([]*x509.Certificate{made(t, over, key).cert, over.cert}, time.Now(), serverUsages, x509.UnknownAuthorityError{})
	require.Equal(t, 1, strings.Count(f.cause.Error(), "it was valid until"))
}

// Constraints hold at the time that the handshake is at.
func TestConstraintsAtAnotherTime(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"), days(500, 1000))
	middle := made(t, root, mustEC(t), ca("middle"), days(500, 1000), func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"im.example"} })
	leaf := made(t, middle, mustEC(t), days(500, 1000), withSAN(xmppName("im.example")))
	chain := []*x509.Certificate{leaf.cert, middle.cert}
	for day, want := range map[int]Verdict{
		400: stream.Anchored | stream.WrongTime, 700: stream.Anchored, 1100: stream.Anchored | stream.WrongTime,
	} {
		f := inspectPath(chain, poolOf(root.cert), time.Now().AddDate(0, 0, day), serverUsages)
		require.Equal(t, want, f.verdict, "%d: %s", day, f.verdict)
	}
}

// What crypto/x509 says when there is no path, as operating systems say it too.
func TestNoPath(t *testing.T) {
	stranger := made(t, nil, mustEC(t), ca("stranger"))
	chain := []*x509.Certificate{made(t, stranger, mustEC(t), named("im.example")).cert}
	for _, tc := range []struct {
		err  error
		want Verdict
	}{
		{x509.UnknownAuthorityError{}, stream.UnknownAuthority},
		{x509.SystemRootsError{}, stream.UnknownAuthority},
		{x509.CertificateInvalidError{Reason: x509.Expired}, stream.UnknownAuthority | stream.WrongTime},
		{x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}, stream.UnknownAuthority | stream.Unacceptable},
		{x509.CertificateInvalidError{Reason: x509.CANotAuthorizedForThisName}, stream.Anchored | stream.Unacceptable},
		{x509.CertificateInvalidError{Reason: x509.NoValidChains}, stream.Anchored | stream.Unacceptable},
		{errors.New("something else"), stream.UnknownAuthority | stream.Unacceptable},
	} {
		f := noPath(chain, time.Now(), serverUsages, tc.err)
		require.Equal(t, tc.want, f.verdict, tc.err)
		require.Equal(t, tc.err, f.cause)
		require.Empty(t, f.chains)
	}
}

// RFC 9325 §4.5, for keys that are hard to come by.
func TestWeakKey(t *testing.T) {
	for what, tc := range map[string]struct {
		cert x509.Certificate
		weak string
	}{
		"RSA-2047":    {x509.Certificate{PublicKey: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2046)}}, "2047 bits"},
		"RSA-2048":    {x509.Certificate{PublicKey: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047)}}, ""},
		"P-224":       {x509.Certificate{PublicKey: &ecdsa.PublicKey{Curve: elliptic.P224()}}, ""},
		"short curve": {x509.Certificate{PublicKey: &ecdsa.PublicKey{Curve: &elliptic.CurveParams{BitSize: 223}}}, "223 bits"},
		"Ed25519":     {x509.Certificate{PublicKeyAlgorithm: x509.Ed25519}, ""},
		"DSA":         {x509.Certificate{PublicKeyAlgorithm: x509.DSA}, "DSA"},
		"unknown":     {x509.Certificate{}, "type"},
	} {
		err := weakKey(&tc.cert)
		if tc.weak == "" {
			require.NoError(t, err, what)
		} else {
			require.ErrorContains(t, err, tc.weak, what)
		}
	}
}

func TestConstrainsOtherNames(t *testing.T) {
	subtree := func(name []byte) []byte { return appendDER(nil, tagSequence, name) }
	constraints := func(tag byte, subtrees ...[]byte) []byte { return appendDER(nil, tag, slices.Concat(subtrees...)) }
	for what, tc := range map[string]struct {
		value []byte
		want  bool
	}{
		"domains":              {appendDER(nil, tagSequence, constraints(tagExplicit0, subtree(dnsName("a")), subtree(dnsName("b")))), false},
		"excluded domains":     {appendDER(nil, tagSequence, constraints(tagExplicit1, subtree(dnsName("a")))), false},
		"domains and nothing":  {appendDER(nil, tagSequence, nil), false},
		"permitted":            {appendDER(nil, tagSequence, constraints(tagExplicit0, subtree(dnsName("a")), subtree(xmppName("b")))), true},
		"excluded":             {appendDER(nil, tagSequence, slices.Concat(constraints(tagExplicit0, subtree(dnsName("a"))), constraints(tagExplicit1, subtree(serviceName("b"))))), true},
		"malformed":            {[]byte{0x30}, true},
		"malformed, subtrees":  {appendDER(nil, tagSequence, []byte{tagExplicit0}), true},
		"malformed, other tag": {appendDER(nil, tagSequence, constraints(0xa2, subtree(dnsName("a")))), true},
		"malformed, subtree":   {appendDER(nil, tagSequence, constraints(tagExplicit0, []byte{0x31, 0})), true},
		"malformed, base":      {appendDER(nil, tagSequence, constraints(tagExplicit0, subtree(nil))), true},
	} {
		cert := &x509.Certificate{Extensions: []pkix.Extension{{Id: oidSubjectAltName}, {Id: oidNameConstraints, Value: tc.value}}}
		require.Equal(t, tc.want, constrainsOtherNames(cert), what)
		require.Equal(t, tc.want, constrainsNames(cert), what)
	}
	require.False(t, constrainsOtherNames(new(x509.Certificate)))
}

func TestOtherNameDomains(t *testing.T) {
	cert := holding(san(dnsName("a.example"), xmppName("user@münchen.example/x"), xmppName("@"), xmppName("192.0.2.1"),
		serviceName("_xmpp-client.b.example"), serviceName("no dot"), serviceName("_x.not a domain"), serviceName("_xmpp-client.192.0.2.2"),
		xmppName(strings.Repeat("a.", 200)+"example")))
	names, addrs := otherNameDomains(cert)
	require.Equal(t, []string{"xn--mnchen-3ya.example", "b.example"}, names)
	require.Len(t, addrs, 2)
	require.True(t, addrs[0].Equal(net.IPv4(192, 0, 2, 1)))
	require.True(t, addrs[1].Equal(net.IPv4(192, 0, 2, 2)))

	names, _ = otherNameDomains(holding(san(slices.Repeat(serviceName("_x.a.example"), maxIdentities+1))))
	require.Len(t, names, maxIdentities)
	names, addrs = otherNameDomains(new(x509.Certificate))
	require.Empty(t, names)
	require.Empty(t, addrs)
}

// As many paths as somebody can make are not all looked at.
func TestPathsAreBounded(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"))
	key := mustEC(t)
	var above []*x509.Certificate
	for i := range 3 * maxPaths {
		above = append(above, made(t, root, key, ca("middle"), named("ca"+string(rune('a'+i))+".example")).cert)
	}
	leaf := made(t, &issuer{above[0], key}, mustEC(t), named("im.example"))
	asked := 0
	v := &verifier{roots: poolOf(root.cert), usages: serverUsages, now: time.Now,
		revocation: checkerFunc(func([]*x509.Certificate) error { asked++; return nil })}
	p, err := v.judge(t.Context(), append([]*x509.Certificate{leaf.cert}, above...))
	require.NoError(t, err)
	require.Len(t, p.Chains, maxPaths)
	require.Equal(t, maxPaths, asked)
}

// The path without a fault counts, whichever comes first.
func TestBestPath(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"))
	key, short := mustEC(t), mustRSA(t, 1024)
	good := made(t, root, key, ca("middle"), named("good.example"))
	// The same authority below a root with a short key.
	shortRoot := made(t, nil, short, ca("short root"))
	bad := made(t, shortRoot, key, ca("middle"), named("bad.example"))
	leaf := made(t, good, mustEC(t), named("im.example"))
	roots := poolOf(shortRoot.cert, root.cert)
	for _, chain := range [][]*x509.Certificate{{leaf.cert, good.cert, bad.cert}, {leaf.cert, bad.cert, good.cert}} {
		f := inspectPath(chain, roots, time.Now(), serverUsages)
		require.Equal(t, stream.Anchored, f.verdict)
		require.NoError(t, f.cause)
		require.Equal(t, [][]*x509.Certificate{{leaf.cert, good.cert, root.cert}}, f.chains)
		paths, err := verifyPath(chain, roots, time.Now(), x509.ExtKeyUsageServerAuth)
		require.NoError(t, err)
		require.Equal(t, f.chains, paths)
	}
	paths, err := verifyPath([]*x509.Certificate{leaf.cert, bad.cert}, roots, time.Now(), x509.ExtKeyUsageServerAuth)
	require.ErrorContains(t, err, "1024 bits")
	require.Empty(t, paths)
}
