package auth_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// authElement is an <auth/> with an initial response.
func authElement(mechanism, data string) string {
	text := b64(data)
	if text == "" {
		text = "="
	}
	return `<auth` + xmlns + ` mechanism='` + mechanism + `'>` + text + `</auth>`
}

// S02: RFC 4616 §2: messages that are none, and texts that must not become one.
func plainGrammar(t *testing.T) {
	accounts := store(t)
	for name, msg := range map[string]string{
		"no parts": "juliet", "two parts": "\x00juliet", "no password": "\x00juliet\x00", "no name": "\x00\x00r0m30",
		"authzid and password": "juliet\x00r0m30", "four parts": "a\x00juliet\x00r0m30\x00x", "empty": "", "nothing but NUL": "\x00\x00",
		"not UTF-8": "\x00juliet\xff\x00r0m30", "password not UTF-8": "\x00juliet\x00r0m30\xc3", "overlong": "\x00juliet\x00" + strings.Repeat("x", 5<<10),
		"trailing NUL": "\x00juliet\x00r0m30\x00",
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, _ := scriptedClient(t, serverWith(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
			p.send(clientHeader + authElement("PLAIN", msg))
			p.expect("<failure")
			require.Regexp(t, `<(malformed-request|not-authorized)/>`, p.expect("</failure>"))
			p.send(authElement("PLAIN", "\x00juliet\x00r0m30"))
			p.expect("<success")
		})
	}
	// RFC 6120 §13.12: the limit for strangers comes first.
	t.Run("server/1 MiB", func(t *testing.T) {
		p, done := scriptedClient(t, serverWith(&auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true}))
		p.send(clientHeader)
		p.expect("</stream:features>")
		go func() { // ends when the server hangs up
			_, _ = p.conn.Write([]byte(authElement("PLAIN", strings.Repeat("x", 1<<20))))
		}()
		out, err := p.end(done)
		require.Contains(t, out, "<policy-violation")
		require.ErrorIs(t, err, stream.PolicyViolation)
	})
	for name, o := range map[string]*auth.ClientOptions{
		"NUL in the name":     {Username: "juliet\x00x", Password: "r0m30"},
		"NUL in the password": {Username: "juliet", Password: "r0m30\x00romeo"},
		"name not UTF-8":      {Username: "juliet\xff", Password: "r0m30"},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			o.Mechanisms, o.AllowPlain = []sasl.Mechanism{}, true
			p, done := scriptedServer(t, clientWith(o))
			p.expect("'>")
			p.send(serverHeader + features("PLAIN"))
			out, err := p.end(done)
			require.ErrorIs(t, err, sasl.Aborted)
			require.NotContains(t, out, "<auth")
		})
	}
}

// scramFinal computes what juliet answers to a challenge, with the gs2-header and the binding given.
func scramFinal(t *testing.T, first, header, challenge string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(challenge)
	require.NoError(t, err)
	// A client that sends this header is made from one that sends another, of the same exchange.
	keys := scramKeys(t, string(raw))
	nonce := strings.TrimPrefix(strings.Split(string(raw), ",")[0], "r=")
	bare := first[strings.Index(first, "n=juliet"):]
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(header)) + ",r=" + nonce
	proof := keys.proof(bare + "," + string(raw) + "," + without)
	return `<response` + xmlns + `>` + b64(without+",p="+proof) + `</response>`
}

