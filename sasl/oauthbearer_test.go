package sasl

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bearerFirst is the message of RFC 7628 §4.1.
const bearerFirst = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer " + testToken + "\x01\x01"

// testS01Others: the published examples of the mechanisms without stored keys.
func testS01Others(t *testing.T) {
	t.Run("server/RFC 7628 §4.1", func(t *testing.T) {
		require.Equal(t, "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52Yj"+
			"NSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB", b64(bearerFirst))
		scfg := othersServer()
		scfg.Bearer = func(_ context.Context, token BearerToken) (string, error) {
			require.Equal(t, BearerToken{Token: testToken, AuthzID: "user@example.com", Host: "server.example.com", Port: 143}, token)
			return "user@example.com", nil
		}
		s := newServer(t, OAuthBearer(), scfg)
		out, done, err := s.Next(t.Context(), []byte(bearerFirst))
		require.NoError(t, err)
		require.True(t, done)
		require.Nil(t, out)
		require.Equal(t, Identity{"user@example.com", "user@example.com"}, s.Identity())
	})
	t.Run("client/RFC 7628 §4.1", func(t *testing.T) {
		// The same pairs; their order is free.
		c := newClient(t, OAuthBearer(), &ClientConfig{AuthzID: "user@example.com", Token: testToken, Host: "server.example.com", Port: 143, Secure: true})
		out, done, err := c.Next(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, "n,a=user@example.com,\x01auth=Bearer "+testToken+"\x01host=server.example.com\x01port=143\x01\x01", string(out))
	})
	// The client sends no token, the server says what it wants, the client answers with ^A.
	const challenge = `{"status":"invalid_token","scope":"example_scope","openid-configuration":"https://example.com/.well-known/openid-configuration"}`
	t.Run("server/RFC 7628 §4.3", func(t *testing.T) {
		scfg := othersServer()
		scfg.Bearer = func(context.Context, BearerToken) (string, error) { panic("asked about no token") }
		s := newServer(t, OAuthBearer(), scfg)
		require.Equal(t, `{"status":"invalid_token"}`, string(send(t, s, []byte("n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=\x01\x01"))))
		fail(t, s, "\x01", NotAuthorized, ErrToken)

		scfg.Bearer = func(context.Context, BearerToken) (string, error) {
			return testUser, &OAuthError{"invalid_token", "example_scope", "https://example.com/.well-known/openid-configuration"}
		}
		s = newServer(t, OAuthBearer(), scfg)
		require.Equal(t, challenge, string(send(t, s, []byte(bearerFirst))))
		var refused *OAuthError
		require.ErrorAs(t, fail(t, s, "\x01", NotAuthorized), &refused)
	})
	t.Run("client/RFC 7628 §4.3", func(t *testing.T) {
		c := newClient(t, OAuthBearer(), othersClient())
		_, _, err := c.Next(t.Context(), nil)
		require.NoError(t, err)
		out, done, err := c.Next(t.Context(), []byte(challenge))
		require.Equal(t, "\x01", string(out))
		require.False(t, done)
		require.ErrorIs(t, err, NotAuthorized)
		var refused *OAuthError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, OAuthError{"invalid_token", "example_scope", "https://example.com/.well-known/openid-configuration"}, *refused)
		_, done, err = c.Next(t.Context(), nil)
		require.ErrorIs(t, err, ErrFinished)
		require.False(t, done)
	})
	testS01Digest(t)
}

