package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
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

	require.Equal(t, []stream.State{stream.Authenticated | stream.Bound, stream.Authenticated | stream.Bound}, r.reached)
	w.co.Password = "" // not needed
	r = w.login()
	require.Equal(t, []stream.State{stream.Authenticated | stream.Bound, stream.Authenticated | stream.Bound}, r.reached)
	require.Equal(t, "HT-SHA-256-EXPR", r.client)
	require.Equal(t, 2, r.writes, "header, authenticate")
	require.Equal(t, 3, r.answers, "header with features, success with all that was asked for, features")
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
		<-time.After(4 * time.Hour)
		w.login()
		require.Equal(t, first.Token.Token, w.known().Token.Token, "not close enough")
		<-time.After(2 * time.Hour)
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

// A token ends with the password that it was issued for, and with the account.
func TestFastTokenEndsWithThePassword(t *testing.T) {
	for name, change := range map[string]func(*world){
		"password changed": func(w *world) { require.NoError(t, w.accounts.Set(t.Context(), "juliet", "n3w")) },
		"account deleted":  func(w *world) { require.True(t, w.accounts.Delete("juliet")) },
		"account disabled": func(w *world) {
			w.so.Authorize = func(context.Context, jid.JID, jid.JID) error { return &sasl.Error{Condition: sasl.AccountDisabled} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.login()
			require.Equal(t, "HT-SHA-256-EXPR", w.login().client)
			change(w)
			_, err := w.failing()
			require.ErrorIs(t, err, auth.ErrTokenRefused)
			if name != "account disabled" {
				require.ErrorIs(t, err, sasl.CredentialsExpired)
			}
		})
	}
	t.Run("keys were added", func(t *testing.T) {
		w := newWorld(t)
		w.login()
		have, _, err := w.accounts.Keys(t.Context(), "juliet", sasl.SHA256)
		require.NoError(t, err)
		more, err := sasl.DeriveKeys(t.Context(), sasl.SHA512, "r0m30", have.Salt, have.Iterations)
		require.NoError(t, err)
		require.NoError(t, w.accounts.SetKeys("juliet", have, more))
		require.Equal(t, "HT-SHA-256-EXPR", w.login().client)
	})
}

// brokenTokens is a store that fails, from the call with the given number on.
type brokenTokens struct {
	auth.MemoryTokens
	calls, from int
}

func (b *brokenTokens) Update(ctx context.Context, c auth.TokenClient, change func(*auth.ClientTokens) error) error {
	if b.calls++; b.calls >= b.from {
		return errors.New("the disk is full")
	}
	return b.MemoryTokens.Update(ctx, c, change)
}

// A store of tokens that fails lets clients in by password, and by token not.
func TestBrokenTokenStore(t *testing.T) {
	w := newWorld(t)
	b := &brokenTokens{from: 1}
	w.so.SASL2.Tokens = b
	w.login()
	require.Empty(t, w.known().Token)
	for _, from := range []int{1, 2} {
		b.calls, b.from = 0, 100
		w.login()
		require.NotEmpty(t, w.known().Token)
		b.calls, b.from = 0, from
		r, err := w.failing()
		require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
		require.NotContains(t, r.traced(), "disk")
		require.NotEmpty(t, w.known().Token, "it says nothing about the token")
	}
}

// Options that cannot be used end the stream before anything is offered.
func TestSASL2UnusableOptions(t *testing.T) {
	w := newWorld(t)
	w.so.SASL2.Tasks = []auth.Task{{Name: "TOTP"}}
	_, c, s := w.try()
	require.ErrorIs(t, c.err, stream.InternalServerError)
	require.ErrorIs(t, s.err, auth.ErrOptions)
	w = newWorld(t)
	w.co.UserAgent.ID = "x"
	r, err := w.failing()
	require.ErrorIs(t, err, auth.ErrOptions)
	require.NotContains(t, r.wire, "<authenticate")
}

// The server knows who the client says it is, and nobody does before success.
func TestUserAgentIsKept(t *testing.T) {
	w := newWorld(t)
	_, c, s := w.try()
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	require.Equal(t, w.co.UserAgent, s.session.UserAgent())
	require.NotContains(t, c.session.LocalAddr().Resource(), agent1)
}

// GetPassword is called once for each stream, if it is needed for the login and for upgrades.
func TestPasswordIsAskedForOnce(t *testing.T) {
	w := newWorld(t)
	w.so.Store = &upgradable{MemoryStore: w.accounts, added: make(map[string]sasl.Keys)}
	w.so.SASL2.Upgrades = []sasl.Hash{sasl.SHA512, sasl.SHA3_512}
	asked := 0
	w.co.Password = ""
	w.co.GetPassword = func(context.Context) (string, error) {
		asked++
		return "r0m30", nil
	}
	w.login()
	require.Equal(t, 1, asked)
	w.login()
	require.Equal(t, 1, asked, "a token will do")
}

