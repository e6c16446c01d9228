package tls

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// side is what one end of a handshake came to.
type side struct {
	conn net.Conn
	sec  stream.Security
	err  error
}

// shake runs a handshake between the two roles, without a stream around it.
func shake(t *testing.T, domain string, client *ClientOptions, server *ServerOptions) (c, s side) {
	t.Helper()
	near, far := memconn.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	d := jid.MustParse(domain)
	serverSide, err := server.prepare(d)
	require.NoError(t, err)
	config, err := client.prepare(d)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { // joined below; the handshake ends with either end of the pipe
		defer close(done)
		s.conn, s.sec, s.err = serverSide.handshake(t.Context(), far)
		if s.err != nil {
			far.Close()
		}
	}()
	c.conn, c.sec, c.err = clientHandshake(t.Context(), near, config)
	if c.err != nil {
		near.Close()
	}
	<-done
	return c, s
}

func memPipe(t *testing.T) (near, far net.Conn) {
	near, far = memconn.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func newCA(t testing.TB) *DevCA {
	t.Helper()
	ca, err := NewDevCA()
	require.NoError(t, err)
	return ca
}

func issue(t testing.TB, ca *DevCA, names ...string) tls.Certificate {
	t.Helper()
	cert, err := ca.Issue(names...)
	require.NoError(t, err)
	return cert
}

func certs(c ...tls.Certificate) *ServerOptions { return &ServerOptions{Certificates: c} }

func TestHandshakeSecurity(t *testing.T) {
	ca := newCA(t)
	cert := issue(t, ca, "münchen.example", "im.example", "192.0.2.1", "2001:db8::1")
	for _, max := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(max), func(t *testing.T) {
			c, s := shake(t, "münchen.example",
				&ClientOptions{RootCAs: ca.Pool(), Config: &tls.Config{MaxVersion: max}}, certs(cert))
			require.NoError(t, c.err)
			require.NoError(t, s.err)
			for _, sec := range []stream.Security{c.sec, s.sec} {
				require.True(t, sec.Secure())
				require.Equal(t, max, sec.Version)
				// The Server Name Indication is the A-label of the JID's domain.
				require.Equal(t, "xn--mnchen-3ya.example", sec.ServerName)
				require.Empty(t, sec.ALPN)
				require.False(t, sec.Resumed)
			}
			require.Equal(t, c.sec.CipherSuite, s.sec.CipherSuite)
			require.True(t, c.sec.Verified)
			require.Len(t, c.sec.PeerChain, 1)
			require.Equal(t, []string{"xn--mnchen-3ya.example", "im.example", "192.0.2.1", "2001:db8::1"}, c.sec.Identities)
			// The client was not asked for a certificate.
			require.False(t, s.sec.Verified)
			require.Empty(t, s.sec.PeerChain)
			require.Empty(t, s.sec.Identities)
		})
	}
}

func TestIPLiteralHasNoServerName(t *testing.T) {
	// RFC 6066 §3: literal addresses are not permitted in HostName.
	ca := newCA(t)
	for _, domain := range []string{"192.0.2.1", "[2001:db8::1]"} {
		c, s := shake(t, domain, &ClientOptions{RootCAs: ca.Pool()}, certs(issue(t, ca, domain)))
		require.NoError(t, c.err)
		require.NoError(t, s.err)
		require.Empty(t, s.sec.ServerName)
	}
}

func TestServerChoosesByDomain(t *testing.T) {
	// RFC 6120 §5.4.3.1 rule 4: the to of the stream header decides, also for a
	// client whose Server Name Indication is another name, or none.
	ca := newCA(t)
	a, b := issue(t, ca, "a.example"), issue(t, ca, "b.example")
	for name, opts := range map[string]*ServerOptions{
		"list": certs(a, b),
		"callback": {Config: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return map[string]*tls.Certificate{"a.example": &a, "b.example": &b}[h.ServerName], nil
		}}},
		"callback declines": {Certificates: []tls.Certificate{a, b}, Config: &tls.Config{
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
		}},
	} {
		for _, sni := range []string{"", "a.example", "elsewhere.example"} {
			t.Run(name+"/"+sni, func(t *testing.T) {
				side, err := opts.prepare(jid.MustParse("b.example"))
				require.NoError(t, err)
				near, far := memconn.Pipe()
				defer near.Close()
				defer far.Close()
				done := make(chan error, 1)
				go func() {
					_, _, err := side.handshake(t.Context(), far)
					done <- err
				}()
				var got []*x509.Certificate
				peer := tls.Client(near, &tls.Config{
					ServerName: sni, InsecureSkipVerify: true, // the test looks at what comes
				})
				require.NoError(t, peer.Handshake())
				require.NoError(t, <-done)
				got = peer.ConnectionState().PeerCertificates
				require.Equal(t, []string{"b.example"}, got[0].DNSNames)
			})
		}
	}
	t.Run("none fits", func(t *testing.T) {
		c, s := shake(t, "c.example", &ClientOptions{RootCAs: ca.Pool()}, certs(a, b))
		require.ErrorIs(t, c.err, ErrNameMismatch)
		require.Error(t, s.err)
	})
	t.Run("callback has nothing", func(t *testing.T) {
		c, s := shake(t, "c.example", &ClientOptions{RootCAs: ca.Pool()}, &ServerOptions{Config: &tls.Config{
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
		}})
		require.Error(t, c.err)
		require.ErrorIs(t, s.err, ErrConfig)
	})
}