// testS02BearerServer: messages that RFC 7628 §3.1 does not allow.
func testS02BearerServer(t *testing.T) {
	const auth = "auth=Bearer " + testToken + "\x01"
	for _, msg := range []string{
		"", "\x01", "\x01\x01", "n,,", "n,,\x01", "n,,\x01\x01", "n,,\x01\x01\x01",
		"n,," + auth + "\x01", // no separator behind the header
		"n,,\x01" + auth,      // none at the end
		"n,,\x01" + auth + "\x01x", "n,,\x01" + auth + "\x01\x01", "n,,\x01" + auth + "\x01" + auth + "\x01",
		"n,,\x01\x01" + auth + "\x01", "\x01n,,\x01" + auth + "\x01",
		"n,\x01" + auth + "\x01", ",,\x01" + auth + "\x01", "n\x01" + auth + "\x01", ",\x01" + auth + "\x01", "N,,\x01" + auth + "\x01", "F,n,,\x01" + auth + "\x01",
		"p=tls-exporter,,\x01" + auth + "\x01", "n=,,\x01" + auth + "\x01", "x,,\x01" + auth + "\x01", "n,,,\x01" + auth + "\x01",
		"n,a=,\x01" + auth + "\x01", "n,user,\x01" + auth + "\x01", "n,b=user,\x01" + auth + "\x01", "n,a=a,b,\x01" + auth + "\x01", "n,a=a=b,\x01" + auth + "\x01",
		"n,a=a\x00b,\x01" + auth + "\x01", "n,a=\xff,\x01" + auth + "\x01", "n,a=" + strings.Repeat("u", maxName+1) + ",\x01" + auth + "\x01",
		"n,,\x01host=a\x01\x01",
		"n,,\x01" + auth + auth + "\x01", "n,,\x01host=a\x01host=a\x01" + auth + "\x01", "n,,\x01x=a\x01x=b\x01" + auth + "\x01",
		"n,,\x01=x\x01" + auth + "\x01", "n,,\x01host\x01" + auth + "\x01", "n,,\x01a1=x\x01" + auth + "\x01", "n,,\x01a-b=x\x01" + auth + "\x01", "n,,\x01é=x\x01" + auth + "\x01",
		"n,,\x01x=\x00\x01" + auth + "\x01", "n,,\x01x=\x7f\x01" + auth + "\x01", "n,,\x01x=é\x01" + auth + "\x01", "n,,\x01x=\xff\x01" + auth + "\x01",
		"n,,\x01host=\x01" + auth + "\x01", "n,,\x01host=a b\x01" + auth + "\x01", "n,,\x01host=" + strings.Repeat("a", maxHost+1) + "\x01" + auth + "\x01",
		"n,,\x01port=\x01" + auth + "\x01", "n,,\x01port=0\x01" + auth + "\x01", "n,,\x01port=05222\x01" + auth + "\x01", "n,,\x01port=65536\x01" + auth + "\x01",
		"n,,\x01port=+1\x01" + auth + "\x01", "n,,\x01port=-1\x01" + auth + "\x01", "n,,\x01port=1 \x01" + auth + "\x01", "n,,\x01port=0x1\x01" + auth + "\x01", "n,,\x01port=1_0\x01" + auth + "\x01",
		"n,,\x01auth=Bearer\x01\x01", "n,,\x01auth=Bearer \x01\x01", "n,,\x01auth=Bearer =\x01\x01", "n,,\x01auth=" + testToken + "\x01\x01", "n,,\x01auth= \x01\x01",
		"n,,\x01auth=Basic " + testToken + "\x01\x01", "n,,\x01auth=Bearer " + testToken + " \x01\x01", "n,,\x01auth=Bearer a b\x01\x01", "n,,\x01auth=Bearer a=b\x01\x01",
		"n,,\x01auth=Bearer\t" + testToken + "\x01\x01", "n,,\x01auth=Bearer a,b\x01\x01", "n,,\x01auth=Bearer " + testToken + "\r\n\x01\x01", "n,,\x01auth= Bearer " + testToken + "\x01\x01",
		"n,,\x01auth=Bearer " + strings.Repeat("a", maxToken+1) + "\x01\x01",
		"n,,\x01auth=Bearer " + strings.Repeat("a", 1<<20) + "\x01\x01", strings.Repeat("\x01", 1<<20), "n,,\x01" + strings.Repeat("a", maxMessage) + "=b\x01" + auth + "\x01",
		"n,,\x01" + manyPairs(maxPairs) + auth + "\x01",
		"\x00user\x00pencil",
	} {
		scfg := othersServer()
		scfg.Bearer = func(context.Context, BearerToken) (string, error) { panic("asked") }
		err := fail(t, newServer(t, OAuthBearer(), scfg), msg, MalformedRequest)
		require.NotContains(t, err.Error(), testToken)
		require.Less(t, len(err.Error()), 1000)
	}
	// What the grammar allows.
	for _, msg := range []string{
		"n,,\x01" + auth + "\x01", "y,,\x01" + auth + "\x01", "n,a=a=2Cb=3D,\x01" + auth + "\x01",
		"n,,\x01auth=bearer " + testToken + "\x01\x01", "n,,\x01auth=BEARER   " + testToken + "\x01\x01",
		"n,,\x01" + auth + "mthd=POST\x01path=/\x01post=\x01qs=a=b&c\x01X=\t\r\n ~\x01\x01", "n,,\x01port=65535\x01host=[::1]\x01" + auth + "\x01",
		"n,,\x01" + manyPairs(maxPairs-1) + auth + "\x01",
	} {
		scfg := othersServer()
		scfg.Authorize = allow
		_, done, err := newServer(t, OAuthBearer(), scfg).Next(t.Context(), []byte(msg))
		require.NoError(t, err, "%q", msg)
		require.True(t, done)
	}
	t.Run("answer to the error", func(t *testing.T) {
		for _, answer := range []string{"", "\x01\x01", "\x00", "\x01 ", bearerFirst} {
			s := newServer(t, OAuthBearer(), othersServer())
			require.Equal(t, `{"status":"invalid_token"}`, string(send(t, s, []byte("n,,\x01auth=Bearer abc\x01\x01"))))
			fail(t, s, answer, MalformedRequest, errOAuthGrammar)
		}
		// A right token comes too late.
		s := newServer(t, OAuthBearer(), othersServer())
		send(t, s, []byte("n,,\x01auth=Bearer abc\x01\x01"))
		fail(t, s, "n,,\x01"+auth+"\x01", MalformedRequest)
	})
}

