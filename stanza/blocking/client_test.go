package blocking_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stream"
)

// peer answers with a payload or an error.
type peer struct {
	payload string
	err     error
	asked   string
}

func (p *peer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	c := *iq
	c.ID = "x"
	b, err := c.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	p.asked = string(b)
	if p.err != nil {
		return nil, p.err
	}
	reply := &stanza.IQ{ID: "x", Type: stanza.ResultIQ}
	if p.payload != "" {
		el, err := stream.ParseElement([]byte(p.payload), nil)
		if err != nil {
			return nil, err
		}
		reply.Payload = el
	}
	return reply, nil
}

// XEP-0191 examples 3, 4, 6, 10, 13: what a client asks.
func TestClient(t *testing.T) {
	romeo := jid.MustParse("romeo@montague.net")
	p := &peer{payload: `<blocklist xmlns='urn:xmpp:blocking'>
    <item jid='romeo@montague.net'/>
    <item jid='iago@shakespeare.lit'/>
    <other xmlns='x'/>
  </blocklist>`}
	got, err := blocking.List(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, []jid.JID{romeo, jid.MustParse("iago@shakespeare.lit")}, got)
	require.Equal(t, "<iq id='x' type='get'><blocklist xmlns='urn:xmpp:blocking'/></iq>", p.asked)

	p = &peer{}
	require.NoError(t, blocking.Block(t.Context(), p, romeo))
	require.Equal(t, "<iq id='x' type='set'><block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block></iq>", p.asked)
	require.NoError(t, blocking.Unblock(t.Context(), p, romeo))
	require.Equal(t, "<iq id='x' type='set'><unblock xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></unblock></iq>", p.asked)
	require.NoError(t, blocking.UnblockAll(t.Context(), p))
	require.Equal(t, "<iq id='x' type='set'><unblock xmlns='urn:xmpp:blocking'/></iq>", p.asked)

	// Nobody is not everybody.
	p.asked = ""
	require.ErrorIs(t, blocking.Unblock(t.Context(), p), stanza.ErrInvalid)
	require.ErrorIs(t, blocking.Block(t.Context(), p), stanza.ErrInvalid)
	require.ErrorIs(t, blocking.Block(t.Context(), p, jid.JID{}), stanza.ErrInvalid)
	require.Empty(t, p.asked)
	_, err = blocking.Blocked{}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)

	for payload, want := range map[string]error{
		"":                                   stanza.BadRequest,
		"<block xmlns='urn:xmpp:blocking'/>": stanza.BadRequest,
		"<blocklist xmlns='urn:xmpp:blocking'><item jid='@'/></blocklist>":                                     stanza.JIDMalformed,
		"<blocklist xmlns='urn:xmpp:blocking'>" + strings.Repeat("<item jid='a.lit'/>", 8193) + "</blocklist>": stanza.PolicyViolation,
	} {
		_, err := blocking.List(t.Context(), &bigPeer{peer{payload: payload}})
		require.ErrorIs(t, err, want)
	}
	refused := &stanza.Error{Condition: stanza.PolicyViolation, Received: true}
	p.err = refused
	_, err = blocking.List(t.Context(), p)
	require.ErrorIs(t, err, refused)
	require.ErrorIs(t, blocking.Block(t.Context(), p, romeo), refused)
}

// bigPeer answers with elements larger than the default limits.
type bigPeer struct{ peer }

func (p *bigPeer) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	if p.payload == "" {
		return &stanza.IQ{Type: stanza.ResultIQ}, nil
	}
	el, err := stream.ParseElement([]byte(p.payload), &stream.Limits{ElementBytes: 1 << 20, Elements: 1 << 20})
	return &stanza.IQ{Type: stanza.ResultIQ, Payload: el}, err
}

