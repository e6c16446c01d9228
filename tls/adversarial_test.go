package tls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

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
	t.Run("T16", testDirect)
	t.Run("T18", testEndpointCertificate)
	t.Run("L11", testStalls)
	testCertificates(t)
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
			require.NotErrorIs(b.t, err, xtls.ErrNotOffered)
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
	rejects(t, "certificate of the SRV target", "im.example", xtls.ErrNameMismatch, func(c *x509.Certificate) {
		c.DNSNames = []string{"xmpp1.hosting.example", "_xmpp-client.im.example"}
	})
	rejecting(t, "every kind of name of the SRV target", "im.example", xtls.ErrNameMismatch, xtls.IssueOptions{
		XMPPAddrs: jids("xmpp1.hosting.example"), SRVNames: []string{"_xmpp-client.xmpp1.hosting.example"},
	})
	inBubble(t, "client/policies know the target, the name does not change", func(b *bed) {
		var seen xtls.Presented
		c, _ := b.connect("im.example", &xtls.ClientOptions{
			RootCAs: b.ca.Pool(), Target: "xmpp1.hosting.example:5222",
			Policy: xtls.PolicyFunc(func(_ context.Context, p *xtls.Presented) error { seen = *p; return p.Err }),
		}, &xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("xmpp1.hosting.example")}})
		require.ErrorIs(b.t, c.err, xtls.ErrNameMismatch)
		require.Equal(b.t, "xmpp1.hosting.example:5222", seen.Target)
		require.Equal(b.t, stream.Anchored|stream.WrongName, seen.Verdict)
	})
}
