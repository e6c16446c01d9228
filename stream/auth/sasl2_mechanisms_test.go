package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// ANONYMOUS over SASL 2: the client learns who it is, and no token is to be had for that.
func TestSASL2Anonymous(t *testing.T) {
	tokens := new(auth.MemoryTokens)
	so := &auth.ServerOptions{Anonymous: auth.RandomAccount, SASL2: auth.SASL2ServerOptions{Tokens: tokens}}
	co := &auth.ClientOptions{
		Mechanisms: []sasl.Mechanism{sasl.Anonymous()}, Credentials: new(auth.MemoryCredentials), UserAgent: stream.UserAgent{ID: agent1},
	}
	io := client2With(co)
	io.From = jid.JID{}
	client, server := negotiate(t, io, server2With(so))
	require.NoError(t, client.err)
	require.NoError(t, server.err)
	require.NotEmpty(t, server.session.RemoteAddr().Local())
	require.Equal(t, server.session.RemoteAddr(), client.session.LocalAddr())
	require.Zero(t, tokens.Len())
}

// OAUTHBEARER over SASL 2: success, and the failure that takes one more message (RFC 7628 §3.2.3). A
// token of XEP-0484 would outlive the bearer token, so that there is none.
func TestSASL2Bearer(t *testing.T) {
	tokens := new(auth.MemoryTokens)
	so := &auth.ServerOptions{
		Store: store(t), SASL2: auth.SASL2ServerOptions{Tokens: tokens},
		Bearer: func(_ context.Context, _ jid.JID, token sasl.BearerToken) (jid.JID, error) {
			if token.Token != "g00d" {
				return jid.JID{}, sasl.ErrUnknownUser
			}
			return juliet, nil
		},
	}
	for token, want := range map[string]error{"g00d": nil, "bad": sasl.NotAuthorized} {
		client, server := negotiate(t, client2With(&auth.ClientOptions{Token: token}), server2With(so))
		require.ErrorIs(t, client.err, want)
		if want == nil {
			require.Equal(t, juliet, server.session.RemoteAddr())
		} else {
			require.Error(t, server.err)
		}
	}
	p, _ := connect2(t, so)
	p.send(begin2("OAUTHBEARER", "n,,\x01auth=Bearer g00d\x01\x01", `<user-agent id='`+agent1+`'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>`))
	require.NotContains(t, p.expect("</success>"), "<token")
	require.Zero(t, tokens.Len())
}

// XEP-0480 §2.2 is about passwords: whoever logs in otherwise is not asked for any.
func TestNoUpgradeWithoutAPassword(t *testing.T) {
	accounts := &upgradable{MemoryStore: store(t), added: make(map[string]sasl.Keys)}
	so := &auth.ServerOptions{
		Store: accounts, SASL2: auth.SASL2ServerOptions{Upgrades: []sasl.Hash{sasl.SHA512}},
		Bearer: func(context.Context, jid.JID, sasl.BearerToken) (jid.JID, error) { return juliet, nil },
	}
	p, _ := connect2(t, so)
	p.send(begin2("OAUTHBEARER", "n,,\x01auth=Bearer x\x01\x01", `<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>`))
	p.expect("</success>")
}

// unreadable is what a client remembers and cannot read.
type unreadable struct{ auth.CredentialStore }

var errUnreadable = errors.New("the disk is gone")

func (unreadable) Load(context.Context, jid.JID) (auth.Credentials, error) {
	return auth.Credentials{}, errUnreadable
}

// What cannot be read may forbid to log in as weakly as the server would like it.
func TestSASL2UnreadableCredentials(t *testing.T) {
	w := newWorld(t)
	w.co.Credentials = unreadable{}
	r, err := w.failing()
	require.ErrorIs(t, err, errUnreadable)
	require.NotContains(t, r.wire, "<authenticate")
}

// A feature that fails inline, in its words or in earnest, ends the stream before there is a success.
func TestSASL2InlineFails(t *testing.T) {
	const space = "urn:example:inline"
	for name, accept := range map[string]func(w *stream.Writer) error{
		"an error":    func(*stream.Writer) error { return errUnreadable },
		"unbalanced":  func(w *stream.Writer) error { w.Start(stream.Name{Space: space, Local: "x"}); return nil },
		"not allowed": func(w *stream.Writer) error { w.Start(stream.Name{Space: space, Local: "x y"}); w.End(); return nil },
	} {
		t.Run("server/"+name, func(t *testing.T) {
			ao := server2With(&auth.ServerOptions{Store: store(t), AllowPlain: true})
			ao.Features = append(ao.Features, stream.Feature{Name: stream.Name{Space: space, Local: "x"}, Inline: []stream.Inline{{
				In: stream.InAuthentication, Space: space,
				Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
					w.Start(stream.Name{Space: space, Local: "x"})
					w.End()
					return nil
				},
				Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element, w *stream.Writer) (stream.Outcome, error) {
					require.Equal(t, juliet, n.Identity(), "known by then")
					require.True(t, n.State().Has(stream.Authenticated))
					return stream.Outcome{}, accept(w)
				},
			}}})
			p, done := scriptedClient(t, ao)
			p.send(clientHeader)
			require.Contains(t, p.expect("</stream:features>"), "<inline")
			p.send(begin2("PLAIN", "\x00juliet\x00r0m30", `<x xmlns='`+space+`'/>`))
			out, err := p.end(done)
			require.NotContains(t, out, "<success")
			require.Error(t, err)
		})
	}
}
