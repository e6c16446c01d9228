package sasl

import (
	"context"
	"crypto/md5"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the mechanisms without stored keys are tested with.
const (
	testToken   = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
	testService = "example.org"
)

var errNo = errors.New("no")

// othersClient is a client configuration that suits all mechanisms but SCRAM.
func othersClient() *ClientConfig {
	return &ClientConfig{Username: testUser, Password: testPassword, Token: testToken, Service: testService, Secure: true}
}

// othersServer is a server configuration that suits all mechanisms but SCRAM and PLAIN, for one account.
func othersServer() *ServerConfig {
	return &ServerConfig{
		Service: testService,
		Secure:  true,
		External: func(_ context.Context, authzID string) (string, error) {
			return testUser, nil
		},
		Anonymous: func(context.Context, string) (string, error) { return "anonymous-1", nil },
		Bearer: func(_ context.Context, token BearerToken) (string, error) {
			if token.Token != testToken {
				return "", ErrUnknownUser
			}
			return testUser, nil
		},
		InsecureDigest: func(_ context.Context, name, realm string) (key [md5.Size]byte, canonical string, err error) {
			if name != testUser || realm != testService {
				return key, "", ErrUnknownUser
			}
			key, err = InsecureDigestKey(testUser, testService, testPassword)
			return key, "", err
		},
	}
}

func others() []Mechanism {
	return []Mechanism{External(), Anonymous(), OAuthBearer(), InsecureDigestMD5()}
}

// TestExchangeOthers runs the mechanisms that are not about stored keys against themselves.
func TestExchangeOthers(t *testing.T) {
	for _, m := range others() {
		t.Run(m.Name, func(t *testing.T) {
			name := testUser
			if m.Credential == NoCredential {
				name = "anonymous-1"
			}
			s := newServer(t, m, othersServer())
			require.Zero(t, s.Identity())
			c := newClient(t, m, othersClient())
			require.NoError(t, run(t, c, s))
			require.Equal(t, Identity{AuthcID: name}, s.Identity())
			// Nobody speaks after the last message.
			_, _, err := s.Next(t.Context(), nil)
			require.ErrorIs(t, err, ErrFinished)
			require.Equal(t, Identity{AuthcID: name}, s.Identity())
			if m.Name != oauthBearer { // which may have to answer an error
				_, _, err = c.Next(t.Context(), nil)
				require.ErrorIs(t, err, ErrFinished)
			}

			// RFC 4422 §3.3, §5: a protocol without initial responses.
			s, c = newServer(t, m, othersServer()), newClient(t, m, othersClient())
			challenge := send(t, s, nil)
			require.NotNil(t, challenge)
			out, _, err := c.Next(t.Context(), challenge)
			require.NoError(t, err)
			require.NotNil(t, out, "empty is not none")
			_, done, err := s.Next(t.Context(), out)
			require.NoError(t, err)
			require.True(t, done)
			// Asked twice, the client has nothing to say: that is not an empty message.
			s = newServer(t, m, othersServer())
			send(t, s, nil)
			_, done, err = s.Next(t.Context(), nil)
			require.ErrorIs(t, err, MalformedRequest)
			require.False(t, done)

			fail(t, newClient(t, m, othersClient()), "hello", Aborted)

			// Authorize has the last word, in all of them.
			scfg := othersServer()
			scfg.Authorize = func(_ context.Context, id Identity) error {
				require.Equal(t, name, id.AuthcID)
				return &Error{Condition: AccountDisabled}
			}
			s = newServer(t, m, scfg)
			require.ErrorIs(t, run(t, newClient(t, m, othersClient()), s), AccountDisabled)
			require.Zero(t, s.Identity())

			// Without its function a server cannot start.
			for _, cfg := range []*ServerConfig{nil, {}, {Secure: true, Service: testService, Store: testStore}} {
				_, err = m.NewServer(cfg)
				require.ErrorIs(t, err, ErrConfig)
			}
			_, err = m.NewClient(nil)
			require.ErrorIs(t, err, ErrConfig)

			// None is used without being asked for.
			for _, d := range Default() {
				require.NotEqual(t, m.Name, d.Name)
			}
		})
	}
	t.Run("no store needed", func(t *testing.T) {
		require.Len(t, ForStore(others(), &MemoryStore{}), 4)
	})
}

// TestInsecureChannel: what reveals a secret, or makes it easy to guess, needs a secure channel on both
// sides. The other two do not.
func TestInsecureChannel(t *testing.T) {
	for _, m := range others() {
		ccfg, scfg := othersClient(), othersServer()
		ccfg.Secure, scfg.Secure = false, false
		_, cerr := m.NewClient(ccfg)
		_, serr := m.NewServer(scfg)
		if !m.Plaintext {
			require.NoError(t, cerr)
			require.NoError(t, serr)
			continue
		}
		require.ErrorIs(t, cerr, EncryptionRequired)
		require.ErrorIs(t, serr, EncryptionRequired)
		_, _, err := Select([]Mechanism{m}, []string{m.Name}, Policy{Credentials: []Credential{m.Credential}})
		require.ErrorIs(t, err, EncryptionRequired)
		got, _, err := Select([]Mechanism{m}, []string{m.Name}, Policy{Secure: true, Credentials: []Credential{m.Credential}})
		require.NoError(t, err)
		require.Equal(t, m.Name, got.Name)
	}
	require.True(t, OAuthBearer().Plaintext)
	require.True(t, InsecureDigestMD5().Plaintext)
}

// TestRefusal: what becomes of the errors of the functions in ServerConfig.
func TestRefusal(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name  string
		ctx   context.Context
		err   error
		names string // what the function returns besides
		want  error
	}{
		{"any error", t.Context(), errNo, "", NotAuthorized},
		{"no such user", t.Context(), ErrUnknownUser, "", NotAuthorized},
		{"an Error", t.Context(), &Error{Condition: AccountDisabled, Text: "gone"}, "", AccountDisabled},
		{"a temporary Error", t.Context(), &Error{Condition: TemporaryAuthFailure}, "", TemporaryAuthFailure},
		{"cancelled", cancelled, context.Canceled, "", TemporaryAuthFailure},
		{"a name with the error", t.Context(), errNo, "admin", NotAuthorized},
		{"no name", t.Context(), nil, "", TemporaryAuthFailure},
		{"a name that is none", t.Context(), nil, "a\x00b", TemporaryAuthFailure},
		{"a name that is not UTF-8", t.Context(), nil, "\xff", TemporaryAuthFailure},
	} {
		for _, m := range []Mechanism{External(), Anonymous(), OAuthBearer()} {
			t.Run(m.Name+"/"+row.name, func(t *testing.T) {
				scfg := othersServer()
				scfg.External = func(context.Context, string) (string, error) { return row.names, row.err }
				scfg.Anonymous = scfg.External
				scfg.Bearer = func(context.Context, BearerToken) (string, error) { return row.names, row.err }
				s := newServer(t, m, scfg)
				first, _, err := newClient(t, m, othersClient()).Next(t.Context(), nil)
				require.NoError(t, err)
				out, done, err := s.Next(row.ctx, first)
				require.False(t, done)
				if out != nil { // OAUTHBEARER says why first
					require.NoError(t, err)
					_, done, err = s.Next(row.ctx, []byte(kvsep))
					require.False(t, done)
				}
				require.ErrorIs(t, err, row.want)
				if row.err != nil {
					require.ErrorIs(t, err, row.err)
				}
				require.Zero(t, s.Identity())
			})
		}
	}
	// DIGEST-MD5 is about an account, as SCRAM is, and gives nothing away.
	for _, row := range []struct {
		err, want error
	}{{ErrUnknownUser, NotAuthorized}, {&Error{Condition: AccountDisabled}, AccountDisabled}, {errNo, TemporaryAuthFailure}} {
		scfg := othersServer()
		scfg.InsecureDigest = func(context.Context, string, string) ([md5.Size]byte, string, error) {
			key, err := InsecureDigestKey(testUser, testService, testPassword)
			require.NoError(t, err)
			return key, testUser, row.err
		}
		err := run(t, newClient(t, InsecureDigestMD5(), othersClient()), newServer(t, InsecureDigestMD5(), scfg))
		require.ErrorIs(t, err, row.want)
		if row.want == NotAuthorized {
			require.Equal(t, &Error{Condition: NotAuthorized}, err)
		}
	}
}

