package auth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
)

// server2With and client2With are options over a pretended TLS layer, for SASL 2.
func server2With(o *auth.ServerOptions) stream.AcceptOptions {
	ao := serverWith(o)
	ao.Features = []stream.Feature{auth.SASL2Server(o), auth.Server(o)}
	return ao
}

func client2With(o *auth.ClientOptions) stream.InitiateOptions {
	io := clientWith(o)
	io.Features = []stream.Feature{auth.SASL2Client(o), auth.Client(o)}
	return io
}

const types2 = `<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/><channel-binding type='tls-server-end-point'/></sasl-channel-binding>`

// features2 returns stream features with SASL 2. More is put beside, inside into it.
func features2(more, inside string, names ...string) string {
	s := `<stream:features><authentication` + xmlns2 + `>`
	for _, n := range names {
		s += `<mechanism>` + n + `</mechanism>`
	}
	return s + inside + `</authentication>` + more + `</stream:features>`
}

// begin2 is an <authenticate/> with data and more.
func begin2(mechanism, data, more string) string {
	return `<authenticate` + xmlns2 + ` mechanism='` + mechanism + `'><initial-response>` + b64(data) + `</initial-response>` + more + `</authenticate>`
}

// good2 logs juliet in.
var good2 = begin2("PLAIN", "\x00juliet\x00r0m30", "")

// connect2 is a script that has got to the features of a server.
func connect2(t *testing.T, o *auth.ServerOptions) (*peer, <-chan result) {
	p, done := scriptedClient(t, server2With(o))
	p.send(clientHeader)
	p.expect("</stream:features>")
	return p, done
}

// offered2 is a script that has made its offer to a client, and got the first message.
func offered2(t *testing.T, o *auth.ClientOptions, features string) (p *peer, done <-chan result, first string) {
	p, done = scriptedServer(t, client2With(o))
	p.expect("'>")
	p.send(serverHeader + features)
	return p, done, p.expect("</authenticate>")
}

// S04: an authorization identity that is somebody else's, or contradicts the stream header.
func authzidOverSASL2(t *testing.T) {
	accounts := store(t)
	allowed := func(context.Context, jid.JID, jid.JID) error { return nil }
	for name, c := range map[string]struct {
		from, authzid string
		authorize     func(context.Context, jid.JID, jid.JID) error
	}{
		"somebody else":                     {"", "romeo@im.example", nil},
		"an administrator":                  {"", "admin@im.example", nil},
		"another domain, allowed":           {"", "juliet@other.example", allowed},
		"a resource, allowed":               {"", "juliet@im.example/balcony", allowed},
		"allowed, but the stream is for me": {"juliet@im.example", "romeo@im.example", allowed},
		"allowed, the stream is another's":  {"eve@im.example", "romeo@im.example", allowed},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, _ := scriptedClient(t, server2With(&auth.ServerOptions{Store: accounts, AllowPlain: true, Authorize: c.authorize}))
			header := clientHeader
			if c.from != "" {
				header = strings.Replace(header, " to=", " from='"+c.from+"' to=", 1)
			}
			p.send(header)
			p.expect("</stream:features>")
			p.send(begin2("PLAIN", c.authzid+"\x00juliet\x00r0m30", ""))
			require.Contains(t, p.expect("</failure>"), "<invalid-authzid "+xmlns[1:]+"/>")
		})
	}
	// Who the server says that the client is.
	for name, who := range map[string]string{
		"somebody else": "romeo@im.example", "another domain": "juliet@other.example", "the domain": "im.example", "nobody": "", "no JID": "@@",
		"a resource, and nothing bound": "juliet@im.example/balcony",
	} {
		t.Run("client/"+name, func(t *testing.T) {
			tokens := new(auth.MemoryCredentials)
			require.NoError(t, tokens.Save(t.Context(), juliet, noneToken("t0ken")))
			io := client2With(&auth.ClientOptions{Password: "r0m30", Credentials: tokens, UserAgent: stream.UserAgent{ID: agent1}})
			io.Security.Bindings = nil
			p, done := scriptedServer(t, io)
			p.expect("'>")
			p.send(serverHeader + features2("", `<inline><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>`, "SCRAM-SHA-256"))
			p.expect("</authenticate>")
			p.send(`<success` + xmlns2 + `><additional-data>` + b64(ht("t0ken", "Responder", "")) + `</additional-data>` +
				`<authorization-identifier>` + who + `</authorization-identifier></success>`)
			_, err := p.end(done)
			require.ErrorIs(t, err, auth.ErrProtocol)
		})
	}
}

