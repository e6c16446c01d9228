package auth

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// frames2 reads the elements that a peer sends one after the other.
func frames2(xml []byte) []frame2 {
	doc, err := stream.ParseElement(append(append([]byte("<s>"), xml...), "</s>"...), nil)
	if err != nil {
		return nil
	}
	var out []frame2
	for el := range doc.Children() {
		out = append(out, parseFrame2(el))
	}
	return out
}

// newExchange2 returns the server side of SASL 2 on a connection with TLS, for an account whose
// password the seeds know, with a task that nobody can do.
func newExchange2(plain serverRules, store sasl.KeyStore, tokens TokenStore) (*serverExchange2, *serverRules2) {
	s := &serverExchange2{x: new(serverExchange)}
	plain.bindings = []sasl.Binding{exporter}
	r := &serverRules2{serverRules: &plain}
	r.unlisted = fastMechanisms(plain.bindings)
	r.fast = &fastServer{store: tokens, lifetime: time.Hour, mechanisms: r.unlisted, accounts: store}
	r.tasks = []Task{{Name: "TOTP", Begin: func(context.Context, TaskAccount) (TaskFunc, error) {
		return func(_ context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
			if in.Name().Local == "next" {
				w.Start(stream.Name{Space: "urn:example:code", Local: "code"})
				w.End()
				return false, nil
			}
			return false, &sasl.Error{Condition: sasl.NotAuthorized}
		}, nil
	}}}
	r.begin = func(m sasl.Mechanism) (sasl.Server, error) {
		return m.NewServer(&sasl.ServerConfig{
			Store: store, Bindings: plain.bindings, Offered: names(r.offered), Secure: true, FakeIterations: sasl.MinIterations,
			FastTokens: r.fast.finder(s, jid.MustParse("im.example")),
		})
	}
	r.authorize = s.authorized(r.authorize, r.tasks, jid.MustParse("im.example"))
	return s, r
}

// Whatever a stranger sends, in whatever order, the server does not let it in, with the right password
// neither, since there is a task to do.
func FuzzSASL2Server(f *testing.F) {
	const plain = `<authenticate` + ns2 + ` mechanism='PLAIN'><initial-response>AGp1bGlldAByMG0zMA==</initial-response></authenticate>`
	for _, seed := range []string{
		plain, plain + plain,
		plain + `<next` + ns2 + ` task='TOTP'/><task-data` + ns2 + `/>`,
		plain + `<next` + ns2 + ` task='HOTP'/>`, plain + `<iq xmlns='jabber:client'/>`, plain + `<abort` + ns2 + `/>`,
		`<authenticate` + ns2 + ` mechanism='SCRAM-SHA-256'><initial-response>biwsbj1qdWxpZXQscj1hYmNkZWZnaGlqa2w=</initial-response></authenticate><response` + ns2 + `>Yz1iaXdzLHI9eA==</response>`,
		`<authenticate` + ns2 + ` mechanism='HT-SHA-256-NONE'><initial-response>anVsaWV0AHg=</initial-response><user-agent id='` + uuid + `'/><fast xmlns='urn:xmpp:fast:0' count='1'/></authenticate>`,
		`<authenticate` + ns2 + ` mechanism='PLAIN'/><response` + ns2 + `>AGp1bGlldAByMG0zMA==</response><success` + ns2 + `/>`,
		`<authenticate` + ns2 + `><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade></authenticate>`,
		`<next` + ns2 + ` task='TOTP'/>`, `<a:authenticate xmlns:a='` + NS2 + `' mechanism='PLAIN'/>`,
	} {
		f.Add([]byte(seed))
	}
	rules, store := newRules(f), newStore(f)
	tokens := new(MemoryTokens)
	client := TokenClient{jid.MustParse("juliet@im.example"), uuid}
	require.NoError(f, tokens.Update(f.Context(), client, func(t *ClientTokens) error {
		t.issue("HT-SHA-256-EXPR", 24*time.Hour, time.Now())
		return nil
	}))
	f.Fuzz(func(t *testing.T, xml []byte) {
		s, r := newExchange2(*rules, store, tokens)
		for _, fr := range frames2(xml) {
			step := s.next(t.Context(), r, fr)
			require.False(t, step.done)
			require.LessOrEqual(t, s.x.failed, r.retries+2)
			require.LessOrEqual(t, s.messages, maxTaskMessages+1)
			require.Equal(t, step.waiting, s.phase != phaseIdle)
			if step.reply.kind != 0 {
				el, err := stream.ParseElement([]byte(written2(t, step.reply)), nil)
				require.NoError(t, err)
				require.NotEqual(t, frame2Success, parseKind2(el).kind)
			}
			if step.err != nil {
				break
			}
			require.NotZero(t, step.reply.kind)
			require.Equal(t, !step.waiting, step.reply.kind == frame2Failure)
		}
		require.Equal(t, 1, tokens.Len())
	})
}

