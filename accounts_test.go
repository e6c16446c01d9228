package xmpp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

func TestMemoryAccounts(t *testing.T) {
	var a xmpp.MemoryAccounts // the zero value is ready
	a.Iterations = sasl.MinIterations
	juliet := address("juliet@xmpp.test")
	ctx := t.Context()

	require.Equal(t, []sasl.Hash{sasl.SHA1, sasl.SHA256}, a.Hashes())
	require.Equal(t, sasl.MinIterations, a.KeyIterations())
	_, err := a.Keys(ctx, juliet, sasl.SHA256)
	require.ErrorIs(t, err, sasl.ErrUnknownUser)

	require.NoError(t, a.Set(ctx, address("juliet@xmpp.test/balcony"), "secret"), "a resource is ignored")
	keys := map[sasl.Hash]sasl.Keys{}
	for _, h := range a.Hashes() {
		k, err := a.Keys(ctx, address("JULIET@xmpp.test/chamber"), h)
		require.NoError(t, err)
		require.Equal(t, h, k.Hash)
		require.Equal(t, sasl.MinIterations, k.Iterations)
		want, err := sasl.DeriveKeys(ctx, h, "secret", k.Salt, k.Iterations)
		require.NoError(t, err)
		require.Equal(t, want, k)
		keys[h] = k
	}
	require.NotEqual(t, keys[sasl.SHA1].Salt, keys[sasl.SHA256].Salt)
	_, err = a.Keys(ctx, juliet, sasl.SHA512)
	require.ErrorIs(t, err, sasl.ErrUnknownUser, "SHA-1 and SHA-256 only")
	_, err = a.Keys(ctx, address("juliet@other.test"), sasl.SHA256)
	require.ErrorIs(t, err, sasl.ErrUnknownUser, "domains are apart")

	// A new password, and with it new salts.
	require.NoError(t, a.Set(ctx, juliet, "new"))
	k, err := a.Keys(ctx, juliet, sasl.SHA256)
	require.NoError(t, err)
	require.NotEqual(t, keys[sasl.SHA256].Salt, k.Salt)
	require.NotEqual(t, keys[sasl.SHA256].StoredKey, k.StoredKey)

	require.Error(t, a.Set(ctx, address("xmpp.test"), "secret"))
	require.Error(t, a.Set(ctx, jid.JID{}, "secret"))
	require.Error(t, a.Set(ctx, juliet, ""))
	require.NoError(t, a.Delete(t.Context(), address("nobody@xmpp.test")))
	require.NoError(t, a.Delete(t.Context(), address("juliet@xmpp.test/x")))
	require.NoError(t, a.Delete(t.Context(), juliet))
	_, err = a.Keys(ctx, juliet, sasl.SHA256)
	require.ErrorIs(t, err, sasl.ErrUnknownUser)
}

// What is kept is keys: neither the password nor anything that contains it.
func TestMemoryAccountsKeepNoPassword(t *testing.T) {
	const password = "correct horse battery staple"
	a := &xmpp.MemoryAccounts{Iterations: sasl.MinIterations}
	require.NoError(t, a.Set(t.Context(), address("juliet@xmpp.test"), password))
	seen := 0
	walk(reflect.ValueOf(a).Elem(), func(b []byte) {
		seen++
		require.NotContains(t, string(b), password)
		require.NotContains(t, string(b), base64.StdEncoding.EncodeToString([]byte(password)))
	})
	require.Greater(t, seen, 6, "names, hashes, salts and keys")
	require.NotContains(t, fmt.Sprintf("%+v", a), password)
}

// walk visits all strings and byte slices within v.
func walk(v reflect.Value, visit func([]byte)) {
	switch v.Kind() {
	case reflect.String:
		visit([]byte(v.String()))
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			visit(bytes.Clone(v.Bytes()))
			return
		}
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walk(it.Key(), visit)
			walk(it.Value(), visit)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), visit)
		}
	}
}

func TestPasswordChangeTakesEffect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		account := s.AddAccount(t, "juliet", "old")
		conn, err := s.Client(account, "old").Connect(t.Context())
		require.NoError(t, err)
		s.AddAccount(t, "juliet", "new")
		_, err = s.Client(account, "old").Connect(t.Context())
		require.ErrorIs(t, err, sasl.NotAuthorized)
		_, err = s.Client(account, "new").Connect(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.Accounts.Delete(t.Context(), account))
		_, err = s.Client(account, "new").Connect(t.Context())
		require.ErrorIs(t, err, sasl.NotAuthorized)
		require.NoError(t, conn.Err(), "sessions that it has are not affected")
	})
}