// manyPairs is n pairs without a meaning.
func manyPairs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s=x\x01", strings.Repeat("k", i+1))
	}
	return b.String()
}

// testS02BearerClient: what a server may not say, and what a client may not be told to send.
func testS02BearerClient(t *testing.T) {
	for _, challenge := range []string{
		"", "{}", "null", "[]", `"invalid_token"`, "invalid_token", `{"status":1}`, `{"status":null}`, `{"status":""}`, `{"Status":"x"}`,
		`{"scope":"x"}`, `{"status":"x","scope":1}`, `{"status":"x","scope":null}`, `{"status":"x","openid-configuration":{}}`, `{"status":"x"}{}`, `{"status":"x"`,
		"{\"status\":\"\xff\"}", "\x01", `{"status":"x","y":"` + strings.Repeat("z", maxMessage) + `"}`, strings.Repeat("[", 10_000),
	} {
		c := newClient(t, OAuthBearer(), othersClient())
		_, _, err := c.Next(t.Context(), nil)
		require.NoError(t, err)
		err = fail(t, c, challenge, Aborted, errOAuthGrammar)
		require.Less(t, len(err.Error()), 1000)
	}
	for _, token := range []string{"a b", "a\x01", "é", "=", "a=b", "a\n", "a,b", strings.Repeat("a", maxToken+1), strings.Repeat("=", maxToken)} {
		cfg := othersClient()
		cfg.Token = token
		err := fail(t, newClient(t, OAuthBearer(), cfg), "", Aborted, ErrToken)
		require.NotContains(t, err.Error(), token+`"`)
	}
	// The bounds themselves are allowed.
	cfg := othersClient()
	cfg.Host, cfg.Port, cfg.Token = strings.Repeat("a", maxHost), maxPort, strings.Repeat("a", maxToken)
	out, _, err := newClient(t, OAuthBearer(), cfg).Next(t.Context(), nil)
	require.NoError(t, err)
	m, err := parseBearer(string(out))
	require.NoError(t, err)
	require.Equal(t, BearerToken{Token: cfg.Token, Host: cfg.Host, Port: cfg.Port}, m)

	for _, alter := range []func(*ClientConfig){
		func(c *ClientConfig) { c.Host = "a b" }, func(c *ClientConfig) { c.Host = "a\x01auth=x" }, func(c *ClientConfig) { c.Host = "bücher.example" },
		func(c *ClientConfig) { c.Host = strings.Repeat("a", maxHost+1) }, func(c *ClientConfig) { c.Port = -1 }, func(c *ClientConfig) { c.Port = 65536 },
		func(c *ClientConfig) { c.AuthzID = "a\x00" }, func(c *ClientConfig) { c.Token = "" },
	} {
		cfg := othersClient()
		alter(cfg)
		_, err := OAuthBearer().NewClient(cfg)
		require.ErrorIs(t, err, Aborted)
	}
}

// TestOAuthError: RFC 7628 §3.2.2, and which failures are about the token.
func TestOAuthError(t *testing.T) {
	const bad = "n,,\x01auth=Bearer abc\x01\x01"
	for _, row := range []struct {
		err       error
		challenge string // empty: fails at once
		want      error
	}{
		{errNo, `{"status":"invalid_token"}`, NotAuthorized},
		{&Error{Condition: CredentialsExpired}, `{"status":"invalid_token"}`, CredentialsExpired},
		{&OAuthError{Status: "insufficient_scope", Scope: "xmpp"}, `{"status":"insufficient_scope","scope":"xmpp"}`, NotAuthorized},
		{&Error{Condition: CredentialsExpired, Cause: &OAuthError{Status: "invalid_token", Configuration: "https://x"}},
			`{"status":"invalid_token","openid-configuration":"https://x"}`, CredentialsExpired},
		{&Error{Condition: AccountDisabled}, "", AccountDisabled},
		{&Error{Condition: TemporaryAuthFailure}, "", TemporaryAuthFailure},
		{&OAuthError{}, "", TemporaryAuthFailure},
		{&OAuthError{Status: "\xff"}, "", TemporaryAuthFailure},
		{&OAuthError{Status: "x", Scope: strings.Repeat("x", maxMessage)}, "", TemporaryAuthFailure},
	} {
		scfg := othersServer()
		scfg.Bearer = func(context.Context, BearerToken) (string, error) { return testUser, row.err }
		s := newServer(t, OAuthBearer(), scfg)
		if row.challenge == "" {
			fail(t, s, bad, row.want)
			continue
		}
		require.Equal(t, row.challenge, string(send(t, s, []byte(bad))))
		fail(t, s, "\x01", row.want)
	}
	text := (&OAuthError{Status: "a\nb", Scope: strings.Repeat("x", 1000), Configuration: "\x1b"}).Error()
	require.NotContains(t, text, "\n")
	require.NotContains(t, text, "\x1b")
	require.Less(t, len(text), 300)
}

