package sasl

import (
	"context"
	"crypto/md5"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNormalizeRefuses: a name that cannot be normalized has no account, and whether it is the error that
// says so or the outcome, the store is not asked.
func TestNormalizeRefuses(t *testing.T) {
	for name, normalize := range map[string]func(string) (string, error){
		"error":             func(name string) (string, error) { return name, errNo },
		"empty":             func(string) (string, error) { return "", nil },
		"not UTF-8":         func(string) (string, error) { return "\xff", nil },
		"error and no name": func(string) (string, error) { return "", errNo },
	} {
		for m, first := range map[string]string{"SCRAM-SHA-256": "n,,n=user,r=x", "PLAIN": "\x00user\x00pencil", "DIGEST-MD5": digestResponseText()} {
			t.Run(m+"/"+name, func(t *testing.T) {
				scfg := othersServer()
				scfg.nonce = "sn"
				scfg.Normalize = normalize
				scfg.Store = storeFunc(func() (Keys, string, error) { panic("asked") })
				scfg.InsecureDigest = func(context.Context, string, string) ([md5.Size]byte, string, error) { panic("asked") }
				mechs := map[string]Mechanism{"SCRAM-SHA-256": Scram(SHA256), "PLAIN": Plain(), "DIGEST-MD5": InsecureDigestMD5()}
				s := newServer(t, mechs[m], scfg)
				if m == "DIGEST-MD5" {
					send(t, s, nil)
				}
				require.Equal(t, &Error{Condition: NotAuthorized}, fail(t, s, first))
			})
		}
	}
}

// TestKeysAreDropped: what could be used again does not outlive the exchange that it was for.
func TestKeysAreDropped(t *testing.T) {
	m := ScramPlus(SHA256)
	c, s := newClient(t, m, clientConfig()), newServer(t, m, serverConfig())
	require.NoError(t, run(t, c, s))
	require.True(t, c.(*scramClient).keys.ClientKey == nil && c.(*scramClient).keys.ServerKey == nil)
	require.True(t, s.(*scramServer).account.keys.StoredKey == nil && s.(*scramServer).account.keys.ServerKey == nil)

	c = newClient(t, m, clientConfig())
	send(t, c, send(t, newServer(t, m, serverConfig()), send(t, c, nil)))
	require.NotNil(t, c.(*scramClient).keys.ClientKey)
	fail(t, c, "v=AAAA", ErrServerSignature)
	require.Nil(t, c.(*scramClient).keys.ClientKey)

	d, ds := digestPair(t)
	require.NoError(t, run(t, d, ds))
	require.Zero(t, d.(*digestClient).key)

	h := newClient(t, HT(SHA256, ""), othersClient())
	send(t, h, nil)
	require.NotNil(t, h.(*htClient).want)
	fail(t, h, "", ErrServerSignature)
	require.Nil(t, h.(*htClient).want)
}

// emptyHanded is a cache that returns keys and says that it has none.
type emptyHanded struct{}

func (emptyHanded) Take(CacheKey) (ClientKeys, bool) {
	return ClientKeys{make([]byte, 32), make([]byte, 32)}, false
}
func (emptyHanded) Put(CacheKey, ClientKeys) {}

// noHashes is a store that lists no hashes.
type noHashes struct{ KeyStore }

func (noHashes) Hashes() []Hash { return nil }

// TestConfigurations: what the two configurations promise, in the small.
func TestConfigurations(t *testing.T) {
	t.Run("keys that a cache does not vouch for", func(t *testing.T) {
		cfg := &ClientConfig{Username: testUser, Password: testPassword, Cache: emptyHanded{}, Service: "s"}
		require.NoError(t, run(t, newClient(t, Scram(SHA256), cfg), newServer(t, Scram(SHA256), serverConfigNoBinding())))
	})
	t.Run("a store that lists no hashes", func(t *testing.T) {
		require.Equal(t, SHA256, plainHash(noHashes{testStore}))
	})
	t.Run("the server's copy", func(t *testing.T) {
		cfg := &ServerConfig{Offered: []string{"a"}, OfferedTypes: []string{"b"}, FakeSecret: []byte("c")}
		copied, err := cfg.clone(0)
		require.NoError(t, err)
		cfg.Offered[0], cfg.OfferedTypes[0], cfg.FakeSecret[0] = "x", "x", 'x'
		require.Equal(t, []string{"a"}, copied.Offered)
		require.Equal(t, []string{"b"}, copied.OfferedTypes)
		require.Equal(t, "c", string(copied.FakeSecret))
	})
	t.Run("made-up salts come from a secret", func(t *testing.T) {
		cfg, err := (&ServerConfig{Store: testStore}).clone(needStore)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(cfg.FakeSecret), 16)
		a, err := cfg.lookup(t.Context(), "nobody", SHA1)
		require.NoError(t, err)
		require.NotEqual(t, fakeKeys(nil, "", SHA1, "nobody", DefaultIterations).Salt, a.keys.Salt)
	})
	t.Run("made-up salts: where a name ends", func(t *testing.T) {
		require.NotEqual(t, fakeKeys(nil, "ab", SHA1, "c", 4096).Salt, fakeKeys(nil, "a", SHA1, "bc", 4096).Salt)
		require.NotEqual(t, fakeKeys(nil, "", SHA1, "SHA-1", 4096).Salt, fakeKeys(nil, "SHA-1", SHA1, "", 4096).Salt)
	})
	t.Run("DIGEST-MD5 asks for the password", func(t *testing.T) {
		ccfg := othersClient()
		ccfg.Password, ccfg.GetPassword = "", func(context.Context) (string, error) { return testPassword, nil }
		require.NoError(t, run(t, newClient(t, InsecureDigestMD5(), ccfg), newServer(t, InsecureDigestMD5(), othersServer())))
	})
	t.Run("DIGEST-MD5 cannot carry an authorization identity with control characters", func(t *testing.T) {
		for _, authzID := range []string{"a\r\nb", "a\x7f", "\t"} {
			ccfg := othersClient()
			ccfg.AuthzID = authzID
			_, err := InsecureDigestMD5().NewClient(ccfg)
			require.ErrorIs(t, err, ErrUsername)
		}
	})
	t.Run("DIGEST-MD5 without a charset is for ASCII", func(t *testing.T) {
		for _, authzID := range []string{"é", "\u0080"} {
			ccfg := othersClient()
			ccfg.AuthzID = authzID
			fail(t, newClient(t, InsecureDigestMD5(), ccfg), `nonce="sn",algorithm=md5-sess`, Aborted, errDigestGrammar)
		}
	})
	t.Run("DIGEST-MD5 names", func(t *testing.T) {
		for _, canonical := range []string{"", "canon"} {
			scfg := othersServer()
			find := scfg.InsecureDigest
			scfg.InsecureDigest = func(ctx context.Context, name, realm string) ([md5.Size]byte, string, error) {
				key, _, err := find(ctx, name, realm)
				return key, canonical, err
			}
			s := newServer(t, InsecureDigestMD5(), scfg)
			require.NoError(t, run(t, newClient(t, InsecureDigestMD5(), othersClient()), s))
			want := testUser
			if canonical != "" {
				want = canonical
			}
			require.Equal(t, want, s.Identity().AuthcID)
		}
	})
	t.Run("no made-up key of DIGEST-MD5 fits", func(t *testing.T) {
		scfg := othersServer()
		scfg.InsecureDigest = func(context.Context, string, string) ([md5.Size]byte, string, error) {
			key, err := InsecureDigestKey(testUser, testService, testPassword)
			return key, "", errors.Join(err, ErrUnknownUser)
		}
		require.Equal(t, &Error{Condition: NotAuthorized}, run(t, newClient(t, InsecureDigestMD5(), othersClient()), newServer(t, InsecureDigestMD5(), scfg)))
	})
}