// T10: a stream that says it is eve's, authenticated by juliet.
func fromIsNotWhoAuthenticates2(t *testing.T) {
	accounts := store(t)
	for name, from := range map[string]string{"another account": "eve@im.example", "the domain": "im.example", "full": "eve@im.example/balcony"} {
		t.Run("server/"+name, func(t *testing.T) {
			p, _ := scriptedClient(t, server2With(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
			p.send(strings.Replace(clientHeader, " to=", " from='"+from+"' to=", 1))
			p.expect("</stream:features>")
			p.send(good2)
			require.Contains(t, p.expect("</failure>"), "<invalid-authzid ")
		})
	}
	t.Run("server/another domain", func(t *testing.T) { // XEP-0388 §2.1
		p, done := scriptedClient(t, server2With(&auth.ServerOptions{Store: forbiddenStore{t}}))
		p.send(strings.Replace(clientHeader, " to=", " from='juliet@other.example' to=", 1))
		out, err := p.end(done)
		require.Contains(t, out, "<invalid-from")
		require.ErrorIs(t, err, stream.InvalidFrom)
	})
	t.Run("server/good", func(t *testing.T) {
		p, _ := scriptedClient(t, server2With(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
		p.send(strings.Replace(clientHeader, " to=", " from='Juliet@IM.example/balcony' to=", 1))
		p.expect("</stream:features>")
		p.send(good2)
		require.Contains(t, p.expect("</success>"), "<authorization-identifier>juliet@im.example</authorization-identifier>")
	})
}

// T22: what was sent before success is not taken for something sent after it.
func pipelinedBehindAuthenticate(t *testing.T) {
	for name, after := range map[string]string{
		"a stanza":      `<message><body>hi</body></message>`,
		"old binding":   `<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`,
		"another login": good2,
		"a response":    `<response` + xmlns2 + `/>`,
		"SASL 1":        `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00romeo\x00jul13t") + `</auth>`,
		"a header":      clientHeader,
	} {
		t.Run("server/"+name, func(t *testing.T) {
			ao := server2With(&auth.ServerOptions{Store: store(t), AllowPlain: true})
			ao.Profile = stream.C2S()
			ao.Features = append(ao.Features, bind.Server(nil))
			p, done := scriptedClient(t, ao)
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(good2 + after)
			p.expect("</success>")
			if name == "old binding" {
				// Legitimate, if bold: there is no restart between the two.
				require.Contains(t, p.expect("</iq>"), "juliet@im.example/")
				return
			}
			p.expect("</stream:features>")
			out, err := p.end(done)
			require.Contains(t, out, "<stream:error")
			require.Error(t, err)
		})
	}
}

// S17: somebody in the middle has a certificate that the client trusts, and relays what is said inside
// TLS: with a password, and with a token.
func manInTheMiddleOfSASL2(t *testing.T) {
	same := func(s string) string { return s }
	without := func(s ...string) func(string) string {
		var pairs []string
		for _, x := range s {
			pairs = append(pairs, x, "")
		}
		return strings.NewReplacer(pairs...).Replace
	}
	const exporter, plus = "<channel-binding type='tls-exporter'/>", "<mechanism>SCRAM-SHA-256-PLUS</mechanism>"
	const expr, endp = "<mechanism>HT-SHA-256-EXPR</mechanism>", "<mechanism>HT-SHA-256-ENDP</mechanism>"
	for name, c := range map[string]struct {
		edit  func(string) string
		token bool
		want  error
	}{
		"password: relayed":               {same, false, sasl.NotAuthorized},
		"password: exporter removed":      {without(exporter), false, sasl.ErrDowngrade}, // XEP-0474
		"password: types removed":         {without(types2), false, sasl.ErrDowngrade},
		"password: mechanisms removed":    {without(plus), false, sasl.ErrDowngrade},
		"password: all binding removed":   {without(plus, types2), false, sasl.NotAuthorized},
		"token: relayed":                  {same, true, auth.ErrTokenRefused},
		"token: its mechanism is removed": {without(expr), true, sasl.NotAuthorized}, // the password then, with binding
		"token: only the unbound is left": {without(expr, endp), true, sasl.NotAuthorized},
		"token: no binding at all":        {without(expr, endp, plus, types2), true, sasl.ErrDowngrade}, // the floor
		"token: a failure is made up": {func(s string) string {
			if strings.Contains(s, "<failure") || strings.Contains(s, "<success") {
				return `<failure` + xmlns2 + `><credentials-expired` + xmlns + `/></failure>`
			}
			return s
		}, true, auth.ErrTokenRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.token {
				w.login()
				require.NotEmpty(t, w.known().Token.Token)
			}
			mitm, err := w.tls.ca.Issue("im.example")
			require.NoError(t, err)
			client, server := relayed(t, w, mitm, c.edit)
			require.ErrorIs(t, client.err, c.want)
			require.Nil(t, client.session)
			require.Error(t, server.err)
			require.Nil(t, server.session)
		})
	}
}

// S19: XEP-0440 §3 for clients of SASL 2.
func bindingTypesOfSASL2(t *testing.T) {
	const unknown = `<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-unknown'/></sasl-channel-binding>`
	const noEndpoint = `<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-unique'/></sasl-channel-binding>`
	for name, c := range map[string]struct {
		types      string
		mechanisms []string
	}{
		"rule 4: -PLUS without types":       {"", []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}},
		"rule 5: types without -PLUS":       {types2, []string{"SCRAM-SHA-256"}},
		"rule 6: only unknown types":        {unknown, []string{"SCRAM-SHA-256-PLUS"}},
		"rule 6: not even the one all have": {noEndpoint, []string{"SCRAM-SHA-256-PLUS"}},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			p, done := scriptedServer(t, client2With(&auth.ClientOptions{Password: "r0m30", AllowPlain: true}))
			p.expect("'>")
			p.send(serverHeader + features2(c.types, "", c.mechanisms...))
			out, err := p.end(done)
			require.ErrorIs(t, err, sasl.ErrDowngrade)
			require.NotContains(t, out, "<authenticate")
		})
	}
	t.Run("client/rule 7: the strongest", func(t *testing.T) {
		_, _, first := offered2(t, &auth.ClientOptions{Password: "r0m30"}, features2(types2, "", "SCRAM-SHA-256-PLUS"))
		require.Contains(t, first, base64.StdEncoding.EncodeToString([]byte("p=tls-exporter,,"))[:20])
	})
	t.Run("server/announces once", func(t *testing.T) {
		p, _ := scriptedClient(t, server2With(&auth.ServerOptions{Store: store(t)}))
		p.send(clientHeader)
		out := p.expect("</stream:features>")
		require.Equal(t, 1, strings.Count(out, "<sasl-channel-binding"))
		require.Contains(t, out, types2)
	})
}

// S23: failed attempts, by SASL 2 and by both profiles.
func tooManyAttempts2(t *testing.T) {
	accounts := store(t)
	for name, attempt := range map[string]string{
		"wrong password":  begin2("PLAIN", "\x00juliet\x00wrong", ""),
		"abort":           `<abort` + xmlns2 + `/>`,
		"begin and abort": begin2("SCRAM-SHA-256", "n,,n=juliet,r=abcdefghijkl", "") + `<abort` + xmlns2 + `><text>no</text></abort>`,
		"not base64":      `<authenticate` + xmlns2 + ` mechanism='PLAIN'><initial-response>!</initial-response></authenticate>`,
		"no mechanism":    `<authenticate` + xmlns2 + `/>`,
		"no such token": begin2("HT-SHA-256-NONE", "juliet\x00"+ht("guess", "Initiator", ""),
			`<user-agent id='`+agent1+`'/><fast xmlns='urn:xmpp:fast:0'/>`),
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, done := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}})
			for range 4 {
				p.send(attempt)
				p.expect("</failure>")
			}
			p.send(good2) // too late
			out, err := p.end(done)
			require.Contains(t, out, "<policy-violation")
			require.ErrorIs(t, err, stream.PolicyViolation)
		})
	}
	t.Run("server/2 then success", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
		for range 2 {
			p.send(begin2("PLAIN", "\x00juliet\x00wrong", ""))
			p.expect("</failure>")
		}
		p.send(good2)
		p.expect("</success>")
	})
	t.Run("server/binding is not used again", func(t *testing.T) {
		p, done := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
		p.send(begin2("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=juliet,r=abcdefghijkl", ""))
		p.expect("</challenge>")
		p.send(`<response` + xmlns2 + `>` + b64("c=biws,r=x,p=AAAA") + `</response>` + good2)
		out, err := p.end(done)
		require.Equal(t, `<failure`+xmlns2+`><not-authorized`+xmlns+`/></failure>`+closing, out)
		require.ErrorIs(t, err, sasl.NotAuthorized)
	})
	// The second factor counts like the first, and a right password does not clear the slate for it.
	t.Run("server/guessing the second factor", func(t *testing.T) {
		o := &auth.ServerOptions{
			Store: accounts, AllowPlain: true, Attempts: auth.NewAttempts(nil),
			Address: func(context.Context) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
			SASL2:   auth.SASL2ServerOptions{Tasks: []auth.Task{codeTask("TOTP-EXAMPLE", "123456")}},
		}
		feature := auth.SASL2Server(o)
		for range 5 {
			ao := server2With(o)
			ao.Features = []stream.Feature{feature}
			p, done := scriptedClient(t, ao)
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(good2)
			p.expect("</continue>")
			p.send(next2("TOTP-EXAMPLE", "000000"))
			out, _ := p.end(done)
			require.Contains(t, out, "<not-authorized")
		}
		ao := server2With(o)
		ao.Features = []stream.Feature{feature}
		p, done := scriptedClient(t, ao)
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(good2)
		out, err := p.end(done)
		require.Contains(t, out, "<temporary-auth-failure")
		require.NotContains(t, out, "<continue")
		require.ErrorIs(t, err, stream.PolicyViolation)
	})
}

