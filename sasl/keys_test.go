package sasl

import (
	"context"
	"crypto/pbkdf2"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSaltedPassword: Hi() of RFC 5802 §2.2 is PBKDF2 with one block of output.
func TestSaltedPassword(t *testing.T) {
	for _, h := range hashes {
		passwords := []string{"pencil", "", "p", strings.Repeat("long", 100)}
		for _, iterations := range []int{1, 2, 3, ctxEvery - 1, ctxEvery, ctxEvery + 1, 10_000} {
			if iterations > 3 {
				passwords = passwords[:1] // the work is the same for all of them
			}
			for _, password := range passwords {
				got, err := saltedPassword(t.Context(), h, password, []byte("salt"), iterations)
				require.NoError(t, err)
				want, err := pbkdf2.Key(refHash(h), password, []byte("salt"), iterations, h.Size())
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		}
	}
}

func TestDeriveKeys(t *testing.T) {
	for _, h := range hashes {
		k, err := DeriveKeys(t.Context(), h, "pencil", []byte(testSalt), MinIterations)
		require.NoError(t, err)
		require.Equal(t, testStore.keys[h], k)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, row := range map[string]struct {
		ctx        context.Context
		hash       Hash
		password   string
		salt       string
		iterations int
		want       error
	}{
		"no hash":          {t.Context(), "", "p", "s", 4096, ErrConfig},
		"unknown hash":     {t.Context(), "MD5", "p", "s", 4096, ErrConfig},
		"no password":      {t.Context(), SHA1, "", "s", 4096, ErrPassword},
		"bad password":     {t.Context(), SHA1, "p\u0007", "s", 4096, ErrPassword},
		"not UTF-8":        {t.Context(), SHA1, "p\xff", "s", 4096, ErrPassword},
		"no salt":          {t.Context(), SHA1, "p", "", 4096, ErrConfig},
		"too few":          {t.Context(), SHA1, "p", "s", 4095, ErrIterations},
		"negative":         {t.Context(), SHA1, "p", "s", -1, ErrIterations},
		"cancelled before": {ctx, SHA1, "p", "s", 4096, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := DeriveKeys(row.ctx, row.hash, row.password, []byte(row.salt), row.iterations)
			require.ErrorIs(t, err, row.want)
			require.Zero(t, k)
		})
	}
}

// TestPreparePassword: RFC 8265 §4.2.2 and the examples of §4.3.
func TestPreparePassword(t *testing.T) {
	for in, want := range map[string]string{
		"pencil":                       "pencil",
		"correct horse battery staple": "correct horse battery staple", // example 12
		"Correct Horse Battery Staple": "Correct Horse Battery Staple", // example 13: no case mapping
		"πßå":                          "πßå",                          // example 14
		"Jack of \u2666s":              "Jack of \u2666s",              // example 15
		"foo\u1680bar":                 "foo bar",                      // example 16: OGHAM SPACE MARK
		"a\u00a0b\u3000c":              "a b c",                        // rule 2
		"e\u0301":                      "\u00e9",                       // rule 4: NFC
		"\ufb01Ａ":                      "\ufb01Ａ",                      // rule 1: no width mapping; SASLprep differs here
	} {
		got, err := preparePassword(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
		again, err := preparePassword(got)
		require.NoError(t, err)
		require.Equal(t, got, again, "idempotent")
	}
	for _, in := range []string{
		"",                     // example 17: zero length
		"my cat is a \u0009by", // example 18: control character
		"\xff", "a\xc3", "\u0378", "\u00ad",
	} {
		_, err := preparePassword(in)
		require.ErrorIs(t, err, ErrPassword)
	}
}

func TestKeysText(t *testing.T) {
	for _, h := range hashes {
		text, err := testStore.keys[h].MarshalText()
		require.NoError(t, err)
		var k Keys
		require.NoError(t, k.UnmarshalText(text))
		require.Equal(t, testStore.keys[h], k)
	}
	// Computed by hand from RFC 5802 §5: the form does not change.
	k, err := DeriveKeys(t.Context(), SHA1, "pencil", unb64(t, "QSXCR+Q6sek8bf92"), 4096)
	require.NoError(t, err)
	const want = "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE="
	text, err := k.MarshalText()
	require.NoError(t, err)
	require.Equal(t, want, string(text))
	j, err := json.Marshal(map[string]Keys{"u": k})
	require.NoError(t, err)
	require.JSONEq(t, `{"u":"`+want+`"}`, string(j))

	r := strings.NewReplacer
	for _, bad := range []string{
		"", "x", "$", "$$", "SCRAM-$$", want + "\n", " " + want, want + "$", want + ":", want[:len(want)-1],
		r("SCRAM-", "").Replace(want), r("SHA-1", "SHA-3").Replace(want), r("SHA-1", "sha-1").Replace(want), r("SHA-1", "SHA-256").Replace(want),
		r("SHA-1", "SHA-1-PLUS").Replace(want),
		r("4096", "4095").Replace(want), r("4096", "04096").Replace(want), r("4096", "+4096").Replace(want), r("4096", "").Replace(want), r("4096", "-4096").Replace(want),
		r("4096:", "4096").Replace(want), r("=:D", "=D").Replace(want), r("QSXCR+Q6sek8bf92", "").Replace(want),
		r("QSXCR+Q6sek8bf92", "QSXC\nR+Q6sek8bf92").Replace(want), r("fTE=", "fTE").Replace(want), r("fTE=", "fTF=").Replace(want), r("D+CS", "").Replace(want),
	} {
		got := k
		require.Error(t, got.UnmarshalText([]byte(bad)), "%q", bad)
		require.Equal(t, k, got, "unchanged on error")
	}
	// The error quotes nothing of the text: in a text that is in disorder anything may be a key.
	for _, bad := range []string{
		"SCRAM-SHA-1$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=$4096:QSXCR+Q6sek8bf92",
		"SCRAM-SHA-1$6dlGYMOdZcOPutkcNY8U2g7vK9Y=$4096:QSXCR+Q6sek8bf92",
		"SCRAM-6dlGYMOdZcOPutkcNY8U2g7vK9Y=$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
	} {
		err := new(Keys).UnmarshalText([]byte(bad))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "6dlGYMOdZ", bad)
	}
	for _, k := range []Keys{{}, {Hash: SHA1}, {Hash: SHA1, Iterations: 4096, StoredKey: make([]byte, 20), ServerKey: make([]byte, 20)}, {Hash: "X", Salt: []byte("s"), Iterations: 4096}} {
		_, err := k.MarshalText()
		require.Error(t, err)
	}
}

func TestParseIterations(t *testing.T) {
	n, err := parseIterations("4096")
	require.NoError(t, err)
	require.Equal(t, 4096, n)
	for _, big := range []string{"9223372036854775808", "99999999999999999999999"} {
		n, err = parseIterations(big)
		require.NoError(t, err)
		require.Greater(t, n, DefaultMaxIterations)
	}
}

func TestNames(t *testing.T) {
	for name, wire := range map[string]string{"user": "user", "a,b": "a=2Cb", "=": "=3D", "=2C": "=3D2C", ",=,": "=2C=3D=2C", "日本": "日本", "a b\x01": "a b\x01"} {
		require.Equal(t, wire, encodeName(name))
		got, err := decodeName(wire)
		require.NoError(t, err)
		require.Equal(t, name, got)
	}
}

// What a client hands to a server in an upgrade (XEP-0480) makes the keys of the password, whatever
// OpaqueString has to do to it.
func TestSaltedPasswordAndKeys(t *testing.T) {
	salt := []byte("0123456789abcdef")
	for _, h := range []Hash{SHA1, SHA256, SHA512, SHA3_512} {
		for _, password := range []string{"pencil", "pass\u00a0w\u00f6rd", "e\u0301"} {
			want, err := DeriveKeys(t.Context(), h, password, salt, MinIterations)
			require.NoError(t, err)
			salted, err := SaltedPassword(t.Context(), h, password, salt, MinIterations)
			require.NoError(t, err)
			require.Len(t, salted, h.Size())
			got, err := KeysOf(h, salted, salt, MinIterations)
			require.NoError(t, err)
			require.Equal(t, want, got)
			_, err = KeysOf(h, salted[1:], salt, MinIterations)
			require.ErrorIs(t, err, ErrConfig)
		}
	}
	for _, password := range []string{"", "\xff", "a\x00"} {
		_, err := SaltedPassword(t.Context(), SHA256, password, salt, MinIterations)
		require.ErrorIs(t, err, ErrPassword)
	}
	_, err := SaltedPassword(t.Context(), "MD5", "pencil", salt, MinIterations)
	require.ErrorIs(t, err, ErrConfig)
	_, err = KeysOf("MD5", make([]byte, 16), salt, MinIterations)
	require.ErrorIs(t, err, ErrConfig)
	_, err = KeysOf(SHA256, make([]byte, 32), nil, MinIterations)
	require.ErrorIs(t, err, ErrConfig)
	_, err = KeysOf(SHA256, make([]byte, 32), salt, MinIterations-1)
	require.ErrorIs(t, err, ErrIterations)

	// S09: the work stops when the context ends.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = SaltedPassword(ctx, SHA256, "pencil", salt, 1<<31-1)
	require.ErrorIs(t, err, context.Canceled)
}
