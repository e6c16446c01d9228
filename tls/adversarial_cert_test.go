package tls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
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
			rejects(t, tc[0]+" by "+tc[1], tc[0], xtls.ErrNameMismatch, func(c *x509.Certificate) { c.DNSNames = []string{tc[1]} })
		}
	})
	t.Run("C03", func(t *testing.T) {
		rejects(t, "only a Common Name", "im.example.com", xtls.ErrNameMismatch, func(c *x509.Certificate) {
			c.Subject.CommonName = "im.example.com"
		})
		rejects(t, "beside another name", "im.example.com", xtls.ErrNameMismatch, func(c *x509.Certificate) {
			c.Subject.CommonName = "im.example.com"
			c.DNSNames = []string{"a.example.com"}
		})
	})
	t.Run("C05", func(t *testing.T) {
		accepting(t, "XmppAddr", "im.example", xtls.IssueOptions{XMPPAddrs: jids("im.example")})
		accepting(t, "SRV-ID", "im.example", xtls.IssueOptions{SRVNames: []string{"_xmpp-client.im.example"}})
		for what, opts := range map[string]xtls.IssueOptions{
			"XmppAddr of an account":       {XMPPAddrs: jids("user@im.example")},
			"XmppAddr with a resource":     {XMPPAddrs: jids("im.example/xmpp")},
			"XmppAddr of another domain":   {XMPPAddrs: jids("example", "a.im.example")},
			"SRV-ID of the other service":  {SRVNames: []string{"_xmpp-server.im.example"}},
			"SRV-ID of a service's target": {SRVNames: []string{"_xmpp-client.xmpp1.hosting.example"}},
		} {
			rejecting(t, what, "im.example", xtls.ErrNameMismatch, opts)
		}
		// What a client presents is what SASL EXTERNAL goes by.
		clientPresents(t, "an account", xtls.IssueOptions{Client: true, XMPPAddrs: jids("user@im.example")}, func(t *testing.T, sec stream.Security) {
			require.True(t, sec.Verified)
			require.Equal(t, jids("user@im.example"), sec.XMPPAddrs)
			require.Equal(t, []string{"user@im.example"}, sec.Identities)
		})
	})
	t.Run("C07", func(t *testing.T) {
		// The subject is empty, which makes the names critical (RFC 5280 §4.2.1.6).
		accepting(t, "XmppAddr", "münchen.example", xtls.IssueOptions{XMPPAddrs: jids("münchen.example")})
		accepting(t, "SRV-ID", "münchen.example", xtls.IssueOptions{SRVNames: []string{"_xmpp-client.münchen.example"}})
		rejecting(t, "beside another critical extension", "im.example", xtls.ErrUnacceptable, xtls.IssueOptions{
			XMPPAddrs: jids("im.example"), Edit: critical,
		})
		clientPresents(t, "XmppAddr", xtls.IssueOptions{Client: true, XMPPAddrs: jids("user@im.example")}, func(t *testing.T, sec stream.Security) {
			require.NotEmpty(t, sec.PeerChain[0].UnhandledCriticalExtensions, "the certificate itself is not touched")
			require.True(t, sec.Verified)
			require.True(t, sec.Verdict.OK())
		})
		clientPresents(t, "beside another critical extension", xtls.IssueOptions{
			Client: true, XMPPAddrs: jids("user@im.example"), Edit: critical,
		}, func(t *testing.T, sec stream.Security) {
			require.False(t, sec.Verified)
			require.Equal(t, stream.Anchored|stream.Unacceptable, sec.Verdict)
		})
	})
	t.Run("C08", func(t *testing.T) {
		inBubble(t, "server", func(b *bed) {
			// The A-label is what is asked for and what is chosen.
			c, s := b.connect("münchen.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()},
				&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("a.example"), b.issue("münchen.example")}})
			require.NoError(b.t, c.err)
			require.Equal(b.t, "xn--mnchen-3ya.example", s.session.Security().ServerName)
			require.Equal(b.t, []string{"xn--mnchen-3ya.example"}, c.session.Security().Identities)
		})
		accepts(t, "U-label", "münchen.example", "xn--mnchen-3ya.example")
		accepts(t, "A-label", "xn--mnchen-3ya.example", "xn--mnchen-3ya.example")
		rejects(t, "look-alike", "munchen.example", xtls.ErrNameMismatch, func(c *x509.Certificate) {
			c.DNSNames = []string{"xn--mnchen-3ya.example"}
		})
	})
	t.Run("C09", func(t *testing.T) {
		for name, tc := range map[string]struct {
			want error
			edit func(*x509.Certificate)
		}{
			"expired":       {xtls.ErrExpired, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }},
			"future":        {xtls.ErrExpired, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }},
			"usage":         {xtls.ErrUnacceptable, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }},
			"name mismatch": {xtls.ErrNameMismatch, func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} }},
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
			require.ErrorIs(b.t, c.err, xtls.ErrUntrusted)
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
			rejects(t, name, "192.0.2.1", xtls.ErrNameMismatch, edit)
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
	t.Run("C13", func(t *testing.T) {
		// Text of the subject is never taken for a name, wherever it would come out
		// in a printed form.
		clientPresents(t, "a subject that reads like another", xtls.IssueOptions{Client: true, Edit: func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "admin@im.example", OrganizationalUnit: []string{"CN=admin,", "XmppAddr=admin@im.example"}}
		}}, func(t *testing.T, sec stream.Security) {
			require.True(t, sec.Verified)
			require.Empty(t, sec.Identities)
			require.Empty(t, sec.XMPPAddrs)
		})
		rejecting(t, "a subject that reads like a server", "im.example", xtls.ErrNameMismatch, xtls.IssueOptions{Edit: func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "im.example", OrganizationalUnit: []string{"DNS:im.example,"}}
		}})
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
	t.Run("C17", testExpiry)
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
			require.ErrorIs(b.t, c.err, xtls.ErrNameMismatch)
			require.LessOrEqual(b.t, len(c.err.Error()), 1024)
			require.Error(b.t, s.err)
		})
	})
}

