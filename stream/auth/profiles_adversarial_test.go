package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// S32: two profiles in one stream; plaintext; twice.
func profilesMixed(t *testing.T) {
	accounts := store(t)
	const fail1 = `<auth` + xmlns + ` mechanism='PLAIN'>AGp1bGlldAB3cm9uZw==</auth>`
	good1 := `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`
	fail2 := begin2("PLAIN", "\x00juliet\x00wrong", "")
	for name, c := range map[string]struct{ one, other string }{
		"SASL 1, then SASL 2": {fail1, good2},
		"SASL 2, then SASL 1": {fail2, good1},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, _ := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
			p.send(c.one)
			require.Contains(t, p.expect("</failure>"), "<not-authorized")
			p.send(c.other)
			require.Contains(t, p.expect("</failure>"), "<malformed-request")
		})
		t.Run("server/alternating: "+name, func(t *testing.T) {
			p, done := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
			for range 2 {
				p.send(c.one)
				p.expect("</failure>")
				p.send(c.other)
				p.expect("</failure>")
			}
			p.send(c.one)
			out, err := p.end(done)
			require.Contains(t, out, "<policy-violation")
			require.ErrorIs(t, err, stream.PolicyViolation)
		})
	}
	t.Run("server/SASL 2 in the middle of SASL 1", func(t *testing.T) {
		p, done := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
		p.send(`<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("n,,n=juliet,r=abcdefghijkl") + `</auth>`)
		p.expect("</challenge>")
		p.send(good2)
		out, err := p.end(done)
		require.Contains(t, out, "<stream:error")
		require.Error(t, err)
	})
	t.Run("server/plaintext", func(t *testing.T) {
		ao := server2With(&auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens), Upgrades: []sasl.Hash{sasl.SHA512}}})
		ao.Security = nil
		p, _ := scriptedClient(t, ao)
		p.send(clientHeader)
		require.NotContains(t, p.expect("<stream:features></stream:features>"), "authentication")
		for _, el := range []string{good2, `<authenticate` + xmlns2 + ` mechanism='NONSENSE'><initial-response>!</initial-response></authenticate>`} {
			p.send(el)
			require.Contains(t, p.expect("</failure>"), "<encryption-required")
		}
	})
	t.Run("client/plaintext", func(t *testing.T) {
		io := client2With(&auth.ClientOptions{Password: "r0m30", AllowPlain: true})
		io.Security = nil
		p, done := scriptedServer(t, io)
		p.expect(">")
		p.send(serverHeader + features2("", "", "PLAIN", "SCRAM-SHA-256"))
		out, err := p.end(done)
		require.ErrorIs(t, err, stream.ErrNoProgress)
		require.NotContains(t, out, "<authenticate")
	})
	for name, el := range map[string]string{"SASL 2": good2, "SASL 1": good1, "abort": `<abort` + xmlns2 + `/>`} {
		t.Run("server/after success: "+name, func(t *testing.T) {
			ao := server2With(&auth.ServerOptions{Store: accounts, AllowPlain: true})
			ao.Profile = stream.C2S()
			p, done := scriptedClient(t, ao)
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(good2)
			p.expect("</success>")
			require.NotContains(t, p.expect("</stream:features>"), "mechanism")
			p.send(el)
			out, err := p.end(done)
			require.Contains(t, out, "<stream:error")
			require.Error(t, err)
		})
	}
	// The client prefers SASL 2, and does not try the other profile when it fails.
	t.Run("client/failure", func(t *testing.T) {
		offer := strings.Replace(features2("", "", "SCRAM-SHA-256"), "</stream:features>", features("PLAIN", "SCRAM-SHA-256")[len("<stream:features>"):], 1)
		p, done, _ := offered2(t, &auth.ClientOptions{Password: "r0m30", AllowPlain: true}, offer)
		p.send(`<failure` + xmlns2 + `><not-authorized` + xmlns + `/><odd xmlns='urn:example:odd'/><text>no</text></failure>`)
		out, err := p.end(done)
		var f *auth.Failure
		require.ErrorAs(t, err, &f)
		require.ErrorIs(t, err, sasl.NotAuthorized)
		require.Equal(t, "no", f.Err.Text)
		require.NotContains(t, out, "<auth")
	})
}
