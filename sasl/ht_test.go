package sasl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const testFastToken = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm"

// tokens is a FastTokens with tokens of one user.
func tokens(name string, list ...string) func(context.Context, string, func([]byte) bool) (string, error) {
	return func(_ context.Context, username string, match func([]byte) bool) (string, error) {
		if username == name {
			for _, token := range list {
				if match([]byte(token)) {
					return "", nil
				}
			}
		}
		return "", fmt.Errorf("tokens: %w", ErrUnknownUser)
	}
}

// htMechanisms are all of the family.
func htMechanisms() (mechs []Mechanism) {
	for _, h := range hashes {
		for _, typ := range []string{TLSExporter, TLSUnique, TLSServerEndPoint, ""} {
			mechs = append(mechs, HT(h, typ))
		}
	}
	return mechs
}

// htConfigs are configurations for both sides that fit the mechanism.
func htConfigs(m Mechanism) (*ClientConfig, *ServerConfig) {
	b := Binding{m.BindingType, []byte("data of " + m.BindingType)}
	return &ClientConfig{Username: testUser, Token: testFastToken, Binding: b, Secure: true},
		&ServerConfig{FastTokens: tokens(testUser, testFastToken), Secure: true, Bindings: []Binding{{"other", []byte("x")}, b}}
}

