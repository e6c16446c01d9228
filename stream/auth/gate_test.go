package auth

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
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
