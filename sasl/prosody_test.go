package sasl

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// prosodyAccount reads the fields of an account file of Prosody.
func prosodyAccount(t testing.TB, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/prosody/" + file)
	require.NoError(t, err)
	fields := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^\t\["(\w+)"\] = "?([^";]+)"?;$`).FindAllStringSubmatch(string(text), -1) {
		fields[m[1]] = m[2]
	}
	require.Len(t, fields, 4)
	return fields
}

// fromProsody builds keys from them, and toProsody goes back.
func fromProsody(t testing.TB, h Hash, fields map[string]string) Keys {
	t.Helper()
	iterations, err := strconv.Atoi(fields["iteration_count"])
	require.NoError(t, err)
	stored, err := hex.DecodeString(fields["stored_key"])
	require.NoError(t, err)
	server, err := hex.DecodeString(fields["server_key"])
	require.NoError(t, err)
	return Keys{Hash: h, Salt: []byte(fields["salt"]), Iterations: iterations, StoredKey: stored, ServerKey: server}
}

func toProsody(k Keys) map[string]string {
	return map[string]string{"iteration_count": fmt.Sprint(k.Iterations), "salt": string(k.Salt),
		"stored_key": hex.EncodeToString(k.StoredKey), "server_key": hex.EncodeToString(k.ServerKey)}
}

// TestProsodyKeys: files that Prosody 0.12.3 wrote ("prosodyctl register", with password_hash unset and
// set to SHA-256) hold the keys that this package derives, and survive the way there and back.
func TestProsodyKeys(t *testing.T) {
	const password = "r0m30myr0m30"
	for file, h := range map[string]Hash{"juliet-sha-1.dat": SHA1, "juliet-sha-256.dat": SHA256} {
		fields := prosodyAccount(t, file)
		keys := fromProsody(t, h, fields)
		derived, err := DeriveKeys(t.Context(), h, password, []byte(fields["salt"]), keys.Iterations)
		require.NoError(t, err)
		require.Equal(t, keys, derived)

		text, err := keys.MarshalText()
		require.NoError(t, err)
		var again Keys
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, fields, toProsody(again))

		store := &MemoryStore{Derive: []Hash{h}}
		require.NoError(t, store.SetKeys("juliet", keys))
		for _, m := range []Mechanism{Scram(h), Plain()} {
			ccfg := &ClientConfig{Username: "juliet", Password: password, Secure: true}
			require.NoError(t, run(t, newClient(t, m, ccfg), newServer(t, m, &ServerConfig{Store: store, Secure: true})))
			ccfg.Password = "r0m30myr0m31"
			require.ErrorIs(t, run(t, newClient(t, m, ccfg), newServer(t, m, &ServerConfig{Store: store, Secure: true})), NotAuthorized)
		}
	}
}

// TestProsodySASLprep: Prosody prepared the password of this file with SASLprep, which replaces the ligature: it
// is the one difference that PASSWORDS.md warns of, and its remedy works.
func TestProsodySASLprep(t *testing.T) {
	const password = "pass\u00a0word \ufb01ne"
	fields := prosodyAccount(t, "unicode-sha-1.dat")
	keys := fromProsody(t, SHA1, fields)
	derived, err := DeriveKeys(t.Context(), SHA1, password, keys.Salt, keys.Iterations)
	require.NoError(t, err)
	require.NotEqual(t, keys, derived)
	prepared, err := saslprep(password)
	require.NoError(t, err)
	require.Equal(t, "pass word fine", prepared)
	derived, err = DeriveKeys(t.Context(), SHA1, prepared, keys.Salt, keys.Iterations)
	require.NoError(t, err)
	require.Equal(t, keys, derived)
}

// TestSHA3Vector: computed with another implementation of SHA-3, HMAC and PBKDF2 (that of OpenSSL 3), for the
// names and nonces of RFC 5802 §5.
func TestSHA3Vector(t *testing.T) {
	keys, err := DeriveKeys(t.Context(), SHA3_512, "pencil", unb64(t, "QSXCR+Q6sek8bf92"), 4096)
	require.NoError(t, err)
	text, err := keys.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "SCRAM-SHA3-512$4096:QSXCR+Q6sek8bf92$VR3OaLEVn36PcEEgVKkZ4NJmv96f29v7Dg/ji+EkquRVIJi6xPgYMcX9HenFVPoZ9mbK/QtGRzq2lacVNrIZ6g=="+
		":k/IZTn6IG7MAMgWT7/R43dtwhCFBqCm2O5e1pAMvmGFEWaylqnYRRyBinPJUKA8p0DeaijtqrScPDOehS/VbhQ==", string(text))
	require.Equal(t, "SCRAM-SHA3-512", Scram(SHA3_512).Name)
	require.Equal(t, "SCRAM-SHA3-512-PLUS", ScramPlus(SHA3_512).Name)
	require.Equal(t, 64, SHA3_512.Size())

	c := newClient(t, Scram(SHA3_512), &ClientConfig{Username: "user", Password: "pencil", nonce: "fyko+d2lbbFgONRv9qkxdawL"})
	require.Equal(t, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", string(send(t, c, nil)))
	const nonce = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
	require.Equal(t, "c=biws,"+nonce+",p=N7ytQZSIFD8AzBqDJaax/1FHYhtpW32G9OD3Kc1yPoo9oIYNIgtZmkOpWNCIMZqtegpjpw5eh0gFEwGj3hpbiw==",
		string(send(t, c, []byte(nonce+",s=QSXCR+Q6sek8bf92,i=4096"))))
	_, done, err := c.Next(t.Context(), []byte("v=U5xK5z7rtvUwx1EoCmpw+AFVz3KAfsFxJWRNJQcB2OaAsmkLMo0pQfuA3BjPueIhrwDVzymXThh76pySm0XP2g=="))
	require.NoError(t, err)
	require.True(t, done)
}