// stubbornLimiter turns away whom the fields say.
type stubbornLimiter struct{ atSuccess, atFailure bool }

func (stubbornLimiter) Allow(jid.JID, netip.Addr) bool       { return true }
func (l stubbornLimiter) Failed(jid.JID, netip.Addr) bool    { return !l.atFailure }
func (l stubbornLimiter) Succeeded(jid.JID, netip.Addr) bool { return !l.atSuccess }

// A limiter that has had enough by the time that the tasks are done, or have failed.
func TestLimiterAfterTasks(t *testing.T) {
	for name, c := range map[string]struct {
		limiter stubbornLimiter
		code    string
	}{
		"done":   {stubbornLimiter{atSuccess: true}, "1"},
		"failed": {stubbornLimiter{atFailure: true}, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.so.Attempts = c.limiter
			w.so.SASL2.Tasks, w.co.SASL2.Tasks = []auth.Task{codeTask("TOTP", "1")}, []auth.ClientTask{codeClient("TOTP", c.code)}
			_, _, s := w.try()
			require.ErrorIs(t, s.err, stream.PolicyViolation)
			_, err := w.failing()
			require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
			require.Zero(t, w.known())
		})
	}
}

// Several domains have accounts, and tokens, of their own.
func TestSASL2StoreFor(t *testing.T) {
	w := newWorld(t)
	w.so.Store = nil
	w.so.StoreFor = func(d jid.JID) sasl.KeyStore {
		if d != domain {
			return nil
		}
		return w.accounts
	}
	w.login()
	require.Equal(t, "HT-SHA-256-EXPR", w.login().client)
	w.so.StoreFor = func(jid.JID) sasl.KeyStore { return nil }
	_, err := w.failing()
	require.ErrorIs(t, err, stream.ErrNoProgress, "nothing is offered")
}

// Without TLS, where both sides want it so, there are neither tokens nor upgrades.
func TestSASL2WithoutTLS(t *testing.T) {
	w := newWorld(t)
	w.so.InsecureWithoutTLS, w.co.InsecureWithoutTLS = true, true
	w.so.Store = &upgradable{MemoryStore: w.accounts, added: make(map[string]sasl.Keys)}
	w.so.SASL2.Upgrades = []sasl.Hash{sasl.SHA512}
	r := new(record)
	io := stream.InitiateOptions{Profile: insecureProfile, From: juliet, Features: []stream.Feature{auth.SASL2Client(&w.co)}, Trace: r.trace(&r.client)}
	ao := stream.AcceptOptions{Profile: insecureProfile, Features: []stream.Feature{auth.SASL2Server(&w.so)}, Trace: r.trace(&r.server)}
	c, s := negotiate(t, io, ao)
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	require.Equal(t, "SCRAM-SHA-256", r.client)
	require.NotContains(t, r.traced(), "urn:xmpp:fast:0")
	require.NotContains(t, r.traced(), "upgrade")
}

// Keys from a cache say nothing about the password that is at hand: it is not made into others.
func TestNoUpgradeFromACache(t *testing.T) {
	w := newWorld(t)
	accounts := &upgradable{MemoryStore: w.accounts, added: make(map[string]sasl.Keys)}
	w.so.Store, w.so.SASL2.Upgrades = accounts, []sasl.Hash{sasl.SHA512}
	w.co.SASL2.NoTokens, w.co.SASL2.Upgrades = true, []sasl.Hash{}
	w.co.Cache = new(sasl.MemoryKeyCache)
	w.login()
	w.co.Password, w.co.SASL2.Upgrades = "not the password", nil
	w.login() // with the keys
	require.Empty(t, accounts.added)
}

// A client of SASL 1 is served by a server that has both, and the reverse.
func TestProfilesWithoutEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		client func(*auth.ClientOptions) stream.Feature
		server func(*auth.ServerOptions) stream.Feature
	}{
		"client of SASL 1": {auth.Client, nil},
		"client of SASL 2": {auth.SASL2Client, nil},
		"server of SASL 1": {nil, auth.Server},
		"server of SASL 2": {nil, auth.SASL2Server},
	} {
		t.Run(name, func(t *testing.T) {
			o, so := &auth.ClientOptions{Password: "r0m30"}, &auth.ServerOptions{Store: store(t)}
			io, ao := client2With(o), server2With(so)
			if c.client != nil {
				io.Features = []stream.Feature{c.client(o)}
			} else {
				ao.Features = []stream.Feature{c.server(so)}
			}
			client, server := negotiate(t, io, ao)
			require.NoError(t, client.err)
			require.NoError(t, server.err)
			require.Equal(t, juliet, server.session.RemoteAddr())
		})
	}
}
