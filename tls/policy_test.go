package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

func TestConfigPolicy(t *testing.T) {
	cert := issue(t, newCA(t), "im.example")
	accepted := map[string]*tls.Config{
		"nil":                    nil,
		"zero":                   {},
		"TLS 1.3 only":           {MinVersion: tls.VersionTLS13},
		"suites of ours":         {CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}},
		"suites of TLS 1.3":      {CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}},
		"InsecureSkipVerify off": {InsecureSkipVerify: false},
	}
	insecure := map[string]*tls.Config{
		"InsecureSkipVerify": {InsecureSkipVerify: true},
		"TLS 1.0":            {MinVersion: tls.VersionTLS10},
		"TLS 1.1":            {MaxVersion: tls.VersionTLS11},
		"renegotiation":      {Renegotiation: tls.RenegotiateFreelyAsClient},
		// RFC 9325 §4.1: no static key exchange, no CBC, no RC4, no 3DES.
		"RSA key exchange": {CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		"CBC":              {CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		"one bad suite":    {CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}},
	}
	unusable := map[string]*tls.Config{
		"ServerName":         {ServerName: "other.example"},
		"NextProtos":         {NextProtos: []string{"xmpp-client"}},
		"ClientSessionCache": {ClientSessionCache: tls.NewLRUClientSessionCache(1)},
		"GetConfigForClient": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }},
	}
	for side, validate := range map[string]func(*tls.Config) error{
		"client": func(c *tls.Config) error { return (&ClientOptions{Config: c}).Validate() },
		"server": func(c *tls.Config) error {
			return (&ServerOptions{Config: c, Certificates: []tls.Certificate{cert}}).Validate()
		},
	} {
		for name, c := range accepted {
			require.NoError(t, validate(c), "%s: %s", side, name)
		}
		for name, c := range insecure {
			err := validate(c)
			require.ErrorIs(t, err, ErrConfig, "%s: %s", side, name)
			require.ErrorIs(t, err, ErrInsecureConfig, "%s: %s", side, name)
		}
		for name, c := range unusable {
			err := validate(c)
			require.ErrorIs(t, err, ErrConfig, "%s: %s", side, name)
			require.NotErrorIs(t, err, ErrInsecureConfig, "%s: %s", side, name)
			require.ErrorContains(t, err, name)
		}
	}
	require.ErrorIs(t, (*ServerOptions)(nil).Validate(), ErrConfig, "no certificate")
	require.NoError(t, (*ClientOptions)(nil).Validate())
	for _, c := range []*tls.Config{
		{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert},
		{Certificates: []tls.Certificate{cert}, ClientCAs: x509.NewCertPool()},
	} {
		require.ErrorIs(t, (&ServerOptions{Config: c}).Validate(), ErrConfig)
	}
}

func TestCallersConfigIsNotTouched(t *testing.T) {
	ca := newCA(t)
	base := &tls.Config{RootCAs: ca.Pool()}
	c, s := shake(t, "im.example", &ClientOptions{Config: base}, certs(issue(t, ca, "im.example")))
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	require.False(t, base.InsecureSkipVerify)
	require.Nil(t, base.VerifyConnection)
	require.Empty(t, base.ServerName)
	require.Zero(t, base.MinVersion)
}

// RFC 9325 §3.1.1: TLS 1.2 is the lowest version, and to say so is no fault.
func TestLowestVersion(t *testing.T) {
	for _, version := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []*tls.Config{{MinVersion: version}, {MaxVersion: version}} {
			require.NoError(t, (&ClientOptions{Config: c}).Validate())
		}
	}
}

