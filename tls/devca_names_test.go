package tls

import (
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
)

func TestDevCAOtherNames(t *testing.T) {
	ca := newCA(t)
	cert, err := ca.IssueWith(IssueOptions{
		XMPPAddrs: []jid.JID{jid.MustParse("im.example"), jid.MustParse("juliet@münchen.example")},
		SRVNames:  []string{"_xmpp-client.münchen.example", "_xmpp-server.im.example"},
		Edit: func(c *x509.Certificate) {
			c.IPAddresses = append(c.IPAddresses, net.IPv4(192, 0, 2, 2)) // of 16 bytes
			c.EmailAddresses = []string{"juliet@mail.example"}
			c.URIs = []*url.URL{{Scheme: "xmpp", Opaque: "im.example"}}
		},
	}, "im.example", "*.münchen.example", "192.0.2.1", "[2001:db8::1]")
	require.NoError(t, err)
	names, count, err := identities(cert.Leaf, maxIdentities)
	require.NoError(t, err)
	require.Equal(t, []string{"im.example", "*.xn--mnchen-3ya.example", "192.0.2.1", "2001:db8::1", "192.0.2.2",
		"_xmpp-client.xn--mnchen-3ya.example", "_xmpp-server.im.example", "im.example", "juliet@münchen.example"}, names)
	require.Equal(t, 9, count)
	// crypto/x509 reads the same where it can.
	require.Equal(t, []string{"im.example", "*.xn--mnchen-3ya.example"}, cert.Leaf.DNSNames)
	require.True(t, cert.Leaf.IPAddresses[0].Equal(net.IPv4(192, 0, 2, 1)))
	require.Len(t, cert.Leaf.IPAddresses, 3)
	require.Equal(t, []string{"juliet@mail.example"}, cert.Leaf.EmailAddresses)
	require.Equal(t, "xmpp:im.example", cert.Leaf.URIs[0].String())
	require.Empty(t, cert.Leaf.UnhandledCriticalExtensions)

	client, err := ca.IssueWith(IssueOptions{Client: true, XMPPAddrs: []jid.JID{jid.MustParse("juliet@im.example")}})
	require.NoError(t, err)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, client.Leaf.ExtKeyUsage)
	// RFC 5280 §4.2.1.6: critical, because the subject is empty.
	require.True(t, client.Leaf.UnhandledCriticalExtensions[0].Equal(oidSubjectAltName))
	named, err := ca.IssueWith(IssueOptions{
		XMPPAddrs: []jid.JID{jid.MustParse("juliet@im.example")},
		Edit:      func(c *x509.Certificate) { c.Subject.CommonName = "Juliet" },
	})
	require.NoError(t, err)
	require.Empty(t, named.Leaf.UnhandledCriticalExtensions)

	for _, bad := range []string{"", "im.example", "_.im.example", "_xmpp-client", "_xmpp-client.", "xmpp-client.im.example", "_é.im.example", "_x.a b"} {
		_, err := ca.IssueWith(IssueOptions{SRVNames: []string{bad}})
		require.ErrorContains(t, err, "no service at a domain", bad)
	}
	_, err = ca.IssueWith(IssueOptions{SRVNames: []string{"_x." + strings.Repeat("a.", 200) + "example"}})
	require.ErrorIs(t, err, jid.ErrTooLong)
	short, err := ca.IssueWith(IssueOptions{SRVNames: []string{"_x.im.example"}})
	require.NoError(t, err)
	names, _, err = identities(short.Leaf, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"_x.im.example"}, names)

	// RFC 5280 §4.2.1.3, §4.2.1.9, §4.2.1.12: what the keys are for.
	require.Equal(t, x509.KeyUsageDigitalSignature, short.Leaf.KeyUsage)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, short.Leaf.ExtKeyUsage)
	require.True(t, ca.cert.MaxPathLenZero)
	require.Zero(t, ca.cert.MaxPathLen)
	if openssl, err := exec.LookPath("openssl"); err == nil {
		file := filepath.Join(t.TempDir(), "cert.pem")
		require.NoError(t, os.WriteFile(file, encodePEM("CERTIFICATE", cert.Certificate[0]), 0o600))
		out, err := exec.CommandContext(t.Context(), openssl, "x509", "-in", file, "-noout", "-ext", "subjectAltName").CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "_xmpp-client.xn--mnchen-3ya.example")
		require.Contains(t, string(out), "juliet@")
	}
}