// S29: elements out of turn.
func elementsOutOfTurn2(t *testing.T) {
	accounts := store(t)
	first := begin2("SCRAM-SHA-256", "n,,n=juliet,r=abcdefghijkl", "")
	t.Run("server/response first", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
		p.send(`<response` + xmlns2 + `>` + b64("\x00juliet\x00r0m30") + `</response>`)
		require.Contains(t, p.expect("</failure>"), "<malformed-request")
	})
	for name, el := range map[string]string{
		"challenge": `<challenge` + xmlns2 + `/>`, "success": `<success` + xmlns2 + `/>`, "failure": `<failure` + xmlns2 + `/>`,
		"continue": `<continue` + xmlns2 + `/>`, "next": `<next` + xmlns2 + ` task='X'/>`, "task-data": `<task-data` + xmlns2 + `/>`,
		"unknown": `<whatever` + xmlns2 + `/>`, "a stanza": `<message><body>hi</body></message>`, "foreign": `<x xmlns='urn:example:x'/>`,
		"bind": `<bind xmlns='urn:xmpp:bind:0'/>`, "header": clientHeader,
	} {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("server/%s/%t", name, begun), func(t *testing.T) {
				p, done := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
				if begun {
					p.send(first)
					p.expect("</challenge>")
				}
				p.send(el + good2)
				out, err := p.end(done)
				require.Contains(t, out, "<stream:error")
				require.NotContains(t, out, "<success")
				require.Error(t, err)
			})
		}
	}
	for name, el := range map[string]string{"SASL 2": good2, "SASL 1": `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`} {
		t.Run("server/a second attempt in the middle/"+name, func(t *testing.T) { // XEP-0388 §2.4
			p, done := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
			p.send(first)
			p.expect("</challenge>")
			p.send(el)
			out, err := p.end(done)
			require.Contains(t, out, "<stream:error")
			require.NotContains(t, out, "<success")
			require.Error(t, err)
		})
	}
	for name, el := range map[string]string{
		"authenticate":        good2,
		"response":            `<response` + xmlns2 + `/>`,
		"abort":               `<abort` + xmlns2 + `/>`,
		"features":            features2("", "", "PLAIN"),
		"success":             `<success` + xmlns2 + `><authorization-identifier>juliet@im.example</authorization-identifier></success>`,
		"success of SASL 1":   `<success` + xmlns + `/>`,
		"success, no data":    `<success` + xmlns2 + `><additional-data/><authorization-identifier>juliet@im.example</authorization-identifier></success>`,
		"continue":            `<continue` + xmlns2 + `><tasks><task>X</task></tasks></continue>`,
		"continue, no tasks":  `<continue` + xmlns2 + `><tasks/></continue>`,
		"task-data":           `<task-data` + xmlns2 + `/>`,
		"two data":            `<success` + xmlns2 + `><additional-data/><additional-data/></success>`,
		"foreign":             `<success xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`,
		"a wrong signature":   `<success` + xmlns2 + `><additional-data>` + b64("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") + `</additional-data><authorization-identifier>juliet@im.example</authorization-identifier></success>`,
		"challenge, bad data": `<challenge` + xmlns2 + `>=</challenge>`,
	} {
		t.Run("client/"+name, func(t *testing.T) {
			p, done, _ := offered2(t, &auth.ClientOptions{Password: "r0m30", AllowPlain: true}, features2(types2, "", "SCRAM-SHA-256-PLUS", "PLAIN"))
			p.send(el)
			out, err := p.end(done)
			require.ErrorIs(t, err, sasl.Aborted)
			require.NotContains(t, out, "<authenticate")
			require.NotContains(t, out, "<response")
		})
	}
}

