package sasl

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// countCtx counts how often it is asked, and is cancelled from a certain time on. It measures work
// without a clock.
type countCtx struct {
	context.Context
	asked, limit int
}

func (c *countCtx) Err() error {
	if c.asked++; c.limit > 0 && c.asked > c.limit {
		return context.Canceled
	}
	return nil
}

// testS08: iteration counts below the floor, above the ceiling and malformed, all refused before
// any work.
func testS08(t *testing.T) {
	for _, i := range []string{
		"1", "4095", "0", "-1", "04096", "4096abc", " 4096", "4096 ", "+4096", "", "0x1000", "4_096", "4096.0", "1e6", "٤٠٩٦",
		"1000001", "2147483647", "2147483648", "4294967296", "9223372036854775808", "99999999999999999999", strings.Repeat("9", 5000),
	} {
		t.Run(fmt.Sprintf("client/%.20s", i), func(t *testing.T) {
			for _, m := range Default() {
				cfg := scramConfig(m)
				cfg.Password, cfg.GetPassword = "", func(context.Context) (string, error) { panic("about to compute") }
				c := newClient(t, m, cfg)
				_, nonce, _ := strings.Cut(string(send(t, c, nil)), ",r=")
				ctx := &countCtx{Context: t.Context()}
				_, done, err := c.Next(ctx, []byte("r="+nonce+"x,s="+b64(testSalt)+",i="+i))
				require.ErrorIs(t, err, Aborted)
				if i != "" {
					require.ErrorIs(t, err, ErrIterations)
				}
				require.Less(t, len(err.Error()), 300)
				require.False(t, done)
				require.Zero(t, ctx.asked)
			}
		})
	}
	t.Run("client/bounds", func(t *testing.T) {
		cfg := clientConfig()
		cfg.Binding = Binding{}
		try := func(i int) error {
			cfg.nonce = "abc"
			c := newClient(t, Scram(SHA1), cfg)
			send(t, c, nil)
			_, _, err := c.Next(t.Context(), fmt.Appendf(nil, "r=abcd,s=%s,i=%d", b64(testSalt), i))
			return err
		}
		require.NoError(t, try(4096))
		cfg.MinIterations = 1 // cannot be lowered
		require.ErrorIs(t, try(4095), ErrIterations)
		cfg.MinIterations = 5000
		require.ErrorIs(t, try(4999), ErrIterations)
		require.NoError(t, try(5000))
		cfg.MaxIterations = 6000
		require.NoError(t, try(6000))
		require.ErrorIs(t, try(6001), ErrIterations)
		cfg.MaxIterations = 4999
		_, err := Scram(SHA1).NewClient(cfg)
		require.ErrorIs(t, err, ErrConfig)
	})
	t.Run("server", func(t *testing.T) {
		_, err := DeriveKeys(t.Context(), SHA1, "p", []byte(testSalt), 4095)
		require.ErrorIs(t, err, ErrIterations)
		_, err = Scram(SHA1).NewServer(&ServerConfig{Store: testStore, FakeIterations: 4095})
		require.ErrorIs(t, err, ErrIterations)
		weak := newOneUser(testUser, testPassword, testSalt, 1000)
		s := newServer(t, Scram(SHA1), &ServerConfig{Store: weak})
		fail(t, s, "n,,n=user,r=x", TemporaryAuthFailure, ErrIterations)
	})
}

// testS09: a cancelled context stops the computation within one portion of it, and a portion is a small
// part of the 500 ms that there are. Work is counted rather than timed: a machine may have other things to do.
func testS09(t *testing.T) {
	const asked = 3 // how often the context is good
	t.Run("client", func(t *testing.T) {
		for _, h := range hashes {
			cfg := clientConfig()
			cfg.Binding, cfg.nonce = Binding{}, "abc"
			c := newClient(t, Scram(h), cfg)
			send(t, c, nil)
			ctx := &countCtx{Context: t.Context(), limit: asked}
			_, done, err := c.Next(ctx, fmt.Appendf(nil, "r=abcd,s=%s,i=%d", b64(testSalt), DefaultMaxIterations))
			require.ErrorIs(t, err, Aborted)
			require.ErrorIs(t, err, context.Canceled)
			require.False(t, done)
			require.Equal(t, asked+1, ctx.asked)
		}
	})
	t.Run("server", func(t *testing.T) {
		store := oneUser{testUser, maps.Clone(testStore.keys)}
		k := store.keys[SHA256]
		k.Iterations = DefaultMaxIterations
		store.keys[SHA256] = k
		ctx := &countCtx{Context: t.Context(), limit: asked}
		_, done, err := newServer(t, Plain(), &ServerConfig{Store: store, Secure: true}).Next(ctx, []byte("\x00user\x00pencil"))
		require.ErrorIs(t, err, TemporaryAuthFailure)
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, done)
		require.Equal(t, asked+1, ctx.asked)
	})
	t.Run("a portion", func(t *testing.T) {
		for _, h := range hashes {
			least := time.Hour // the best of some runs is the one that nobody disturbed
			for range 5 {
				begin := time.Now()
				_, err := saltedPassword(t.Context(), h, "p", []byte("s"), ctxEvery)
				require.NoError(t, err)
				least = min(least, time.Since(begin))
			}
			require.Less(t, least, 500*time.Millisecond)
		}
	})
	t.Run("asked every 4096 iterations", func(t *testing.T) {
		ctx := &countCtx{Context: t.Context()}
		_, err := saltedPassword(ctx, SHA1, "p", []byte("s"), 10*ctxEvery+1)
		require.NoError(t, err)
		require.Equal(t, 11, ctx.asked)
		ctx = &countCtx{Context: t.Context(), limit: 3}
		_, err = saltedPassword(ctx, SHA1, "p", []byte("s"), DefaultMaxIterations)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 4, ctx.asked)
	})
}
