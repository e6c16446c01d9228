package tls_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// secured is what one side of direct TLS came to.
type secured struct {
	conn net.Conn
	sec  stream.Security
	err  error
}

var imExample = jid.MustParse("im.example")

// directServer runs the receiving entity on the far end.
func (b *bed) directServer(opts *xtls.ServerOptions, domains ...string) <-chan secured {
	done := make(chan secured, 1)
	var served []jid.JID
	for _, d := range domains {
		served = append(served, jid.MustParse(d))
	}
	go func() { // ends with the handshake, which its timeout bounds
		conn, sec, err := xtls.ServerHandshake(b.t.Context(), b.far, served, opts)
		done <- secured{conn, sec, err}
	}()
	return done
}

// directClient runs the initiating entity on the near end.
func (b *bed) directClient(domain string, opts *xtls.ClientOptions) secured {
	conn, sec, err := xtls.ClientHandshake(b.t.Context(), b.near, jid.MustParse(domain), opts)
	return secured{conn, sec, err}
}

// presents returns options with one certificate for the given names.
func (b *bed) presents(names ...string) *xtls.ServerOptions {
	return &xtls.ServerOptions{Certificates: []tls.Certificate{b.issue(names...)}}
}

// closed requires that an end was closed by the other side.
func closed(t *testing.T, end net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, end)
	require.NoError(t, err)
}

func TestDirectTLS(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		inBubble(t, name, func(b *bed) {
			serving := b.directServer(b.presents("münchen.example"), "münchen.example")
			c := b.directClient("münchen.example", &xtls.ClientOptions{
				RootCAs: b.ca.Pool(), Config: &tls.Config{MaxVersion: version},
			})
			s := <-serving
			require.NoError(b.t, c.err)
			require.NoError(b.t, s.err)
			require.True(b.t, c.sec.Verified)
			for _, sec := range []stream.Security{c.sec, s.sec} {
				require.Equal(b.t, version, sec.Version)
				require.Equal(b.t, "xn--mnchen-3ya.example", sec.ServerName, "XEP-0368 §2: the domain of the JID, RFC 6066 §3: as A-labels")
				require.Equal(b.t, "xmpp-client", sec.ALPN)
				require.Equal(b.t, []jid.JID{jid.MustParse("münchen.example")}, sec.Domains)
				require.False(b.t, sec.Resumed)
			}
			// Channel bindings are those of STARTTLS, and the same on both sides.
			require.Equal(b.t, c.sec.Bindings, s.sec.Bindings)
			require.Contains(b.t, c.sec.Bindings, "tls-exporter")
			require.Contains(b.t, c.sec.Bindings, "tls-server-end-point")
			require.Equal(b.t, version == tls.VersionTLS12, c.sec.Bindings["tls-unique"] != nil)

			// XEP-0368 §2: STARTTLS is not used over direct TLS, even when both
			// sides would know how to.
			var offered []stream.Name
			accepted := make(chan outcome, 1)
			go func() { // ends with Accept, which its timeout bounds
				session, err := stream.Accept(b.t.Context(), s.conn, &stream.AcceptOptions{
					Profile: secureOnly, Domains: s.sec.Domains, Security: &s.sec,
					Features: []stream.Feature{xtls.StartTLSServer(b.presents("münchen.example"))},
				})
				accepted <- outcome{session, err}
			}()
			session, err := stream.Initiate(b.t.Context(), c.conn, &stream.InitiateOptions{
				Profile: secureOnly, To: c.sec.Domains[0], Security: &c.sec,
				Features: []stream.Feature{xtls.StartTLSClient(nil)},
				Trace:    &stream.Trace{FeaturesReceived: func(n []stream.Name) { offered = append(offered, n...) }},
			})
			require.NoError(b.t, err)
			o := <-accepted
			require.NoError(b.t, o.err)
			require.Empty(b.t, offered)
			require.Equal(b.t, c.sec, session.Security())
			session.Abort(context.Canceled)
			o.session.Abort(context.Canceled)
		})
	}
}

// testDirect is T16 (XEP-0368 §2, RFC 7301 §3.2, RFC 6066 §3).
func testDirect(t *testing.T) {
	t.Run("server/ALPN", testDirectServerALPN)
	t.Run("server/SNI", testDirectServerName)
	t.Run("client/ALPN", testDirectClientALPN)
	t.Run("client/identity", testDirectClientIdentity)
}