// L08 and the other limits.
func sasl2Limits(t *testing.T) {
	big := strings.Repeat("A", 9<<10)
	for name, el := range map[string]string{
		"a large response":   `<authenticate` + xmlns2 + ` mechanism='PLAIN'><initial-response>` + big + `</initial-response></authenticate>`,
		"a large user agent": begin2("PLAIN", "\x00juliet\x00r0m30", `<user-agent><software>`+big+`</software></user-agent>`),
		"a large request":    begin2("PLAIN", "\x00juliet\x00r0m30", `<bind xmlns='urn:xmpp:bind:0'><tag>`+big+`</tag></bind>`),
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, done := connect2(t, &auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true})
			p.send(el)
			out, err := p.end(done)
			require.Contains(t, out, "<policy-violation")
			require.ErrorIs(t, err, stream.PolicyViolation)
		})
	}
	t.Run("server/many upgrades", func(t *testing.T) {
		p, _ := connect2(t, &auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true})
		more := ""
		for i := range 17 {
			more += fmt.Sprintf(`<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-%d</upgrade>`, i)
		}
		p.send(begin2("PLAIN", "\x00juliet\x00r0m30", more))
		require.Contains(t, p.expect("</failure>"), "<malformed-request")
	})
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf("M%d", i))
	}
	t.Run("client/many mechanisms", func(t *testing.T) {
		p, done := scriptedServer(t, client2With(&auth.ClientOptions{Password: "r0m30"}))
		p.expect("'>")
		p.send(serverHeader + features2(types2, "", append(many, "SCRAM-SHA-256-PLUS")...))
		_, err := p.end(done)
		require.ErrorIs(t, err, auth.ErrProtocol)
	})
	t.Run("client/many tasks", func(t *testing.T) {
		p, done, _ := offered2(t, &auth.ClientOptions{Password: "r0m30", AllowPlain: true, Mechanisms: []sasl.Mechanism{sasl.Plain()}}, features2("", "", "PLAIN"))
		p.send(`<continue` + xmlns2 + `><tasks><task>` + strings.Join(many, "</task><task>") + `</task></tasks></continue>`)
		_, err := p.end(done)
		require.ErrorIs(t, err, auth.ErrProtocol)
	})
	t.Run("client/a large token", func(t *testing.T) {
		w := newWorld(t)
		require.NoError(t, w.credentials.Save(t.Context(), juliet, noneToken("t0ken")))
		io := client2With(&w.co)
		io.Security.Bindings = nil
		p, done := scriptedServer(t, io)
		p.expect("'>")
		p.send(serverHeader + features2("", `<inline><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>`, "SCRAM-SHA-256"))
		p.expect("</authenticate>")
		p.send(`<success` + xmlns2 + `><additional-data>` + b64(ht("t0ken", "Responder", "")) + `</additional-data><authorization-identifier>juliet@im.example</authorization-identifier>` +
			`<token xmlns='urn:xmpp:fast:0' token='` + strings.Repeat("x", 1025) + `' expiry='2100-01-01T00:00:00Z'/></success><stream:features/>`)
		r := within(t, done)
		require.NoError(t, r.err)
		r.session.Abort(nil)
		require.Equal(t, "t0ken", w.known().Token.Token)
	})
}
