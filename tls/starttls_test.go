package tls_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// secureOnly is a stream that is ready as soon as TLS is in place.
var secureOnly = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure, InsecureGoal: true}

// outcome is what one side of a stream came to.
type outcome struct {
	session *stream.Session
	err     error
}

// bed is a pair of connections and an authority inside a bubble of
// testing/synctest, which also sees to it that no goroutine is left.
type bed struct {
	t         *testing.T
	ca        *xtls.DevCA
	near, far net.Conn // the client's and the server's end
}

// inBubble runs a test that must not hang: in a bubble, blocking for good is a
// failure at once.
func inBubble(t *testing.T, name string, test func(b *bed)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ca, err := xtls.NewDevCA()
			require.NoError(t, err)
			b := &bed{t: t, ca: ca}
			b.near, b.far = memconn.Pipe()
			defer func() { b.near.Close(); b.far.Close() }()
			test(b)
		})
	})
}

// memPair returns a fresh pair of ends for a bed that is used more than once.
func memPair(b *bed) (near, far net.Conn) {
	b.near.Close()
	b.far.Close()
	return memconn.Pipe()
}

func (b *bed) issue(names ...string) tls.Certificate {
	cert, err := b.ca.Issue(names...)
	require.NoError(b.t, err)
	return cert
}

// client runs the initiating entity.
func (b *bed) client(domain string, profile stream.Profile, trace *stream.Trace, features ...stream.Feature) <-chan outcome {
	done := make(chan outcome, 1)
	go func() { // ends with Initiate, which its timeout bounds
		s, err := stream.Initiate(b.t.Context(), b.near, &stream.InitiateOptions{
			Profile: profile, To: jid.MustParse(domain), From: jid.MustParse("juliet@" + domain), Features: features, Trace: trace,
		})
		done <- outcome{s, err}
	}()
	return done
}

// server runs the receiving entity.
func (b *bed) server(domain string, profile stream.Profile, trace *stream.Trace, features ...stream.Feature) <-chan outcome {
	done := make(chan outcome, 1)
	go func() { // ends with Accept, which its timeout bounds
		s, err := stream.Accept(b.t.Context(), b.far, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{jid.MustParse(domain)}, Features: features, Trace: trace,
		})
		done <- outcome{s, err}
	}()
	return done
}

// connect runs both over each other and ends the sessions at once.
func (b *bed) connect(domain string, client *xtls.ClientOptions, server *xtls.ServerOptions) (c, s outcome) {
	serving := b.server(domain, secureOnly, nil, xtls.StartTLSServer(server))
	dialling := b.client(domain, secureOnly, nil, xtls.StartTLSClient(client))
	c, s = <-dialling, <-serving
	for _, o := range []outcome{c, s} {
		if o.session != nil {
			o.session.Abort(context.Canceled)
		}
	}
	return c, s
}

// breaking is a connection that cannot be written to from a certain moment on.
type breaking struct {
	net.Conn
	broken atomic.Bool
}

var errBroken = errors.New("the cable is cut")

func (c *breaking) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, errBroken
	}
	return c.Conn.Write(b)
}

// peer is the other side by hand.
type peer struct {
	t    *testing.T
	conn net.Conn
	got  []byte // read and not consumed
}

func (p *peer) send(s string) {
	p.t.Helper()
	_, err := io.WriteString(p.conn, s)
	require.NoError(p.t, err)
}

// expect reads up to and including the first occurrence of want and returns
// what was read.
func (p *peer) expect(want string) string {
	p.t.Helper()
	buf := make([]byte, 512)
	for {
		if i := bytes.Index(p.got, []byte(want)); i >= 0 {
			i += len(want)
			out := string(p.got[:i])
			p.got = p.got[i:]
			return out
		}
		n, err := p.conn.Read(buf)
		p.got = append(p.got, buf[:n]...)
		require.NoError(p.t, err, "waiting for %q, got %q", want, p.got)
	}
}

// rest reads to the end of the connection.
func (p *peer) rest() string {
	p.t.Helper()
	b, err := io.ReadAll(p.conn)
	require.NoError(p.t, err)
	out := string(p.got) + string(b)
	p.got = nil
	return out
}

const (
	clientHeader = `<?xml version='1.0'?><stream:stream to='im.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	serverHeader = `<?xml version='1.0'?><stream:stream from='im.example' id='a1' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

	offerTLS   = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>`
	offerSASL  = `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>`
	startTLS   = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`
	proceed    = `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`
	failure    = `<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`
	closingTag = `</stream:stream>`
)

func features(children ...string) string {
	return `<stream:features>` + strings.Join(children, "") + `</stream:features>`
}