func TestOptionsAreCopied(t *testing.T) {
	client := &ClientOptions{Config: new(tls.Config), Certificates: make([]tls.Certificate, 1)}
	kept := client.clone()
	client.Config.InsecureSkipVerify = true
	client.Certificates[0].Certificate = [][]byte{{1}}
	require.NoError(t, kept.Validate())
	require.Empty(t, kept.Certificates[0].Certificate)

	server := &ServerOptions{Config: new(tls.Config), Certificates: make([]tls.Certificate, 1), InsecureSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
	keptServer := server.clone()
	server.Config.InsecureSkipVerify = true
	server.Certificates[0].Certificate = [][]byte{{1}}
	server.InsecureSuites[0] = 0xffff
	require.NoError(t, keptServer.Validate())
	require.Empty(t, keptServer.Certificates[0].Certificate)
}

func TestOldVersionsAndSuitesAreNotSpoken(t *testing.T) {
	// RFC 9325 §3.1.1, §4.2: whatever the other side is willing to do.
	ca := newCA(t)
	cert, err := ca.IssueWith(IssueOptions{Key: KeyRSA}, "im.example")
	require.NoError(t, err)
	for name, weak := range map[string]*tls.Config{
		"TLS 1.1": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"CBC":     {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		"RSA":     {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		weak.RootCAs, weak.ServerName, weak.Certificates = ca.Pool(), "im.example", []tls.Certificate{cert}
		t.Run(name, func(t *testing.T) {
			near, far := memPipe(t)
			config, err := (&ClientOptions{RootCAs: ca.Pool()}).prepare(jid.MustParse("im.example"))
			require.NoError(t, err)
			require.EqualValues(t, tls.VersionTLS12, config.MinVersion)
			done := make(chan error, 1)
			go func() { done <- tls.Server(far, weak).Handshake() }()
			_, _, err = clientHandshake(t.Context(), near, config)
			require.Error(t, err)
			require.Error(t, <-done)

			near, far = memPipe(t)
			server, err := certs(cert).prepare(jid.MustParse("im.example"))
			require.NoError(t, err)
			require.EqualValues(t, tls.VersionTLS12, server.config.MinVersion)
			go func() { done <- tls.Client(near, weak).Handshake() }()
			_, _, err = server.handshake(t.Context(), far)
			require.Error(t, err)
			require.Error(t, <-done)
		})
	}
}

func TestServerPolicy(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	names := func(n ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = n }
	}
	for _, tc := range []struct {
		name   string
		ca     *DevCA
		domain string
		edit   func(*x509.Certificate)
		want   Verdict // beside Anchored, unless it has another kind of path
	}{
		// RFC 9525 §6.3
		{"equal", ca, "im.example.com", names("im.example.com"), 0},
		{"another case", ca, "im.example.com", names("IM.Example.COM"), 0},
		{"second of two", ca, "im.example.com", names("a.example", "im.example.com"), 0},
		{"U-label", ca, "münchen.example", names("xn--mnchen-3ya.example"), 0},
		{"A-label in the JID", ca, "xn--mnchen-3ya.example", names("xn--mnchen-3ya.example"), 0},
		{"other name", ca, "im.example.com", names("example.com"), stream.WrongName},
		{"suffix", ca, "im.example.com", names("notim.example.com"), stream.WrongName},
		{"wildcard", ca, "im.example.com", names("*.example.com"), 0},
		{"wildcard for an A-label", ca, "münchen.example", names("*.example"), 0},
		{"wildcard, parent", ca, "example.com", names("*.example.com"), stream.WrongName},
		{"wildcard, two labels", ca, "a.b.example.com", names("*.example.com"), stream.WrongName},
		{"wildcard in a label", ca, "im.example.com", names("i*.example.com"), stream.WrongName},
		{"wildcard before text", ca, "im.example.com", names("*m.example.com"), stream.WrongName},
		{"wildcard not leftmost", ca, "im.example.com", names("im.*.com"), stream.WrongName},
		{"two wildcards", ca, "im.example.com", names("*.*.com"), stream.WrongName},
		{"wildcard in an A-label", ca, "münchen.example", names("xn--*.example"), stream.WrongName},
		{"only a wildcard", ca, "localhost", names("*"), stream.WrongName},
		{"NUL", ca, "im.example.com", names("im.example.com\x00.evil.example"), stream.Unacceptable},
		// RFC 9525 §6.2: a Common Name is not an identifier.
		{"Common Name only", ca, "im.example.com", func(c *x509.Certificate) { c.Subject.CommonName = "im.example.com" }, stream.WrongName},
		// RFC 9525 §6.4
		{"IPv4", ca, "192.0.2.1", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }, 0},
		{"IPv6", ca, "[2001:db8::1]", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} }, 0},
		{"other address", ca, "192.0.2.1", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 2)} }, stream.WrongName},
		{"address as a DNS name", ca, "192.0.2.1", names("192.0.2.1"), stream.WrongName},
		{"wildcard for an address", ca, "192.0.2.1", names("*.0.2.1"), stream.WrongName},
		// RFC 5280 §6
		{"other authority", other, "im.example.com", names("im.example.com"), stream.UnknownAuthority},
		{"other authority and name", other, "im.example.com", names("a.example"), stream.UnknownAuthority | stream.WrongName},
		{"expired", ca, "im.example.com", func(c *x509.Certificate) {
			c.DNSNames, c.NotAfter = []string{"im.example.com"}, time.Now().Add(-time.Minute)
		}, stream.WrongTime},
		{"not yet valid", ca, "im.example.com", func(c *x509.Certificate) {
			c.DNSNames, c.NotBefore = []string{"im.example.com"}, time.Now().Add(time.Minute)
		}, stream.WrongTime},
		{"for clients", ca, "im.example.com", func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"im.example.com"}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, stream.Unacceptable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cert, err := tc.ca.IssueWith(IssueOptions{Edit: tc.edit})
			require.NoError(t, err)
			c, s := shake(t, tc.domain, &ClientOptions{RootCAs: ca.Pool()}, certs(cert))
			if tc.want == 0 {
				require.NoError(t, c.err)
				require.NoError(t, s.err)
				require.True(t, c.sec.Verified)
				require.True(t, c.sec.Verdict.OK())
				return
			}
			require.Error(t, s.err)
			require.Zero(t, c.sec)
			if tc.name == "NUL" {
				require.Error(t, c.err) // crypto/x509 may not even parse it
				return
			}
			want := tc.want
			if !want.Has(stream.UnknownAuthority) {
				want |= stream.Anchored
			}
			var cerr *CertificateError
			require.ErrorAs(t, c.err, &cerr)
			require.Equal(t, want, cerr.Verdict, c.err)
			for target, members := range verdictErrors {
				require.Equal(t, want&members != 0, errors.Is(c.err, target), "%s: %v", target, c.err)
			}
			require.Equal(t, jid.MustParse(tc.domain).Domain(), cerr.Domain)
			require.Len(t, cerr.Chain, 1)
			require.Equal(t, cert.Certificate[0], cerr.Chain[0].Raw)
			require.Equal(t, tc.want != stream.WrongName, cerr.Cause != nil)
		})
	}
}