// S04 and S18: the header of the first message and the "c" of the last are one.
func headersDiffer(t *testing.T, row string) {
	accounts := store(t)
	exporter := string(tls13().Bindings[sasl.TLSExporter])
	for name, c := range map[string]struct {
		mechanism, gs2, header string
		want                   string // empty: success
	}{
		"S04 another authzid":           {"SCRAM-SHA-256", "n,,", "n,a=admin@im.example,", "not-authorized"},
		"S04 authzid taken away":        {"SCRAM-SHA-256", "n,a=juliet@im.example,", "n,,", "not-authorized"},
		"S04 authzid of somebody":       {"SCRAM-SHA-256", "n,a=admin@im.example,", "n,a=admin@im.example,", "invalid-authzid"},
		"S04 authzid of another domain": {"SCRAM-SHA-256", "n,a=admin@host,", "n,a=admin@host,", "invalid-authzid"},
		"S04 one's own":                 {"SCRAM-SHA-256", "n,a=juliet@im.example,", "n,a=juliet@im.example,", ""},
		"S18 n for y":                   {"SCRAM-SHA-256", "y,,", "n,,", "not-authorized"},
		"S18 trailing bytes":            {"SCRAM-SHA-256", "n,,", "n,,x", "not-authorized"},
		"S18 binding":                   {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-exporter,," + exporter, ""},
		"S18 binding truncated":         {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-exporter,," + exporter[:31], "not-authorized"},
		"S18 binding extended":          {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-exporter,," + exporter + "\x00", "not-authorized"},
		"S18 binding left out":          {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-exporter,,", "not-authorized"},
		"S18 another type's":            {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-server-end-point,," + exporter, "not-authorized"},
	} {
		name, ok := strings.CutPrefix(name, row+" ")
		if !ok {
			continue
		}
		t.Run("server/"+name, func(t *testing.T) {
			// Where -PLUS is offered a "y" ends the exchange at once (S12).
			o := &auth.ServerOptions{Store: accounts, Mechanisms: []sasl.Mechanism{sasl.Scram(sasl.SHA256)}}
			if strings.HasSuffix(c.mechanism, "-PLUS") {
				o.Mechanisms = sasl.Default()
			}
			p, _ := scriptedClient(t, serverWith(o))
			first := c.gs2 + "n=juliet,r=abcdefghijkl"
			p.send(clientHeader + authElement(c.mechanism, first))
			p.expect("<challenge" + xmlns + ">")
			p.send(scramFinal(t, first, c.header, strings.TrimSuffix(p.expect("</challenge>"), "</challenge>")))
			if c.want == "" {
				p.expect("<success")
				return
			}
			require.Contains(t, p.expect("</failure>"), "<"+c.want+"/>")
		})
	}
	if row != "S04" {
		return
	}
	// The client says who it wants to be in the one place that the proof covers.
	t.Run("client", func(t *testing.T) {
		io := clientWith(&auth.ClientOptions{Username: "juliet", Password: "r0m30", AuthzID: jid.MustParse("a,b=c@im.example")})
		io.From = jid.MustParse("a,b=c@im.example")
		p, _ := scriptedServer(t, io)
		p.expect("'>")
		p.send(serverHeader + features("SCRAM-SHA-256"))
		el, err := stream.ParseElement([]byte(p.expect("</auth>")), nil)
		require.NoError(t, err)
		first, err := base64.StdEncoding.DecodeString(el.Text())
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(first), "y,a=a=2Cb=3Dc@im.example,n=juliet,"), "%q", first)
	})
}

// S19: what XEP-0440 §3 has a client make of an announcement of types, and a server announce.
func announcedTypes(t *testing.T) {
	announce := func(features string, types ...string) string {
		s := `<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>`
		for _, typ := range types {
			s += `<channel-binding type='` + typ + `'/>`
		}
		return strings.Replace(features, "</stream:features>", s+"</sasl-channel-binding></stream:features>", 1)
	}
	both := features("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
	for name, c := range map[string]struct {
		offer    string
		flag     string // of the client's message; empty: downgrade, and nothing is sent
		endPoint bool   // the connection has tls-server-end-point only
	}{
		"types and -PLUS":            {offer: announce(both, "tls-exporter", "tls-server-end-point"), flag: "p=tls-exporter,,"},
		"the common one":             {offer: announce(both, "tls-unique", "tls-server-end-point"), flag: "p=tls-server-end-point,,"},
		"-PLUS without types":        {offer: both, flag: "p=tls-exporter,,"},
		"-PLUS with an empty list":   {offer: announce(both), flag: "p=tls-exporter,,"},
		"types without -PLUS":        {offer: announce(features("SCRAM-SHA-256"), "tls-exporter")},
		"types without anything":     {offer: announce(features("PLAIN"), "tls-exporter")},
		"neither":                    {offer: features("SCRAM-SHA-256"), flag: "y,,"},
		"no tls-server-end-point":    {offer: announce(both, "tls-exporter"), flag: "p=tls-exporter,,"},
		"end-point only on this end": {offer: announce(both, "tls-exporter", "tls-server-end-point"), flag: "p=tls-server-end-point,,", endPoint: true},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			io := clientWith(&auth.ClientOptions{Password: "r0m30", AllowPlain: true})
			if c.endPoint {
				delete(io.Security.Bindings, sasl.TLSExporter)
			}
			p, done := scriptedServer(t, io)
			p.expect("'>")
			p.send(serverHeader + c.offer)
			if c.flag == "" {
				out, err := p.end(done)
				require.ErrorIs(t, err, sasl.ErrDowngrade)
				require.NotContains(t, out, "<auth")
				return
			}
			el, err := stream.ParseElement([]byte(p.expect("</auth>")), nil)
			require.NoError(t, err)
			first, err := base64.StdEncoding.DecodeString(el.Text())
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(first), c.flag), "%q", first)
		})
	}
	// Only types that nobody knows: the client goes on unbound, and believes a server that proves that this was its offer
	// (XEP-0474), and no other.
	for name, mechs := range map[string][]sasl.Mechanism{"proved": nil, "not proved": older(sasl.Default())} {
		t.Run("client/only unknown types, "+name, func(t *testing.T) {
			io := clientWith(&auth.ClientOptions{Password: "r0m30"})
			io.Security.Bindings = map[string][]byte{"tls-unique": nil, sasl.TLSServerEndPoint: []byte("x")}
			ao := serverWith(&auth.ServerOptions{Store: store(t), Mechanisms: mechs})
			delete(ao.Security.Bindings, sasl.TLSServerEndPoint)
			client, _ := negotiate(t, io, ao)
			if mechs == nil {
				require.NoError(t, client.err)
				return
			}
			require.ErrorIs(t, client.err, sasl.ErrDowngrade)
		})
	}
	for name, c := range map[string]struct {
		mechs []sasl.Mechanism
		edit  func(*stream.Security)
		types bool
	}{
		"by default":  {types: true, edit: func(*stream.Security) {}},
		"no -PLUS":    {mechs: []sasl.Mechanism{sasl.Scram(sasl.SHA256)}, edit: func(*stream.Security) {}},
		"no bindings": {edit: func(s *stream.Security) { s.Bindings = nil }},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			ao := serverWith(&auth.ServerOptions{Store: store(t), Mechanisms: c.mechs})
			c.edit(ao.Security)
			p, _ := scriptedClient(t, ao)
			p.send(clientHeader)
			got := p.expect("</stream:features>")
			require.Equal(t, c.types, strings.Contains(got, "<channel-binding "))
			require.Equal(t, c.types, strings.Contains(got, "-PLUS"))
			// Once, however many features have a use for them.
			require.LessOrEqual(t, strings.Count(got, "<sasl-channel-binding"), 1)
		})
	}
}