func TestClientCertificate(t *testing.T) {
	// RFC 6120 §5.4.3.1 rule 6: validated, and the verdict left to SASL EXTERNAL.
	ca, other := newCA(t), newCA(t)
	server := issue(t, ca, "im.example")
	clientAuth := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	codeSigning := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	for name, tc := range map[string]struct {
		ca       *DevCA
		edit     func(*x509.Certificate)
		verified bool
	}{
		"serverAuth":      {ca, nil, true},
		"clientAuth":      {ca, clientAuth, true},
		"other usage":     {ca, codeSigning, false},
		"expired":         {ca, expired, false},
		"other authority": {other, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			cert, err := tc.ca.IssueWith(IssueOptions{Edit: tc.edit}, "peer.example")
			require.NoError(t, err)
			// crypto/tls holds a certificate back that the server's list of
			// authorities does not cover; a hostile client does not.
			offer := &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &cert, nil
			}}
			c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Config: offer},
				&ServerOptions{Certificates: []tls.Certificate{server}, ClientCAs: ca.Pool()})
			require.NoError(t, c.err)
			require.NoError(t, s.err)
			require.Equal(t, tc.verified, s.sec.Verified)
			require.Equal(t, []string{"peer.example"}, s.sec.Identities)
			require.Len(t, s.sec.PeerChain, 1)
		})
	}
	t.Run("offered by option", func(t *testing.T) {
		c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Certificates: []tls.Certificate{issue(t, ca, "peer.example")}},
			&ServerOptions{Certificates: []tls.Certificate{server}, ClientCAs: ca.Pool()})
		require.NoError(t, c.err)
		require.NoError(t, s.err)
		require.True(t, s.sec.Verified)
	})
	t.Run("asked and none given", func(t *testing.T) {
		_, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool()},
			&ServerOptions{Certificates: []tls.Certificate{server}, ClientCAs: ca.Pool()})
		require.NoError(t, s.err)
		require.False(t, s.sec.Verified)
		require.Empty(t, s.sec.PeerChain)
	})
}

// What a peer puts into its certificate does not come back in full in an error:
// crypto/x509 repeats a URI that it cannot parse.
func TestHandshakeErrorText(t *testing.T) {
	ca := newCA(t)
	uri := strings.Repeat("é\x1b:", 20_000)
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte("://" + strings.Repeat("x", 50_000))}})
	require.NoError(t, err)
	template, err := devTemplate()
	require.NoError(t, err)
	template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, ca.key.Public(), ca.key)
	require.NoError(t, err)
	bad := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.key}

	c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool()}, certs(bad))
	require.Error(t, s.err)
	require.ErrorContains(t, c.err, "cannot parse URI")
	require.LessOrEqual(t, len(c.err.Error()), 1024)

	server := certs(issue(t, ca, "im.example"))
	server.ClientCAs = ca.Pool()
	offer := &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &bad, nil }}
	_, s = shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Config: offer}, server)
	require.ErrorContains(t, s.err, "cannot parse URI")
	require.LessOrEqual(t, len(s.err.Error()), 1024)

	for _, text := range []string{uri, "short\x1b[2J"} {
		cause := errors.New(text)
		err = handshakeError(cause)
		require.ErrorIs(t, err, cause)
		require.LessOrEqual(t, len(err.Error()), 1024)
		require.NotContains(t, err.Error(), "\x1b")
	}
	require.EqualError(t, handshakeError(errors.New("remote error: tls: bad certificate")), "xmpp/tls: handshake: remote error: tls: bad certificate")
}