func TestVerifyNothing(t *testing.T) {
	_, err := (&verifier{now: time.Now}).judge(t.Context(), nil)
	require.ErrorIs(t, err, ErrUnacceptable)
	require.EqualError(t, err, `xmpp/tls: certificate not accepted: unacceptable: "no certificate was presented"`)
}

func TestUserCallbacksRunAfterThePolicy(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	no := errors.New("not this one")
	var ran []string
	opts := &ClientOptions{RootCAs: ca.Pool(), Config: &tls.Config{
		VerifyPeerCertificate: func(raw [][]byte, chains [][]*x509.Certificate) error {
			ran = append(ran, "peer")
			require.Len(t, raw, 1)
			require.Equal(t, chains[0][0].Raw, raw[0])
			require.Len(t, chains[0], 2)
			return nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			ran = append(ran, "connection")
			require.Len(t, cs.VerifiedChains[0], 2)
			return no
		},
	}}
	c, _ := shake(t, "im.example", opts, certs(issue(t, ca, "im.example")))
	require.ErrorIs(t, c.err, no)
	require.Equal(t, []string{"peer", "connection"}, ran)

	ran = nil
	refusing := &ClientOptions{RootCAs: ca.Pool(), Config: opts.Config.Clone()}
	refusing.Config.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return no }
	c, _ = shake(t, "im.example", refusing, certs(issue(t, ca, "im.example")))
	require.ErrorIs(t, c.err, no)
	require.Empty(t, ran)

	c, _ = shake(t, "im.example", opts, certs(issue(t, other, "im.example")))
	require.ErrorIs(t, c.err, ErrUntrusted)
	require.Empty(t, ran)
}

