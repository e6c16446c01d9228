package tls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// leaky is a SASL feature that gives its password to whoever offers PLAIN. It
// must never run without TLS in the slice in front of it.
var leaky = stream.Feature{
	Name: stream.Name{Space: "urn:ietf:params:xml:ns:xmpp-sasl", Local: "mechanisms"},
	Initiate: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
		err := n.Write(func(w *stream.Writer) {
			w.Start(stream.Name{Space: "urn:ietf:params:xml:ns:xmpp-sasl", Local: "auth"})
			w.Text("AGp1bGlldABzZWNyZXQ=")
			w.End()
		})
		return stream.Outcome{Reached: stream.Authenticated}, errors.Join(err, errors.New("the password is out"))
	},
}

// script runs a client with TLS and the leaky SASL feature against a server by
// hand and returns the client's error and all that it sent behind its header.
func script(b *bed, opts *xtls.ClientOptions, serve func(p *peer)) (sent string, err error) {
	profile := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure | stream.Authenticated}
	done := b.client("im.example", profile, nil, xtls.StartTLSClient(opts), leaky)
	p := &peer{t: b.t, conn: b.far}
	p.expect("<stream:stream")
	p.expect(">")
	serve(p)
	sent = p.rest()
	o := <-done
	require.Nil(b.t, o.session)
	require.Error(b.t, o.err)
	require.NotContains(b.t, sent, "<auth")
	require.NotContains(b.t, sent, "<stream:stream")
	return sent, o.err
}

func TestAdversarial(t *testing.T) {
	t.Run("T01", testStripped)
	t.Run("T02", testFeatureConfusion)
	t.Run("T03", testInjectedBehindStartTLS)
	t.Run("T04", testInjectedBehindProceed)
	t.Run("T06", testOddStartTLS)
	t.Run("T07", testNoProceed)
	t.Run("T08", testHandshakeFailure)
	t.Run("T18", testEndpointCertificate)
	t.Run("L11", testStalls)
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

// testStripped: RFC 7590 §3.1.
func testStripped(t *testing.T) {
	for name, offer := range map[string]string{
		"only SASL":       features(offerSASL),
		"nothing":         features(),
		"other namespace": features(`<starttls xmlns='urn:evil'/>`, offerSASL),
		"no namespace":    features(`<starttls/>`, offerSASL),
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			sent, err := script(b, nil, func(p *peer) { p.send(serverHeader + offer) })
			require.ErrorIs(b.t, err, xtls.ErrNotOffered)
			require.Equal(b.t, closingTag, sent)
		})
	}
	try := &xtls.ClientOptions{TryUnadvertised: true}
	for name, answer := range map[string]string{
		"failure":      failure + closingTag,
		"stream error": `<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>` + closingTag,
		"closed":       closingTag,
		"silence":      "",
	} {
		inBubble(t, "client/asking all the same/"+name, func(b *bed) {
			_, err := script(b, try, func(p *peer) {
				p.send(serverHeader + features(offerSASL))
				p.expect(startTLS)
				p.send(answer)
			})
			require.ErrorIs(b.t, err, xtls.ErrNotOffered)
			switch name {
			case "failure":
				require.ErrorIs(b.t, err, xtls.ErrRefused)
			case "stream error":
				require.ErrorIs(b.t, err, stream.NotAuthorized)
			}
		})
	}
	inBubble(t, "client/asking all the same/granted", func(b *bed) {
		done := b.client("im.example", secureOnly, nil, xtls.StartTLSClient(&xtls.ClientOptions{
			RootCAs: b.ca.Pool(), TryUnadvertised: true,
		}))
		p := &peer{t: b.t, conn: b.far}
		p.expect("<stream:stream")
		p.send(serverHeader + features())
		p.expect(startTLS)
		p.send(proceed)
		secured := tls.Server(b.far, &tls.Config{Certificates: []tls.Certificate{b.issue("im.example")}})
		p = &peer{t: b.t, conn: secured}
		p.expect("<stream:stream")
		p.send(serverHeader + features())
		o := <-done
		require.NoError(b.t, o.err)
		require.True(b.t, o.session.Security().Verified)
		o.session.Abort(context.Canceled)
	})
}

