package auth_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// XEP-0388, XEP-0386: one exchange for authentication and binding, without a restart.
func TestSASL2Login(t *testing.T) {
	w := newWorld(t)
	w.co.SASL2.NoTokens = true
	r := w.login()
	require.Equal(t, "SCRAM-SHA-256-PLUS", r.client)
	require.Equal(t, 3, r.writes, "header, authenticate, response")
	require.Equal(t, 1, strings.Count(r.wire, "<stream:stream"))
	require.True(t, strings.HasPrefix(r.bound.Resource(), "Balcony/"))
	require.NotContains(t, r.wire, "<auth ")
}

// XEP-0484: a token is issued, and serves to be in after one round trip.
func TestFastLogin(t *testing.T) {
	w := newWorld(t)
	r := w.login()
	require.Equal(t, "SCRAM-SHA-256-PLUS", r.client)
	token := w.known().Token
	require.Equal(t, "HT-SHA-256-EXPR", token.Mechanism)
	require.Equal(t, w.slots().New.Secret, token.Token)
	require.Equal(t, sasl.Bound, w.known().Floor)

	w.co.Password = "" // not needed
	r = w.login()
	require.Equal(t, "HT-SHA-256-EXPR", r.client)
	require.Equal(t, 2, r.writes, "header, authenticate")
	require.Contains(t, r.wire, "count='1'")
	require.Equal(t, token.Token, w.slots().Current.Secret, "moved when it was used")
	require.Zero(t, w.slots().New)
	require.Equal(t, uint64(1), w.known().Token.Count)
	r = w.login()
	require.Contains(t, r.wire, "count='2'")
	require.Equal(t, uint64(2), w.slots().Current.Count)
}

// XEP-0484 §3.5: a token that is close to its end is replaced, and the old one is good until the new
// one is used.
func TestFastRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.so.SASL2.TokenLifetime = 10 * time.Hour
		w.login()
		first := w.known()
		w.co.Password = ""
		time.Sleep(4 * time.Hour)
		w.login()
		require.Equal(t, first.Token.Token, w.known().Token.Token, "not close enough")
		time.Sleep(2 * time.Hour)
		w.login()
		second := w.known()
		require.NotEqual(t, first.Token.Token, second.Token.Token)
		require.Equal(t, "HT-SHA-256-EXPR", second.Token.Mechanism)
		require.Zero(t, second.Token.Count)

		// The client never got it.
		first.Token.Count = 10
		require.NoError(t, w.credentials.Save(t.Context(), juliet, first))
		w.login()
		third := w.known()
		require.NotEqual(t, second.Token.Token, third.Token.Token, "and is given another one")
		// What was issued and not used is no longer valid.
		require.NoError(t, w.credentials.Save(t.Context(), juliet, second))
		_, err := w.failing()
		require.ErrorIs(t, err, auth.ErrTokenRefused)

		require.NoError(t, w.credentials.Save(t.Context(), juliet, third))
		w.login()
		// Now that the new one was used, the old one is not valid.
		require.NoError(t, w.credentials.Save(t.Context(), juliet, first))
		_, err = w.failing()
		require.ErrorIs(t, err, auth.ErrTokenRefused)
		require.ErrorIs(t, err, sasl.NotAuthorized)
		require.Empty(t, w.known().Token.Token, "and is forgotten")
	})
}

// XEP-0484 §3.6.
func TestFastInvalidation(t *testing.T) {
	w := newWorld(t)
	w.login()
	token := w.known()
	w.co.SASL2.InvalidateToken = true
	r := w.login()
	require.Equal(t, "HT-SHA-256-EXPR", r.client)
	require.Contains(t, r.wire, "invalidate='true'")
	require.Empty(t, w.known().Token)
	require.Zero(t, w.tokens.Len())

	// Nothing is invalidated, and nothing asked for, without a token.
	r = w.login()
	require.Equal(t, "SCRAM-SHA-256-PLUS", r.client)
	require.Zero(t, w.tokens.Len())

	require.NoError(t, w.credentials.Save(t.Context(), juliet, token))
	_, err := w.failing()
	require.ErrorIs(t, err, auth.ErrTokenRefused)
	// Whoever connects anew is asked for the password.
	w.co.SASL2.InvalidateToken = false
	require.Equal(t, "SCRAM-SHA-256-PLUS", w.login().client)
}

// A token without channel binding, which only connections get that cannot bind: when it is refused the
// password follows on the same stream (XEP-0484 §4.1).
func TestFastFallsBack(t *testing.T) {
	w := newWorld(t)
	unbound := func(s *stream.Security) { s.Bindings = nil }
	w.editClient, w.editServer = unbound, unbound
	w.login()
	require.Equal(t, "HT-SHA-256-NONE", w.known().Token.Mechanism)
	require.Equal(t, "HT-SHA-256-NONE", w.login().client)
	require.NoError(t, w.tokens.Revoke(t.Context(), juliet))
	r := w.login()
	require.Equal(t, "SCRAM-SHA-256", r.client)
	require.Equal(t, 2, strings.Count(r.wire, "<authenticate"))
	require.Equal(t, "HT-SHA-256-NONE", w.known().Token.Mechanism, "a new one")

	// The connection can be bound now: neither is that token used, nor another one like it asked for.
	w.editClient, w.editServer = func(*stream.Security) {}, func(*stream.Security) {}
	r = w.login()
	require.Equal(t, "SCRAM-SHA-256-PLUS", r.client)
	require.Equal(t, 1, strings.Count(r.wire, "<authenticate"))
	require.Equal(t, "HT-SHA-256-EXPR", w.known().Token.Mechanism)

	// tls-exporter is not to be had, on either side.
	endpoint := func(s *stream.Security) { delete(s.Bindings, sasl.TLSExporter) }
	w.editClient, w.editServer = endpoint, endpoint
	w.login()
	require.Equal(t, "HT-SHA-256-ENDP", w.known().Token.Mechanism)
}

// What neither trace shows: tokens, what the mechanism says, tasks.
func TestSASL2TraceIsRedacted(t *testing.T) {
	w := newWorld(t)
	r := w.login()
	secret := w.known().Token.Token
	require.NotEmpty(t, secret)
	check := func(r *record) {
		traced := r.traced()
		require.Contains(t, traced, "<authenticate")
		require.Contains(t, traced, "<success")
		for _, hidden := range []string{secret, "initial-response", "additional-data", agent1, "<token", "<fast"} {
			// The offer has the element <fast/> too, in the features.
			for line := range strings.Lines(traced) {
				if !strings.HasPrefix(line, "<stream:features") {
					require.NotContains(t, line, hidden)
				}
			}
		}
	}
	check(r)
	require.NotContains(t, r.wire, secret, "a token is never sent by the client")
	check(w.login())
}

// Binding by RFC 6120 §7 follows where the client does not know Bind 2.
func TestSASL2WithoutBind2(t *testing.T) {
	w := newWorld(t)
	w.noBind = true
	r := w.login()
	require.Equal(t, 4, r.writes)
	require.Contains(t, r.wire, "urn:ietf:params:xml:ns:xmpp-bind")
}