func TestDevCA(t *testing.T) {
	t.Run("keys", func(t *testing.T) {
		ca := newCA(t)
		for _, key := range []Key{KeyECDSA, KeyRSA, KeyEd25519} {
			cert, err := ca.IssueWith(IssueOptions{Key: key}, "im.example")
			require.NoError(t, err)
			c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool()}, certs(cert))
			require.NoError(t, c.err)
			require.NoError(t, s.err)
		}
		_, err := ca.IssueWith(IssueOptions{Key: 9}, "im.example")
		require.Error(t, err)
	})
	t.Run("names", func(t *testing.T) {
		ca := newCA(t)
		cert := issue(t, ca, "München.example", "*.bücher.example", "[2001:db8::1]", "192.0.2.1")
		require.Equal(t, []string{"xn--mnchen-3ya.example", "*.xn--bcher-kva.example"}, cert.Leaf.DNSNames)
		require.Len(t, cert.Leaf.IPAddresses, 2)
		for _, bad := range []string{"", "a..b", "a/b", "*", "user@im.example", "*.*.example", strings.Repeat("a", 64) + ".example"} {
			_, err := ca.Issue(bad)
			require.Error(t, err, bad)
		}
		_, err := ca.Issue()
		require.Error(t, err)
	})
	t.Run("serial numbers differ", func(t *testing.T) {
		ca := newCA(t)
		require.NotEqual(t, issue(t, ca, "a.example").Leaf.SerialNumber, issue(t, ca, "a.example").Leaf.SerialNumber)
	})
	t.Run("in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // the clock stands at the year 2000
			ca := newCA(t)
			cert := issue(t, ca, "im.example")
			c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool()}, certs(cert))
			require.NoError(t, c.err)
			require.NoError(t, s.err)

			for days, want := range map[int]error{29: nil, 31: ErrExpired} {
				later := &tls.Config{Time: func() time.Time { return time.Now().AddDate(0, 0, days) }}
				c, _ = shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Config: later}, certs(cert))
				require.ErrorIs(t, c.err, want)
			}
		})
	})
	t.Run("files", func(t *testing.T) {
		ca := newCA(t)
		dir := t.TempDir()
		// Permissions of what is there do not stay.
		require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), nil, 0o666))
		require.NoError(t, ca.WriteFiles(dir, "im.example"))
		cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		require.NoError(t, err)
		pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		require.NoError(t, err)
		require.Equal(t, ca.PEM(), pem)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(pem))
		require.True(t, pool.Equal(ca.Pool()))
		c, _ := shake(t, "im.example", &ClientOptions{RootCAs: pool}, certs(cert))
		require.NoError(t, c.err)
		info, err := os.Stat(filepath.Join(dir, "key.pem"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 3)

		require.Error(t, ca.WriteFiles(filepath.Join(dir, "missing"), "im.example"))
		require.Error(t, ca.WriteFiles(dir))
		if openssl, err := exec.LookPath("openssl"); err == nil {
			out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-purpose", "sslserver",
				"-verify_hostname", "im.example", "-CAfile", filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem")).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
	})
}
