package interop_test

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

const ejabberdDomain = "ejabberd.example"

// asciiPassword is that of the account carol.
const asciiPassword = "correct horse"

// ejabberd is a running ejabberd with the accounts alice, bob and carol.
type ejabberd struct {
	*interop.Ejabberd
	foreignServer
}

func startEjabberd(t *testing.T, o interop.EjabberdOptions) *ejabberd {
	t.Helper()
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	o.Domain, o.Certificates = ejabberdDomain, t.TempDir()
	require.NoError(t, ca.WriteFiles(o.Certificates, ejabberdDomain))
	o.Accounts = map[string]string{"alice": password, "bob": password, "carol": asciiPassword}
	e := interop.StartEjabberd(t, o)
	return &ejabberd{Ejabberd: e, foreignServer: foreignServer{addr: e.Addr, direct: e.DirectAddr, domain: ejabberdDomain, ca: ca, roots: ca.Pool()}}
}

// TestEjabberdLogin: every SCRAM that ejabberd has, with the accounts stored for one of them or for all.
func TestEjabberdLogin(t *testing.T) {
	for storage, mechanism := range map[string]string{
		"sha512": "SCRAM-SHA-512",
		"sha256": "SCRAM-SHA-256",
		"sha":    "SCRAM-SHA-1",
		"plain":  "SCRAM-SHA-512", // the strongest of all
	} {
		t.Run(storage, func(t *testing.T) {
			t.Parallel()
			e := startEjabberd(t, interop.EjabberdOptions{Storage: storage})
			t.Run("TLS 1.2", func(t *testing.T) {
				conn, w := e.connect(t, "alice", tls.VersionTLS12)
				security, got, _ := w.seen()
				require.EqualValues(t, tls.VersionTLS12, security.Version)
				require.Equal(t, mechanism+"-PLUS", got)
				// It announces no types (XEP-0440), so this is a guess, and right (RFC 5802 §6.1).
				require.Equal(t, "p=tls-unique,,", w.gs2())
				require.Equal(t, "alice@"+ejabberdDomain, conn.LocalAddr().Bare().String())
			})
			t.Run("TLS 1.3", func(t *testing.T) {
				// It offers -PLUS here too, but has tls-unique only, which TLS 1.3 does not have. Our client takes what RFC 9266 §3
				// says that -PLUS means here, and does not try anything weaker.
				client, w := e.client("alice", tls.VersionTLS13)
				_, err := client.Connect(bounded(t))
				require.ErrorIs(t, err, sasl.NotAuthorized)
				require.ErrorContains(t, err, "Invalid channel binding")
				require.Equal(t, "p=tls-exporter,,", w.gs2())
			})
			t.Run("TLS 1.3, unbound", func(t *testing.T) {
				// What a user of such a server can decide: no -PLUS among the client's mechanisms.
				client, w := e.client("alice", tls.VersionTLS13)
				client.Auth = unbound(w)
				conn, err := client.Connect(bounded(t))
				require.NoError(t, err)
				security, got, _ := w.seen()
				require.EqualValues(t, tls.VersionTLS13, security.Version)
				require.Equal(t, mechanism, got)
				require.Equal(t, "n,,", w.gs2())
				closeInOrder(t, conn)
			})
		})
	}
}

// unbound returns options for a client without channel binding.
func unbound(w *witness) *auth.ClientOptions {
	mechs := []sasl.Mechanism{sasl.Scram(sasl.SHA512), sasl.Scram(sasl.SHA256), sasl.Scram(sasl.SHA1)}
	return &auth.ClientOptions{Mechanisms: w.mechanisms(mechs)}
}

// TestEjabberdPlain: PLAIN, for a client that allows it and has nothing else in common with the server (RFC 4616).
func TestEjabberdPlain(t *testing.T) {
	t.Parallel()
	e := startEjabberd(t, interop.EjabberdOptions{})
	for _, version := range versions {
		client, w := e.client("alice", version)
		client.Auth = &auth.ClientOptions{Mechanisms: []sasl.Mechanism{sasl.Plain()}}
		_, err := client.Connect(bounded(t))
		require.ErrorIs(t, err, sasl.ErrNoMechanism, "not allowed")

		client.Auth.AllowPlain = true
		conn, err := client.Connect(bounded(t))
		require.NoError(t, err)
		_, mechanism, _ := w.seen()
		require.Equal(t, "PLAIN", mechanism)
		closeInOrder(t, conn)
	}
}

