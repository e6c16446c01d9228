package tls

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

var imExample = jid.MustParse("im.example")

func TestPin(t *testing.T) {
	cert, other := loneLeaf(t), loneLeaf(t)
	policy := Pin(imExample, PinOf(other), PinOf(cert))
	// RFC 6125 §6.6.2: the name too is forgiven.
	forgives(t, policy, stream.UnknownAuthority|stream.SelfSigned|stream.WrongName, cert)

	t.Run("another key", func(t *testing.T) {
		// Even one that a trusted authority vouches for.
		for _, v := range []Verdict{stream.Anchored, stream.SelfSigned} {
			err := Pin(imExample, PinOf(cert)).VerifyCertificate(t.Context(), present(v, other))
			var pin *PinError
			require.ErrorAs(t, err, &pin)
			require.Equal(t, &PinError{Domain: "im.example", Got: PinOf(other), Want: []PublicKeyPin{PinOf(cert)}}, pin)
			require.ErrorContains(t, err, PinOf(cert).String())
			require.ErrorContains(t, err, PinOf(other).String())
		}
	})
	t.Run("RFC 6125 §7.1: another domain", func(t *testing.T) {
		for _, v := range []Verdict{stream.Anchored, stream.SelfSigned} {
			p := present(v, cert)
			p.Domain = jid.MustParse("other.example")
			require.Error(t, policy.VerifyCertificate(t.Context(), p))
			p.Domain = jid.JID{} // a client
			require.Error(t, policy.VerifyCertificate(t.Context(), p))
			require.NoError(t, Pin(jid.JID{}, PinOf(cert)).VerifyCertificate(t.Context(), p))
		}
	})
	t.Run("no pins", func(t *testing.T) {
		require.Error(t, Pin(imExample).VerifyCertificate(t.Context(), present(stream.Anchored, cert)))
		require.Error(t, policy.VerifyCertificate(t.Context(), present(stream.Anchored)), "no chain")
	})
	t.Run("renewed with the same key", func(t *testing.T) {
		template := pkiTemplate("im.example")
		ca := newAuthority(t, "CA", nil)
		der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, cert.PublicKey, ca.key)
		require.NoError(t, err)
		renewed, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		require.NoError(t, policy.VerifyCertificate(t.Context(), present(stream.UnknownAuthority, renewed)))
	})
	t.Run("options are copied", func(t *testing.T) {
		pins := []PublicKeyPin{PinOf(cert)}
		policy := Pin(imExample, pins...)
		pins[0] = PinOf(other)
		require.NoError(t, policy.VerifyCertificate(t.Context(), present(stream.SelfSigned, cert)))
	})
}