// S31: the names of the anonymous are random, and nobody's twice.
func anonymousNames(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		const n = 100_000
		seen := make(map[jid.JID]bool, n)
		counts := make(map[byte]int)
		for range n {
			who, err := auth.RandomAccount(t.Context(), domain, "")
			require.NoError(t, err)
			require.Len(t, who.Local(), 26) // of 32 letters: 130 bits
			require.Equal(t, domain, who.DomainJID())
			seen[who] = true
			counts[who.Local()[0]]++
		}
		require.Len(t, seen, n)
		require.Len(t, counts, 32)
		// Chi-square with 31 degrees of freedom, which exceeds 150 by chance once in 10¹⁶ runs.
		chi := 0.0
		for _, got := range counts {
			d := float64(got) - n/32.0
			chi += d * d / (n / 32.0)
		}
		require.Less(t, chi, 150.0)
	})
}

// S32, what concerns this profile: an element of the other one in the middle of it.
func twoProfiles(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		for name, begin := range map[string]string{
			"under way": authElement("SCRAM-SHA-256", "n,,n=juliet,r=abcdefghijkl"), "failed": authElement("PLAIN", "\x00juliet\x00wrong"),
		} {
			p, done := scriptedClient(t, serverWith(&auth.ServerOptions{Store: store(t), AllowPlain: true}))
			p.send(clientHeader + begin)
			if name == "failed" {
				p.expect("</failure>")
			} else {
				p.expect("</challenge>")
			}
			p.send(`<authenticate` + xmlns2 + ` mechanism='PLAIN'><initial-response>` + b64("\x00juliet\x00r0m30") + `</initial-response></authenticate>`)
			out, err := p.end(done)
			require.Contains(t, out, "<stream:error", name)
			require.NotContains(t, out, "<success", name)
			require.Error(t, err, name)
		}
	})
	t.Run("client", func(t *testing.T) {
		for _, el := range []string{`<success` + xmlns2 + `><authorization-identifier>juliet@im.example</authorization-identifier></success>`, `<continue` + xmlns2 + `/>`, `<challenge` + xmlns2 + `/>`} {
			p, done := scriptedServer(t, clientWith(&auth.ClientOptions{Password: "r0m30"}))
			p.expect("'>")
			p.send(serverHeader + features("SCRAM-SHA-256-PLUS"))
			p.expect("</auth>")
			p.send(el)
			out, err := p.end(done)
			require.ErrorIs(t, err, auth.ErrProtocol)
			require.Equal(t, closing, out)
		}
	})
}
