package auth_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scramTestKeys are juliet's, written down anew so that a test can send what no client would.
type scramTestKeys struct{ client, stored []byte }

// scramKeys derives them for a server-first-message (RFC 5802 §3).
func scramKeys(tb testing.TB, serverFirst string) scramTestKeys {
	tb.Helper()
	attrs := strings.Split(serverFirst, ",")
	salt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(attrs[1], "s="))
	require.NoError(tb, err)
	iterations, err := strconv.Atoi(strings.TrimPrefix(attrs[2], "i="))
	require.NoError(tb, err)
	salted, err := pbkdf2.Key(sha256.New, "r0m30", salt, iterations, sha256.Size)
	require.NoError(tb, err)
	client := mac(salted, "Client Key")
	stored := sha256.Sum256(client)
	return scramTestKeys{client, stored[:]}
}

// proof is ClientProof for an AuthMessage.
func (k scramTestKeys) proof(auth string) string {
	signature := mac(k.stored, auth)
	for i := range signature {
		signature[i] ^= k.client[i]
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func mac(key []byte, s string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(s))
	return m.Sum(nil)
}