// accepts runs a stream to domain with a certificate for one name.
func accepts(t *testing.T, what, domain, name string) {
	accepting(t, what, domain, xtls.IssueOptions{Edit: func(c *x509.Certificate) {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = []net.IP{ip}
		} else {
			c.DNSNames = []string{name}
		}
	}})
}

// accepting runs a stream to domain with a certificate that has to do.
func accepting(t *testing.T, what, domain string, opts xtls.IssueOptions) {
	inBubble(t, "client/"+what, func(b *bed) {
		cert, err := b.ca.IssueWith(opts)
		require.NoError(b.t, err)
		c, s := b.connect(domain, &xtls.ClientOptions{RootCAs: b.ca.Pool()}, &xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
		require.NoError(b.t, c.err)
		require.NoError(b.t, s.err)
		require.True(b.t, c.session.Security().Verified)
	})
}

// rejects runs a stream to domain with a certificate that must not do.
func rejects(t *testing.T, what, domain string, want error, edit func(*x509.Certificate)) {
	rejecting(t, what, domain, want, xtls.IssueOptions{Edit: edit})
}

func rejecting(t *testing.T, what, domain string, want error, opts xtls.IssueOptions) {
	inBubble(t, "client/"+what, func(b *bed) {
		cert, err := b.ca.IssueWith(opts)
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

// clientPresents runs a stream to im.example whose client has a certificate, and
// looks at what the server knows then.
func clientPresents(t *testing.T, what string, opts xtls.IssueOptions, check func(t *testing.T, sec stream.Security)) {
	inBubble(t, "server/"+what, func(b *bed) {
		cert, err := b.ca.IssueWith(opts)
		require.NoError(b.t, err)
		c, s := b.connect("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool(), Certificates: []tls.Certificate{cert}},
			&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}, ClientCAs: b.ca.Pool()})
		require.NoError(b.t, c.err)
		require.NoError(b.t, s.err)
		require.True(b.t, c.session.Security().OwnCertificate)
		check(b.t, s.session.Security())
	})
}

func jids(s ...string) (out []jid.JID) {
	for _, s := range s {
		out = append(out, jid.MustParse(s))
	}
	return out
}

// critical gives a certificate a critical extension that nobody knows.
func critical(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
}

// testExpiry: RFC 6120 §13.7.2.3. A session ends when what the peer is known by
// is valid no longer.
func testExpiry(t *testing.T) {
	const left = 90 * time.Minute
	soon := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(left) }
	run := func(b *bed, client *xtls.ClientOptions, server *xtls.ServerOptions) (after time.Duration, c, s error) {
		start := time.Now()
		serving := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(server))
		dialling := b.client("im.example", secureOnly, nil, xtls.StartTLSClient(client))
		near, far := <-dialling, <-serving
		require.NoError(b.t, near.err)
		require.NoError(b.t, far.err)
		ended := make(chan error, 1)
		go func() { // ends with the session, and is joined below
			ended <- far.session.Serve(func(*stream.Element) error { return nil })
		}()
		stop := time.AfterFunc(24*time.Hour, func() { near.session.Close(b.t.Context()) })
		defer stop.Stop()
		c = near.session.Serve(func(*stream.Element) error { return nil })
		s = <-ended
		return time.Since(start), c, s
	}
	inBubble(t, "client", func(b *bed) {
		cert, err := b.ca.IssueWith(xtls.IssueOptions{Edit: soon}, "im.example")
		require.NoError(b.t, err)
		after, c, s := run(b, &xtls.ClientOptions{RootCAs: b.ca.Pool()}, &xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
		require.ErrorIs(b.t, c, stream.ErrCertificateExpired)
		require.ErrorIs(b.t, s, stream.Reset)
		require.Equal(b.t, left, after.Truncate(time.Minute))
	})
	clientCert := func(b *bed) *xtls.ClientOptions {
		cert, err := b.ca.IssueWith(xtls.IssueOptions{Client: true, XMPPAddrs: jids("user@im.example"), Edit: soon})
		require.NoError(b.t, err)
		return &xtls.ClientOptions{RootCAs: b.ca.Pool(), Certificates: []tls.Certificate{cert}}
	}
	inBubble(t, "server", func(b *bed) {
		after, c, s := run(b, clientCert(b), &xtls.ServerOptions{
			Certificates: []tls.Certificate{b.issue("im.example")}, ClientCAs: b.ca.Pool(),
		})
		require.ErrorIs(b.t, s, stream.ErrCertificateExpired)
		require.ErrorIs(b.t, c, stream.Reset)
		require.Equal(b.t, left, after.Truncate(time.Minute))
	})
	inBubble(t, "server/a certificate that proves nothing", func(b *bed) {
		other, err := xtls.NewDevCA()
		require.NoError(b.t, err)
		after, c, s := run(b, clientCert(b), &xtls.ServerOptions{
			Certificates: []tls.Certificate{b.issue("im.example")}, ClientCAs: other.Pool(),
		})
		require.NotErrorIs(b.t, s, stream.ErrCertificateExpired)
		require.NotErrorIs(b.t, c, stream.Reset)
		require.GreaterOrEqual(b.t, after, 24*time.Hour)
	})
	inBubble(t, "client/expired already, and accepted", func(b *bed) {
		cert, err := b.ca.IssueWith(xtls.IssueOptions{Edit: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }}, "im.example")
		require.NoError(b.t, err)
		after, c, s := run(b, &xtls.ClientOptions{RootCAs: b.ca.Pool(), Policy: xtls.PolicyFunc(func(_ context.Context, p *xtls.Presented) error {
			if p.Verdict == stream.Anchored|stream.WrongTime {
				return nil
			}
			return p.Err
		})}, &xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
		require.NotErrorIs(b.t, c, stream.ErrCertificateExpired)
		require.NotErrorIs(b.t, s, stream.Reset)
		require.GreaterOrEqual(b.t, after, 24*time.Hour)
	})
}
