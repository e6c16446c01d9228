package sasl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnknownUser: nothing that a client sees tells a name without an account from a wrong
// password.
func TestUnknownUser(t *testing.T) {
	secret := []byte("a secret of the domain")
	store := newOneUser(testUser, testPassword, testSalt, 3*ctxEvery)
	config := func() *ServerConfig {
		return &ServerConfig{Store: store, FakeSecret: secret, FakeIterations: 3 * ctxEvery, Secure: true}
	}
	first := func(m Mechanism, cfg *ServerConfig, name string) (s Server, challenge string) {
		s = newServer(t, m, cfg)
		return s, string(send(t, s, []byte("n,,n="+name+",r=abc")))
	}
	salt := func(challenge string) string { return strings.Split(challenge, ",")[1] }
	for _, h := range hashes {
		m := Scram(h)
		_, known := first(m, config(), testUser)
		s, unknown := first(m, config(), "nobody")
		require.Len(t, unknown, len(known))
		require.Equal(t, strings.Split(known, ",")[2], strings.Split(unknown, ",")[2])

		// The same salt each time, another for each name, hash and secret.
		_, again := first(m, config(), "nobody")
		require.Equal(t, salt(unknown), salt(again))
		_, other := first(m, config(), "somebody")
		require.NotEqual(t, salt(unknown), salt(other))
		elsewhere := config()
		elsewhere.FakeSecret = []byte("another")
		_, other = first(m, elsewhere, "nobody")
		require.NotEqual(t, salt(unknown), salt(other))
		// And for each service: an account of the same name elsewhere has a salt of its own.
		elsewhere = config()
		elsewhere.Service = "b.example"
		_, other = first(m, elsewhere, "nobody")
		require.NotEqual(t, salt(unknown), salt(other))

		// The same error for whatever proof.
		r, _, _ := strings.Cut(unknown, ",")
		got := fail(t, s, "c=biws,"+r+",p="+b64(make([]byte, h.Size())))
		s, known = first(m, config(), testUser)
		r, _, _ = strings.Cut(known, ",")
		require.Equal(t, fail(t, s, "c=biws,"+r+",p="+b64(make([]byte, h.Size()))), got)
		require.NotErrorIs(t, got, ErrUnknownUser)
	}
	t.Run("proof for the made-up keys", func(t *testing.T) {
		// Even someone who knew the made-up keys, or broke the hash, is not let in.
		a, err := config().clone(needStore)
		require.NoError(t, err)
		acc, err := a.lookup(t.Context(), "nobody", SHA1)
		require.NoError(t, err)
		require.Zero(t, acc.known)
		x := newServer(t, Scram(SHA1), config()).(*scramServer)
		challenge := string(send(t, x, []byte("n,,n=nobody,r=abc")))
		x.account.keys = testStore.keys[SHA1]
		r, _, _ := strings.Cut(challenge, ",")
		proof, _ := refProof(SHA1, refDerive(SHA1, testPassword, []byte(testSalt), 4096), "n=nobody,r=abc,"+challenge+",c=biws,"+r)
		fail(t, x, "c=biws,"+r+",p="+proof, NotAuthorized)
	})
	t.Run("password for the made-up keys", func(t *testing.T) {
		a := account{keys: testStore.keys[SHA1], known: 1}
		require.NoError(t, a.checkPassword(t.Context(), testPassword))
		a.known = 0
		require.ErrorIs(t, a.checkPassword(t.Context(), testPassword), NotAuthorized)
		// Nor does a password that cannot be prepared fit an account with the keys of what is hashed in its place.
		a = account{keys: newOneUser(testUser, "", testSalt, MinIterations).keys[SHA1], known: 1}
		require.ErrorIs(t, a.checkPassword(t.Context(), "\x01"), NotAuthorized)
	})
	t.Run("stable within the process", func(t *testing.T) {
		cfg := config()
		cfg.FakeSecret = nil
		_, a := first(Scram(SHA1), cfg, "nobody")
		_, b := first(Scram(SHA1), cfg, "nobody")
		require.Equal(t, salt(a), salt(b))
	})
	t.Run("iteration count of the store", func(t *testing.T) {
		for _, row := range []struct {
			store KeyStore
			want  string
		}{{&MemoryStore{Iterations: 5000}, "i=5000"}, {&MemoryStore{}, "i=10000"}, {testStore, "i=10000"}} {
			_, challenge := first(Scram(SHA1), &ServerConfig{Store: row.store}, "nobody")
			require.Equal(t, row.want, strings.Split(challenge, ",")[2])
		}
	})
	t.Run("spellings of one name", func(t *testing.T) {
		cfg := config()
		cfg.Normalize = func(s string) (string, error) {
			if s == "bad" {
				return "", errors.New("bad name")
			}
			return strings.ToLower(s), nil
		}
		_, a := first(Scram(SHA1), cfg, "nobody")
		_, b := first(Scram(SHA1), cfg, "NoBody")
		require.Equal(t, salt(a), salt(b))
		require.Equal(t, &Error{Condition: NotAuthorized}, fail(t, newServer(t, Scram(SHA1), cfg), "n,,n=bad,r=abc"))

		s := newServer(t, Scram(SHA1), cfg)
		require.NoError(t, run(t, newClient(t, Scram(SHA1), &ClientConfig{Username: "USER", Password: testPassword}), s))
		require.Equal(t, "user", s.Identity().AuthcID)
	})
	t.Run("PLAIN works as hard", func(t *testing.T) {
		work := func(msg string) int {
			ctx := &countCtx{Context: t.Context()}
			_, done, err := newServer(t, Plain(), config()).Next(ctx, []byte(msg))
			require.Equal(t, &Error{Condition: NotAuthorized}, err)
			require.False(t, done)
			return ctx.asked
		}
		known := work("\x00user\x00wrong")
		require.Greater(t, known, 2)
		require.Equal(t, known, work("\x00nobody\x00wrong"))
		require.Equal(t, known, work("\x00user\x00not\x01prepared"))
		require.Equal(t, known, work("\x00nobody\x00not\x01prepared"))
	})
}