func testDirectServerALPN(t *testing.T) {
	for name, c := range map[string]struct {
		offered []string
		want    string // agreed on
		refused bool
	}{
		"absent":                {nil, "", false},
		"xmpp-client":           {[]string{"xmpp-client"}, "xmpp-client", false},
		"xmpp-client as second": {[]string{"h2", "http/1.1", "xmpp-client"}, "xmpp-client", false},
		"http 1.1":              {[]string{"http/1.1"}, "", true},
		"h2":                    {[]string{"h2", "http/1.1"}, "", true},
		"xmpp-server":           {[]string{"xmpp-server"}, "", true},
		"in capitals":           {[]string{"XMPP-CLIENT"}, "", true},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			inBubble(t, name+"/"+tls.VersionName(version), func(b *bed) {
				serving := b.directServer(b.presents("im.example"), "im.example")
				client := tls.Client(b.near, &tls.Config{
					ServerName: "im.example", RootCAs: b.ca.Pool(), NextProtos: c.offered, MaxVersion: version,
				})
				err := client.Handshake()
				s := <-serving
				if c.refused {
					require.ErrorContains(b.t, err, "remote error: tls: no application protocol")
					require.Error(b.t, s.err)
					require.Nil(b.t, s.conn)
					require.Zero(b.t, s.sec)
					closed(b.t, b.near)
					return
				}
				require.NoError(b.t, err)
				require.NoError(b.t, s.err)
				require.Equal(b.t, c.want, s.sec.ALPN)
				require.Equal(b.t, c.want, client.ConnectionState().NegotiatedProtocol)
			})
		}
	}
}

func testDirectServerName(t *testing.T) {
	// Nobody can name the last one, but a stream is to be refused for it, not all.
	domains := []string{"im.example", "alias.example", "münchen.example", "other.example", strings.Repeat("a.", 200) + "example"}
	for name, c := range map[string]struct {
		sni      string
		presents string   // the first name of the certificate
		domains  []string // that the stream may be to; empty: refused
	}{
		"the first domain": {"im.example", "im.example", []string{"im.example"}},
		// Whoever named a domain means that one, whatever else the certificate is good for.
		"of one certificate": {"alias.example", "im.example", []string{"alias.example"}},
		"another":            {"other.example", "other.example", []string{"other.example"}},
		"A-labels":           {"xn--mnchen-3ya.example", "xn--mnchen-3ya.example", []string{"münchen.example"}},
		"in capitals":        {"OTHER.Example", "other.example", []string{"other.example"}},
		"absent":             {"", "im.example", []string{"im.example", "alias.example"}},
		"not served":         {"elsewhere.example", "", nil},
		"below one":          {"x.im.example", "", nil},
		"above one":          {"example", "", nil},
		"no name":            {"a b_\x1b", "", nil},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			inBubble(t, name+"/"+tls.VersionName(version), func(b *bed) {
				serving := b.directServer(&xtls.ServerOptions{Certificates: []tls.Certificate{
					b.issue("im.example", "alias.example"), b.issue("münchen.example"), b.issue("other.example"),
				}}, domains...)
				client := tls.Client(b.near, &tls.Config{
					ServerName: c.sni, MaxVersion: version, InsecureSkipVerify: true, // the test looks at what comes
				})
				err := client.Handshake()
				s := <-serving
				if c.domains == nil {
					require.ErrorIs(b.t, s.err, xtls.ErrNotServed)
					require.NotContains(b.t, s.err.Error(), "\x1b")
					require.Zero(b.t, s.sec)
					require.ErrorContains(b.t, err, "remote error: tls: unrecognized name")
					closed(b.t, b.near)
					return
				}
				require.NoError(b.t, err)
				require.NoError(b.t, s.err)
				leaf := client.ConnectionState().PeerCertificates[0]
				require.Equal(b.t, c.presents, leaf.DNSNames[0])
				require.Equal(b.t, c.sni, s.sec.ServerName)
				var got []string
				for _, d := range s.sec.Domains {
					got = append(got, d.String())
				}
				require.Equal(b.t, c.domains, got)
				// The binding is to the certificate that was presented.
				require.NotEmpty(b.t, s.sec.Bindings["tls-server-end-point"])
			})
		}
	}

	// The stream that follows is to the domain that was named.
	for name, c := range map[string]struct {
		sni, to string
		refused bool
	}{
		"to the domain":                  {"other.example", "other.example", false},
		"to another that is served":      {"other.example", "im.example", true},
		"without SNI to one named":       {"", "alias.example", false},
		"without SNI to one not named":   {"", "other.example", true},
		"one certificate, another names": {"im.example", "alias.example", true},
	} {
		inBubble(t, "stream/"+name, func(b *bed) {
			serving := b.directServer(&xtls.ServerOptions{Certificates: []tls.Certificate{
				b.issue("im.example", "alias.example"), b.issue("other.example"),
			}}, "im.example", "alias.example", "other.example")
			client := tls.Client(b.near, &tls.Config{
				ServerName: c.sni, InsecureSkipVerify: true, // a client that does not look
			})
			require.NoError(b.t, client.Handshake())
			s := <-serving
			require.NoError(b.t, s.err)
			accepted := make(chan outcome, 1)
			go func() { // ends with Accept, which its timeout bounds
				session, err := stream.Accept(b.t.Context(), s.conn, &stream.AcceptOptions{
					Profile: secureOnly, Security: &s.sec,
					Domains: []jid.JID{imExample, jid.MustParse("alias.example"), jid.MustParse("other.example")},
				})
				accepted <- outcome{session, err}
			}()
			p := &peer{t: b.t, conn: client}
			p.send(`<stream:stream to='` + c.to + `' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`)
			if c.refused {
				require.Contains(b.t, p.rest(), "<host-unknown")
				require.ErrorIs(b.t, (<-accepted).err, stream.HostUnknown)
				return
			}
			require.Contains(b.t, p.expect("<stream:features>"), " from='"+c.to+"'")
			o := <-accepted
			require.NoError(b.t, o.err)
			o.session.Abort(context.Canceled)
		})
	}
}