// TestEjabberdDigest: DIGEST-MD5 (RFC 2831, historic), for a client that asks for it by its name. No other peer has it any more.
func TestEjabberdDigest(t *testing.T) {
	t.Parallel()
	e := startEjabberd(t, interop.EjabberdOptions{Storage: "plain"})
	for _, version := range versions {
		// RFC 2831 §2.1.2.1 has passwords converted to ISO 8859-1 if that can be. ejabberd does not do so: only ASCII works.
		client, w := e.client("carol", version)
		client.Password = asciiPassword
		client.Auth = &auth.ClientOptions{Mechanisms: []sasl.Mechanism{sasl.InsecureDigestMD5()}}
		conn, err := client.Connect(bounded(t))
		require.NoError(t, err)
		_, mechanism, _ := w.seen()
		require.Equal(t, "DIGEST-MD5", mechanism)
		closeInOrder(t, conn)

		client.Password = "wrong"
		_, err = client.Connect(bounded(t))
		require.ErrorIs(t, err, sasl.NotAuthorized)
	}
}

// TestEjabberdExternal: EXTERNAL with the certificate of an account (XEP-0178, RFC 6120 §13.7.2.2). ejabberd offers it to clients
// without a certificate too, and our client passes over it then.
func TestEjabberdExternal(t *testing.T) {
	t.Parallel()
	e := startEjabberd(t, interop.EjabberdOptions{ClientCertificates: true})
	testExternal(t, &e.foreignServer)

	t.Run("without a certificate", func(t *testing.T) {
		_, w := e.connect(t, "alice", tls.VersionTLS12)
		security, mechanism, flow := w.seen()
		require.Equal(t, "SCRAM-SHA-256-PLUS", mechanism)
		require.False(t, security.OwnCertificate)
		require.True(t, flow.has(received, "<mechanism>EXTERNAL</mechanism>"))
	})
}

// TestEjabberdStanzas: a message between two clients of ours (RFC 6120 §8), and the flow on record.
func TestEjabberdStanzas(t *testing.T) {
	t.Parallel()
	e := startEjabberd(t, interop.EjabberdOptions{Storage: "sha512"})
	ctx := bounded(t)
	alice, w := e.connect(t, "alice", tls.VersionTLS12)
	bob, _ := e.connect(t, "bob", tls.VersionTLS12)
	const text = "But soft, what <light> & “window” \U0001F319 ]]> breaks?"
	require.NoError(t, alice.Send(ctx, &stanza.Message{
		ID: "m1", To: bob.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain(text), Thread: "t1",
	}))
	got := nextMessage(ctx, t, bob)
	require.Equal(t, alice.LocalAddr(), got.From)
	require.Equal(t, text, got.Body.String())
	require.NoError(t, bob.Send(ctx, got.Reply("It is the east.")))
	require.Equal(t, "It is the east.", nextMessage(ctx, t, alice).Body.String())

	closeInOrder(t, alice)
	_, mechanism, recorded := w.seen()
	recordFlow(t, recorded, "ejabberd-"+e.Version+"-TLS-1.2.flow",
		"A session of a client with ejabberd "+e.Version+": TLS-1.2, "+mechanism+", binding, stanzas.")
}

// TestEjabberdRefuses: <failure/> arrives as a typed error (RFC 6120 §6.5.10), whichever part of the credentials is wrong.
func TestEjabberdRefuses(t *testing.T) {
	t.Parallel()
	e := startEjabberd(t, interop.EjabberdOptions{})
	for name, change := range map[string]func(*xmpp.Client){
		"password": func(c *xmpp.Client) { c.Password = "wrong" },
		"account":  func(c *xmpp.Client) { c.JID = jid.MustParse("mallory@" + ejabberdDomain) },
	} {
		t.Run(name, func(t *testing.T) {
			client, w := e.client("alice", tls.VersionTLS12)
			change(client)
			_, err := client.Connect(bounded(t))
			require.ErrorIs(t, err, sasl.NotAuthorized)
			require.NotContains(t, err.Error(), client.Password)
			_, mechanism, _ := w.seen()
			require.Empty(t, mechanism)
		})
	}
}
