package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// S30: tokens (XEP-0484).
func misusedTokens(t *testing.T) {
	const secret = "TESTTOKENTESTTOKENTESTTOKE"
	accounts := store(t)
	exporterData := string(tls13().Bindings[sasl.TLSExporter])
	type attempt struct{ mechanism, key, cb, attrs, more string }
	expr := func(key, attrs, more string) attempt {
		return attempt{"HT-SHA-256-EXPR", key, exporterData, attrs, more}
	}
	agent := `<user-agent id='` + agent1 + `'/>`
	stamp := stampOf(t, accounts, "juliet")
	tokenFor := func(expires time.Duration) auth.StoredToken {
		return auth.StoredToken{Mechanism: "HT-SHA-256-EXPR", Secret: secret, Expires: time.Now().Add(expires), Count: 5, Stamp: stamp}
	}
	for name, c := range map[string]struct {
		slots auth.ClientTokens
		attempt
		want string
	}{
		"good":                           {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " count='6'", agent), "success"},
		"good, in the new slot":          {auth.ClientTokens{New: tokenFor(time.Hour)}, expr(secret, "", agent), "success"},
		"an id in upper case":            {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, "", `<user-agent id='`+strings.ToUpper(agent1)+`'/>`), "success"},
		"no user agent":                  {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, "", ""), "malformed-request"},
		"no id":                          {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, "", `<user-agent><software>x</software></user-agent>`), "malformed-request"},
		"an id that is none":             {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, "", `<user-agent id='x'/>`), "malformed-request"},
		"another client":                 {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, "", `<user-agent id='`+agent2+`'/>`), "not-authorized"},
		"another token":                  {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr("guess", "", agent), "not-authorized"},
		"no token any more":              {auth.ClientTokens{}, expr(secret, "", agent), "not-authorized"},
		"the empty token of an old slot": {auth.ClientTokens{New: tokenFor(time.Hour)}, expr("", "", agent), "not-authorized"},
		"without binding":                {auth.ClientTokens{Current: tokenFor(time.Hour)}, attempt{"HT-SHA-256-NONE", secret, "", "", agent}, "not-authorized"},
		"with a weaker binding":          {auth.ClientTokens{Current: tokenFor(time.Hour)}, attempt{"HT-SHA-256-ENDP", secret, string(tls13().Bindings[sasl.TLSServerEndPoint]), "", agent}, "not-authorized"},
		"of another connection":          {auth.ClientTokens{Current: tokenFor(time.Hour)}, attempt{"HT-SHA-256-EXPR", secret, "exporter of another conn.  , 32b", "", agent}, "not-authorized"},
		"a binding there is not":         {auth.ClientTokens{Current: tokenFor(time.Hour)}, attempt{"HT-SHA-256-UNIQ", secret, "", "", agent}, "invalid-mechanism"},
		"expired":                        {auth.ClientTokens{Current: tokenFor(-time.Second)}, expr(secret, "", agent), "credentials-expired"},
		"expired, and guessed":           {auth.ClientTokens{Current: tokenFor(-time.Second)}, expr("guess", "", agent), "not-authorized"},
		"a count used before":            {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " count='5'", agent), "not-authorized"},
		"a lower count":                  {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " count='1'", agent), "not-authorized"},
		"count 0":                        {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " count='0'", agent), "malformed-request"},
		"count -1":                       {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " count='-1'", agent), "malformed-request"},
		"count +7":                       {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " count='+7'", agent), "malformed-request"},
		"a count that is too high":       {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " count='99999999999999999999'", agent), "malformed-request"},
		"invalidate maybe":               {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, " invalidate='maybe'", agent), "malformed-request"},
		"two of them":                    {auth.ClientTokens{Current: tokenFor(time.Hour)}, expr(secret, "", agent+`<fast xmlns='urn:xmpp:fast:0'/>`), "malformed-request"},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			tokens := new(auth.MemoryTokens)
			client := auth.TokenClient{Account: juliet, Agent: agent1}
			require.NoError(t, tokens.Update(t.Context(), client, func(s *auth.ClientTokens) error { *s = c.slots; return nil }))
			p, _ := connect2(t, &auth.ServerOptions{Store: accounts, SASL2: auth.SASL2ServerOptions{Tokens: tokens}})
			p.send(begin2(c.mechanism, "juliet\x00"+ht(c.key, "Initiator", c.cb), `<fast xmlns='urn:xmpp:fast:0'`+c.attrs+`/>`+c.more))
			if c.want == "success" {
				require.Contains(t, p.expect("</success>"), b64(ht(secret, "Responder", exporterData)))
				return
			}
			require.Contains(t, p.expect("</failure>"), "<"+c.want+" ")
			// Whatever it was, the token is as it was.
			require.NoError(t, tokens.Update(t.Context(), client, func(s *auth.ClientTokens) error {
				require.Equal(t, c.slots, *s)
				return nil
			}))
		})
	}
	message := "juliet\x00" + ht(secret, "Initiator", exporterData)
	t.Run("server/a token without saying so", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: accounts, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}})
		p.send(begin2("HT-SHA-256-EXPR", message, agent))
		require.Contains(t, p.expect("</failure>"), "<malformed-request")
	})
	t.Run("server/a password, saying it is a token", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}})
		p.send(begin2("PLAIN", "\x00juliet\x00r0m30", agent+`<fast xmlns='urn:xmpp:fast:0'/>`))
		require.Contains(t, p.expect("</failure>"), "<malformed-request")
	})
	t.Run("server/there are no tokens", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: accounts})
		p.send(begin2("HT-SHA-256-EXPR", message, agent+`<fast xmlns='urn:xmpp:fast:0'/>`))
		require.Contains(t, p.expect("</failure>"), "<invalid-mechanism")
	})
	t.Run("server/by SASL 1", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: accounts, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}})
		p.send(`<auth` + xmlns + ` mechanism='HT-SHA-256-EXPR'>` + b64(message) + `</auth>`)
		require.Contains(t, p.expect("</failure>"), "<invalid-mechanism")
	})
	t.Run("server/as somebody else", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: accounts, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}})
		p.send(begin2("HT-SHA-256-EXPR", "romeo\x00"+ht(secret, "Initiator", exporterData), agent+`<fast xmlns='urn:xmpp:fast:0'/>`))
		require.Contains(t, p.expect("</failure>"), "<not-authorized")
	})
	for name, more := range map[string]string{
		"one that was not offered": agent + `<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-UNIQ'/>`,
		"for no mechanism":         agent + `<request-token xmlns='urn:xmpp:fast:0'/>`,
		"for a password mechanism": agent + `<request-token xmlns='urn:xmpp:fast:0' mechanism='PLAIN'/>`,
		"without an id":            `<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>`,
	} {
		t.Run("server/asked for "+name, func(t *testing.T) {
			tokens := new(auth.MemoryTokens)
			p, _ := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tokens: tokens}})
			p.send(begin2("PLAIN", "\x00juliet\x00r0m30", more))
			require.NotContains(t, p.expect("</success>"), "<token")
			require.Zero(t, tokens.Len())
		})
	}
	// A token goes to who has proved to be the account, with a password.
	t.Run("server/asked for by who acts for another", func(t *testing.T) {
		tokens := new(auth.MemoryTokens)
		p, _ := connect2(t, &auth.ServerOptions{
			Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tokens: tokens},
			Authorize: func(context.Context, jid.JID, jid.JID) error { return nil },
		})
		p.send(begin2("PLAIN", "juliet@im.example\x00romeo\x00jul13t", agent+`<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>`))
		require.NotContains(t, p.expect("</success>"), "<token")
		require.Zero(t, tokens.Len())
	})

	const fastOffer = `<inline><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>`
	known := func(mechanism string, expires time.Duration) auth.Credentials {
		return auth.Credentials{Token: auth.FastToken{Mechanism: mechanism, Token: secret, Expires: time.Now().Add(expires), Count: 7}}
	}
	for name, c := range map[string]struct {
		known  auth.Credentials
		edit   func(*auth.ClientOptions, *stream.Security)
		inside string
		want   string // the mechanism used
	}{
		"good":                      {known("HT-SHA-256-EXPR", time.Hour), nil, fastOffer, "HT-SHA-256-EXPR"},
		"expired":                   {known("HT-SHA-256-EXPR", -time.Second), nil, fastOffer, "SCRAM-SHA-256-PLUS"},
		"not offered":               {known("HT-SHA-256-ENDP", time.Hour), nil, fastOffer, "SCRAM-SHA-256-PLUS"},
		"no FAST":                   {known("HT-SHA-256-EXPR", time.Hour), nil, "", "SCRAM-SHA-256-PLUS"},
		"unbound, but could bind":   {known("HT-SHA-256-NONE", time.Hour), nil, fastOffer, "SCRAM-SHA-256-PLUS"},
		"for no mechanism there is": {known("PLAIN", time.Hour), nil, strings.ReplaceAll(fastOffer, "HT-SHA-256-NONE", "PLAIN"), "SCRAM-SHA-256-PLUS"},
		"not told who this is":      {known("HT-SHA-256-EXPR", time.Hour), func(o *auth.ClientOptions, _ *stream.Security) { o.UserAgent = stream.UserAgent{} }, fastOffer, "SCRAM-SHA-256-PLUS"},
		"certificate not verified":  {known("HT-SHA-256-EXPR", time.Hour), func(_ *auth.ClientOptions, s *stream.Security) { s.Verified = false }, fastOffer, "SCRAM-SHA-256-PLUS"},
		"switched off":              {known("HT-SHA-256-EXPR", time.Hour), func(o *auth.ClientOptions, _ *stream.Security) { o.SASL2.NoTokens = true }, fastOffer, "SCRAM-SHA-256-PLUS"},
		"to act for another":        {known("HT-SHA-256-EXPR", time.Hour), func(o *auth.ClientOptions, _ *stream.Security) { o.Username, o.AuthzID = "juliet", romeo }, fastOffer, "SCRAM-SHA-256-PLUS"},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			credentials := new(auth.MemoryCredentials)
			require.NoError(t, credentials.Save(t.Context(), juliet, c.known))
			o := &auth.ClientOptions{Password: "r0m30", Credentials: credentials, UserAgent: stream.UserAgent{ID: agent1}}
			io := client2With(o)
			if c.edit != nil {
				c.edit(o, io.Security)
				io.Features = client2With(o).Features
			}
			p, _ := scriptedServer(t, io)
			p.expect("'>")
			p.send(serverHeader + features2(types2, c.inside, "SCRAM-SHA-256-PLUS"))
			first := p.expect("</authenticate>")
			require.Contains(t, first, "mechanism='"+c.want+"'")
			require.Equal(t, strings.HasPrefix(c.want, "HT"), strings.Contains(first, "<fast"))
			require.NotContains(t, first, secret)
			require.NotContains(t, first, "HT-SHA-256-NONE")
			// A count is used up before it is sent.
			after, err := credentials.Load(t.Context(), juliet)
			require.NoError(t, err)
			if c.want == "HT-SHA-256-EXPR" {
				require.Contains(t, first, "count='8'")
				require.Equal(t, uint64(8), after.Token.Count)
			} else {
				require.Equal(t, c.known, after)
			}
		})
	}
	// A server that cannot prove that it knows the token.
	t.Run("client/success without proof", func(t *testing.T) {
		credentials := new(auth.MemoryCredentials)
		require.NoError(t, credentials.Save(t.Context(), juliet, known("HT-SHA-256-EXPR", time.Hour)))
		p, done, _ := offered2(t, &auth.ClientOptions{Password: "r0m30", Credentials: credentials, UserAgent: stream.UserAgent{ID: agent1}},
			features2(types2, fastOffer, "SCRAM-SHA-256-PLUS"))
		p.send(`<success` + xmlns2 + `><additional-data>` + b64(ht("guess", "Responder", exporterData)) + `</additional-data>` +
			`<authorization-identifier>juliet@im.example</authorization-identifier><token xmlns='urn:xmpp:fast:0' token='evil' expiry='2100-01-01T00:00:00Z'/></success>`)
		out, err := p.end(done)
		require.ErrorIs(t, err, sasl.ErrServerSignature)
		require.NotContains(t, out, "<authenticate")
		after, err := credentials.Load(t.Context(), juliet)
		require.NoError(t, err)
		require.Equal(t, secret, after.Token.Token)
	})
}