// rewriting replaces bytes in what is written through it.
type rewriting struct {
	net.Conn
	from, to string
	done     int
}

func (c *rewriting) Write(b []byte) (int, error) {
	c.done += bytes.Count(b, []byte(c.from))
	if _, err := c.Conn.Write(bytes.ReplaceAll(b, []byte(c.from), []byte(c.to))); err != nil {
		return 0, err
	}
	return len(b), nil
}

func testDirectClientALPN(t *testing.T) {
	for name, c := range map[string]struct {
		server []string
		ok     bool
	}{
		// A server that does not know the extension ignores it (RFC 7301 §3.1).
		"absent":      {nil, true},
		"xmpp-client": {[]string{"xmpp-server", "xmpp-client"}, true},
		"http 1.1":    {[]string{"http/1.1"}, false},
		"xmpp-server": {[]string{"xmpp-server"}, false},
	} {
		inBubble(t, name, func(b *bed) {
			shaken := make(chan error, 1)
			go func() { // ends with the handshake: the client's, or its closing the connection
				shaken <- tls.Server(b.far, &tls.Config{
					Certificates: []tls.Certificate{b.issue("im.example")}, NextProtos: c.server,
				}).Handshake()
			}()
			got := b.directClient("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()})
			err := <-shaken
			if !c.ok {
				require.Error(b.t, err)
				require.Error(b.t, got.err)
				require.Nil(b.t, got.conn)
				require.Zero(b.t, got.sec)
				closed(b.t, b.far)
				return
			}
			require.NoError(b.t, err)
			require.NoError(b.t, got.err)
			require.Equal(b.t, c.server != nil, got.sec.ALPN == "xmpp-client")
		})
	}
	inBubble(t, "a protocol that was not offered", func(b *bed) {
		// In TLS 1.2 the answer travels in the open.
		wire := &rewriting{Conn: b.far, from: "xmpp-client", to: "xmpp-server"}
		shaken := make(chan error, 1)
		go func() { // ends with the handshake: the client closes the connection
			shaken <- tls.Server(wire, &tls.Config{
				Certificates: []tls.Certificate{b.issue("im.example")}, NextProtos: []string{"xmpp-client"}, MaxVersion: tls.VersionTLS12,
			}).Handshake()
		}()
		got := b.directClient("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()})
		require.Error(b.t, <-shaken)
		require.Equal(b.t, 1, wire.done)
		require.ErrorContains(b.t, got.err, "ALPN")
	})
}

// Identity follows the domain, and nothing else.
func testDirectClientIdentity(t *testing.T) {
	inBubble(t, "a certificate for another", func(b *bed) {
		shaken := make(chan error, 1)
		go func() { // ends with the handshake: the client closes the connection
			shaken <- tls.Server(b.far, &tls.Config{Certificates: []tls.Certificate{b.issue("other.example")}}).Handshake()
		}()
		got := b.directClient("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()})
		var cert *xtls.CertificateError
		require.ErrorAs(b.t, got.err, &cert)
		require.Equal(b.t, "im.example", cert.Domain)
		require.Nil(b.t, got.conn)
		require.Zero(b.t, got.sec)
		<-shaken // TLS 1.3: a server is done before it hears of it
		closed(b.t, b.far)
	})
	inBubble(t, "a stream to another", func(b *bed) {
		serving := b.directServer(b.presents("im.example", "other.example"), "im.example", "other.example")
		got := b.directClient("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()})
		require.NoError(b.t, got.err)
		require.NoError(b.t, (<-serving).err)
		_, err := stream.Initiate(b.t.Context(), got.conn, &stream.InitiateOptions{
			Profile: secureOnly, To: jid.MustParse("other.example"), Security: &got.sec,
		})
		require.ErrorIs(b.t, err, stream.ErrOptions)
	})
}

// The two kinds of port look alike from outside.
func TestDirectTLSAgainstPlaintext(t *testing.T) {
	inBubble(t, "client", func(b *bed) {
		answered := make(chan error, 1)
		go func() { // ends with the write, which has room
			_, err := io.WriteString(b.far, serverHeader+features(offerTLS))
			answered <- err
		}()
		got := b.directClient("im.example", nil)
		require.NoError(b.t, <-answered)
		require.ErrorIs(b.t, got.err, xtls.ErrNotTLS)
		closed(b.t, b.far)
	})
	inBubble(t, "server", func(b *bed) {
		serving := b.directServer(b.presents("im.example"), "im.example")
		p := &peer{t: b.t, conn: b.near}
		p.send(clientHeader)
		require.Empty(b.t, p.rest())
		require.ErrorIs(b.t, (<-serving).err, xtls.ErrNotTLS)
	})
	inBubble(t, "TLS that ceases to be TLS", func(b *bed) {
		// The first record after ServerHello that is encrypted, and no version.
		wire := &rewriting{Conn: b.far, from: "\x17\x03\x03", to: "\x17\x01\x01"}
		shaken := make(chan error, 1)
		go func() { // ends with the handshake: the client closes the connection
			shaken <- tls.Server(wire, &tls.Config{Certificates: []tls.Certificate{b.issue("im.example")}}).Handshake()
		}()
		got := b.directClient("im.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()})
		require.Error(b.t, <-shaken)
		require.Positive(b.t, wire.done)
		require.ErrorAs(b.t, got.err, new(tls.RecordHeaderError))
		require.NotErrorIs(b.t, got.err, xtls.ErrNotTLS)
	})
	inBubble(t, "TLS that fails is TLS", func(b *bed) {
		serving := b.directServer(b.presents("im.example"), "im.example")
		p := &peer{t: b.t, conn: b.near}
		p.send("\x16\x03\x01\x00\x02\x02\x00")
		p.rest()
		err := (<-serving).err
		require.Error(b.t, err)
		require.NotErrorIs(b.t, err, xtls.ErrNotTLS)
	})
}

// Whatever the peer does or does not do, a handshake ends.
func TestDirectTLSEnds(t *testing.T) {
	gone := errors.New("the user closed the window")
	for name, c := range map[string]struct {
		bound func(context.Context) (context.Context, context.CancelFunc)
		want  error
		after time.Duration
	}{
		"no deadline": {context.WithCancel, stream.ErrNegotiationTimeout, 30 * time.Second},
		"a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Minute)
		}, context.DeadlineExceeded, time.Minute},
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(gone) })
			return ctx, func() { cancel(nil) }
		}, gone, time.Second},
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			ctx, cancel := c.bound(b.t.Context())
			defer cancel()
			start := time.Now()
			conn, _, err := xtls.ClientHandshake(ctx, b.near, imExample, nil)
			require.ErrorIs(b.t, err, c.want)
			require.Nil(b.t, conn)
			require.Equal(b.t, 1, strings.Count(err.Error(), c.want.Error()), "%v", err)
			require.Equal(b.t, c.after, time.Since(start))
			closed(b.t, b.far)
		})
		inBubble(t, "server/"+name, func(b *bed) {
			ctx, cancel := c.bound(b.t.Context())
			defer cancel()
			_, err := io.WriteString(b.near, "\x16\x03\x01\x00\x7a\x01") // and no more
			require.NoError(b.t, err)
			start := time.Now()
			conn, _, err := xtls.ServerHandshake(ctx, b.far, []jid.JID{imExample}, b.presents("im.example"))
			require.ErrorIs(b.t, err, c.want)
			require.Nil(b.t, conn)
			require.Equal(b.t, c.after, time.Since(start))
			closed(b.t, b.near)
		})
	}
	inBubble(t, "client/the peer hangs up", func(b *bed) {
		b.far.Close()
		require.Error(b.t, b.directClient("im.example", nil).err)
	})
	inBubble(t, "server/the peer hangs up", func(b *bed) {
		b.near.Close()
		require.Error(b.t, (<-b.directServer(b.presents("im.example"), "im.example")).err)
	})
	inBubble(t, "server/a callback panics", func(b *bed) {
		opts := &xtls.ServerOptions{Config: &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("no") },
		}}
		done := make(chan any, 1)
		go func() { // ends with the panic
			defer func() { done <- recover() }()
			xtls.ServerHandshake(b.t.Context(), b.far, []jid.JID{imExample}, opts)
		}()
		require.Error(b.t, tls.Client(b.near, &tls.Config{ServerName: "im.example"}).Handshake())
		require.Equal(b.t, "no", <-done)
		closed(b.t, b.near)
	})
}

