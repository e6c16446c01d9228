package tls_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	xtls "stanzakit.dev/xmpp/tls"
)

// testCertificates holds the rows of TestAdversarial about the certificates of
// servers (RFC 6120 §13.7, RFC 9525).
func testCertificates(t *testing.T) {
	t.Run("C01", func(t *testing.T) {
		accepts(t, "equal", "im.example.com", "im.example.com")
		accepts(t, "another case", "im.example.com", "IM.EXAMPLE.COM")
		accepts(t, "trailing dot in the reference", "im.example.com.", "im.example.com")
	})
	t.Run("C02", func(t *testing.T) {
		accepts(t, "one label", "im.example.com", "*.example.com")
		for _, tc := range [][2]string{
			{"example.com", "*.example.com"},
			{"a.b.example.com", "*.example.com"},
			{"im.example.com", "i*.example.com"},
			{"im.example.com", "*m.example.com"},
			{"im.example.com", "*.*.com"},
			{"im.example.com", "im.*.com"},
			{"im.example.com", "*.com"},
			{"im.example.com", "**.example.com"},
			{"münchen.example", "xn--*.example"},
			{"münchen.example", "xn--*"},
			{"localhost", "*"},
		} {
			rejects(t, tc[0]+" by "+tc[1], tc[0], xtls.NameMismatch, func(c *x509.Certificate) { c.DNSNames = []string{tc[1]} })
		}
	})
	t.Run("C03", func(t *testing.T) {
		rejects(t, "only a Common Name", "im.example.com", xtls.NameMismatch, func(c *x509.Certificate) {
			c.Subject.CommonName = "im.example.com"
		})
		rejects(t, "beside another name", "im.example.com", xtls.NameMismatch, func(c *x509.Certificate) {
			c.Subject.CommonName = "im.example.com"
			c.DNSNames = []string{"a.example.com"}
		})
	})
	t.Run("C08", func(t *testing.T) {
		accepts(t, "U-label", "münchen.example", "xn--mnchen-3ya.example")
		accepts(t, "A-label", "xn--mnchen-3ya.example", "xn--mnchen-3ya.example")
		rejects(t, "look-alike", "munchen.example", xtls.NameMismatch, func(c *x509.Certificate) {
			c.DNSNames = []string{"xn--mnchen-3ya.example"}
		})
	})
	t.Run("C09", func(t *testing.T) {
		for name, tc := range map[string]struct {
			want error
			edit func(*x509.Certificate)
		}{
			"expired":       {xtls.OutsideValidity, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }},
			"future":        {xtls.OutsideValidity, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }},
			"usage":         {xtls.Unacceptable, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }},
			"name mismatch": {xtls.NameMismatch, func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} }},
		} {
			rejects(t, name, "im.example", tc.want, func(c *x509.Certificate) {
				c.DNSNames = []string{"im.example"}
				tc.edit(c)
			})
		}
		inBubble(t, "client/unknown authority", func(b *bed) {
			other, err := xtls.NewDevCA()
			require.NoError(b.t, err)
			c, s := b.connect("im.example", &xtls.ClientOptions{RootCAs: other.Pool()},
				&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}})
			require.ErrorIs(b.t, c.err, xtls.UntrustedIssuer)
			require.Error(b.t, s.err)
		})
	})
	t.Run("C11", func(t *testing.T) {
		accepts(t, "IPv4", "192.0.2.1", "192.0.2.1")
		accepts(t, "IPv6", "[2001:db8::1]", "2001:db8::1")
		for name, edit := range map[string]func(*x509.Certificate){
			"DNS-ID":        func(c *x509.Certificate) { c.DNSNames = []string{"192.0.2.1"} },
			"Common Name":   func(c *x509.Certificate) { c.Subject.CommonName = "192.0.2.1" },
			"other address": func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 2)} },
		} {
			rejects(t, name, "192.0.2.1", xtls.NameMismatch, edit)
		}
	})
	t.Run("C12", func(t *testing.T) {
		insecure := &tls.Config{InsecureSkipVerify: true}
		inBubble(t, "client", func(b *bed) {
			sent, err := script(b, &xtls.ClientOptions{Config: insecure}, func(p *peer) {
				p.send(serverHeader + features(offerTLS))
			})
			require.ErrorIs(b.t, err, xtls.ErrInsecureConfig)
			require.Equal(b.t, closingTag, sent)
		})
		inBubble(t, "server", func(b *bed) {
			done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(&xtls.ServerOptions{
				Certificates: []tls.Certificate{b.issue("im.example")}, Config: insecure,
			}))
			p := &peer{t: b.t, conn: b.near}
			p.send(clientHeader)
			require.NotContains(b.t, p.rest(), "<starttls")
			require.ErrorIs(b.t, (<-done).err, xtls.ErrInsecureConfig)
		})
	})
	t.Run("C15", func(t *testing.T) {
		// Sessions are not resumed at all: a cache is refused, and a server hands
		// out no tickets (TestNoTickets).
		cache := tls.NewLRUClientSessionCache(8)
		inBubble(t, "client", func(b *bed) {
			_, err := script(b, &xtls.ClientOptions{Config: &tls.Config{ClientSessionCache: cache}}, func(p *peer) {
				p.send(serverHeader + features(offerTLS))
			})
			require.ErrorIs(b.t, err, xtls.ErrConfig)
		})
		inBubble(t, "server", func(b *bed) {
			for range 2 {
				b.near, b.far = memPair(b)
				c, s := b.connect("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()},
					&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}})
				require.NoError(b.t, c.err)
				require.False(b.t, s.session.Security().Resumed)
			}
		})
	})
	t.Run("C16", func(t *testing.T) {
		inBubble(t, "client", func(b *bed) {
			cert, err := b.ca.IssueWith(xtls.IssueOptions{Edit: func(c *x509.Certificate) {
				c.Subject.CommonName = strings.Repeat("x", 10_000)
				for i := range 10_000 {
					c.DNSNames = append(c.DNSNames, fmt.Sprintf("h%d.example", i))
				}
			}})
			require.NoError(b.t, err)
			c, s := b.connect("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()},
				&xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
			require.ErrorIs(b.t, c.err, xtls.NameMismatch)
			require.LessOrEqual(b.t, len(c.err.Error()), 1024)
			require.Error(b.t, s.err)
		})
	})
}