func TestHT(t *testing.T) {
	// draft-schmaus-kitten-sasl-ht-09 §2.
	for typ, name := range map[string]string{TLSExporter: "HT-SHA-256-EXPR", TLSUnique: "HT-SHA-256-UNIQ", TLSServerEndPoint: "HT-SHA-256-ENDP", "": "HT-SHA-256-NONE"} {
		m := HT(SHA256, typ)
		require.Equal(t, name, m.Name)
		require.Equal(t, typ, m.BindingType)
		require.Equal(t, typ != "", m.ChannelBinding)
		require.Equal(t, typ == "", m.Plaintext)
		require.Equal(t, FastTokenCredential, m.Credential)
		require.Empty(t, m.Hash, "needs no keys")
		require.Equal(t, typ != "", isBoundHT(name))
	}
	require.Equal(t, "HT-SHA-512-NONE", HT(SHA512, "").Name)
	var names []string
	for _, m := range FastMechanisms() {
		names = append(names, m.Name)
	}
	require.Equal(t, []string{"HT-SHA-256-EXPR", "HT-SHA-256-UNIQ", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"}, names)
	require.Equal(t, names, func() (kept []string) {
		for _, m := range ForStore(FastMechanisms(), &MemoryStore{}) {
			kept = append(kept, m.Name)
		}
		return kept
	}(), "no store is needed")
	for _, m := range []Mechanism{HT("MD5", ""), HT(SHA256, "x"), HT("", TLSExporter)} {
		ccfg, scfg := htConfigs(m)
		_, err := m.NewClient(ccfg)
		require.ErrorIs(t, err, InvalidMechanism)
		_, err = m.NewServer(scfg)
		require.ErrorIs(t, err, InvalidMechanism)
	}
}

// TestHTMessages: draft-schmaus-kitten-sasl-ht-09 §3.1, §3.3, computed by the reference.
func TestHTMessages(t *testing.T) {
	for _, m := range htMechanisms() {
		t.Run(m.Name, func(t *testing.T) {
			h := Hash(strings.TrimSuffix(strings.TrimPrefix(m.Name, "HT-"), m.Name[strings.LastIndexByte(m.Name, '-'):]))
			ccfg, scfg := htConfigs(m)
			ccfg.Username, ccfg.Token = "ä b", "tökén"
			scfg.FastTokens = tokens("ä b", "other", "tökén")
			cb := ""
			if m.ChannelBinding {
				cb = "data of " + m.BindingType
			}
			first := "ä b\x00" + string(refMAC(h, []byte("tökén"), "Initiator"+cb))
			last := string(refMAC(h, []byte("tökén"), "Responder"+cb))

			c := newClient(t, m, ccfg)
			require.Equal(t, first, string(send(t, c, nil)))
			out, done, err := c.Next(t.Context(), []byte(last))
			require.NoError(t, err)
			require.True(t, done)
			require.Nil(t, out)

			s := newServer(t, m, scfg)
			require.Zero(t, s.Identity())
			out, done, err = s.Next(t.Context(), []byte(first))
			require.NoError(t, err)
			require.True(t, done)
			require.Equal(t, last, string(out))
			require.Equal(t, Identity{AuthcID: "ä b"}, s.Identity())
			_, _, err = s.Next(t.Context(), []byte(first))
			require.ErrorIs(t, err, ErrFinished)
		})
	}
}

// TestHTConfig: what a side refuses to start with.
func TestHTConfig(t *testing.T) {
	m := HT(SHA256, TLSExporter)
	no := errors.New("no")
	for name, row := range map[string]struct {
		change func(*ClientConfig)
		want   []error
	}{
		"not secure":            {func(c *ClientConfig) { c.Secure = false }, []error{EncryptionRequired}},
		"no user name":          {func(c *ClientConfig) { c.Username = "" }, []error{ErrUsername}},
		"user name with NUL":    {func(c *ClientConfig) { c.Username = "u\x00" }, []error{ErrUsername}},
		"no token":              {func(c *ClientConfig) { c.Token = "" }, []error{ErrToken}},
		"a password instead":    {func(c *ClientConfig) { c.Token, c.Password = "", "p" }, []error{ErrToken}},
		"authorization id":      {func(c *ClientConfig) { c.AuthzID = "x" }, []error{ErrConfig}},
		"no binding":            {func(c *ClientConfig) { c.Binding = Binding{} }, []error{ErrChannelBinding}},
		"empty binding":         {func(c *ClientConfig) { c.Binding.Data = nil }, []error{ErrChannelBinding}},
		"binding of other type": {func(c *ClientConfig) { c.Binding.Type = TLSUnique }, []error{ErrChannelBinding}},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			cfg, _ := htConfigs(m)
			row.change(cfg)
			_, err := m.NewClient(cfg)
			for _, want := range row.want {
				require.ErrorIs(t, err, want)
			}
		})
	}
	for name, row := range map[string]struct {
		token string
		err   error
		want  error
	}{"callback fails": {"", no, no}, "callback has none": {"", nil, ErrToken}, "not UTF-8": {"\xff", nil, ErrToken}} {
		t.Run("client/"+name, func(t *testing.T) {
			cfg, _ := htConfigs(m)
			cfg.Token, cfg.GetToken = "", func(context.Context) (string, error) { return row.token, row.err }
			fail(t, newClient(t, m, cfg), "", Aborted, row.want)
		})
	}
	_, err := (&ClientConfig{}).token(t.Context())
	require.ErrorIs(t, err, ErrToken)
	t.Run("client/callback", func(t *testing.T) {
		ccfg, scfg := htConfigs(m)
		ccfg.Token, ccfg.GetToken = "", func(context.Context) (string, error) { return testFastToken, nil }
		require.NoError(t, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
	})
	for name, row := range map[string]struct {
		change func(*ServerConfig)
		want   []error
	}{
		"not secure":    {func(c *ServerConfig) { c.Secure = false }, []error{EncryptionRequired}},
		"no FastTokens": {func(c *ServerConfig) { c.FastTokens = nil }, []error{InvalidMechanism, ErrConfig}},
		"no binding":    {func(c *ServerConfig) { c.Bindings = c.Bindings[:1] }, []error{InvalidMechanism, ErrChannelBinding}},
		"empty binding": {func(c *ServerConfig) { c.Bindings[1].Data = nil }, []error{InvalidMechanism, ErrChannelBinding}},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			_, cfg := htConfigs(m)
			row.change(cfg)
			_, err := m.NewServer(cfg)
			for _, want := range row.want {
				require.ErrorIs(t, err, want)
			}
		})
	}
	for _, m := range htMechanisms() {
		_, err := m.NewClient(nil)
		require.ErrorIs(t, err, ErrConfig)
		_, err = m.NewServer(nil)
		require.ErrorIs(t, err, ErrConfig)
	}
}

