package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"testing"

	"github.com/stretchr/testify/require"
)

// A second SCRAM, written from RFC 5802 §3 alone and sharing no code with the package, to check the package
// against.

type refKeys struct{ client, stored, server []byte }

func refHash(h Hash) func() hash.Hash {
	return map[Hash]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New, SHA512: sha512.New,
		SHA3_512: func() hash.Hash { return sha3.New512() }}[h]
}

func refMAC(h Hash, key []byte, text string) []byte {
	m := hmac.New(refHash(h), key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func refDerive(h Hash, password string, salt []byte, iterations int) refKeys {
	salted, err := pbkdf2.Key(refHash(h), password, salt, iterations, refHash(h)().Size())
	if err != nil {
		panic(err) // only for impossible parameters
	}
	var k refKeys
	k.client = refMAC(h, salted, "Client Key")
	k.server = refMAC(h, salted, "Server Key")
	d := refHash(h)()
	d.Write(k.client)
	k.stored = d.Sum(nil)
	return k
}

// refProof returns the values of "p" and "v" for an AuthMessage.
func refProof(h Hash, k refKeys, auth string) (proof, verifier string) {
	sig := refMAC(h, k.stored, auth)
	for i := range sig {
		sig[i] ^= k.client[i]
	}
	return b64(sig), b64(refMAC(h, k.server, auth))
}

func b64[T ~string | ~[]byte](data T) string { return base64.StdEncoding.EncodeToString([]byte(data)) }

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}

// oneUser is a store with one account whose keys the reference derived; it keeps the tests at the
// floor of 4096 iterations.
type oneUser struct {
	name string
	keys map[Hash]Keys
}

func newOneUser(name, password, salt string, iterations int) oneUser {
	u := oneUser{name, map[Hash]Keys{}}
	for _, h := range hashes {
		k := refDerive(h, password, []byte(salt), iterations)
		u.keys[h] = Keys{Hash: h, Salt: []byte(salt), Iterations: iterations, StoredKey: k.stored, ServerKey: k.server}
	}
	return u
}

func (u oneUser) Keys(_ context.Context, name string, h Hash) (Keys, string, error) {
	if name != u.name {
		return Keys{}, "", ErrUnknownUser
	}
	return u.keys[h], "", nil
}

// Shorthands of the tests.

const (
	testUser     = "user"
	testPassword = "pencil"
	testSalt     = "0123456789abcdef"
)

var (
	hashes      = []Hash{SHA1, SHA256, SHA512, SHA3_512}
	testStore   = newOneUser(testUser, testPassword, testSalt, MinIterations)
	testBinding = Binding{Type: TLSExporter, Data: []byte("THIS IS FAKE CB DATA")}
)

func clientConfig() *ClientConfig {
	return &ClientConfig{Username: testUser, Password: testPassword, Token: testFastToken, Binding: testBinding, Secure: true,
		Offered: []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"}}
}

func serverConfig() *ServerConfig {
	return &ServerConfig{Store: testStore, FastTokens: tokens(testUser, testFastToken), FakeIterations: MinIterations, Secure: true,
		Bindings: []Binding{{TLSServerEndPoint, []byte("certificate hash")}, testBinding}}
}

func newClient(t testing.TB, m Mechanism, cfg *ClientConfig) Client {
	t.Helper()
	c, err := m.NewClient(cfg)
	require.NoError(t, err)
	return c
}

func newServer(t testing.TB, m Mechanism, cfg *ServerConfig) Server {
	t.Helper()
	s, err := m.NewServer(cfg)
	require.NoError(t, err)
	return s
}

// send moves an exchange on and requires that it goes on.
func send(t testing.TB, x interface {
	Next(context.Context, []byte) ([]byte, bool, error)
}, in []byte) []byte {
	t.Helper()
	out, done, err := x.Next(t.Context(), in)
	require.NoError(t, err)
	require.False(t, done)
	return out
}

// fail requires that the exchange ends with all of the given errors, and stays ended.
func fail(t testing.TB, x interface {
	Next(context.Context, []byte) ([]byte, bool, error)
}, in string, want ...error) error {
	t.Helper()
	out, done, err := x.Next(t.Context(), []byte(in))
	require.Error(t, err)
	require.False(t, done)
	require.Nil(t, out)
	var e *Error
	require.ErrorAs(t, err, &e)
	for _, w := range want {
		require.ErrorIs(t, err, w)
	}
	if s, ok := x.(Server); ok {
		require.Zero(t, s.Identity())
	}
	_, done, again := x.Next(t.Context(), []byte(in))
	require.ErrorIs(t, again, ErrFinished)
	require.False(t, done)
	return err
}

// run takes an exchange to its end and returns the error of whichever side failed first.
func run(t testing.TB, c Client, s Server) error {
	t.Helper()
	var in []byte
	clientDone, serverDone := false, false
	for range 10 {
		out, done, err := c.Next(t.Context(), in)
		if err != nil {
			return err
		}
		if clientDone = done; clientDone && serverDone {
			return nil
		}
		if in, serverDone, err = s.Next(t.Context(), out); err != nil {
			return err
		}
		if serverDone && clientDone {
			return nil
		}
	}
	t.Fatal("the exchange does not end")
	return nil
}
