package auth

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// frames reads the elements that a peer sends one after the other; XML that is none is the business
// of package stream.
func frames(xml []byte) []frame {
	doc, err := stream.ParseElement(append(append([]byte("<s>"), xml...), "</s>"...), nil)
	if err != nil {
		return nil
	}
	var out []frame
	for el := range doc.Children() {
		out = append(out, parseFrame(el))
	}
	return out
}

// Whatever a stranger sends, in whatever order, the server does not authenticate it, answers each
// element in one of the ways there are, and has had enough after a while.
func FuzzServerAuth(f *testing.F) {
	for _, seed := range []string{
		`<auth` + xmlns + ` mechanism='PLAIN'>AGp1bGlldAByMG0zMA==</auth>`,
		`<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>biwsbj1qdWxpZXQscj1hYmNkZWZnaGlqa2w=</auth><response` + xmlns + `>Yz1iaXdzLHI9eA==</response>`,
		`<auth` + xmlns + ` mechanism='SCRAM-SHA-256-PLUS'>cD10bHMtZXhwb3J0ZXIsLG49anVsaWV0LHI9YWJjZGVmZ2hpamts</auth><abort` + xmlns + `/>`,
		`<auth` + xmlns + ` mechanism='SCRAM-SHA-256'/><response` + xmlns + `/><response` + xmlns + `>=</response>`,
		`<auth` + xmlns + ` mechanism='X'>!</auth><challenge` + xmlns + `/>`,
		`<auth` + xmlns + ` mechanism='EXTERNAL'>=</auth>`, `<auth` + xmlns + ` mechanism='EXTERNAL'>anVsaWV0QGltLmV4YW1wbGU=</auth>`,
		`<auth` + xmlns + ` mechanism='OAUTHBEARER'>biwsAWF1dGg9QmVhcmVyIHgBAQ==</auth><response` + xmlns + `>AQ==</response>`,
		`<auth` + xmlns + ` mechanism='DIGEST-MD5'/><response` + xmlns + `>dXNlcm5hbWU9Imp1bGlldCI=</response>`,
		`<success` + xmlns + `/>`, `<iq xmlns='jabber:client'/>`, `<a:auth xmlns:a='` + NS + `' mechanism='PLAIN'>AA<![CDATA[AA]]>AA</a:auth>`,
	} {
		f.Add([]byte(seed))
	}
	// The seeds know a password that this account does not have.
	store := &sasl.MemoryStore{Derive: []sasl.Hash{sasl.SHA256}, Iterations: sasl.MinIterations}
	require.NoError(f, store.Set(f.Context(), "juliet", "no seed has this one"))
	rules := newRules(f)
	rules.offered = append(rules.offered, sasl.External(), sasl.OAuthBearer(), sasl.InsecureDigestMD5())
	rules.begin = func(m sasl.Mechanism) (sasl.Server, error) {
		return m.NewServer(&sasl.ServerConfig{
			Store: store, Bindings: []sasl.Binding{exporter}, Offered: names(rules.offered), Secure: true, FakeIterations: sasl.MinIterations,
			Service:  "im.example",
			External: func(context.Context, string) (string, error) { return "", sasl.ErrUnknownUser },
			Bearer:   func(context.Context, sasl.BearerToken) (string, error) { return "", sasl.ErrUnknownUser },
			InsecureDigest: func(context.Context, string, string) (digest [16]byte, name string, err error) {
				rand.Read(digest[:])
				return digest, "juliet", nil
			},
		})
	}
	f.Fuzz(func(t *testing.T, xml []byte) {
		x := new(serverExchange)
		for _, fr := range frames(xml) {
			step := x.next(t.Context(), rules, fr)
			require.False(t, step.done)
			require.Zero(t, step.who)
			require.LessOrEqual(t, x.failed, rules.retries+2)
			if step.err != nil {
				// An attempt with channel binding is the last one.
				require.Equal(t, x.bound, step.reply.kind == frameFailure)
				return
			}
			require.Equal(t, step.waiting, x.current != nil)
			require.Equal(t, step.waiting, step.reply.kind == frameChallenge)
			require.Equal(t, !step.waiting, step.reply.kind == frameFailure)
			w := stream.NewWriter(nil)
			step.reply.write(&w)
			out, err := w.Bytes()
			require.NoError(t, err)
			_, err = stream.ParseElement(out, nil)
			require.NoError(t, err)
		}
	})
}

// Whatever a server sends that does not know the keys, the client does not take itself for
// authenticated, and ends.
func FuzzClientAuth(f *testing.F) {
	for _, seed := range []string{
		`<success` + xmlns + `/>`,
		`<success` + xmlns + `>dj1BQUFB</success>`,
		`<challenge` + xmlns + `>cj1hYmNkLHM9QUFBQSxpPTQwOTY=</challenge><success` + xmlns + `/>`,
		`<challenge` + xmlns + `>cj1ub25jZXgscz1BQUFBLGk9NDA5Ng==</challenge><challenge` + xmlns + `>dj1BQUFB</challenge><success` + xmlns + `/>`,
		`<challenge` + xmlns + `/><challenge` + xmlns + `/><success` + xmlns + `>=</success>`,
		`<failure` + xmlns + `><not-authorized/><text xml:lang='en'>no</text></failure>`,
		`<failure` + xmlns + `/>`, `<abort` + xmlns + `/>`, `<success xmlns='urn:evil'/>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, xml []byte) {
		x := newClient(t, scram, "r0m30")
		_, err := x.start(t.Context())
		require.NoError(t, err)
		ended := false
		for _, fr := range frames(xml) {
			step := x.next(t.Context(), fr)
			require.False(t, step.done)
			if ended {
				require.Error(t, step.err)
			}
			ended = step.err != nil
			if ended {
				require.LessOrEqual(t, len(step.err.Error()), 8<<10)
			} else {
				require.Equal(t, frameResponse, step.reply.kind)
			}
		}
	})
}

// Any offer is read without harm, and within bounds.
func FuzzOffer(f *testing.F) {
	f.Add([]byte(`<mechanism` + xmlns + `>PLAIN</mechanism><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>`))
	f.Fuzz(func(t *testing.T, xml []byte) {
		el, err := stream.ParseElement(append(append([]byte(`<m xmlns='`+NS+`'>`), xml...), "</m>"...), nil)
		if err != nil {
			return
		}
		offered, err := parseMechanisms(el)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(offered), maxMechanisms)
		types := parseTypes(el)
		require.LessOrEqual(t, len(types), maxTypes)
		m, binding, err := sasl.Select(sasl.Default(), offered, sasl.Policy{Bindings: []sasl.Binding{exporter}, ServerTypes: types, Secure: true})
		if err == nil {
			require.Contains(t, offered, m.Name)
			require.Equal(t, m.ChannelBinding, m.ChannelBinding && len(binding.Data) > 0)
		}
	})
}
