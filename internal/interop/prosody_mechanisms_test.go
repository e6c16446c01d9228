package interop_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream/auth"
)

// versions are those of TLS that are tested.
var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// TestProsodyPlainStorage: with the password itself in the store, Prosody offers every hash, and the strongest is taken. PLAIN is there too, for
// clients that allow it and have nothing else (RFC 4616).
func TestProsodyPlainStorage(t *testing.T) {
	t.Parallel()
	p := startProsodyWith(t, interop.ProsodyOptions{Authentication: "internal_plain"})
	for version, want := range map[uint16]string{tls.VersionTLS12: "SCRAM-SHA-256-PLUS", tls.VersionTLS13: "SCRAM-SHA-256"} {
		_, w := p.connect(t, "alice", version)
		_, mechanism, _ := w.seen()
		require.Equal(t, want, mechanism)

		o := loginOptions{account: p.account("alice"), version: version}
		o.auth = &auth.ClientOptions{Password: password, Mechanisms: []sasl.Mechanism{sasl.Plain()}}
		_, _, err := p.login(bounded(t), o)
		require.ErrorIs(t, err, sasl.ErrNoMechanism, "PLAIN is not allowed")
		o.auth.AllowPlain = true
		conn, w, err := p.login(bounded(t), o)
		require.NoError(t, err)
		_, mechanism, _ = w.seen()
		require.Equal(t, "PLAIN", mechanism)
		closeInOrder(t, conn)
	}
}

// TestProsodyAnonymous: somebody who does not say who they are gets an account for as long as the session lasts (XEP-0175).
func TestProsodyAnonymous(t *testing.T) {
	t.Parallel()
	p := startProsodyWith(t, interop.ProsodyOptions{Authentication: "anonymous"})
	for _, version := range versions {
		o := loginOptions{version: version, auth: &auth.ClientOptions{Mechanisms: []sasl.Mechanism{sasl.Anonymous()}}}
		conn, w, err := p.login(bounded(t), o)
		require.NoError(t, err)
		_, mechanism, _ := w.seen()
		require.Equal(t, "ANONYMOUS", mechanism)
		require.NotEmpty(t, conn.LocalAddr().Local())
		require.Equal(t, prosodyDomain, conn.LocalAddr().Domain())
		closeInOrder(t, conn)

		// It is for those who asked for it.
		o.account, o.auth = p.account("alice"), &auth.ClientOptions{Password: password}
		_, _, err = p.login(bounded(t), o)
		require.ErrorIs(t, err, sasl.ErrNoMechanism)
	}
}

// TestProsodyExternal: EXTERNAL with the certificate of an account (XEP-0178, RFC 6120 §13.7.2.2).
func TestProsodyExternal(t *testing.T) {
	t.Parallel()
	p := startProsodyWith(t, interop.ProsodyOptions{Authentication: "ccert"})
	testExternal(t, &p.foreignServer)
}

// testExternal logs in at a server whose clients have certificates.
func testExternal(t *testing.T, s *foreignServer) {
	alice, bob := s.account("alice"), s.account("bob")
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			o := loginOptions{account: alice, version: version, auth: new(auth.ClientOptions), certificate: s.certificate(t, alice)}
			conn, w, err := s.login(bounded(t), o)
			require.NoError(t, err)
			security, mechanism, _ := w.seen()
			require.Equal(t, "EXTERNAL", mechanism)
			require.True(t, security.OwnCertificate)
			require.Equal(t, alice, conn.LocalAddr().Bare())
			closeInOrder(t, conn)

			// XEP-0178 §2: with several, the client says which.
			o.certificate = s.certificate(t, bob, alice)
			o.auth = &auth.ClientOptions{Username: "alice", AuthzID: alice}
			conn, _, err = s.login(bounded(t), o)
			require.NoError(t, err)
			require.Equal(t, alice, conn.LocalAddr().Bare())
			closeInOrder(t, conn)

			// Somebody else's, and nobody's.
			for _, certificate := range []*tls.Certificate{s.certificate(t, bob), s.certificate(t, jid.MustParse("alice@elsewhere.example"))} {
				o.certificate = certificate
				_, w, err = s.login(bounded(t), o)
				var failure *auth.Failure
				require.ErrorAs(t, err, &failure)
				_, mechanism, _ = w.seen()
				require.Empty(t, mechanism)
			}
		})
	}
}

// TestProsodyBearer: OAUTHBEARER (RFC 7628). Prosody asks a service of the test about the token.
func TestProsodyBearer(t *testing.T) {
	t.Parallel()
	const token = "mF_9.B5f-4.1JqM"
	asked := make(chan string, 16)
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := strings.TrimPrefix(r.URL.Path, "/")
		asked <- got
		if got != token {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(service.Close)
	p := startProsodyWith(t, interop.ProsodyOptions{Authentication: "oauthbearer", TokenService: service.URL + "/{{password}}"})
	for _, version := range versions {
		alice := p.account("alice")
		// The token alone does not tell this server whose it is.
		o := loginOptions{account: alice, version: version, auth: &auth.ClientOptions{Username: "alice", AuthzID: alice, Token: token}}
		conn, w, err := p.login(bounded(t), o)
		require.NoError(t, err)
		_, mechanism, _ := w.seen()
		require.Equal(t, "OAUTHBEARER", mechanism)
		require.Equal(t, alice, conn.LocalAddr().Bare())
		require.Equal(t, token, <-asked)
		closeInOrder(t, conn)

		o.auth.Token = "stale"
		_, _, err = p.login(bounded(t), o)
		require.ErrorIs(t, err, sasl.NotAuthorized)
		require.NotContains(t, err.Error(), "stale")
		require.Equal(t, "stale", <-asked)
	}
}