// testFeatureConfusion is the part of T02 that STARTTLS owns.
func testFeatureConfusion(t *testing.T) {
	for name, tc := range map[string]struct{ inSegment, afterRequest string }{
		"features twice":               {features(offerTLS, offerSASL) + features(offerSASL), ""},
		"features again, not proceed":  {features(offerTLS, offerSASL), features(offerSASL)},
		"empty features, then another": {features() + features(offerSASL), ""},
		"SASL before TLS":              {features(offerSASL, offerTLS), failure + closingTag},
		"only SASL":                    {features(offerSASL), ""},
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			for range 200 {
				b.near, b.far = memPair(b)
				script(b, nil, func(p *peer) {
					p.send(serverHeader + tc.inSegment)
					if tc.afterRequest != "" {
						p.expect(startTLS)
						p.send(tc.afterRequest)
					}
				})
			}
		})
	}
}

// testInjectedBehindStartTLS: RFC 6120 §5.3.3, §5.4.3.1 rule 1.
func testInjectedBehindStartTLS(t *testing.T) {
	const iq = `<iq xmlns='jabber:client' type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>`
	for name, behind := range map[string]string{
		"iq":              iq,
		"space":           " ",
		"part of an item": "<iq",
		"starttls again":  startTLS,
		"TLS handshake":   "\x16\x03\x01\x00\x05hello",
	} {
		inBubble(t, "server/"+name, func(b *bed) {
			done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(&xtls.ServerOptions{
				Certificates: []tls.Certificate{b.issue("im.example")},
			}))
			p := &peer{t: b.t, conn: b.near}
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(startTLS + behind)
			// Neither <proceed/> nor </stream:stream>: the connection is gone.
			require.Empty(b.t, p.rest())
			o := <-done
			require.ErrorIs(b.t, o.err, stream.ErrPlaintextInjected)
			require.Nil(b.t, o.session)
		})
	}
	inBubble(t, "server/iq in a segment of its own, then a real handshake", func(b *bed) {
		done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(&xtls.ServerOptions{
			Certificates: []tls.Certificate{b.issue("im.example")},
		}))
		p := &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(startTLS)
		p.expect(proceed)
		p.send(iq)
		err := tls.Client(b.near, &tls.Config{ServerName: "im.example", RootCAs: b.ca.Pool()}).Handshake()
		require.Error(b.t, err)
		o := <-done
		require.Error(b.t, o.err)
		require.Nil(b.t, o.session)
	})
}

// testInjectedBehindProceed: RFC 6120 §5.4.2.3.
func testInjectedBehindProceed(t *testing.T) {
	for name, behind := range map[string]string{
		"features":       features(offerSASL),
		"header":         serverHeader + features(offerSASL),
		"space":          " ",
		"part of a tag":  "<",
		"TLS alert":      "\x15\x03\x01\x00\x02\x02\x28",
		"proceed again":  proceed,
		"unfinished tag": "<stream:features",
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			sent, err := script(b, nil, func(p *peer) {
				p.send(serverHeader + features(offerTLS))
				p.expect(startTLS)
				p.send(proceed + behind)
			})
			require.ErrorIs(b.t, err, stream.ErrPlaintextInjected)
			require.Empty(b.t, sent) // no ClientHello, no closing tag
		})
	}
	inBubble(t, "client/features in a segment of their own", func(b *bed) {
		sent, err := script(b, nil, func(p *peer) {
			p.send(serverHeader + features(offerTLS))
			p.expect(startTLS)
			p.send(proceed)
			p.expect("\x16\x03\x01") // a ClientHello
			p.send(features(offerSASL))
		})
		require.NotContains(b.t, sent, closingTag)
		var record tls.RecordHeaderError
		require.ErrorAs(b.t, err, &record)
	})
}

