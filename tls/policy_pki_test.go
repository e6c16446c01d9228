package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// authority is a certificate authority whose every detail a test can choose.
// Unlike a DevCA it can have others below it, and issue lists of revoked
// certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// pkiNow is when the tests of policies take place.
var pkiNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func pkiTemplate(names ...string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		NotBefore:    pkiNow.AddDate(0, -1, 0),
		NotAfter:     pkiNow.AddDate(0, 1, 0),
		DNSNames:     names,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func sign(t testing.TB, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert, key
}

// newAuthority returns an authority below another one, or a root.
func newAuthority(t testing.TB, name string, by *authority) *authority {
	t.Helper()
	template := pkiTemplate()
	template.Subject = pkix.Name{CommonName: name}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.ExtKeyUsage = nil
	cert, key := sign(t, template, by)
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func edited(template *x509.Certificate, edit []func(*x509.Certificate)) *x509.Certificate {
	for _, e := range edit {
		e(template)
	}
	return template
}

// leaf returns a certificate for im.example.
func (a *authority) leaf(t testing.TB, edit ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	cert, _ := sign(t, edited(pkiTemplate("im.example"), edit), a)
	return cert
}

// loneLeaf returns a certificate for im.example without an authority.
func loneLeaf(t testing.TB, edit ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	return (*authority)(nil).leaf(t, edit...)
}

// pair is leaf for a server, with the certificates to send after it.
func (a *authority) pair(t testing.TB, edit []func(*x509.Certificate), above ...*authority) tls.Certificate {
	t.Helper()
	cert, key := sign(t, edited(pkiTemplate("im.example"), edit), a)
	out := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	for _, ca := range above {
		out.Certificate = append(out.Certificate, ca.cert.Raw)
	}
	return out
}

// errOrdinary stands for the error of the ordinary rules.
var errOrdinary = errors.New("not by the ordinary rules")

// present returns a chain as a policy sees it.
func present(v Verdict, chain ...*x509.Certificate) *Presented {
	p := &Presented{
		Domain: jid.MustParse("im.example"), Target: "xmpp.hosting.example:5222",
		Chain: chain, Verdict: v, Now: pkiNow,
	}
	if !v.OK() {
		p.Err = errOrdinary
	}
	if v.Has(stream.Anchored) {
		p.Chains = [][]*x509.Certificate{chain}
	}
	return p
}

// flaws are the members of a Verdict that say that something is wrong.
var flaws = []Verdict{
	stream.UnknownAuthority, stream.SelfSigned, stream.WrongName, stream.WrongTime, stream.Revoked, stream.Unacceptable,
}

// forgives tries the verdicts with each flaw, alone or beside an unknown
// authority, on a certificate, and requires that a policy accepts exactly those
// flaws that are given.
func forgives(t *testing.T, policy VerifyPolicy, forgiven Verdict, chain ...*x509.Certificate) {
	t.Helper()
	for _, flaw := range flaws {
		for _, base := range []Verdict{stream.Anchored, stream.UnknownAuthority, stream.SelfSigned} {
			v := base | flaw
			if flaw&(stream.UnknownAuthority|stream.SelfSigned) != 0 {
				v = flaw
			}
			p := present(v, chain...)
			p.Chains = nil
			err := policy.VerifyCertificate(t.Context(), p)
			if v&^(stream.Anchored|forgiven) == 0 {
				require.NoError(t, err, v)
			} else {
				require.Error(t, err, v)
			}
		}
	}
	require.Error(t, policy.VerifyCertificate(t.Context(), present(0, chain...)), "nothing was checked")
}

// weakPair is a certificate for im.example with a key that is too short.
func weakPair(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	template := pkiTemplate("im.example")
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