// Whatever a server sends that does not know the password, the client does not take itself for
// authenticated, does no task, and ends.
func FuzzSASL2Client(f *testing.F) {
	for _, seed := range []string{
		`<success` + ns2 + `><authorization-identifier>juliet@im.example</authorization-identifier></success>`,
		`<success` + ns2 + `><additional-data>dj1BQUFB</additional-data><authorization-identifier>juliet@im.example</authorization-identifier></success>`,
		`<continue` + ns2 + `><additional-data>dj1BQUFB</additional-data><tasks><task>TOTP</task></tasks></continue>`,
		`<challenge` + ns2 + `>cj1ub25jZXgscz1BQUFBLGk9NDA5Ng==</challenge><task-data` + ns2 + `/>`,
		`<failure` + ns2 + `><not-authorized xmlns='` + NS + `'/><text>no</text></failure>`,
		`<challenge` + ns2 + `/>`, `<abort` + ns2 + `/>`, `<success xmlns='urn:evil'/>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, xml []byte) {
		s := &clientExchange2{x: newClient(t, scram, "r0m30"), tasks: []ClientTask{{Name: "TOTP", Begin: func(context.Context, string) (TaskFunc, error) {
			t.Error("a task was begun for a stranger")
			return nil, context.Canceled
		}}}}
		_, err := s.x.start(t.Context())
		require.NoError(t, err)
		ended := false
		for _, fr := range frames2(xml) {
			step := s.next(t.Context(), fr)
			require.False(t, step.done)
			if ended {
				require.Error(t, step.err)
			}
			ended = step.err != nil
			if ended {
				require.LessOrEqual(t, len(step.err.Error()), 8<<10)
			} else {
				require.Equal(t, frame2Response, step.reply.kind)
			}
		}
		// What it might have offered.
		if el, err := stream.ParseElement(append(append([]byte(`<authentication`+ns2+`>`), xml...), "</authentication>"...), nil); err == nil {
			offer, err := parseOffer2(el)
			if err == nil {
				require.LessOrEqual(t, len(offer.mechanisms), maxMechanisms)
				require.LessOrEqual(t, len(offer.upgrades), maxUpgrades)
				require.LessOrEqual(t, len(offer.fast), maxMechanisms)
			}
		}
	})
}

// Tokens, driven by what a client may do and may have lost: never more than two are good for a client,
// none that was superseded comes back, and none is good for longer than it says.
func FuzzFastToken(f *testing.F) {
	f.Add([]byte(`count='1' invalidate='true'`), "inunpcuxt")
	f.Add([]byte(`count='007'`), "iiinnittttuuon")
	f.Add([]byte(`invalidate='0'`), "itttttttttttn")
	f.Fuzz(func(t *testing.T, attrs []byte, ops string) {
		if el, err := stream.ParseElement(append(append([]byte(`<fast xmlns='urn:xmpp:fast:0' `), attrs...), "/>"...), nil); err == nil {
			var r fastRequest
			if r.read(el) == nil {
				w := stream.NewWriter(nil)
				r.write(&w)
				b, err := w.Bytes()
				require.NoError(t, err)
				el, err := stream.ParseElement(b, nil)
				require.NoError(t, err)
				var again fastRequest
				require.NoError(t, again.read(el))
				require.Equal(t, r, again)
			}
		}
		now := time.Unix(1_000_000, 0)
		var tokens ClientTokens
		var issued []StoredToken
		dead := make(map[string]bool)
		login := func(i int) {
			if i < 0 || i >= len(issued) {
				return
			}
			token := issued[i]
			found, err := tokens.find("M", 0, now, func(b []byte) bool { return string(b) == token.Secret })
			if err != nil {
				return
			}
			require.False(t, dead[found.Secret])
			require.True(t, now.Before(token.Expires))
			left, ok := tokens.used(found.Secret, now)
			require.True(t, ok)
			require.Equal(t, token.Expires.Sub(now), left)
			for j := range i {
				if issued[j].Expires.Before(token.Expires) {
					dead[issued[j].Secret] = true // XEP-0484 §3.5
				}
			}
		}
		for _, op := range ops[:min(len(ops), 200)] {
			switch op {
			case 'i', 'j': // issued; one before that was not used is dead
				if tokens.New.Secret != "" {
					dead[tokens.New.Secret] = true
				}
				lifetime := 10 * time.Second
				if op == 'j' {
					lifetime = 3 * time.Second
				}
				issued = append(issued, *tokens.issue("M", lifetime, now))
			case 'n':
				login(len(issued) - 1)
			case 'p':
				login(len(issued) - 2)
			case 'o':
				login(0)
			case 'x':
				for _, s := range []StoredToken{tokens.Current, tokens.New} {
					if s.Secret != "" {
						dead[s.Secret] = true
					}
				}
				tokens = ClientTokens{}
			case 't':
				now = now.Add(time.Second)
			}
			good := 0
			for _, token := range issued {
				copied := tokens
				if _, err := copied.find("M", 0, now, func(b []byte) bool { return string(b) == token.Secret }); err == nil {
					good++
					require.False(t, dead[token.Secret])
				}
			}
			require.LessOrEqual(t, good, 2)
		}
	})
}