// testOddStartTLS: RFC 6120 §5.4.2.2.
func testOddStartTLS(t *testing.T) {
	options := func(b *bed) *xtls.ServerOptions {
		return &xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}}
	}
	for name, request := range map[string]string{
		"child":         `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>`,
		"foreign child": `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><x xmlns='urn:evil'/></starttls>`,
		"attribute":     `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls' to='x'/>`,
		"xml:lang":      `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls' xml:lang='en'/>`,
		"text":          `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>now</starttls>`,
		"space inside":  `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'> </starttls>`,
	} {
		inBubble(t, "server/"+name, func(b *bed) {
			done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(options(b)))
			p := &peer{t: b.t, conn: b.near}
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(request)
			p.expect(failure)
			b.near.(interface{ CloseWrite() error }).CloseWrite()
			require.Equal(b.t, closingTag, p.rest())
			require.ErrorIs(b.t, (<-done).err, xtls.ErrUnexpected)
		})
	}
	inBubble(t, "server/an end tag is as good", func(b *bed) {
		done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(options(b)))
		p := &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(`<t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'></t:starttls>`)
		p.expect(proceed)
		b.near.Close()
		require.Error(b.t, (<-done).err)
	})
	inBubble(t, "server/not offered", func(b *bed) {
		done := b.server("im.example", secureOnly, nil)
		p := &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		p.expect("<stream:features")
		p.send(startTLS)
		rest := p.rest()
		require.Contains(b.t, rest, "<stream:error")
		require.NotContains(b.t, rest, "<proceed")
		require.Error(b.t, (<-done).err)
	})
	// inside runs STARTTLS as it should be and returns the peer on top of TLS.
	inside := func(b *bed) *peer {
		p := &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(startTLS)
		p.expect(proceed)
		p = &peer{t: b.t, conn: tls.Client(b.near, &tls.Config{ServerName: "im.example", RootCAs: b.ca.Pool()})}
		p.send(clientHeader)
		require.NotContains(b.t, p.expect("<stream:features"), "starttls")
		return p
	}
	inBubble(t, "server/inside TLS, negotiating", func(b *bed) {
		profile := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure | stream.Authenticated}
		done := b.server("im.example", profile, nil, xtls.StartTLSServer(options(b)))
		p := inside(b)
		p.send(startTLS)
		p.expect("<stream:error")
		require.NotContains(b.t, p.expect(closingTag), "<proceed")
		p.conn.Close()
		require.Error(b.t, (<-done).err)
	})
	inBubble(t, "server/inside TLS, negotiated", func(b *bed) {
		done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(options(b)))
		p := inside(b)
		o := <-done
		require.NoError(b.t, o.err)
		serving := make(chan error, 1)
		go func() { // ends with the stream error that the request causes
			serving <- o.session.Serve(func(*stream.Element) error { return nil })
		}()
		p.send(startTLS)
		p.expect("<stream:error")
		require.NotContains(b.t, p.expect(closingTag), "<proceed")
		p.conn.Close()
		require.ErrorIs(b.t, <-serving, net.ErrClosed)
	})
}

