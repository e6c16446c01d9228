package tls

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
)

// RFC 3920 §14.7 made TLS_RSA_WITH_3DES_EDE_CBC_SHA mandatory and RFC 6120
// §13.8.2 TLS_RSA_WITH_AES_128_CBC_SHA; RFC 9325 §4.1 has retired both.
var onceMandatory = []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA}

func TestInsecureSuites(t *testing.T) {
	ca := newCA(t)
	cert, err := ca.IssueWith(IssueOptions{Key: KeyRSA}, "im.example")
	require.NoError(t, err)
	domain := jid.MustParse("im.example")
	for _, suite := range onceMandatory {
		// old knows nothing better.
		old := &tls.Config{
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite},
			RootCAs: ca.Pool(), ServerName: "im.example", Certificates: []tls.Certificate{cert},
		}
		for _, permitted := range []bool{false, true} {
			name := tls.CipherSuiteName(suite) + "/refused"
			var insecure []uint16
			if permitted {
				name, insecure = tls.CipherSuiteName(suite)+"/permitted", []uint16{suite}
			}
			check := func(t *testing.T, got side, theirs error) {
				if !permitted {
					require.Error(t, got.err)
					require.Error(t, theirs)
					return
				}
				require.NoError(t, got.err)
				require.NoError(t, theirs)
				require.Equal(t, suite, got.sec.CipherSuite)
				require.EqualValues(t, tls.VersionTLS12, got.sec.Version)
				// The extended master secret is there all the same.
				require.Contains(t, got.sec.Bindings, bindingExporter)
			}
			t.Run("client/"+name, func(t *testing.T) {
				near, far := memPipe(t)
				config, err := (&ClientOptions{RootCAs: ca.Pool(), InsecureSuites: insecure}).prepare(domain)
				require.NoError(t, err)
				done := make(chan error, 1)
				go func() { done <- tls.Server(far, old).Handshake() }()
				var got side
				got.conn, got.sec, got.err = clientHandshake(t.Context(), near, config)
				check(t, got, <-done)
			})
			t.Run("server/"+name, func(t *testing.T) {
				near, far := memPipe(t)
				opts := certs(cert)
				opts.InsecureSuites = insecure
				server, err := opts.prepare(domain)
				require.NoError(t, err)
				done := make(chan error, 1)
				go func() { done <- tls.Client(near, old).Handshake() }()
				var got side
				got.conn, got.sec, got.err = server.handshake(t.Context(), far)
				check(t, got, <-done)
			})
		}
	}
	t.Run("only if nothing better is shared", func(t *testing.T) {
		for _, max := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			server := certs(cert)
			server.InsecureSuites = onceMandatory
			c, s := shake(t, "im.example", &ClientOptions{
				RootCAs: ca.Pool(), InsecureSuites: onceMandatory, Config: &tls.Config{MaxVersion: max},
			}, server)
			require.NoError(t, c.err)
			require.NoError(t, s.err)
			require.Equal(t, max, c.sec.Version)
			require.NotContains(t, onceMandatory, c.sec.CipherSuite)
		}
	})
	t.Run("no other way in", func(t *testing.T) {
		for _, suite := range onceMandatory {
			c := &tls.Config{CipherSuites: []uint16{suite}}
			require.ErrorIs(t, (&ClientOptions{Config: c}).Validate(), ErrInsecureConfig)
			require.ErrorIs(t, (&ServerOptions{Config: c, Certificates: []tls.Certificate{cert}}).Validate(), ErrInsecureConfig)
		}
		opts := &ClientOptions{InsecureSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
		kept := opts.clone()
		opts.InsecureSuites[0] = tls.TLS_RSA_WITH_RC4_128_SHA
		require.Equal(t, tls.TLS_RSA_WITH_AES_128_CBC_SHA, kept.InsecureSuites[0])
	})
	t.Run("unknown and useless ones", func(t *testing.T) {
		for _, suite := range []uint16{0, 0x0016 /* DHE with 3DES */, 0x0033 /* DHE with AES-CBC */, tls.TLS_FALLBACK_SCSV, tls.TLS_AES_128_GCM_SHA256} {
			for _, err := range []error{
				(&ClientOptions{InsecureSuites: []uint16{suite}}).Validate(),
				(&ServerOptions{InsecureSuites: []uint16{suite}, Certificates: []tls.Certificate{cert}}).Validate(),
			} {
				require.ErrorIs(t, err, ErrConfig)
				require.ErrorContains(t, err, "InsecureSuites")
			}
		}
		for _, suite := range tls.InsecureCipherSuites() {
			require.NoError(t, (&ClientOptions{InsecureSuites: []uint16{suite.ID}}).Validate(), suite.Name)
		}
	})
	t.Run("known, but for TLS 1.3", func(t *testing.T) {
		for _, suite := range tls.CipherSuites()[:3] {
			err := (&ClientOptions{InsecureSuites: []uint16{suite.ID}}).Validate()
			require.ErrorContains(t, err, suite.Name+" is not for TLS 1.2")
		}
	})
	t.Run("the base is not touched", func(t *testing.T) {
		base := make([]uint16, 1, 8)
		base[0] = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
		config, err := (&ClientOptions{Config: &tls.Config{CipherSuites: base}, InsecureSuites: onceMandatory}).config()
		require.NoError(t, err)
		require.Len(t, config.CipherSuites, 3)
		require.Zero(t, base[:2][1])
		// Nor those of the package.
		_, err = (&ClientOptions{InsecureSuites: onceMandatory}).config()
		require.NoError(t, err)
		plain, err := (*ClientOptions)(nil).config()
		require.NoError(t, err)
		require.NotContains(t, plain.CipherSuites, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA)
	})
}