// storeFunc is a store with one answer.
type storeFunc func() (Keys, string, error)

func (f storeFunc) Keys(context.Context, string, Hash) (Keys, string, error) { return f() }

func TestStoreAnswers(t *testing.T) {
	good := testStore.keys[SHA1]
	short := good
	short.StoredKey = short.StoredKey[1:]
	broken := errors.New("database down")
	for name, row := range map[string]struct {
		keys Keys
		err  error
		want []error
	}{
		"database error":       {Keys{}, broken, []error{TemporaryAuthFailure, broken}},
		"condition":            {Keys{}, fmt.Errorf("x: %w", &Error{Condition: AccountDisabled}), []error{AccountDisabled}},
		"another hash's keys":  {testStore.keys[SHA256], nil, []error{TemporaryAuthFailure, ErrConfig}},
		"keys of wrong length": {short, nil, []error{TemporaryAuthFailure, ErrConfig}},
		"no keys and no error": {Keys{}, nil, []error{TemporaryAuthFailure, ErrConfig}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &ServerConfig{Store: storeFunc(func() (Keys, string, error) { return row.keys, "", row.err }), Secure: true, PlainHash: SHA1}
			fail(t, newServer(t, Scram(SHA1), cfg), "n,,n=user,r=abc", row.want...)
			fail(t, newServer(t, Plain(), cfg), "\x00user\x00pencil", row.want...)
		})
	}
	t.Run("canonical name", func(t *testing.T) {
		cfg := &ServerConfig{Store: storeFunc(func() (Keys, string, error) { return good, "canon", nil }), Secure: true, PlainHash: SHA1}
		for _, m := range []Mechanism{Scram(SHA1), Plain()} {
			s := newServer(t, m, cfg)
			require.NoError(t, run(t, newClient(t, m, &ClientConfig{Username: testUser, Password: testPassword, Secure: true}), s))
			require.Equal(t, Identity{AuthcID: "canon"}, s.Identity())
		}
	})
	t.Run("wrapped ErrUnknownUser", func(t *testing.T) {
		cfg := &ServerConfig{Store: storeFunc(func() (Keys, string, error) { return Keys{}, "", fmt.Errorf("x: %w", ErrUnknownUser) })}
		send(t, newServer(t, Scram(SHA1), cfg), []byte("n,,n=user,r=abc"))
	})
	t.Run("cancelled while authorizing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := &ServerConfig{Store: testStore, Secure: true, Authorize: func(ctx context.Context, _ Identity) error {
			cancel()
			return ctx.Err()
		}}
		s := newServer(t, Plain(), cfg)
		_, done, err := s.Next(ctx, []byte("\x00user\x00pencil"))
		require.ErrorIs(t, err, TemporaryAuthFailure)
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, done)
	})
	t.Run("PLAIN with a store that has no SHA-256", func(t *testing.T) {
		store := &MemoryStore{Derive: []Hash{SHA512, SHA1}, Iterations: MinIterations}
		require.NoError(t, store.Set(t.Context(), testUser, testPassword))
		cfg := &ServerConfig{Store: store, Secure: true}
		require.NoError(t, run(t, newClient(t, Plain(), clientConfig()), newServer(t, Plain(), cfg)))
	})
	t.Run("no store", func(t *testing.T) {
		for _, cfg := range []*ServerConfig{nil, {}, {Secure: true}} {
			for _, m := range append(Default(), Plain()) {
				_, err := m.NewServer(cfg)
				require.ErrorIs(t, err, ErrConfig)
			}
		}
	})
}