// testNoProceed: RFC 6120 §5.4.2.2, and never back to plaintext.
func testNoProceed(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		want   error
		sent   string
	}{
		"failure":            {failure + closingTag, xtls.ErrRefused, closingTag},
		"failure and more":   {failure + features(offerSASL), xtls.ErrRefused, closingTag},
		"unknown element":    {`<go xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, xtls.ErrUnexpected, ""},
		"wrong namespace":    {`<proceed xmlns='urn:evil'/>`, xtls.ErrUnexpected, ""},
		"stream's namespace": {`<proceed/>`, xtls.ErrUnexpected, ""},
		"SASL success":       {`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`, xtls.ErrUnexpected, ""},
		"features":           {features(offerSASL), xtls.ErrUnexpected, ""},
		"starttls":           {startTLS, xtls.ErrUnexpected, ""},
		"very long name":     {`<` + strings.Repeat("x", 1000) + `/>`, xtls.ErrUnexpected, ""},
		"stream error":       {`<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`, stream.PolicyViolation, closingTag},
		"closed":             {closingTag, stream.ErrPeerClosed, closingTag},
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			sent, err := script(b, nil, func(p *peer) {
				p.send(serverHeader + features(offerTLS, offerSASL))
				p.expect(startTLS)
				p.send(tc.answer)
			})
			require.ErrorIs(b.t, err, tc.want)
			require.Equal(b.t, tc.sent, sent)
			require.LessOrEqual(b.t, len(err.Error()), 1024)
		})
	}
	inBubble(t, "client/connection lost", func(b *bed) {
		_, err := script(b, nil, func(p *peer) {
			p.send(serverHeader + features(offerTLS, offerSASL))
			p.expect(startTLS)
			b.far.(interface{ CloseWrite() error }).CloseWrite()
		})
		require.ErrorIs(b.t, err, stream.ErrTruncated)
	})
}

// testHandshakeFailure: RFC 6120 §5.4.3.2.
func testHandshakeFailure(t *testing.T) {
	for name, bytes := range map[string]string{
		"not TLS":   "GET / HTTP/1.1\r\n\r\n",
		"closing":   closingTag,
		"alert":     "\x15\x03\x03\x00\x02\x02\x28",
		"SSL 3":     "\x16\x03\x00\x00\x04\x01\x00\x00\x00",
		"oversized": "\x16\x03\x03\xff\xff" + strings.Repeat("x", 1000),
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			sent, _ := script(b, nil, func(p *peer) {
				p.send(serverHeader + features(offerTLS))
				p.expect(startTLS)
				p.send(proceed)
				p.expect("\x16\x03\x01")
				p.send(bytes)
			})
			require.NotContains(b.t, sent, "</stream")
		})
		inBubble(t, "server/"+name, func(b *bed) {
			done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(&xtls.ServerOptions{
				Certificates: []tls.Certificate{b.issue("im.example")},
			}))
			p := &peer{t: b.t, conn: b.near}
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(startTLS)
			p.expect(proceed)
			p.send(bytes)
			rest := p.rest()
			require.NotContains(b.t, rest, "</stream")
			require.NotContains(b.t, rest, "<stream:error")
			require.Error(b.t, (<-done).err)
		})
	}
}

// testEndpointCertificate: RFC 6120 §13.7.2.1. Where an SRV record or anything
// else leads is not whom the certificate has to name.
func testEndpointCertificate(t *testing.T) {
	rejects(t, "certificate of the SRV target", "im.example", xtls.NameMismatch, func(c *x509.Certificate) {
		c.DNSNames = []string{"xmpp1.hosting.example", "_xmpp-client.im.example"}
	})
}

// testStalls is the part of L11 that STARTTLS owns: one deadline for all.
func testStalls(t *testing.T) {
	const timeout = 30 * time.Second
	for name, serve := range map[string]func(p *peer){
		"after the request": func(p *peer) {},
		"after proceed":     func(p *peer) { p.send(proceed) },
		"in the handshake":  func(p *peer) { p.send(proceed); p.expect("\x16\x03\x01"); p.send("\x16\x03\x03\x00\x7a\x02") },
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			start := time.Now()
			_, err := script(b, nil, func(p *peer) {
				p.send(serverHeader + features(offerTLS))
				p.expect(startTLS)
				serve(p)
			})
			require.ErrorIs(b.t, err, stream.ErrNegotiationTimeout)
			require.Equal(b.t, timeout, time.Since(start))
		})
	}
	for name, hello := range map[string]string{"after proceed": "", "in the handshake": "\x16\x03\x01\x00\x7a\x01"} {
		inBubble(t, "server/"+name, func(b *bed) {
			start := time.Now()
			done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(&xtls.ServerOptions{
				Certificates: []tls.Certificate{b.issue("im.example")},
			}))
			p := &peer{t: b.t, conn: b.near}
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(startTLS)
			p.expect(proceed)
			p.send(hello)
			require.ErrorIs(b.t, (<-done).err, stream.ErrNegotiationTimeout)
			require.Equal(b.t, timeout, time.Since(start))
			require.Empty(b.t, p.rest())
		})
	}
}
