package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// TestAdversarial has the rows that need authorities no DevCA stands for.
func TestAdversarial(t *testing.T) {
	t.Run("C09", testFaultyCertificates)
	t.Run("C10", testIntermediates)
	t.Run("C16", testManyNames)
}

// chainFor returns what a peer presents.
func chainFor(leaf *issuer, above ...*x509.Certificate) tls.Certificate {
	out := tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}
	for _, c := range above {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out
}

// presentBoth has a server and a client present a certificate for im.example and
// returns the client's error and what the server makes of it.
func presentBoth(t *testing.T, cert tls.Certificate, roots *x509.CertPool, opts *ClientOptions) (server stream.Security, client error) {
	t.Helper()
	dev := newCA(t)
	client = shakeOnly(t, cert, roots, opts)
	asking := certs(issue(t, dev, "im.example"))
	asking.ClientCAs = roots
	c, s := shake(t, "im.example", &ClientOptions{RootCAs: dev.Pool(), Config: &tls.Config{
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	}}, asking)
	// RFC 6120 §5.4.3.1 rule 6: it does not end the handshake.
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	return s.sec, client
}

func shakeOnly(t *testing.T, cert tls.Certificate, roots *x509.CertPool, opts *ClientOptions) error {
	t.Helper()
	o := ClientOptions{}
	if opts != nil {
		o = *opts
	}
	o.RootCAs = roots
	c, s := shake(t, "im.example", &o, certs(cert))
	if c.err != nil {
		require.Zero(t, c.sec)
		require.Error(t, s.err)
	}
	return c.err
}

func testFaultyCertificates(t *testing.T) {
	key, rsaKey, shortKey := mustEC(t), mustRSA(t, 2048), mustRSA(t, 1024)
	root := made(t, nil, mustEC(t), ca("root"))
	rsaRoot := made(t, nil, rsaKey, ca("RSA root"))
	stranger := made(t, nil, mustEC(t), ca("stranger"))
	narrow := made(t, root, mustEC(t), ca("narrow"), func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.example"}, true
	})
	roots := poolOf(root.cert, rsaRoot.cert)
	im := named("im.example")
	md5 := made(t, rsaRoot, key, im)
	md5.cert = withMD5(t, md5.cert)
	for name, tc := range map[string]struct {
		cert tls.Certificate
		want Verdict
	}{
		"expired":          {chainFor(made(t, root, key, im, days(-20, -10))), stream.Anchored | stream.WrongTime},
		"future":           {chainFor(made(t, root, key, im, days(10, 20))), stream.Anchored | stream.WrongTime},
		"wrong use":        {chainFor(made(t, root, key, im, usage(x509.ExtKeyUsageCodeSigning))), stream.Anchored | stream.Unacceptable},
		"MD5":              {chainFor(md5), stream.UnknownAuthority | stream.Unacceptable},
		"SHA-1":            {chainFor(made(t, rsaRoot, key, im, signedWith(x509.SHA1WithRSA))), stream.UnknownAuthority | stream.Unacceptable},
		"RSA-1024":         {chainFor(made(t, root, shortKey, im)), stream.Anchored | stream.Unacceptable},
		"unknown CA":       {chainFor(made(t, stranger, key, im), stranger.cert), stream.UnknownAuthority},
		"self-signed":      {chainFor(made(t, nil, key, im)), stream.SelfSigned},
		"name constraints": {chainFor(made(t, narrow, key, im), narrow.cert), stream.Anchored | stream.Unacceptable},
	} {
		server, err := presentBoth(t, tc.cert, roots, nil)
		t.Run("client/"+name, func(t *testing.T) {
			var cerr *CertificateError
			require.ErrorAs(t, err, &cerr)
			require.Equal(t, tc.want, cerr.Verdict, err)
			for target, members := range verdictErrors {
				require.Equal(t, tc.want&members != 0, cerr.Is(target))
			}
			require.Len(t, cerr.Chain, len(tc.cert.Certificate))
			// Accepting it takes somebody who is shown it, and this one only.
			accept := &ClientOptions{Policy: PolicyFunc(func(_ context.Context, p *Presented) error {
				require.Len(t, p.Chain, len(tc.cert.Certificate))
				require.Equal(t, tc.want, p.Verdict)
				require.Equal(t, err.Error(), p.Err.Error())
				return nil
			})}
			require.NoError(t, shakeOnly(t, tc.cert, roots, accept))
		})
		t.Run("server/"+name, func(t *testing.T) {
			require.False(t, server.Verified)
			require.Equal(t, tc.want, server.Verdict)
			require.Zero(t, server.Expires)
			require.Len(t, server.PeerChain, len(tc.cert.Certificate))
		})
	}
}

