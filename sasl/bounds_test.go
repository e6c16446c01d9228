package sasl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBounds: each bound itself is allowed, and one more is not.
func TestBounds(t *testing.T) {
	pad := func(before, after string, total int) string {
		return before + strings.Repeat("x", total-len(before)-len(after)) + after
	}
	for name, row := range map[string]struct {
		bound int
		try   func(n int) error
	}{
		"SCRAM/client-first": {maxMessage, func(n int) error {
			_, err := parseClientFirst(pad("n,,n=u,r=", "", n))
			return err
		}},
		"SCRAM/server-first": {maxMessage, func(n int) error {
			_, err := parseServerFirst(pad("r=", ",s=QUJD,i=4096", n))
			return err
		}},
		"SCRAM/client-final": {maxMessage, func(n int) error {
			_, err := parseClientFinal(pad("c=biws,r=", ",p=QUJD", n))
			return err
		}},
		"SCRAM/attributes": {maxMessage, func(n int) error {
			_, err := splitAttributes(pad("r=", "", n))
			return err
		}},
		"HT": {maxMessage, func(n int) error {
			_, err := parseHT([]byte(pad("u\x00", "", n)))
			return err
		}},
		"PLAIN/message": {maxMessage, func(n int) error {
			_, _, err := parsePlain([]byte(pad("\x00u\x00", "", n)))
			return err
		}},
		"PLAIN/authzid": {maxName, func(n int) error {
			_, _, err := parsePlain([]byte(pad("", "", n) + "\x00u\x00p"))
			return err
		}},
		"PLAIN/authcid": {maxName, func(n int) error {
			_, _, err := parsePlain([]byte("\x00" + pad("", "", n) + "\x00p"))
			return err
		}},
		"password": {maxPassword, func(n int) error {
			_, err := preparePassword(pad("", "", n))
			return err
		}},
		"name": {maxName, func(n int) error { return checkName(pad("", "", n)) }},
		"OAUTHBEARER/message": {maxMessage, func(n int) error {
			_, err := parseBearer(pad("n,,\x01auth=Bearer x\x01y=", "\x01\x01", n))
			return err
		}},
		"OAUTHBEARER/error": {maxMessage, func(n int) error {
			_, err := parseOAuthError([]byte(pad(`{"status":"`, `"}`, n)))
			return err
		}},
		"OAUTHBEARER/error to send": {maxMessage, func(n int) error {
			_, err := (&OAuthError{Status: pad("", "", n-len(`{"status":""}`))}).challenge()
			return err
		}},
		"DIGEST-MD5/realm": {maxHost * 4, func(n int) error { return checkRealm(pad("", "", n)) }},
		"DIGEST-MD5/directives": {maxDigestChallenge, func(n int) error {
			_, err := parseDirectives(pad("x=", "", n), maxDigestChallenge)
			return err
		}},
		"DIGEST-MD5/response": {maxDigestResponse, func(n int) error {
			send := func(authzID string) (int, error) {
				cfg := othersClient()
				cfg.Username, cfg.AuthzID = strings.Repeat("u", maxName), authzID
				out, _, err := newClient(t, InsecureDigestMD5(), cfg).Next(t.Context(), []byte(digestChallengeText))
				return len(out), err
			}
			short, err := send("v")
			require.NoError(t, err)
			length, err := send(strings.Repeat("v", 1+n-short))
			if err == nil {
				require.Equal(t, n, length)
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, row.try(row.bound))
			require.Error(t, row.try(row.bound+1))
		})
	}
	t.Run("iterations", func(t *testing.T) {
		cfg := clientConfig()
		cfg.MinIterations, cfg.MaxIterations = 5000, 5000
		newClient(t, ScramPlus(SHA1), cfg)
	})
}

// TestParsers: what one parser refuses, whether or not somebody would notice later.
func TestParsers(t *testing.T) {
	for _, bad := range badDigestText {
		if strings.Trim(bad, " ,") == "" && len(bad) <= maxDigestChallenge {
			continue // a list of nothing
		}
		_, err := parseDirectives(bad, maxDigestChallenge)
		require.ErrorIs(t, err, errDigestGrammar, "%.50q", bad)
		_, err = collect(bad, maxDigestChallenge, challengeForms, "")
		require.ErrorIs(t, err, errDigestGrammar, "%.50q", bad)
	}
	for _, bad := range []string{`nonce=x`, `stale="x"`, `nonce="x",nonce="y"`, `charset=x`, `realm="é"`, "realm=\"\u0080\"", `maxbuf=1x`, `é=x`, "\x7f=x"} {
		_, err := collect(bad, maxDigestChallenge, challengeForms, "")
		require.ErrorIs(t, err, errDigestGrammar, "%q", bad)
	}
	values, err := collect("x=\"a\tb\",nonce=\"\\a\\\\\tb\"", maxDigestChallenge, challengeForms, "")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"nonce": "a\\\tb"}, values)

	for _, bad := range []string{"r=\xff", "r=\x00", "", "r", "r=", "1=x"} {
		_, err := splitAttributes(bad)
		require.ErrorIs(t, err, errGrammar, "%q", bad)
	}
	for _, bad := range []string{"", "0", "x", "4:", "4/", "-4", "4 "} {
		_, err := parseIterations(bad)
		require.ErrorIs(t, err, ErrIterations, "%q", bad)
		_, err = parseServerFirst("r=x,s=QUJD,i=" + bad + "x")
		require.Error(t, err)
	}
	for name, want := range map[string]bool{
		"": false, "a": true, "z": true, "A": true, "Z": true, "0": true, "9": true, ".": true, "-": true, "tls-exporter": true, "a1": true,
		"`": false, "{": false, "@": false, "[": false, "/": false, ":": false, ",": false, "é": false, "a b": false,
	} {
		require.Equal(t, want, isBindingName(name), "%q", name)
	}
	for token, want := range map[string]bool{"a": true, "Z9-._~+/==": true, "": false, "=": false, "a=b": false, "š": false, "a:": false, "a\u0080": false, "\u0080": false} {
		require.Equal(t, want, isToken68(token), "%q", token)
	}
	for host, want := range map[string]bool{"~": true, "!": true, "": false, " ": false, "\x7f": false, "é": false} {
		require.Equal(t, want, isHost(host), "%q", host)
	}
	for _, pair := range []string{"x", "š=x", "ax1=y", "a\u0080=y"} {
		_, err := parseBearer("n,,\x01auth=Bearer x\x01" + pair + "\x01\x01")
		require.ErrorIs(t, err, errOAuthGrammar, "%q", pair)
	}
	require.Equal(t, "\xff\x80a", latin1("ÿ\u0080a"))
	require.Equal(t, "Āa", latin1("Āa"))
}
