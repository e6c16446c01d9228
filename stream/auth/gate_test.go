package auth

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// Each way to look a credential up by name has the gate before it, and works as before when it is open.
func TestGateGuardsEachLookup(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	for name, lookup := range map[string]func(*sasl.ServerConfig) error{
		"Store": func(cfg *sasl.ServerConfig) error {
			_, _, err := cfg.Store.Keys(t.Context(), "juliet", sasl.SHA256)
			return err
		},
		"FastTokens": func(cfg *sasl.ServerConfig) error {
			_, err := cfg.FastTokens(t.Context(), "juliet", func([]byte) bool { return true })
			return err
		},
		"InsecureDigest": func(cfg *sasl.ServerConfig) error {
			_, _, err := cfg.InsecureDigest(t.Context(), "juliet", "im.example")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := NewAttempts(nil)
			g := &gate{limiter: attempts, address: func(context.Context) netip.Addr { return addr }, domain: domain}
			asked := 0
			cfg := &sasl.ServerConfig{
				Store: countingStore{newStore(t), &asked},
				FastTokens: func(context.Context, string, func([]byte) bool) (string, error) {
					asked++
					return "", nil
				},
				InsecureDigest: func(context.Context, string, string) ([16]byte, string, error) {
					asked++
					return [16]byte{}, "", nil
				},
			}
			g.guard(cfg)
			require.True(t, g.open(t.Context()))
			require.NoError(t, lookup(cfg))
			require.Equal(t, 1, asked)
			require.Equal(t, juliet, g.account)
			require.False(t, g.refused())

			for range 5 {
				require.True(t, attempts.Failed(juliet, addr))
			}
			require.True(t, g.open(t.Context())) // somebody else might come
			require.Zero(t, g.account)
			require.ErrorIs(t, lookup(cfg), sasl.TemporaryAuthFailure)
			require.Equal(t, 1, asked)
			require.True(t, g.refused())
			require.False(t, g.failed())
		})
	}
	// What is not there is not made up.
	cfg := &sasl.ServerConfig{}
	(&gate{limiter: NewAttempts(nil), domain: domain}).guard(cfg)
	require.Nil(t, cfg.Store)
	require.Nil(t, cfg.FastTokens)
	require.Nil(t, cfg.InsecureDigest)
	require.Nil(t, cfg.Bearer)
}

// countingStore counts what it is asked.
type countingStore struct {
	sasl.KeyStore
	asked *int
}

func (s countingStore) Keys(ctx context.Context, username string, hash sasl.Hash) (sasl.Keys, string, error) {
	*s.asked++
	return s.KeyStore.Keys(ctx, username, hash)
}

// A store behind the gate tells package sasl what it told before.
func TestGatedStoreIsTransparent(t *testing.T) {
	g := &gate{limiter: NewAttempts(nil), domain: domain}
	own := &sasl.MemoryStore{Derive: []sasl.Hash{sasl.SHA512}, Iterations: 5000}
	s := gatedStore{own, g}
	require.Equal(t, own.Hashes(), s.Hashes())
	require.Equal(t, 5000, s.KeyIterations())
	s = gatedStore{countingStore{own, new(int)}, g} // has neither method
	require.Nil(t, s.Hashes())
	require.Equal(t, sasl.DefaultIterations, s.KeyIterations())
}

// No gate is an open one.
func TestNoGate(t *testing.T) {
	var g *gate
	require.True(t, g.open(t.Context()))
	require.NoError(t, g.enter("juliet"))
	require.True(t, g.failed())
	require.True(t, g.succeeded(jid.JID{}))
	require.False(t, g.refused())
	cfg := &sasl.ServerConfig{Store: newStore(t)}
	store := cfg.Store
	g.guard(cfg)
	require.Equal(t, store, cfg.Store)
}

// strict is a limiter that says yes until it is told of an attempt, and notes what it is told.
type strict struct {
	told []jid.JID
}

func (s *strict) Allow(jid.JID, netip.Addr) bool { return true }

func (s *strict) Failed(account jid.JID, _ netip.Addr) bool {
	s.told = append(s.told, account)
	return false
}

func (s *strict) Succeeded(jid.JID, netip.Addr) bool { return false }

// Attempts that were under way while others failed: however they end, they look alike.
func TestServerExchangeTurnsAwayAtTheEnd(t *testing.T) {
	refuse := func(err error) func(*serverRules) {
		return func(r *serverRules) {
			r.authorize = func(context.Context, sasl.Identity) (jid.JID, error) { return jid.JID{}, err }
		}
	}
	for name, c := range map[string]struct {
		password string
		rules    func(*serverRules)
	}{
		"wrong password": {password: "wrong"},
		"right password": {password: "r0m30"},
		// Only who has the right password gets as far as these.
		"right, and somebody else's stream header": {"r0m30", refuse(&stream.Error{Condition: stream.InvalidFrom})},
		"right, and refused":                       {"r0m30", refuse(&sasl.Error{Condition: sasl.AccountDisabled})},
	} {
		for _, m := range []sasl.Mechanism{scramPlus, scram, sasl.Plain()} {
			t.Run(name+"/"+m.Name, func(t *testing.T) {
				r := newRules(t)
				if c.rules != nil {
					c.rules(r)
				}
				r.gate = &gate{limiter: new(strict), domain: domain}
				requireTurnedAway(t, attempt(t, new(serverExchange), r, newClient(t, m, c.password)))
			})
		}
	}
}