// TestHTServerAnswers: what FastTokens and Authorize decide.
func TestHTServerAnswers(t *testing.T) {
	m := HT(SHA256, "")
	broken := errors.New("database down")
	type find = func(context.Context, string, func([]byte) bool) (string, error)
	for name, row := range map[string]struct {
		find find
		want []error
	}{
		"database error": {func(context.Context, string, func([]byte) bool) (string, error) { return "", broken }, []error{TemporaryAuthFailure, broken}},
		"condition": {func(context.Context, string, func([]byte) bool) (string, error) {
			return "", fmt.Errorf("x: %w", &Error{Condition: AccountDisabled})
		}, []error{AccountDisabled}},
		"no error, and nothing asked": {func(context.Context, string, func([]byte) bool) (string, error) { return testUser, nil }, []error{NotAuthorized, ErrToken}},
		"no error, and no match": {func(_ context.Context, _ string, match func([]byte) bool) (string, error) {
			match([]byte("other"))
			return testUser, nil
		}, []error{NotAuthorized, ErrToken}},
		"match, and unknown all the same": {func(_ context.Context, _ string, match func([]byte) bool) (string, error) {
			match([]byte(testFastToken))
			return testUser, ErrUnknownUser
		}, []error{NotAuthorized}},
	} {
		t.Run(name, func(t *testing.T) {
			ccfg, scfg := htConfigs(m)
			scfg.FastTokens = row.find
			err := fail(t, newServer(t, m, scfg), string(send(t, newClient(t, m, ccfg), nil)), row.want...)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, row.want[0], e.Condition, "what the client is told")
		})
	}
	t.Run("names", func(t *testing.T) {
		ccfg, scfg := htConfigs(m)
		ccfg.Username = "USER"
		scfg.Normalize = func(s string) (string, error) { return strings.ToLower(s), nil }
		s := newServer(t, m, scfg)
		require.NoError(t, run(t, newClient(t, m, ccfg), s))
		require.Equal(t, Identity{AuthcID: "user"}, s.Identity())
		scfg.FastTokens = func(_ context.Context, _ string, match func([]byte) bool) (string, error) {
			match([]byte(testFastToken))
			return "canon", nil
		}
		s = newServer(t, m, scfg)
		require.NoError(t, run(t, newClient(t, m, ccfg), s))
		require.Equal(t, Identity{AuthcID: "canon"}, s.Identity())
		for _, normalize := range []func(string) (string, error){
			func(s string) (string, error) { return s, errors.New("no") },
			func(string) (string, error) { return "", nil },
		} {
			scfg.Normalize = normalize
			require.Equal(t, &Error{Condition: NotAuthorized}, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
		}
	})
	t.Run("authorize", func(t *testing.T) {
		ccfg, scfg := htConfigs(m)
		scfg.Authorize = func(_ context.Context, id Identity) error {
			require.Equal(t, Identity{AuthcID: testUser}, id)
			return &Error{Condition: AccountDisabled}
		}
		fail(t, newServer(t, m, scfg), string(send(t, newClient(t, m, ccfg), nil)), AccountDisabled)
	})
	t.Run("match is asked after a match", func(t *testing.T) {
		ccfg, scfg := htConfigs(m)
		scfg.FastTokens = func(_ context.Context, _ string, match func([]byte) bool) (string, error) {
			require.False(t, match([]byte("old")))
			require.True(t, match([]byte(testFastToken)))
			require.False(t, match([]byte("older")))
			return "", nil
		}
		require.NoError(t, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)), "the answer is made with the token that fits")
	})
}