// What cannot be used is refused before a byte is sent.
func TestDirectTLSOptions(t *testing.T) {
	weak := &tls.Config{MinVersion: tls.VersionTLS10}
	for name, opts := range map[string]*xtls.ServerOptions{
		"nothing":     nil,
		"weak":        {Config: weak},
		"NextProtos":  {Config: &tls.Config{NextProtos: []string{"http/1.1"}}},
		"no callback": {Certificates: []tls.Certificate{}},
	} {
		inBubble(t, "server/"+name, func(b *bed) {
			require.ErrorIs(b.t, (<-b.directServer(opts, "im.example")).err, xtls.ErrConfig)
			closed(b.t, b.near)
		})
	}
	inBubble(t, "server/no domain", func(b *bed) {
		require.ErrorIs(b.t, (<-b.directServer(b.presents("im.example"))).err, xtls.ErrConfig)
		closed(b.t, b.near)
	})
	for name, opts := range map[string]*xtls.ClientOptions{
		"weak":       {Config: weak},
		"NextProtos": {Config: &tls.Config{NextProtos: []string{"http/1.1"}}},
		"ServerName": {Config: &tls.Config{ServerName: "other.example"}},
	} {
		inBubble(t, "client/"+name, func(b *bed) {
			require.ErrorIs(b.t, b.directClient("im.example", opts).err, xtls.ErrConfig)
			wire, err := io.ReadAll(b.far)
			require.NoError(b.t, err)
			require.Empty(b.t, wire)
		})
	}
	inBubble(t, "client/no domain", func(b *bed) {
		_, _, err := xtls.ClientHandshake(b.t.Context(), b.near, jid.JID{}, nil)
		require.ErrorIs(b.t, err, jid.ErrEmpty)
		require.ErrorIs(b.t, err, xtls.ErrConfig)
		closed(b.t, b.far)
	})
	inBubble(t, "server/a second domain that nobody can name", func(b *bed) {
		long := strings.Repeat("a.", 200) + "example"
		serving := b.directServer(b.presents("im.example"), "im.example", long)
		require.Error(b.t, tls.Client(b.near, &tls.Config{ServerName: long}).Handshake())
		require.ErrorIs(b.t, (<-serving).err, xtls.ErrConfig)
	})
	inBubble(t, "server/nothing for the second domain", func(b *bed) {
		broken := errors.New("the disk is full")
		cert := b.issue("im.example")
		serving := b.directServer(&xtls.ServerOptions{Config: &tls.Config{
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if h.ServerName != "im.example" {
					return nil, broken
				}
				return &cert, nil
			},
		}}, "im.example", "other.example")
		got := b.directClient("other.example", &xtls.ClientOptions{RootCAs: b.ca.Pool()})
		require.Error(b.t, got.err)
		require.ErrorIs(b.t, (<-serving).err, broken)
	})
}