// A limiter hears of each attempt once, and nothing of those that it did not allow.
func TestGateTellsOnce(t *testing.T) {
	limiter := new(strict)
	g := &gate{limiter: limiter, domain: domain}
	require.True(t, g.open(t.Context()))
	require.NoError(t, g.enter("juliet"))
	require.False(t, g.failed())
	require.False(t, g.failed())
	require.True(t, g.refused())
	require.Equal(t, []jid.JID{juliet}, limiter.told)

	limiter.told = nil
	g = &gate{limiter: refusingLimiter{limiter}, domain: domain}
	require.Error(t, g.enter("juliet"))
	require.False(t, g.failed())
	require.Empty(t, limiter.told)
}

// refusingLimiter allows nothing.
type refusingLimiter struct{ *strict }

func (refusingLimiter) Allow(jid.JID, netip.Addr) bool { return false }

// aliases is a store where accounts have more than one name.
type aliases struct{ sasl.KeyStore }

func (s aliases) Keys(ctx context.Context, username string, hash sasl.Hash) (sasl.Keys, string, error) {
	canonical, _, _ := strings.Cut(username, "+")
	return s.KeyStore.Keys(ctx, canonical, hash)
}

// However many names an account has, it has one bound: attempts under another name are attempts at the
// account.
func TestGateCountsByCanonicalName(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	strip := func(name string) string { name, _, _ = strings.Cut(name, "+"); return name }
	cfg := func() *sasl.ServerConfig {
		return &sasl.ServerConfig{
			Store:      aliases{newStore(t)},
			FastTokens: func(_ context.Context, name string, _ func([]byte) bool) (string, error) { return strip(name), nil },
			InsecureDigest: func(_ context.Context, name, _ string) ([16]byte, string, error) {
				return [16]byte{1}, strip(name), nil
			},
		}
	}
	for name, lookup := range map[string]func(*sasl.ServerConfig, string) (string, error){
		"Store": func(cfg *sasl.ServerConfig, name string) (string, error) {
			keys, canonical, err := cfg.Store.Keys(t.Context(), name, sasl.SHA256)
			require.Equal(t, err == nil, keys.StoredKey != nil)
			return canonical, err
		},
		"FastTokens": func(cfg *sasl.ServerConfig, name string) (string, error) {
			return cfg.FastTokens(t.Context(), name, func([]byte) bool { return true })
		},
		"InsecureDigest": func(cfg *sasl.ServerConfig, name string) (string, error) {
			digest, canonical, err := cfg.InsecureDigest(t.Context(), name, "im.example")
			require.Equal(t, err == nil, digest != [16]byte{})
			return canonical, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := NewAttempts(nil)
			allowed := 0
			for i := range 8 {
				g := &gate{limiter: attempts, address: func(context.Context) netip.Addr { return addr }, domain: domain}
				guarded := cfg()
				g.guard(guarded)
				require.True(t, g.open(t.Context()))
				canonical, err := lookup(guarded, "juliet+"+strings.Repeat("x", i))
				if err == nil {
					allowed++
					require.Equal(t, "juliet", canonical)
					require.Equal(t, juliet, g.account)
				} else {
					require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
					require.Empty(t, canonical)
				}
				g.failed()
			}
			require.Equal(t, 5, allowed)
		})
	}
}

// A token that nobody could look at because the stream had ended was not wrong.
func TestGateBearer(t *testing.T) {
	limiter := new(strict)
	verify := func(ctx context.Context, g *gate, err error) error {
		cfg := &sasl.ServerConfig{Bearer: func(context.Context, sasl.BearerToken) (string, error) { return "juliet", err }}
		g.guard(cfg)
		name, err := cfg.Bearer(ctx, sasl.BearerToken{Token: "x"})
		require.Equal(t, err == nil || errors.Is(err, context.Canceled), name == "juliet")
		return err
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, verify(ended, &gate{limiter: limiter}, context.Canceled), context.Canceled)
	require.Empty(t, limiter.told)
	// One attempt too many is not told that it was wrong, not even in the challenge that comes first.
	require.ErrorIs(t, verify(t.Context(), &gate{limiter: limiter}, sasl.ErrUnknownUser), sasl.TemporaryAuthFailure)
	require.Len(t, limiter.told, 1)
}

// What a lookup says comes through.
func TestGateKeepsErrors(t *testing.T) {
	no := errors.New("no")
	cfg := &sasl.ServerConfig{
		FastTokens:     func(context.Context, string, func([]byte) bool) (string, error) { return "", no },
		InsecureDigest: func(context.Context, string, string) ([16]byte, string, error) { return [16]byte{}, "", no },
	}
	(&gate{limiter: NewAttempts(nil), domain: domain}).guard(cfg)
	_, err := cfg.FastTokens(t.Context(), "juliet", nil)
	require.Equal(t, no, err)
	_, _, err = cfg.InsecureDigest(t.Context(), "juliet", "")
	require.Equal(t, no, err)
}
