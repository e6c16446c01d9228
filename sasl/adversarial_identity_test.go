package sasl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testS02: PLAIN messages that RFC 4616 §2 does not allow.
func testS02(t *testing.T) {
	for _, msg := range []string{
		"", "user", "\x00user", "\x00user\x00", "\x00\x00pencil", "user\x00pencil", "\x00\x00", "\x00", "\x00\x00\x00",
		"a\x00user\x00pencil\x00x", "\x00user\x00pencil\x00", "\x00\x00user\x00pencil",
		"\x00user\x00penc\xffil", "\x00us\xc3er\x00pencil", "\xed\xa0\x80\x00user\x00pencil",
		"\x00" + strings.Repeat("u", 1<<20) + "\x00pencil", "\x00user\x00" + strings.Repeat("p", 1<<20),
		strings.Repeat("a", 1<<20) + "\x00user\x00pencil", strings.Repeat("\x00", 1<<20),
		"\x00" + strings.Repeat("u", maxName+1) + "\x00pencil",
	} {
		t.Run(fmt.Sprintf("server/%.20q", msg), func(t *testing.T) {
			err := fail(t, newServer(t, Plain(), serverConfig()), msg, MalformedRequest)
			require.NotContains(t, err.Error(), "pencil")
		})
	}
	// Well-formed, and wrong. A password that cannot be prepared (RFC 8265 §4.2.1) is one of them.
	for _, msg := range []string{
		"\x00user\x00pencil2", "\x00user\x00penci", "\x00User\x00pencil", "\x00nobody\x00pencil", "\x00user\x00pencil\n", "\x00user\x00\u0378",
		"\x00user\x00" + strings.Repeat("p", maxPassword), "\x00user\x00" + strings.Repeat("p", maxPassword+1),
	} {
		t.Run(fmt.Sprintf("server/%.20q", msg), func(t *testing.T) {
			require.Equal(t, &Error{Condition: NotAuthorized}, fail(t, newServer(t, Plain(), serverConfig()), msg))
		})
	}
	// RFC 4616 §2: up to 255 octets each MUST be accepted.
	t.Run("server/255 octets", func(t *testing.T) {
		name, password := strings.Repeat("é", 127)+"u", strings.Repeat("p", 255)
		store := newOneUser(name, password, testSalt, MinIterations)
		s := newServer(t, Plain(), &ServerConfig{Store: store, Secure: true})
		_, done, err := s.Next(t.Context(), []byte(name+"\x00"+name+"\x00"+password))
		require.NoError(t, err)
		require.True(t, done)
	})
	t.Run("client", func(t *testing.T) {
		for _, cfg := range []*ClientConfig{
			nil,
			{Password: "p", Secure: true},
			{Username: "u\x00", Password: "p", Secure: true},
			{Username: "u\xff", Password: "p", Secure: true},
			{Username: strings.Repeat("u", maxName+1), Password: "p", Secure: true},
			{Username: "u", AuthzID: "a\x00", Password: "p", Secure: true},
			{Username: "u", Secure: true},
		} {
			_, err := Plain().NewClient(cfg)
			require.ErrorIs(t, err, Aborted)
		}
		for _, password := range []string{"p\x00x", "p\n", "p\xff", "\u0378", strings.Repeat("p", maxPassword+1)} {
			c := newClient(t, Plain(), &ClientConfig{Username: "u", Password: password, Secure: true})
			err := fail(t, c, "", Aborted, ErrPassword)
			require.NotContains(t, err.Error(), password)
		}
		c := newClient(t, Plain(), clientConfig())
		fail(t, c, "challenge", Aborted)
	})
	// RFC 4616 §5: not without confidentiality.
	t.Run("insecure", func(t *testing.T) {
		_, err := Plain().NewClient(&ClientConfig{Username: "u", Password: "p"})
		require.ErrorIs(t, err, EncryptionRequired)
		_, err = Plain().NewServer(&ServerConfig{Store: testStore})
		require.ErrorIs(t, err, EncryptionRequired)
	})
}

// testS04: an authorization identity that the user has no right to, and one that changes in
// mid-exchange (RFC 5802 §5.1, §6).
func testS04(t *testing.T) {
	t.Run("server/other authzid", func(t *testing.T) {
		for _, m := range []Mechanism{Scram(SHA256), ScramPlus(SHA1)} {
			ccfg, scfg := clientConfig(), serverConfig()
			ccfg.AuthzID = "admin@host"
			if !m.ChannelBinding {
				ccfg.Binding = Binding{}
			}
			s, _, _, final := start(t, m, ccfg, scfg)
			fail(t, s, final, InvalidAuthzid)

			scfg.Authorize = func(_ context.Context, id Identity) error {
				require.Equal(t, Identity{AuthcID: "user", AuthzID: "admin@host"}, id)
				return errors.New("no")
			}
			s, _, _, final = start(t, m, ccfg, scfg)
			fail(t, s, final, InvalidAuthzid)

			scfg.Authorize = func(context.Context, Identity) error { return &Error{Condition: AccountDisabled} }
			s, _, _, final = start(t, m, ccfg, scfg)
			fail(t, s, final, AccountDisabled)
		}
	})
	t.Run("server/asked only with good credentials", func(t *testing.T) {
		for _, m := range []Mechanism{Scram(SHA256), Plain()} {
			ccfg, scfg := clientConfig(), serverConfig()
			ccfg.Password, ccfg.Binding, ccfg.AuthzID = "wrong", Binding{}, "admin@host"
			scfg.Authorize = func(context.Context, Identity) error { panic("asked") }
			require.Equal(t, &Error{Condition: NotAuthorized}, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
		}
	})
	t.Run("server/same authzid", func(t *testing.T) {
		ccfg := clientConfig()
		ccfg.AuthzID, ccfg.Binding = testUser, Binding{}
		s := newServer(t, Scram(SHA1), serverConfig())
		require.NoError(t, run(t, newClient(t, Scram(SHA1), ccfg), s))
		require.Equal(t, Identity{"user", "user"}, s.Identity())
	})
	t.Run("server/c= with another authzid", func(t *testing.T) {
		for _, gs2 := range []string{"n,a=admin@host,", "n,a=user,", "n,,"} {
			first := "n,a=eve,n=user,r=abc"
			scfg := serverConfig()
			scfg.Authorize = allow
			s := newServer(t, Scram(SHA256), scfg)
			challenge := string(send(t, s, []byte(first)))
			nonce, _, _ := strings.Cut(challenge, ",")
			fail(t, s, sign(SHA256, first, challenge, "c="+b64(gs2)+","+nonce), NotAuthorized, ErrChannelBinding)
		}
	})
}