var (
	streamID  = regexp.MustCompile(` id='[A-Z2-7]{26}'`)
	challenge = regexp.MustCompile(`<challenge[^>]*>([^<]*)<`)
)

// transcript is what a server says to somebody who fails to log in.
func transcript(t *testing.T, s *wire, mechanism sasl.Mechanism, name, password string) (shape string, salt []byte, iterations string) {
	t.Helper()
	s.starttls()
	out := s.open("")
	x, err := mechanism.NewClient(&sasl.ClientConfig{Username: name, Password: password, Secure: true})
	require.NoError(t, err)
	first, _, err := x.Next(t.Context(), nil)
	require.NoError(t, err)
	s.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='` + mechanism.Name + `'>` + base64.StdEncoding.EncodeToString(first) + `</auth>`)
	if mechanism.Name != "PLAIN" {
		c := s.until("</challenge>")
		in, err := base64.StdEncoding.DecodeString(challenge.FindStringSubmatch(c)[1])
		require.NoError(t, err)
		for part := range strings.SplitSeq(string(in), ",") {
			switch part[:2] {
			case "s=":
				salt, err = base64.StdEncoding.DecodeString(part[2:])
				require.NoError(t, err)
			case "i=":
				iterations = part[2:]
			}
		}
		out += challenge.ReplaceAllStringFunc(c, func(c string) string { return fmt.Sprintf("%d bytes", len(c)) })
		final, _, err := x.Next(t.Context(), in)
		require.NoError(t, err)
		s.say(`<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>` + base64.StdEncoding.EncodeToString(final) + `</response>`)
	}
	out += s.until("</failure>")
	s.say("</stream:stream>")
	out += s.rest()
	return streamID.ReplaceAllString(out, ""), salt, iterations
}

// RFC 6120 §13.11: whoever guesses learns nothing about which accounts there
// are.
func TestUnknownAccountLooksLikeAWrongPassword(t *testing.T) {
	for name, configure := range map[string]func(*xmpp.Server){
		"MemoryAccounts": func(*xmpp.Server) {}, // with fewer iterations than the default
		"own Accounts, default iterations": func(s *xmpp.Server) {
			s.Accounts.(*xmpp.MemoryAccounts).Iterations = sasl.DefaultIterations
			s.Accounts = onlyAccounts{s.Accounts}
		},
	} {
		for _, m := range []sasl.Mechanism{sasl.Scram(sasl.SHA1), sasl.Scram(sasl.SHA256), sasl.Plain()} {
			t.Run(name+"/"+m.Name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := memoryServer(t, func(s *xmpp.Server) {
						allowPlain(s)
						configure(s)
					})
					s.AddAccount(t, "juliet", "secret")
					wrong, wrongSalt, wrongCount := transcript(t, dialWire(t, s), m, "juliet", "guessed")
					nobody, salt, count := transcript(t, dialWire(t, s), m, "mercut", "guessed")
					require.Equal(t, wrong, nobody)
					require.Contains(t, wrong, "<not-authorized/>")
					require.Equal(t, wrongCount, count)
					require.Len(t, salt, len(wrongSalt))
					_, again, _ := transcript(t, dialWire(t, s), m, "MERCUT", "another")
					require.Equal(t, salt, again, "the same salt each time, as an account would have")
				})
			})
		}
	}
}

// onlyAccounts hides all methods but those of Accounts.
type onlyAccounts struct{ xmpp.Accounts }

// An error of Accounts that is not about the name is the server's own trouble,
// and is not shown.
func TestFailingAccounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Accounts = failingAccounts{s.Accounts} })
		var shown []string
		c := s.Client(s.AddAccount(t, "juliet", "secret"), "secret")
		c.Trace = &stream.Trace{XMLReceived: func(xml []byte) { shown = append(shown, string(xml)) }}
		_, err := c.Connect(t.Context())
		require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
		require.NotContains(t, strings.Join(shown, ""), "db01")
	})
}

type failingAccounts struct{ xmpp.Accounts }

func (failingAccounts) Keys(context.Context, jid.JID, sasl.Hash) (sasl.Keys, error) {
	return sasl.Keys{}, errors.New("db01.internal: connection refused")
}