func testIntermediates(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"))
	roots := poolOf(root.cert)
	middle := made(t, root, mustEC(t), ca("middle"))
	leaf := made(t, middle, mustEC(t), named("im.example"))
	// Irrelevant ones, and worse: ones with the name of the one that is missing,
	// whose signatures are tried.
	var irrelevant, namesakes []*x509.Certificate
	key := mustEC(t)
	for i := range 100 {
		irrelevant = append(irrelevant, made(t, nil, key, ca(fmt.Sprint("authority ", i))).cert)
		namesakes = append(namesakes, made(t, nil, key, ca("middle"), days(-20, -10)).cert)
	}
	for name, tc := range map[string]struct {
		cert tls.Certificate
		want Verdict
	}{
		"there":                          {chainFor(leaf, middle.cert), stream.Anchored},
		"missing":                        {chainFor(leaf), stream.UnknownAuthority},
		"100 irrelevant":                 {chainFor(leaf, irrelevant...), stream.UnknownAuthority},
		"100 irrelevant, then there":     {chainFor(leaf, append(irrelevant, middle.cert)...), stream.Anchored},
		"100 of the name, all expired":   {chainFor(leaf, namesakes...), stream.UnknownAuthority | stream.WrongTime},
		"twice and the root besides":     {chainFor(leaf, middle.cert, root.cert, middle.cert), stream.Anchored},
		"the leaf again and again":       {chainFor(leaf, leaf.cert, leaf.cert, middle.cert), stream.Anchored},
		"only the root in place of both": {chainFor(leaf, root.cert), stream.UnknownAuthority},
	} {
		start := time.Now()
		server, err := presentBoth(t, tc.cert, roots, nil)
		took := time.Since(start)
		t.Run("client/"+name, func(t *testing.T) {
			// 100 ms are meant; machines that run tests are busy.
			require.Less(t, took, time.Second)
			if tc.want.OK() {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrUntrusted)
		})
		t.Run("server/"+name, func(t *testing.T) {
			require.Equal(t, tc.want, server.Verdict)
			require.Equal(t, tc.want.OK(), server.Verified)
		})
	}
}

// manyNames returns a certificate with a hundred thousand names, which is about
// what fits into a Certificate message.
func manyNames(t testing.TB, root *issuer) *issuer {
	names := make([]byte, 0, 210_000)
	for range 99_999 {
		names = append(names, 0x82, 0)
	}
	return made(t, root, mustEC(t), called("huge"), withSAN(names, dnsName("im.other.example")))
}

func testManyNames(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"))
	cert := manyNames(t, root)
	server, err := presentBoth(t, chainFor(cert), poolOf(root.cert), nil)
	t.Run("client", func(t *testing.T) {
		require.ErrorIs(t, err, ErrNameMismatch)
		require.ErrorContains(t, err, "and 99996 more")
		few := &CertificateError{Verdict: stream.WrongName, Chain: []*x509.Certificate{made(t, root, mustEC(t), named("a.example", "b.example")).cert}}
		require.ErrorContains(t, few, `(it presents "a.example", "b.example")`)
		require.LessOrEqual(t, len(err.Error()), 1024)
		ref := &reference{host: "im.other.example", service: serviceClient}
		start := time.Now()
		require.True(t, ref.matches(cert.cert))
		require.Less(t, time.Since(start), 500*time.Millisecond) // meant are 50 ms
	})
	t.Run("server", func(t *testing.T) {
		require.True(t, server.Verified)
		require.Len(t, server.Identities, maxIdentities)
		require.Empty(t, server.XMPPAddrs)
	})
}

// BenchmarkVerify is the whole decision about a server's certificate.
func BenchmarkVerify(b *testing.B) {
	root := made(b, nil, mustEC(b), ca("root"))
	middle := made(b, root, mustEC(b), ca("middle"))
	for name, chain := range map[string][]*x509.Certificate{
		"usual":      {made(b, middle, mustEC(b), named("im.example")).cert, middle.cert},
		"1e5 names":  {manyNames(b, root).cert},
		"untrusted":  {made(b, nil, mustEC(b), named("im.example")).cert},
		"expired":    {made(b, middle, mustEC(b), named("im.example"), days(-20, -10)).cert, middle.cert},
		"256 addrs+": {made(b, root, mustEC(b), withSAN(repeated(10_000)...)).cert},
	} {
		b.Run(name, func(b *testing.B) {
			v := &verifier{
				ref:   &reference{host: "im.example", service: serviceClient},
				roots: poolOf(root.cert), usages: serverUsages, now: time.Now,
			}
			b.ReportAllocs()
			for b.Loop() {
				if p, err := v.judge(b.Context(), chain); err != nil && len(err.Error()) > 1024 || p.Verdict == 0 {
					b.Fatal(p.Verdict, err)
				}
			}
		})
	}
}

func repeated(n int) (out [][]byte) {
	for i := range n {
		out = append(out, xmppName(fmt.Sprintf("ü%d.ex", i)))
	}
	return out
}