// A GetCertificate that returns a key without a certificate is a mistake, and
// not one for a client to bring the program down with.
func TestServerLeaf(t *testing.T) {
	cert := issue(t, newCA(t), "im.example")
	require.Equal(t, cert.Leaf, leaf(&cert))
	require.Equal(t, cert.Leaf.Raw, leaf(&tls.Certificate{Certificate: cert.Certificate}).Raw)
	require.Nil(t, leaf(nil))
	require.Nil(t, leaf(&tls.Certificate{PrivateKey: cert.PrivateKey}))
	require.Nil(t, leaf(&tls.Certificate{PrivateKey: cert.PrivateKey, Leaf: cert.Leaf}), "what is not presented")

	// A stream to the domain that nobody named, if it is not known what was presented.
	im := jid.MustParse("im.example")
	h := &directServer{side: &serverSide{presented: new(presented)}, domains: []jid.JID{im, jid.MustParse("other.example")}, chosen: im}
	require.Equal(t, []jid.JID{im}, h.covered(""))
	require.Nil(t, leaf(&tls.Certificate{Certificate: [][]byte{{1}}}))
}

func TestHandshakeHonoursContext(t *testing.T) {
	// A peer that goes silent inside the handshake holds nobody.
	synctest.Test(t, func(t *testing.T) {
		ca := newCA(t)
		config, err := (&ClientOptions{RootCAs: ca.Pool()}).prepare(jid.MustParse("im.example"))
		require.NoError(t, err)
		server, err := certs(issue(t, ca, "im.example")).prepare(jid.MustParse("im.example"))
		require.NoError(t, err)
		for name, handshake := range map[string]func(context.Context, net.Conn) error{
			"client": func(ctx context.Context, conn net.Conn) error {
				_, _, err := clientHandshake(ctx, conn, config)
				return err
			},
			"server": func(ctx context.Context, conn net.Conn) error {
				_, _, err := server.handshake(ctx, conn)
				return err
			},
		} {
			near, far := memconn.Pipe()
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			require.ErrorIs(t, handshake(ctx, near), context.DeadlineExceeded, name)
			require.Equal(t, 5*time.Second, time.Since(start), name)
			cancel()
			near.Close()
			far.Close()

			near, far = memconn.Pipe()
			require.NoError(t, near.SetDeadline(time.Now().Add(time.Second)))
			start = time.Now()
			require.ErrorIs(t, handshake(t.Context(), near), os.ErrDeadlineExceeded, name)
			require.Equal(t, time.Second, time.Since(start), name)
			near.Close()
			far.Close()
		}
	})
}

func TestNoTickets(t *testing.T) {
	// A client that would like to resume gets nothing to do so with.
	ca := newCA(t)
	opts := certs(issue(t, ca, "im.example"))
	var cache puts
	config := &tls.Config{
		ServerName:         "im.example",
		RootCAs:            ca.Pool(),
		ClientSessionCache: &cache,
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config.MaxVersion = version
		for range 2 {
			side, err := opts.prepare(jid.MustParse("im.example"))
			require.NoError(t, err)
			near, far := memconn.Pipe()
			done := make(chan error, 1)
			go func() {
				conn, sec, err := side.handshake(t.Context(), far)
				if err == nil {
					_, err = conn.Write([]byte("x"))
				}
				if err == nil && sec.Resumed {
					err = errors.New("resumed")
				}
				done <- err
			}()
			peer := tls.Client(near, config)
			_, err = peer.Read(make([]byte, 1)) // tickets come before the byte
			require.NoError(t, err)
			require.NoError(t, <-done)
			require.False(t, peer.ConnectionState().DidResume)
			near.Close()
			far.Close()
		}
	}
	require.Zero(t, cache)
}

// puts counts the sessions that a client could have resumed.
type puts int

func (p *puts) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (p *puts) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		*p++
	}
}

func BenchmarkHandshake(b *testing.B) {
	ca := newCA(b)
	client := &ClientOptions{RootCAs: ca.Pool()}
	server := certs(issue(b, ca, "im.example"))
	domain := jid.MustParse("im.example")
	b.ReportAllocs()
	for b.Loop() {
		near, far := memconn.Pipe()
		side, err := server.prepare(domain)
		require.NoError(b, err)
		config, err := client.prepare(domain)
		require.NoError(b, err)
		done := make(chan error, 1)
		go func() {
			_, _, err := side.handshake(b.Context(), far)
			done <- err
		}()
		_, _, err = clientHandshake(b.Context(), near, config)
		require.NoError(b, err)
		require.NoError(b, <-done)
		near.Close()
		far.Close()
	}
}

