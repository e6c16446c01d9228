package interop_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// TestProsodySASL2: SASL 2 with Bind 2 (XEP-0388, XEP-0386) is preferred to what RFC 6120 has, which Prosody offers too.
func TestProsodySASL2(t *testing.T) {
	t.Parallel()
	p := startProsodyWith(t, interop.ProsodyOptions{SASL2: true})
	alice := p.account("alice")
	o := loginOptions{account: alice, sasl2: true, auth: &auth.ClientOptions{Password: password}}

	t.Run("TLS 1.3", func(t *testing.T) {
		o := o
		o.version = tls.VersionTLS13
		conn, w, err := p.login(bounded(t), o)
		require.NoError(t, err)
		_, mechanism, flow := w.seen()
		require.Equal(t, "SCRAM-SHA-256", mechanism)
		require.Equal(t, "y,,", w.gs2(), "no -PLUS is offered")
		require.Equal(t, alice, conn.LocalAddr().Bare())
		// XEP-0386 §3.2: the tag is the beginning of the resource.
		require.True(t, strings.HasPrefix(conn.LocalAddr().Resource(), "interop~"), "%s", conn.LocalAddr())
		require.True(t, flow.has(sent, "<authenticate xmlns='urn:xmpp:sasl:2'"))
		require.True(t, flow.has(received, "<success xmlns='urn:xmpp:sasl:2'>"))
		require.False(t, flow.has(sent, "urn:ietf:params:xml:ns:xmpp-bind"), "bound already")
		closeInOrder(t, conn)
	})

	t.Run("TLS 1.2", func(t *testing.T) {
		// The module offers -PLUS, and announces no types of channel binding: with SASL 2 that has to look like an attack (XEP-0440 §3).
		o := o
		o.version = tls.VersionTLS12
		_, w, err := p.login(bounded(t), o)
		require.ErrorIs(t, err, sasl.ErrDowngrade)
		_, _, flow := w.seen()
		require.False(t, flow.has(sent, "<auth"), "nothing was sent")
	})

	t.Run("bad password", func(t *testing.T) {
		o := o
		o.version, o.auth = tls.VersionTLS13, &auth.ClientOptions{Password: "wrong"}
		_, w, err := p.login(bounded(t), o)
		require.ErrorIs(t, err, sasl.NotAuthorized)
		_, mechanism, _ := w.seen()
		require.Empty(t, mechanism)
	})
}

// TestProsodyFAST: the login with the password gets a token, and the next one takes a single round trip (XEP-0484).
func TestProsodyFAST(t *testing.T) {
	t.Parallel()
	p := startProsodyWith(t, interop.ProsodyOptions{SASL2: true, AnnounceBindings: true})
	alice, store := p.account("alice"), new(auth.MemoryCredentials)
	agent := stream.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770", Software: "StanzaKit", Device: "test"}
	o := loginOptions{account: alice, sasl2: true, version: tls.VersionTLS12}
	o.auth = &auth.ClientOptions{Password: password, Credentials: store, UserAgent: agent}

	ctx := bounded(t)
	conn, w, err := p.login(ctx, o)
	require.NoError(t, err)
	_, mechanism, _ := w.seen()
	require.Equal(t, "SCRAM-SHA-256-PLUS", mechanism)
	require.Equal(t, "p=tls-unique,,", w.gs2())
	resource := conn.LocalAddr().Resource()
	closeInOrder(t, conn)

	known, err := store.Load(ctx, alice)
	require.NoError(t, err)
	require.Equal(t, "HT-SHA-256-UNIQ", known.Token.Mechanism, "bound, as the channel can be")
	require.Equal(t, sasl.Bound, known.Floor)

	// The password is not needed any more; that it is wrong shows that it is not used. The same client gets the same resource.
	o.auth = &auth.ClientOptions{Password: "wrong", Credentials: store, UserAgent: agent}
	conn, w, err = p.login(ctx, o)
	require.NoError(t, err)
	_, mechanism, flow := w.seen()
	require.Equal(t, "HT-SHA-256-UNIQ", mechanism)
	require.Equal(t, alice, conn.LocalAddr().Bare())
	require.Equal(t, resource, conn.LocalAddr().Resource())
	require.False(t, flow.has(sent, "<response"))
	closeInOrder(t, conn)

	// A token of another installation, here none at all for Prosody, is refused, and forgotten.
	o.auth.UserAgent.ID = "00000000-4d72-4749-b3d3-740edbf87770"
	_, _, err = p.login(ctx, o)
	require.ErrorIs(t, err, auth.ErrTokenRefused)
	known, err = store.Load(ctx, alice)
	require.NoError(t, err)
	require.Empty(t, known.Token.Token)
}