func TestIsBlocked(t *testing.T) {
	app, err := stream.ParseElement([]byte("<blocked xmlns='urn:xmpp:blocking:errors'/>"), nil)
	require.NoError(t, err)
	other, err := stream.ParseElement([]byte("<blocked xmlns='x'/>"), nil)
	require.NoError(t, err)
	require.True(t, blocking.IsBlocked(&stanza.Error{Condition: stanza.NotAcceptable, Application: app}))
	require.False(t, blocking.IsBlocked(&stanza.Error{Condition: stanza.NotAcceptable, Application: other}))
	require.False(t, blocking.IsBlocked(&stanza.Error{Condition: stanza.NotAcceptable}))
	require.False(t, blocking.IsBlocked(errors.New("x")))
	require.False(t, blocking.IsBlocked(nil))
}

// XEP-0191 examples 8, 12, 15, and who may push.
func TestPushes(t *testing.T) {
	var events []string
	note := func(name string) func(context.Context, []jid.JID) {
		return func(_ context.Context, addrs []jid.JID) {
			what := name
			for _, a := range addrs {
				what += " " + a.String()
			}
			if addrs == nil {
				what += " all"
			}
			events = append(events, what)
		}
	}
	var mux stanza.Mux
	p := &blocking.Pushes{Account: jid.MustParse(chamber), Blocked: note("blocked"), Unblocked: note("unblocked")}
	require.NoError(t, stanza.Install(&mux, p))
	require.ErrorIs(t, stanza.Install(&mux, p), stanza.ErrRoute)

	require.Contains(t, ask(t, &mux, "", command("block", "romeo@montague.net", "z.lit")), "type='result'")
	require.Equal(t, []string{"blocked romeo@montague.net z.lit"}, events)
	require.Contains(t, ask(t, &mux, "juliet@capulet.com", command("unblock", "romeo@montague.net")), "type='result'")
	require.Equal(t, []string{"blocked romeo@montague.net z.lit", "unblocked romeo@montague.net"}, events)
	events = nil
	require.Contains(t, ask(t, &mux, "", command("unblock")), "type='result'")
	require.Equal(t, []string{"unblocked all"}, events)

	events = nil
	for _, from := range []string{"romeo@montague.net/x", "capulet.com", chamber, balcony} {
		require.Contains(t, ask(t, &mux, from, command("unblock")), "service-unavailable", from)
		require.Contains(t, ask(t, &mux, from, command("block", "z.lit")), "service-unavailable", from)
	}
	require.Contains(t, ask(t, &mux, "", command("block")), "bad-request")
	require.Contains(t, ask(t, &mux, "", command("unblock", "@")), "jid-malformed")
	require.Empty(t, events)

	// Without an address of one's own, and without anybody to tell.
	var bare stanza.Mux
	require.NoError(t, stanza.Install(&bare, &blocking.Pushes{}))
	require.Contains(t, ask(t, &bare, "", command("block", "z.lit")), "type='result'")
	require.Contains(t, ask(t, &bare, "", command("unblock")), "type='result'")
	require.Contains(t, ask(t, &bare, "juliet@capulet.com", command("unblock")), "service-unavailable")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("<blocklist xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/><item jid='iago@shakespeare.lit'/></blocklist>"))
	f.Add([]byte("<block xmlns='urn:xmpp:blocking'><item jid='a@b/c&apos;&lt;'/></block>"))
	f.Add([]byte("<unblock xmlns='urn:xmpp:blocking'/>"))
	f.Add([]byte("<b:block xmlns:b='urn:xmpp:blocking'><b:item jid=''/></b:block>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		for _, v := range []interface {
			stanza.Decoder
			stanza.Payload
		}{&blocking.Blocklist{}, &blocking.Blocked{}, &blocking.Unblocked{}} {
			if err := v.DecodeElement(el); err != nil {
				var e *stanza.Error
				require.ErrorAs(t, err, &e)
				continue
			}
			out, err := v.AppendXML(nil)
			require.NoError(t, err)
			again, err := stream.ParseElement(out, nil)
			require.NoError(t, err)
			before := out
			require.NoError(t, v.DecodeElement(again))
			after, err := v.AppendXML(nil)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after))
		}
	})
}