// TestTokenCallback: asked once, when needed; its error ends the exchange.
func TestTokenCallback(t *testing.T) {
	asked := 0
	cfg := othersClient()
	cfg.Token, cfg.Username, cfg.Password = "", "", ""
	cfg.GetToken = func(context.Context) (string, error) {
		asked++
		return testToken, nil
	}
	require.NoError(t, run(t, newClient(t, OAuthBearer(), cfg), newServer(t, OAuthBearer(), othersServer())))
	require.Equal(t, 1, asked)
	cfg.GetToken = func(context.Context) (string, error) { return "", errNo }
	fail(t, newClient(t, OAuthBearer(), cfg), "", Aborted, errNo)
	cfg.GetToken = func(context.Context) (string, error) { return "", nil }
	fail(t, newClient(t, OAuthBearer(), cfg), "", Aborted, ErrToken)
}

// FuzzOAuthBearerServer: what the server takes for the token is the token of the message.
func FuzzOAuthBearerServer(f *testing.F) {
	f.Add(bearerFirst, "\x01")
	for _, s := range []string{"", "\x01", "n,,\x01auth=\x01\x01", "n,,\x01auth=Bearer a\x01\x01", "y,a=a=2Cb,\x01auth=bearer  a==\x01port=1\x01\x01", "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", "p=x,,\x01\x01"} {
		f.Add(s, "\x01")
		f.Add(s, bearerFirst)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		var seen *BearerToken
		scfg := othersServer()
		accept := scfg.Bearer
		scfg.Authorize = allow
		scfg.Bearer = func(ctx context.Context, token BearerToken) (string, error) {
			require.Nil(t, seen)
			seen = &token
			return accept(ctx, token)
		}
		s := newServer(t, OAuthBearer(), scfg)
		out, done, err := s.Next(t.Context(), []byte(first))
		if seen != nil {
			require.Contains(t, first, seen.Token)
			require.True(t, isToken68(seen.Token))
			// Whatever the spelling, this client would be understood the same way.
			again, err := parseBearer(string(seen.append(nil)))
			require.NoError(t, err)
			require.Equal(t, *seen, again)
		}
		switch {
		case done:
			require.NoError(t, err)
			require.Equal(t, testToken, seen.Token)
			require.Equal(t, Identity{AuthcID: testUser, AuthzID: seen.AuthzID}, s.Identity())
			return
		case err != nil:
			require.Nil(t, out)
			require.Less(t, len(err.Error()), 2000)
			require.ErrorIs(t, err, MalformedRequest)
		default:
			require.JSONEq(t, `{"status":"invalid_token"}`, string(out))
			if second == kvsep {
				fail(t, s, second, NotAuthorized)
			} else {
				fail(t, s, second, MalformedRequest)
			}
		}
		require.Zero(t, s.Identity())
	})
}

// FuzzOAuthBearerClient: whatever the server says after the token, the client fails, and says no more
// than ^A.
func FuzzOAuthBearerClient(f *testing.F) {
	for _, s := range []string{"", "{}", `{"status":"invalid_token"}`, `{"status":"x","scope":"y","openid-configuration":"z"}`, `{"status":"\ud800"}`, `{"status":"a","status":"b"}`, "[[[["} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, challenge []byte) {
		c := newClient(t, OAuthBearer(), othersClient())
		_, _, err := c.Next(t.Context(), nil)
		require.NoError(t, err)
		out, done, err := c.Next(t.Context(), challenge)
		require.False(t, done)
		require.Error(t, err)
		require.Less(t, len(err.Error()), 2000)
		var refused *OAuthError
		if out == nil {
			require.ErrorIs(t, err, Aborted)
			return
		}
		require.ErrorIs(t, err, NotAuthorized)
		require.ErrorAs(t, err, &refused)
		require.NotEmpty(t, refused.Status)
		require.Equal(t, kvsep, string(out))
		again, err := refused.challenge()
		if err == nil { // JSON may spell it at greater length
			parsed, err := parseOAuthError(again)
			require.NoError(t, err)
			require.Equal(t, refused, parsed)
		}
	})
}
