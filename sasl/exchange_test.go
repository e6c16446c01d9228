package sasl

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExchange runs each mechanism against itself, with good and bad passwords, with and without an
// initial response.
func TestExchange(t *testing.T) {
	for _, m := range append(Default(), Scram(SHA3_512), ScramPlus(SHA3_512), Plain(), HT(SHA256, TLSExporter), HT(SHA512, TLSServerEndPoint), HT(SHA256, "")) {
		t.Run(m.Name, func(t *testing.T) {
			scfg := serverConfig()
			if !m.ChannelBinding {
				scfg.Bindings = nil
			}
			s := newServer(t, m, scfg)
			require.NoError(t, run(t, newClient(t, m, scramConfig(m)), s))
			require.Equal(t, Identity{AuthcID: testUser}, s.Identity())

			// RFC 4422 §3.3, §5: no initial response; the server asks with an empty challenge, once.
			s, c := newServer(t, m, scfg), newClient(t, m, scramConfig(m))
			prompt := send(t, s, nil)
			require.NotNil(t, prompt)
			require.Empty(t, prompt)
			first, _, err := c.Next(t.Context(), prompt)
			require.NoError(t, err)
			_, _, err = s.Next(t.Context(), first)
			require.NoError(t, err)
			s = newServer(t, m, scfg)
			send(t, s, nil)
			_, done, err := s.Next(t.Context(), nil)
			require.ErrorIs(t, err, MalformedRequest)
			require.False(t, done)
			// An initial response that is there, and empty, is not the same as none.
			fail(t, newServer(t, m, scfg), "", MalformedRequest)

			for name, password := range map[string]string{testUser: "wrong", "nobody": testPassword} {
				ccfg := scramConfig(m)
				ccfg.Username, ccfg.Password, ccfg.Token = name, password, password
				require.Equal(t, &Error{Condition: NotAuthorized}, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
			}

			// A client does not speak after its last message.
			c = newClient(t, m, scramConfig(m))
			require.NoError(t, run(t, c, newServer(t, m, scfg)))
			_, _, err = c.Next(t.Context(), nil)
			require.ErrorIs(t, err, ErrFinished)
			// The server does not speak first.
			fail(t, newClient(t, m, scramConfig(m)), "hello", Aborted)
		})
	}
	t.Run("unknown hash", func(t *testing.T) {
		for _, m := range []Mechanism{Scram("SHA3-256"), ScramPlus("")} {
			_, err := m.NewClient(clientConfig())
			require.ErrorIs(t, err, InvalidMechanism)
			_, err = m.NewServer(serverConfig())
			require.ErrorIs(t, err, InvalidMechanism)
		}
		cfg := serverConfig()
		cfg.PlainHash = "MD5"
		_, err := Plain().NewServer(cfg)
		require.ErrorIs(t, err, ErrConfig)
	})
	t.Run("client keys are not keys of the server", func(t *testing.T) {
		// RFC 5802 §3: whoever has the stored keys cannot log in with them.
		stored := testStore.keys[SHA1]
		var cache MemoryKeyCache
		cache.Put(CacheKey{"s", testUser, SHA1, testSalt, MinIterations}, ClientKeys{stored.StoredKey, stored.ServerKey})
		c := newClient(t, Scram(SHA1), &ClientConfig{Username: testUser, Cache: &cache, Service: "s"})
		require.ErrorIs(t, run(t, c, newServer(t, Scram(SHA1), serverConfig())), NotAuthorized)
	})
}

// TestConfigIsCopied: changing a configuration after the start changes nothing.
func TestConfigIsCopied(t *testing.T) {
	m := ScramPlus(SHA256)
	for _, m := range []Mechanism{m, HT(SHA256, TLSExporter)} {
		ccfg, scfg := clientConfig(), serverConfig()
		ccfg.Binding.Data = append([]byte(nil), ccfg.Binding.Data...)
		scfg.Bindings[1].Data = append([]byte(nil), scfg.Bindings[1].Data...)
		ccfg.OfferedTypes, scfg.OfferedTypes = []string{TLSExporter}, []string{TLSExporter}
		ccfg.Offered, scfg.Offered = []string{m.Name}, []string{m.Name}
		c, s := newClient(t, m, ccfg), newServer(t, m, scfg)
		ccfg.Binding.Data[0]++
		scfg.Bindings[1].Data[1]++
		ccfg.Offered[0], scfg.Offered[0], ccfg.OfferedTypes[0], scfg.OfferedTypes[0] = "a", "b", "c", "d"
		scfg.Bindings[1].Type, ccfg.Password, ccfg.Username, ccfg.Token, scfg.Store, scfg.FastTokens = "x", "x", "x", "x", nil, nil
		require.NoError(t, run(t, c, s))
	}
}

// TestPasswordCallback: asked once, when needed; its error ends the exchange.
func TestPasswordCallback(t *testing.T) {
	for _, m := range []Mechanism{Scram(SHA256), Plain()} {
		asked := 0
		cfg := &ClientConfig{Username: testUser, Secure: true, GetPassword: func(context.Context) (string, error) {
			asked++
			return testPassword, nil
		}}
		require.NoError(t, run(t, newClient(t, m, cfg), newServer(t, m, serverConfigNoBinding())))
		require.Equal(t, 1, asked)

		no := errors.New("cancelled by the user")
		cfg.GetPassword = func(context.Context) (string, error) { return "", no }
		err := run(t, newClient(t, m, cfg), newServer(t, m, serverConfigNoBinding()))
		require.ErrorIs(t, err, no)
		require.ErrorIs(t, err, Aborted)

		cfg.GetPassword = func(context.Context) (string, error) { return "", nil }
		require.ErrorIs(t, run(t, newClient(t, m, cfg), newServer(t, m, serverConfigNoBinding())), ErrPassword)
	}
}

// TestKeyCache: RFC 5802 §5.1: keys serve again, but never after they failed and never towards
// another server.
func TestKeyCache(t *testing.T) {
	m := Scram(SHA256)
	var cache MemoryKeyCache
	asked := 0
	login := func(service, password string, store KeyStore) error {
		cfg := &ClientConfig{Username: testUser, Cache: &cache, Service: service, GetPassword: func(context.Context) (string, error) {
			asked++
			return password, nil
		}}
		return run(t, newClient(t, m, cfg), newServer(t, m, &ServerConfig{Store: store}))
	}
	require.NoError(t, login("a", testPassword, testStore))
	require.NoError(t, login("a", testPassword, testStore))
	require.NoError(t, login("a", testPassword, testStore))
	require.Equal(t, 1, asked)

	// A server that sends the salt of another does not get a proof made with that one's keys.
	require.NoError(t, login("b", testPassword, testStore))
	require.Equal(t, 2, asked)

	// The password changed, the salt did not: the old keys fail once, and are gone.
	changed := newOneUser(testUser, "new", testSalt, MinIterations)
	require.ErrorIs(t, login("a", "new", changed), NotAuthorized)
	require.Equal(t, 2, asked)
	require.NoError(t, login("a", "new", changed))
	require.Equal(t, 3, asked)

	// Keys that failed are not kept.
	require.ErrorIs(t, login("c", "wrong", testStore), NotAuthorized)
	require.NoError(t, login("c", testPassword, testStore))
	require.Equal(t, 5, asked)

	// Keys of a length that cannot be are not used.
	cache.Put(CacheKey{"d", testUser, SHA256, testSalt, MinIterations}, ClientKeys{[]byte("x"), make([]byte, 32)})
	require.NoError(t, login("d", testPassword, testStore))
	cache.Put(CacheKey{"e", testUser, SHA256, testSalt, MinIterations}, ClientKeys{make([]byte, 32), []byte("x")})
	require.NoError(t, login("e", testPassword, testStore))
	require.Equal(t, 7, asked)

	_, err := m.NewClient(&ClientConfig{Username: testUser, Password: "p", Cache: &cache})
	require.ErrorIs(t, err, ErrConfig)

	// Only the cache, and it is empty: there is no password.
	c := newClient(t, m, &ClientConfig{Username: testUser, Cache: &MemoryKeyCache{}, Service: "a"})
	require.ErrorIs(t, run(t, c, newServer(t, m, &ServerConfig{Store: testStore})), ErrPassword)
}

func TestMemoryKeyCacheBound(t *testing.T) {
	var c MemoryKeyCache
	for i := range 2 * maxCached {
		c.Put(CacheKey{Iterations: i}, ClientKeys{ClientKey: fmt.Append(nil, i)})
		c.Put(CacheKey{Iterations: i}, ClientKeys{ClientKey: fmt.Append(nil, i)})
	}
	require.Len(t, c.entries, maxCached)
	_, ok := c.Take(CacheKey{Iterations: maxCached - 1})
	require.False(t, ok, "the oldest made room")
	k, ok := c.Take(CacheKey{Iterations: maxCached})
	require.True(t, ok)
	require.Equal(t, fmt.Append(nil, maxCached), k.ClientKey)
	_, ok = c.Take(CacheKey{Iterations: maxCached})
	require.False(t, ok, "taken")
}
