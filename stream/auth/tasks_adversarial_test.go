package auth_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
)

// S33: nothing is granted before <success/>.
func nothingBeforeSuccess(t *testing.T) {
	accounts := store(t)
	bound := 0
	server := func(t *testing.T, stage string) (*peer, <-chan result) {
		tokens := new(auth.MemoryTokens)
		ao := server2With(&auth.ServerOptions{Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{
			Tokens: tokens, Tasks: []auth.Task{codeTask("TOTP-EXAMPLE", "123456"), {Name: "HOTP-EXAMPLE", Begin: codeTask("", "1").Begin, Required: notAfter("TOTP-EXAMPLE")}},
		}})
		ao.Profile = stream.C2S()
		ao.Features = append(ao.Features, bind.Server(&bind.ServerOptions{Bind: func(_ context.Context, _ *stream.Negotiation, asked jid.JID) (jid.JID, error) {
			bound++
			return asked, nil
		}}))
		ao.Trace = &stream.Trace{Authenticated: func(jid.JID, string) { bound++ }}
		p, done := scriptedClient(t, ao)
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(begin2("PLAIN", "\x00juliet\x00r0m30", `<bind xmlns='urn:xmpp:bind:0'/><user-agent id='`+agent1+`'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>`))
		out := p.expect("</continue>")
		require.Contains(t, out, "<tasks><task>TOTP-EXAMPLE</task><task>HOTP-EXAMPLE</task></tasks>")
		require.NotContains(t, out, "authorization-identifier")
		require.NotContains(t, out, "<token")
		if stage == "task" {
			p.send(next2("TOTP-EXAMPLE", ""))
			p.expect("<task-data")
			p.expect("</task-data>")
		}
		t.Cleanup(func() { require.Zero(t, tokens.Len()) })
		return p, done
	}
	for name, el := range map[string]string{
		"a message":        `<message><body>hi</body></message>`,
		"an iq":            `<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>`,
		"old binding":      `<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`,
		"Bind 2":           `<bind xmlns='urn:xmpp:bind:0'/>`,
		"resumption":       `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`,
		"another login":    good2,
		"SASL 1":           `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`,
		"a response":       `<response` + xmlns2 + `/>`,
		"a success":        `<success` + xmlns2 + `/>`,
		"an unoffered":     next2("SOTP-EXAMPLE", "123456"),
		"no task":          `<next` + xmlns2 + `/>`,
		"an upgrade":       next2("UPGR-SCRAM-SHA-512", ""),
		"a header":         clientHeader,
		"an abort":         `<abort` + xmlns2 + `/>`,
		"the wrong code":   next2("TOTP-EXAMPLE", "000000"),
		"a code of others": next2("HOTP-EXAMPLE", "123456"),
		"data, wrong code": `<task-data` + xmlns2 + `><code xmlns='urn:example:code'>000000</code></task-data>`,
	} {
		for _, stage := range []string{"choice", "task"} {
			t.Run("server/"+stage+"/"+name, func(t *testing.T) {
				bound = 0
				p, done := server(t, stage)
				p.send(el)
				out, err := p.end(done)
				require.NotContains(t, out, "<success")
				require.NotContains(t, out, "<continue")
				require.True(t, strings.Contains(out, "<stream:error") || strings.Contains(out, "<failure"), out)
				require.Error(t, err)
				require.Zero(t, bound)
			})
		}
	}
	// A task is chosen once.
	t.Run("server/task/chosen again", func(t *testing.T) {
		p, done := server(t, "task")
		p.send(next2("TOTP-EXAMPLE", "123456"))
		out, err := p.end(done)
		require.Contains(t, out, "<stream:error")
		require.NotContains(t, out, "<success")
		require.Error(t, err)
	})
	t.Run("server/choice/data for no task", func(t *testing.T) {
		p, done := server(t, "choice")
		p.send(`<task-data` + xmlns2 + `><code xmlns='urn:example:code'>123456</code></task-data>`)
		out, err := p.end(done)
		require.Contains(t, out, "<stream:error")
		require.Error(t, err)
	})
	t.Run("server/too many messages", func(t *testing.T) {
		p, done := server(t, "task")
		for range 70 {
			p.send(`<task-data` + xmlns2 + `><code xmlns='urn:example:code'/></task-data>`)
		}
		out, err := p.end(done)
		require.Contains(t, out, "<policy-violation")
		require.ErrorIs(t, err, stream.PolicyViolation)
	})
	t.Run("server/done", func(t *testing.T) {
		bound = 0
		p, _ := scriptedClient(t, func() stream.AcceptOptions {
			ao := server2With(&auth.ServerOptions{Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tasks: []auth.Task{codeTask("TOTP-EXAMPLE", "123456")}}})
			ao.Profile = stream.C2S()
			ao.Features = append(ao.Features, bind.Server(nil))
			return ao
		}())
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(begin2("PLAIN", "\x00juliet\x00r0m30", `<bind xmlns='urn:xmpp:bind:0'/>`))
		p.expect("</continue>")
		p.send(next2("TOTP-EXAMPLE", "123456"))
		out := p.expect("</success>")
		require.Contains(t, out, "<bound")
		require.Contains(t, out, "<authorization-identifier>juliet@im.example/")
	})

	clientTasks := []auth.ClientTask{codeClient("TOTP-EXAMPLE", "123456")}
	offer := features2("", "", "PLAIN")
	const again = `<continue` + xmlns2 + `><tasks><task>TOTP-EXAMPLE</task></tasks></continue>`
	for name, el := range map[string]string{
		"another task":    `<continue` + xmlns2 + `><tasks><task>OTHER</task></tasks></continue>`,
		"the same again":  again,
		"a challenge":     `<challenge` + xmlns2 + `/>`,
		"more of it":      `<task-data` + xmlns2 + `/>`,
		"nobody":          `<success` + xmlns2 + `/>`,
		"somebody else":   `<success` + xmlns2 + `><authorization-identifier>romeo@im.example</authorization-identifier></success>`,
		"success of SASL": `<success` + xmlns + `/>`,
	} {
		t.Run("client/"+name, func(t *testing.T) {
			p, done, _ := offered2(t, &auth.ClientOptions{Password: "r0m30", AllowPlain: true, Mechanisms: []sasl.Mechanism{sasl.Plain()}, SASL2: auth.SASL2ClientOptions{Tasks: clientTasks}}, offer)
			p.send(again)
			require.Contains(t, p.expect("</next>"), "123456")
			p.send(el)
			out, err := p.end(done)
			require.Error(t, err)
			require.NotContains(t, out, "<next")
			if strings.Contains(el, "<continue") {
				require.ErrorIs(t, err, auth.ErrTasks)
				require.Contains(t, out, "<abort")
			}
		})
	}
	t.Run("client/a task without end", func(t *testing.T) {
		endless := auth.ClientTask{Name: "TOTP-EXAMPLE", Begin: func(context.Context, string) (auth.TaskFunc, error) {
			return func(context.Context, *stream.Element, *stream.Writer) (bool, error) { return false, nil }, nil
		}}
		p, done, _ := offered2(t, &auth.ClientOptions{
			Password: "r0m30", AllowPlain: true, Mechanisms: []sasl.Mechanism{sasl.Plain()}, SASL2: auth.SASL2ClientOptions{Tasks: []auth.ClientTask{endless}},
		}, offer)
		p.send(again)
		for range 70 {
			p.send(`<task-data` + xmlns2 + `/>`)
		}
		out, err := p.end(done)
		require.ErrorIs(t, err, auth.ErrProtocol)
		require.Contains(t, out, "<abort")
	})
	t.Run("client/does no tasks", func(t *testing.T) {
		p, done, _ := offered2(t, &auth.ClientOptions{Password: "r0m30", AllowPlain: true, Mechanisms: []sasl.Mechanism{sasl.Plain()}}, offer)
		p.send(again)
		out, err := p.end(done)
		require.ErrorIs(t, err, auth.ErrTasks)
		require.Contains(t, out, "<abort")
	})
}

// notAfter makes a task that is not required when another one is done.
func notAfter(name string) func(context.Context, auth.TaskAccount) (bool, error) {
	return func(_ context.Context, a auth.TaskAccount) (bool, error) { return !slices.Contains(a.Done, name), nil }
}