// S31: nobody can guess a token.
func tokensAreRandom(t *testing.T) {
	const n = 100_000
	seen := make(map[string]bool, n)
	var counts [26][256]int
	for range n {
		secret := auth.IssueToken()
		require.Len(t, secret, 26, "5 bits each: 130")
		require.False(t, seen[secret])
		seen[secret] = true
		for i := range len(secret) {
			counts[i][secret[i]]++
		}
	}
	for i, c := range counts {
		// 32 characters are as likely as each other: chi-square with 31 degrees of freedom, where 100 is beyond one in 10⁸.
		chi, characters := 0.0, 0
		for _, got := range c {
			if got > 0 {
				d := float64(got) - n/32.0
				chi += d * d / (n / 32.0)
				characters++
			}
		}
		require.Equal(t, 32, characters)
		require.Less(t, chi, 100.0, "character %d", i)
	}
}

// stampOf is what a token of an account is stamped with.
func stampOf(t *testing.T, accounts sasl.KeyStore, name string) string {
	t.Helper()
	keys, _, err := accounts.Keys(t.Context(), name, sasl.SHA256)
	require.NoError(t, err)
	return fmt.Sprintf("SHA-256:%x", sha256.Sum256(keys.StoredKey))
}

// ht is the hashed token of draft-schmaus-kitten-sasl-ht-09 §3.
func ht(token, side, cb string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte(side + cb))
	return string(m.Sum(nil))
}

// noneToken is what a client knows of an account that has a token without binding.
func noneToken(secret string) auth.Credentials {
	return auth.Credentials{Token: auth.FastToken{Mechanism: "HT-SHA-256-NONE", Token: secret, Expires: time.Now().Add(time.Hour)}}
}