// testS30: tokens that must not work, as far as it is the mechanism that notices.
func testS30(t *testing.T) {
	t.Run("server/token with another mechanism", func(t *testing.T) {
		// One token, as if the server did not look at what mechanism it is for.
		for _, used := range htMechanisms() {
			for _, accepting := range htMechanisms() {
				ccfg, _ := htConfigs(used)
				_, scfg := htConfigs(accepting)
				err := run(t, newClient(t, used, ccfg), newServer(t, accepting, scfg))
				if used.Name == accepting.Name {
					require.NoError(t, err)
				} else {
					require.Equal(t, &Error{Condition: NotAuthorized}, err, "%s with %s", used, accepting)
				}
			}
		}
	})
	for _, m := range []Mechanism{HT(SHA256, TLSExporter), HT(SHA256, "")} {
		begin := func(t *testing.T) (msg string, s Server) {
			ccfg, scfg := htConfigs(m)
			return string(send(t, newClient(t, m, ccfg), nil)), newServer(t, m, scfg)
		}
		t.Run("server/wrong/"+m.Name, func(t *testing.T) {
			good, _ := begin(t)
			mac := strings.TrimPrefix(good, "user\x00")
			rows := map[string]error{
				"":                         MalformedRequest,
				"user":                     MalformedRequest,
				"user\x00":                 MalformedRequest,
				"\x00" + mac:               MalformedRequest,
				"\x00":                     MalformedRequest,
				"us\xff\x00" + mac:         MalformedRequest,
				mac:                        nil, // random bytes
				good + "\x00":              NotAuthorized,
				good[:len(good)-1]:         NotAuthorized,
				"user\x00" + "x":           NotAuthorized,
				"user\x00\x00" + mac:       NotAuthorized,
				"nobody\x00" + mac:         NotAuthorized,
				"USER\x00" + mac:           NotAuthorized,
				"user \x00" + mac:          NotAuthorized,
				"user\x00" + testFastToken: NotAuthorized, // the token itself
				"user\x00" + strings.ToUpper(fmt.Sprintf("%x", mac)): NotAuthorized,
				strings.Repeat("u", maxName+1) + "\x00" + mac:        MalformedRequest,
				"user\x00" + strings.Repeat("x", maxMessage):         MalformedRequest,
			}
			for msg, want := range rows {
				_, s := begin(t)
				err := fail(t, s, msg)
				if want != nil {
					require.ErrorIs(t, err, want, "%q", msg)
				}
				require.NotContains(t, err.Error(), testFastToken)
			}
			for i := len("user\x00"); i < len(good); i++ {
				bad := []byte(good)
				bad[i] ^= 1
				_, s := begin(t)
				require.Equal(t, &Error{Condition: NotAuthorized}, fail(t, s, string(bad)))
			}
		})
		t.Run("server/no token, empty token/"+m.Name, func(t *testing.T) {
			_, scfg := htConfigs(m)
			cb := ""
			if m.ChannelBinding {
				cb = string(scfg.Bindings[1].Data)
			}
			scfg.FastTokens = tokens(testUser, "")
			fail(t, newServer(t, m, scfg), "user\x00"+string(refMAC(SHA256, nil, "Initiator"+cb)), NotAuthorized)
			// Nor is what the server computes for users without tokens of any use.
			scfg.FakeSecret = []byte("fake")
			scfg.FastTokens = func(context.Context, string, func([]byte) bool) (string, error) { return "", nil }
			fail(t, newServer(t, m, scfg), "user\x00"+string(refMAC(SHA256, []byte("fake"), "Initiator"+cb)), NotAuthorized)
		})
		t.Run("server/expired/"+m.Name, func(t *testing.T) {
			ccfg, scfg := htConfigs(m)
			scfg.FastTokens = func(_ context.Context, _ string, match func([]byte) bool) (string, error) {
				require.True(t, match([]byte(testFastToken)))
				return testUser, &Error{Condition: CredentialsExpired} // XEP-0484 §4.2
			}
			fail(t, newServer(t, m, scfg), string(send(t, newClient(t, m, ccfg), nil)), CredentialsExpired)
		})
		t.Run("server/old token after the new one was used/"+m.Name, func(t *testing.T) {
			ccfg, scfg := htConfigs(m)
			scfg.FastTokens = tokens(testUser, "new token")
			fail(t, newServer(t, m, scfg), string(send(t, newClient(t, m, ccfg), nil)), NotAuthorized)
		})
		t.Run("client/the server must have the token/"+m.Name, func(t *testing.T) {
			ccfg, scfg := htConfigs(m)
			good, s := begin(t)
			answer, done, err := s.Next(t.Context(), []byte(good))
			require.NoError(t, err)
			require.True(t, done)
			_, mac, _ := strings.Cut(good, "\x00")
			rows := []string{"", mac, good, string(answer[:len(answer)-1]), string(answer) + "\x00", string(bytes.ToUpper(answer)) + "x", testFastToken}
			for i := range answer {
				bad := bytes.Clone(answer)
				bad[i] ^= 0x80
				rows = append(rows, string(bad))
			}
			for _, msg := range rows {
				c := newClient(t, m, ccfg)
				send(t, c, nil)
				fail(t, c, msg, Aborted, ErrServerSignature)
			}
			// Success without the responder's message.
			c := newClient(t, m, ccfg)
			send(t, c, nil)
			_, done, err = c.Next(t.Context(), nil)
			require.ErrorIs(t, err, ErrServerSignature)
			require.False(t, done)
			// The answer of a server with another token.
			scfg.FastTokens = tokens(testUser, "other")
			ccfg.Token = "other"
			other, _, err := newServer(t, m, scfg).Next(t.Context(), send(t, newClient(t, m, ccfg), nil))
			require.NoError(t, err)
			ccfg.Token = testFastToken
			c = newClient(t, m, ccfg)
			send(t, c, nil)
			fail(t, c, string(other), ErrServerSignature)
		})
	}
	t.Run("server/relayed from another connection", func(t *testing.T) {
		for _, typ := range []string{TLSExporter, TLSUnique, TLSServerEndPoint} {
			m := HT(SHA256, typ)
			ccfg, scfg := htConfigs(m)
			ccfg.Binding.Data = []byte("of another connection")
			require.Equal(t, &Error{Condition: NotAuthorized}, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
		}
	})
	t.Run("server/unknown users cost the same", func(t *testing.T) {
		_, scfg := htConfigs(HT(SHA256, ""))
		asked := 0
		scfg.FastTokens = func(_ context.Context, _ string, match func([]byte) bool) (string, error) {
			asked++
			return "", ErrUnknownUser
		}
		a := fail(t, newServer(t, HT(SHA256, ""), scfg), "nobody\x00x", NotAuthorized)
		scfg.FastTokens = tokens(testUser, testFastToken)
		b := fail(t, newServer(t, HT(SHA256, ""), scfg), "user\x00x", NotAuthorized)
		require.Equal(t, a, b)
		require.Equal(t, 1, asked)
	})
}