// testS02Others: what S02 asks of PLAIN, of the other mechanisms: messages that their grammar does not
// allow.
func testS02Others(t *testing.T) {
	t.Run("server/EXTERNAL", func(t *testing.T) {
		for _, msg := range []string{"\x00", "a\x00b", "user\x00", "\xff", "us\xc3er", "\xed\xa0\x80", strings.Repeat("u", maxName+1), strings.Repeat("u", 1<<20)} {
			scfg := othersServer()
			scfg.External = func(context.Context, string) (string, error) { panic("asked") }
			fail(t, newServer(t, External(), scfg), msg, MalformedRequest, ErrUsername)
		}
	})
	t.Run("client/EXTERNAL", func(t *testing.T) {
		for _, authzID := range []string{"a\x00b", "\xff", strings.Repeat("u", maxName+1)} {
			_, err := External().NewClient(&ClientConfig{AuthzID: authzID})
			require.ErrorIs(t, err, ErrUsername)
		}
	})
	t.Run("server/ANONYMOUS", func(t *testing.T) {
		for _, msg := range badTraces {
			scfg := othersServer()
			scfg.Anonymous = func(context.Context, string) (string, error) { panic("asked") }
			fail(t, newServer(t, Anonymous(), scfg), msg, MalformedRequest)
		}
	})
	t.Run("client/ANONYMOUS", func(t *testing.T) {
		_, err := Anonymous().NewClient(&ClientConfig{AuthzID: "somebody"})
		require.ErrorIs(t, err, ErrConfig)
	})
	t.Run("server/OAUTHBEARER", testS02BearerServer)
	t.Run("client/OAUTHBEARER", testS02BearerClient)
	t.Run("server/DIGEST-MD5", testS02DigestServer)
	t.Run("client/DIGEST-MD5", testS02DigestClient)
}
