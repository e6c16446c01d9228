package tls_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// loneCertificate returns a self-signed certificate.
func loneCertificate(b *bed, name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(b.t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(b.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// watcher is a policy that says what it is told to, and keeps what it was shown.
type watcher struct {
	says  error
	shown []xtls.Presented
}

func (w *watcher) VerifyCertificate(_ context.Context, p *xtls.Presented) error {
	w.shown = append(w.shown, *p)
	return w.says
}

// TestAdversarialPolicies has the part of row C09 about overriding: only by a
// policy that is asked about each certificate, and is shown what it accepts.
func TestAdversarialPolicies(t *testing.T) {
	t.Run("C09", func(t *testing.T) {
		issued := func(edit func(*x509.Certificate)) func(b *bed) tls.Certificate {
			return func(b *bed) tls.Certificate {
				cert, err := b.ca.IssueWith(xtls.IssueOptions{Edit: func(c *x509.Certificate) {
					c.DNSNames = []string{"im.example"}
					edit(c)
				}})
				require.NoError(b.t, err)
				return cert
			}
		}
		for name, tc := range map[string]struct {
			cert    func(b *bed) tls.Certificate
			verdict xtls.Verdict
			want    error
		}{
			"good": {issued(func(*x509.Certificate) {}), stream.Anchored, nil},
			"expired": {issued(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
				stream.Anchored | stream.WrongTime, xtls.ErrExpired},
			"future": {issued(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }),
				stream.Anchored | stream.WrongTime, xtls.ErrExpired},
			"usage": {issued(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }),
				stream.Anchored | stream.Unacceptable, xtls.ErrUnacceptable},
			"name mismatch": {issued(func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} }),
				stream.Anchored | stream.WrongName, xtls.ErrNameMismatch},
			"unknown authority": {func(b *bed) tls.Certificate {
				other, err := xtls.NewDevCA()
				require.NoError(b.t, err)
				cert, err := other.Issue("im.example")
				require.NoError(b.t, err)
				return cert
			}, stream.UnknownAuthority, xtls.ErrUntrusted},
			"self-signed": {func(b *bed) tls.Certificate { return loneCertificate(b, "im.example") }, stream.SelfSigned, xtls.ErrUntrusted},
			"all at once": {func(b *bed) tls.Certificate { return loneCertificate(b, "a.example") }, stream.SelfSigned | stream.WrongName, xtls.ErrNameMismatch},
		} {
			// Accepting is a decision about this chain: the policy is shown it, on
			// every connection, with everything that is wrong with it.
			inBubble(t, "client/"+name, func(b *bed) {
				cert := tc.cert(b)
				policy := new(watcher)
				opts := &xtls.ClientOptions{RootCAs: b.ca.Pool(), Policy: policy, Target: "host.example:5222"}
				for i := range 2 {
					b.near, b.far = memPair(b)
					c, _ := b.connect("im.example", opts, &xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
					require.NoError(b.t, c.err)
					require.Len(b.t, policy.shown, i+1)
					p := policy.shown[i]
					require.Equal(b.t, jid.MustParse("im.example"), p.Domain)
					require.Equal(b.t, "host.example:5222", p.Target)
					require.Equal(b.t, cert.Leaf.Raw, p.Chain[0].Raw)
					require.Equal(b.t, tc.verdict, p.Verdict)
					require.Equal(b.t, tc.verdict.Has(stream.Anchored), len(p.Chains) > 0)
					require.False(b.t, p.Now.IsZero())
					if tc.want == nil {
						require.NoError(b.t, p.Err)
					} else {
						require.ErrorIs(b.t, p.Err, tc.want)
					}
					require.Equal(b.t, tc.verdict, c.session.Security().Verdict)
				}
			})
			// And refusing it is, too, even if nothing is wrong.
			inBubble(t, "client/"+name+" refused", func(b *bed) {
				no := errors.New("not this one")
				c, s := b.connect("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool(), Policy: &watcher{says: no}},
					&xtls.ServerOptions{Certificates: []tls.Certificate{tc.cert(b)}})
				require.ErrorIs(b.t, c.err, no)
				var cerr *xtls.CertificateError
				require.ErrorAs(b.t, c.err, &cerr)
				require.Equal(b.t, tc.verdict, cerr.Verdict)
				require.Error(b.t, s.err)
			})
			// What the ready-made policies do not know does not get past them.
			inBubble(t, "client/"+name+" by a policy for something else", func(b *bed) {
				c, _ := b.connect("im.example", &xtls.ClientOptions{
					RootCAs: b.ca.Pool(), Policy: xtls.AnyOf(xtls.Default(), xtls.Pin(jid.MustParse("other.example"), xtls.PublicKeyPin{})),
				}, &xtls.ServerOptions{Certificates: []tls.Certificate{tc.cert(b)}})
				if tc.want == nil {
					require.NoError(b.t, c.err)
					return
				}
				require.ErrorIs(b.t, c.err, tc.want)
			})
		}
		inBubble(t, "server/a client's", func(b *bed) {
			mine := loneCertificate(b, "juliet.example")
			policy := new(watcher)
			for _, says := range []error{nil, errors.New("not this one")} {
				policy.says = says
				b.near, b.far = memPair(b)
				c, s := b.connect("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool(), Certificates: []tls.Certificate{mine}},
					&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}, ClientPolicy: policy})
				require.NoError(b.t, c.err)
				require.NoError(b.t, s.err)
				require.Equal(b.t, says == nil, s.session.Security().Verified)
			}
			require.Len(b.t, policy.shown, 2)
			require.True(b.t, policy.shown[0].Domain.IsZero())
			require.Equal(b.t, mine.Leaf.Raw, policy.shown[0].Chain[0].Raw)
			require.Equal(b.t, stream.SelfSigned, policy.shown[0].Verdict)
		})
	})
}