func TestMemoryStore(t *testing.T) {
	store := &MemoryStore{Derive: hashes, Iterations: MinIterations, MaxAccounts: 2, Normalize: func(s string) (string, error) {
		if strings.Contains(s, " ") {
			return "", errors.New("space")
		}
		return strings.ToLower(s), nil
	}}
	require.NoError(t, store.Set(t.Context(), "Alice", "pencil"))
	salts := map[string]bool{}
	for _, h := range hashes {
		k, name, err := store.Keys(t.Context(), "ALICE", h)
		require.NoError(t, err)
		require.Equal(t, "alice", name)
		require.Len(t, k.Salt, saltSize)
		salts[string(k.Salt)] = true
		want := refDerive(h, "pencil", k.Salt, MinIterations)
		require.Equal(t, want.stored, k.StoredKey)
		require.Equal(t, want.server, k.ServerKey)
		k.StoredKey[0]++ // a copy
		k, _, err = store.Keys(t.Context(), "alice", h)
		require.NoError(t, err)
		require.Equal(t, want.stored, k.StoredKey)
	}
	require.Len(t, salts, len(hashes), "a salt for each hash")

	_, name, err := store.Keys(t.Context(), "Bob", SHA1)
	require.ErrorIs(t, err, ErrUnknownUser)
	require.Equal(t, "bob", name)
	_, _, err = store.Keys(t.Context(), "b o b", SHA1)
	require.ErrorIs(t, err, ErrUnknownUser)
	_, _, err = store.Keys(t.Context(), "alice", "SHA3-256")
	require.ErrorIs(t, err, ErrUnknownUser)

	require.NoError(t, store.SetKeys("bob", testStore.keys[SHA1]))
	require.ErrorIs(t, store.SetKeys("carol", testStore.keys[SHA1]), ErrFull)
	require.NoError(t, store.SetKeys("BOB", testStore.keys[SHA256]), "replacing is possible when full")
	_, _, err = store.Keys(t.Context(), "bob", SHA1)
	require.ErrorIs(t, err, ErrUnknownUser, "all keys are replaced")
	require.True(t, store.Delete("Bob"))
	require.False(t, store.Delete("Bob"))
	require.False(t, store.Delete("b o b"))

	require.ErrorIs(t, store.Set(t.Context(), "b o b", "p"), ErrUsername)
	require.ErrorIs(t, store.Set(t.Context(), "", "p"), ErrUsername)
	require.ErrorIs(t, store.Set(t.Context(), "x", ""), ErrPassword)
	require.ErrorIs(t, store.SetKeys("x"), ErrConfig)
	require.ErrorIs(t, store.SetKeys("x", Keys{}), ErrConfig)
	require.ErrorIs(t, store.SetKeys("x", testStore.keys[SHA1], testStore.keys[SHA1]), ErrConfig)
	require.ErrorIs(t, (&MemoryStore{Iterations: 1000}).Set(t.Context(), "x", "p"), ErrIterations)
	require.ErrorIs(t, (&MemoryStore{Derive: []Hash{"X"}}).Set(t.Context(), "x", "p"), ErrConfig)
	require.Equal(t, "sasl.MemoryStore{1 accounts}", fmt.Sprint(store))
}

func TestMemoryStoreConcurrent(t *testing.T) {
	var store MemoryStore
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { // ends by itself; joined below
			name := fmt.Sprint("u", i%4)
			for range 100 {
				if err := store.SetKeys(name, testStore.keys[SHA1]); err != nil {
					t.Error(err)
				}
				_, _, _ = store.Keys(context.Background(), name, SHA1)
				store.Delete(name)
			}
		})
	}
	wg.Wait()
}

func TestForStore(t *testing.T) {
	names := func(mechs []Mechanism) (names []string) {
		for _, m := range mechs {
			names = append(names, m.Name)
		}
		return names
	}
	all := append(Default(), Plain())
	require.Equal(t, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"},
		names(ForStore(all, &MemoryStore{})), "the default store keeps keys for SHA-1 and SHA-256")
	require.Equal(t, names(all), names(ForStore(all, testStore)))
	require.Equal(t, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"}, names(ForStore(all, &MemoryStore{Derive: []Hash{SHA256}})))
}