func TestStartTLS(t *testing.T) {
	inBubble(t, "both sides", func(b *bed) {
		var clientSecured, serverSecured []stream.Security
		var offered [][]stream.Name
		var headers []stream.Header
		serving := b.server("münchen.example", secureOnly, &stream.Trace{
			Secured:        func(s stream.Security) { serverSecured = append(serverSecured, s) },
			HeaderReceived: func(h stream.Header) { headers = append(headers, h) },
		}, xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("münchen.example")}}))
		dialling := b.client("münchen.example", secureOnly, &stream.Trace{
			Secured:          func(s stream.Security) { clientSecured = append(clientSecured, s) },
			FeaturesReceived: func(n []stream.Name) { offered = append(offered, n) },
		}, xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: b.ca.Pool()}))
		c, s := <-dialling, <-serving
		require.NoError(b.t, c.err)
		require.NoError(b.t, s.err)
		defer c.session.Abort(context.Canceled)
		defer s.session.Abort(context.Canceled)

		cs, ss := c.session.Security(), s.session.Security()
		require.EqualValues(b.t, tls.VersionTLS13, cs.Version)
		require.True(b.t, cs.Verified)
		require.Equal(b.t, cs.Bindings, ss.Bindings)
		require.Contains(b.t, cs.Bindings, "tls-exporter")
		require.Contains(b.t, cs.Bindings, "tls-server-end-point")
		require.Equal(b.t, []stream.Security{cs}, clientSecured)
		require.Equal(b.t, []stream.Security{ss}, serverSecured)
		// RFC 6120 §5.4.3.3 rule 5: not offered a second time.
		require.Equal(b.t, [][]stream.Name{{{Space: xtls.NS, Local: "starttls"}}, nil}, offered)
		// RFC 6120 §4.7.1: no from before there is TLS to protect it.
		require.Len(b.t, headers, 2)
		require.True(b.t, headers[0].From.IsZero())
		require.Equal(b.t, "juliet@münchen.example", headers[1].From.String())

		el, err := stream.ParseElement([]byte(`<message xmlns='jabber:client'><body>hi</body></message>`), nil)
		require.NoError(b.t, err)
		require.NoError(b.t, c.session.Send(b.t.Context(), el))
		var got []string
		serveDone := make(chan error, 1)
		go func() { // ends with the session, which the client closes below
			serveDone <- s.session.Serve(func(el *stream.Element) error {
				got = append(got, string(el.Inner()))
				return nil
			})
		}()
		require.NoError(b.t, c.session.Close(b.t.Context()))
		require.NoError(b.t, <-serveDone)
		require.Equal(b.t, []string{"<body>hi</body>"}, got)
	})

	inBubble(t, "RFC 6120 §5.4.1 required is advertised", func(b *bed) {
		done := b.server("im.example", secureOnly, nil,
			xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}}))
		p := &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		require.Contains(b.t, p.expect("</stream:features>"), features(offerTLS))
		b.near.Close()
		require.Error(b.t, (<-done).err)
	})

	inBubble(t, "server without a certificate", func(b *bed) {
		done := b.server("im.example", secureOnly, nil, xtls.StartTLSServer(nil))
		p := &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		all := p.rest()
		require.Contains(b.t, all, "<internal-server-error")
		require.NotContains(b.t, all, "certificate") // not the peer's business
		require.ErrorIs(b.t, (<-done).err, xtls.ErrConfig)
	})

	inBubble(t, "server/domain too long for the DNS", func(b *bed) {
		domain := strings.Repeat("a.", 200) + "example"
		done := b.server(domain, secureOnly, nil, xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}}))
		p := &peer{t: b.t, conn: b.near}
		p.send(strings.ReplaceAll(clientHeader, "im.example", domain))
		p.expect("</stream:features>")
		p.send(startTLS)
		require.Contains(b.t, p.rest(), failure)
		require.ErrorIs(b.t, (<-done).err, xtls.ErrConfig)
	})

	inBubble(t, "connection broken", func(b *bed) {
		wire := &breaking{Conn: b.near}
		b.near = wire
		done := b.client("im.example", secureOnly, nil, xtls.StartTLSClient(nil))
		p := &peer{t: b.t, conn: b.far}
		p.expect(">")
		p.expect(">")
		wire.broken.Store(true)
		p.send(serverHeader + features(offerTLS))
		require.ErrorIs(b.t, (<-done).err, errBroken)

		b.near, b.far = memPair(b)
		wire = &breaking{Conn: b.far}
		b.far = wire
		done = b.server("im.example", secureOnly, nil, xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{b.issue("im.example")}}))
		p = &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		p.expect("</stream:features>")
		wire.broken.Store(true)
		p.send(startTLS)
		require.ErrorIs(b.t, (<-done).err, errBroken)
	})

	// RFC 6120 §13.7.1.2.1: the service is that of the stream, for both.
	inBubble(t, "between servers", func(b *bed) {
		im := jid.MustParse("im.example")
		profile := stream.Profile{ContentNS: stream.NSServer, Goal: stream.Secure, InsecureGoal: true}
		cert, err := b.ca.IssueWith(xtls.IssueOptions{SRVNames: []string{"_xmpp-server.im.example"}})
		require.NoError(b.t, err)
		forClients, err := b.ca.IssueWith(xtls.IssueOptions{SRVNames: []string{"_xmpp-client.im.example"}})
		require.NoError(b.t, err)
		serving := b.server("im.example", profile, nil, xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{forClients, cert}}))
		session, err := stream.Initiate(b.t.Context(), b.near, &stream.InitiateOptions{
			Profile: profile, To: im, From: jid.MustParse("other.example"), Features: []stream.Feature{xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: b.ca.Pool()})},
		})
		require.NoError(b.t, err)
		require.Equal(b.t, []string{"_xmpp-server.im.example"}, session.Security().Identities)
		session.Abort(context.Canceled)
		o := <-serving
		require.NoError(b.t, o.err)
		o.session.Abort(context.Canceled)
	})

	inBubble(t, "domain too long for the DNS", func(b *bed) {
		domain := strings.Repeat("a.", 200) + "example"
		done := b.client(domain, secureOnly, nil, xtls.StartTLSClient(nil))
		p := &peer{t: b.t, conn: b.far}
		p.expect(">")
		p.expect(">")
		p.send(strings.Replace(serverHeader, "im.example", domain, 1) + features(offerTLS))
		require.NotContains(b.t, p.rest(), "<starttls")
		require.ErrorIs(b.t, (<-done).err, jid.ErrTooLong)
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