func TestPinnedAuthority(t *testing.T) {
	root := newAuthority(t, "root", nil)
	inner := newAuthority(t, "intermediate", root)
	stranger := newAuthority(t, "stranger", nil)
	cert := inner.leaf(t)
	policy := Pin(imExample, PinOf(inner.cert))

	// The name is not forgiven: the authority has signed for others too.
	for _, v := range []Verdict{stream.UnknownAuthority, stream.Anchored} {
		p := present(v, cert, inner.cert, root.cert)
		require.NoError(t, policy.VerifyCertificate(t.Context(), p))
		for _, flaw := range []Verdict{stream.WrongName, stream.WrongTime, stream.Revoked, stream.Unacceptable} {
			p := present(v|flaw, cert, inner.cert, root.cert)
			require.ErrorIs(t, policy.VerifyCertificate(t.Context(), p), errOrdinary, v|flaw)
		}
	}
	refused := func(p *Presented) {
		t.Helper()
		var pin *PinError
		require.ErrorAs(t, policy.VerifyCertificate(t.Context(), p), &pin)
	}
	t.Run("presented but not in the path", func(t *testing.T) {
		// Whoever wants can send the pinned authority's certificate along.
		refused(present(stream.UnknownAuthority, stranger.leaf(t), inner.cert, root.cert))
		refused(present(stream.SelfSigned, loneLeaf(t), inner.cert, root.cert))
		p := present(stream.Anchored, stranger.leaf(t), inner.cert)
		p.Chains = [][]*x509.Certificate{{p.Chain[0], stranger.cert}}
		refused(p)
	})
	t.Run("same name, another key", func(t *testing.T) {
		forged := newAuthority(t, "intermediate", nil)
		refused(present(stream.UnknownAuthority, forged.leaf(t), forged.cert))
		refused(present(stream.UnknownAuthority, forged.leaf(t), forged.cert, inner.cert, root.cert))
	})
	t.Run("not at this time, nor for this use", func(t *testing.T) {
		// Whatever the verdict says about other paths.
		refused(present(stream.UnknownAuthority, inner.leaf(t, func(c *x509.Certificate) { c.NotAfter = pkiNow.AddDate(0, 0, -1) }), inner.cert))
		refused(present(stream.UnknownAuthority, inner.leaf(t, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), inner.cert))
	})
	t.Run("RFC 5280 §6.1: a certificate that is no authority", func(t *testing.T) {
		middle, key := sign(t, pkiTemplate("evil.example"), inner)
		forged := (&authority{middle, key}).leaf(t)
		refused(present(stream.UnknownAuthority, forged, middle, inner.cert))
		require.Error(t, Pin(imExample, PinOf(middle)).VerifyCertificate(t.Context(), present(stream.UnknownAuthority, forged, middle)))
	})
	t.Run("odd paths", func(t *testing.T) {
		p := present(stream.Anchored, stranger.leaf(t))
		p.Chains = [][]*x509.Certificate{nil, {}, {p.Chain[0]}}
		refused(p)
	})
	t.Run("of a client", func(t *testing.T) {
		client := inner.leaf(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		p := present(stream.UnknownAuthority, client, inner.cert)
		p.Domain = jid.JID{}
		require.NoError(t, Pin(jid.JID{}, PinOf(inner.cert)).VerifyCertificate(t.Context(), p))
	})
}

func TestPinText(t *testing.T) {
	cert := loneLeaf(t)
	pin := PinOf(cert)
	require.Equal(t, PublicKeyPin(sha256.Sum256(cert.RawSubjectPublicKeyInfo)), pin)
	again, err := ParsePin(pin.String())
	require.NoError(t, err)
	require.Equal(t, pin, again)

	file, err := json.Marshal(map[string][]PublicKeyPin{"im.example": {pin}})
	require.NoError(t, err)
	var read map[string][]PublicKeyPin
	require.NoError(t, json.Unmarshal(file, &read))
	require.Equal(t, []PublicKeyPin{pin}, read["im.example"])

	for _, bad := range []string{
		"", "x", strings.Repeat("A", 44), pin.String() + "\n", pin.String()[:43], pin.String() + "AAAA", "sha256/" + pin.String(),
		base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 32))),
		strings.Repeat("\x1b", 10_000),
	} {
		_, err := ParsePin(bad)
		require.Error(t, err, bad)
		require.Less(t, len(err.Error()), 200)
		require.Error(t, json.Unmarshal([]byte(`["x"]`), &[]PublicKeyPin{}))
	}
	t.Run("openssl", func(t *testing.T) {
		if _, err := exec.LookPath("openssl"); err != nil {
			t.Skip("no openssl to compare with")
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c",
			"openssl x509 -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64")
		cmd.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, pin.String(), strings.TrimSpace(string(out)))
	})
}

func TestPinErrorText(t *testing.T) {
	e := &PinError{Domain: strings.Repeat("é\x1b", 1000), Want: make([]PublicKeyPin, 1000)}
	require.Less(t, len(e.Error()), 700)
	require.NotContains(t, e.Error(), "\x1b")
	require.Contains(t, e.Error(), "996 more")
	zero := PublicKeyPin{}.String()
	require.Equal(t, `xmpp/tls: "im.example" has the public key `+zero+`; expected `+zero+` or `+zero,
		(&PinError{Domain: "im.example", Want: make([]PublicKeyPin, 2)}).Error())
	require.Equal(t, `xmpp/tls: "im.example" has the public key `+zero, (&PinError{Domain: "im.example"}).Error())
}