// accepts runs a stream to domain with a certificate for one name.
func accepts(t *testing.T, what, domain, name string) {
	inBubble(t, "client/"+what, func(b *bed) {
		cert, err := b.ca.IssueWith(xtls.IssueOptions{Edit: func(c *x509.Certificate) {
			if ip := net.ParseIP(name); ip != nil {
				c.IPAddresses = []net.IP{ip}
			} else {
				c.DNSNames = []string{name}
			}
		}})
		require.NoError(b.t, err)
		c, s := b.connect(domain, &xtls.ClientOptions{RootCAs: b.ca.Pool()}, &xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
		require.NoError(b.t, c.err)
		require.NoError(b.t, s.err)
		require.True(b.t, c.session.Security().Verified)
	})
}

// rejects runs a stream to domain with a certificate that must not do.
func rejects(t *testing.T, what, domain string, want error, edit func(*x509.Certificate)) {
	inBubble(t, "client/"+what, func(b *bed) {
		cert, err := b.ca.IssueWith(xtls.IssueOptions{Edit: edit})
		require.NoError(b.t, err)
		c, s := b.connect(domain, &xtls.ClientOptions{RootCAs: b.ca.Pool()}, &xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
		require.ErrorIs(b.t, c.err, want)
		var cerr *xtls.CertificateError
		require.ErrorAs(b.t, c.err, &cerr)
		require.NotEmpty(b.t, cerr.Chain)
		require.Nil(b.t, c.session)
		require.Error(b.t, s.err)
		require.Nil(b.t, s.session)
	})
}