// The certificate that names the domain is whichever a client would accept: the
// server knows the same identifiers (RFC 6120 §13.7.1.2.1).
func TestServerChoosesByOtherNames(t *testing.T) {
	ca := newCA(t)
	other := issue(t, ca, "other.example")
	for what, opts := range map[string]IssueOptions{
		"XmppAddr": {XMPPAddrs: []jid.JID{jid.MustParse("im.example")}},
		"SRV-ID":   {SRVNames: []string{"_xmpp-client.im.example"}},
	} {
		cert, err := ca.IssueWith(opts)
		require.NoError(t, err)
		withoutLeaf := cert
		withoutLeaf.Leaf = nil
		for _, c := range []tls.Certificate{cert, withoutLeaf} {
			near, far := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool()}, certs(other, c))
			require.NoError(t, near.err, what)
			require.NoError(t, far.err, what)
			require.Equal(t, cert.Certificate[0], near.sec.PeerChain[0].Raw, what)
			require.Equal(t, near.sec.Bindings, far.sec.Bindings, what)
		}
	}
}

// A certificate that suits comes before one that does not, if none names the
// domain; and if none suits either, the handshake fails.
func TestServerChoosesWhatSuits(t *testing.T) {
	ca := newCA(t)
	ed, err := ca.IssueWith(IssueOptions{Key: KeyEd25519}, "im.example")
	require.NoError(t, err)
	first, second := issue(t, ca, "a.example"), issue(t, ca, "b.example")
	ecdsaOnly := &tls.ClientHelloInfo{
		SupportedVersions: []uint16{tls.VersionTLS13}, CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.X25519}, ServerName: "im.example",
	}
	ref, err := newReference(jid.MustParse("im.example"), serviceClient)
	require.NoError(t, err)
	for what, tc := range map[string]struct {
		certs []tls.Certificate
		want  int
	}{
		"the first that suits":       {[]tls.Certificate{ed, first, second}, 1},
		"the first of two":           {[]tls.Certificate{first, second}, 0},
		"the one that names":         {[]tls.Certificate{first, issue(t, ca, "im.example")}, 1},
		"the first, if none suits":   {[]tls.Certificate{ed, ed}, 0},
		"the first that can be read": {[]tls.Certificate{{Certificate: [][]byte{{1}}}, second}, 1},
	} {
		got, err := choose(ecdsaOnly, ref, tc.certs, nil)
		require.NoError(t, err, what)
		require.Same(t, &tc.certs[tc.want], got, what)
		require.Equal(t, "im.example", ecdsaOnly.ServerName)
	}
	c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Config: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}}, certs(first))
	require.Error(t, c.err)
	require.Error(t, s.err)
}

// What a callback for the client's certificate does wrong fails the handshake.
func TestClientCertificateCallback(t *testing.T) {
	ca := newCA(t)
	server := certs(issue(t, ca, "im.example"))
	server.ClientCAs = ca.Pool()
	broken := errors.New("the token was pulled out")
	mine := issue(t, ca, "juliet.example")
	for what, tc := range map[string]struct {
		cert *tls.Certificate
		err  error
	}{"an error": {err: broken}, "both": {&mine, broken}} {
		client := &ClientOptions{RootCAs: ca.Pool(), Config: &tls.Config{
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tc.cert, tc.err },
		}}
		c, s := shake(t, "im.example", client, server)
		require.Error(t, c.err, what)
		require.Error(t, s.err, what)
		require.ErrorIs(t, c.err, broken, what)
	}
	for _, certs := range [][]tls.Certificate{nil, {mine}} {
		c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Certificates: certs, Config: &tls.Config{
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil },
		}}, server)
		require.NoError(t, c.err)
		require.NoError(t, s.err)
		require.Equal(t, len(certs) > 0, c.sec.OwnCertificate)
		require.Len(t, s.sec.PeerChain, len(certs))
	}
}

// Without authorities of its own a server trusts no client by default: those of
// the system vouch for servers.
func TestNoAuthoritiesForClients(t *testing.T) {
	cert := issue(t, newCA(t), "im.example")
	opts := certs(cert)
	opts.ClientPolicy = PolicyFunc(func(_ context.Context, p *Presented) error { return p.Err })
	side, err := opts.prepare(jid.MustParse("im.example"))
	require.NoError(t, err)
	require.True(t, side.verifier.roots.Equal(x509.NewCertPool()))
	p, err := side.verifier.judge(t.Context(), nil)
	require.ErrorIs(t, err, ErrUnacceptable)
	require.Equal(t, stream.Unacceptable, p.Verdict)
	require.Equal(t, err, p.Err)
}
