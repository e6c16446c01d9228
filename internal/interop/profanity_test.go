//go:build unix

package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
)

// TestProfanity: a client for people, typed at as people do, at a server of ours.
func TestProfanity(t *testing.T) {
	t.Parallel()
	s := startOurServer(t, forPeople)
	ctx := bounded(t)
	romeo := s.messenger(ctx, t, ours)
	romeo.available(ctx, t)
	r, j := ours.Bare(), foreign.Bare()
	chat := func(from *messenger, to jid.JID, body string) {
		t.Helper()
		require.NoError(t, from.Send(ctx, &stanza.Message{To: to, Type: stanza.ChatMessage, Body: stanza.Plain(body)}))
	}
	chat(romeo, j, "Art-thou-there?")

	p := interop.StartProfanity(t, interop.ProfanityOptions{JID: foreign.String(), Password: password, Addr: s.addr, CA: s.file})
	types := func(line string) {
		t.Helper()
		require.NoError(t, p.Type(line))
	}
	shows := func(text string) {
		t.Helper()
		require.NoError(t, p.Shows(ctx, text))
	}
	logs := func(texts ...string) {
		t.Helper()
		require.NoError(t, p.Logs(ctx, texts...))
	}
	logs("Certificate verification passed")
	logs("RECV", "<message", "urn:xmpp:delay", "Art-thou-there?") // XEP-0160, XEP-0203
	require.Equal(t, "SCRAM-SHA-256", s.mechanism(foreign.Local()))
	require.Equal(t, "n,,", s.gs2())

	// RFC 6121 §2: a client of ours for the same account sees what is done to the roster.
	own := s.messenger(ctx, t, j)
	own.available(ctx, t)
	require.NoError(t, carbons.Enable(ctx, own))
	types("/roster add " + r.String() + " Montague")
	require.Equal(t, "Montague", until(ctx, t, own.changes, changed(r, roster.None)).After.Name)
	logs("RECV", "jabber:iq:roster", "Montague") // it has to know whom the next command is about
	types("/roster nick " + r.String() + " Romeo")
	require.Equal(t, "Romeo", until(ctx, t, own.changes, changed(r, roster.None)).After.Name)
	types("/roster group add Lovers " + r.String())
	require.Equal(t, []string{"Lovers"}, until(ctx, t, own.changes, changed(r, roster.None)).After.Groups)

	// §3: subscriptions, both ways.
	types("/sub request " + r.String())
	until(ctx, t, romeo.events, presenceOf(j, stanza.SubscribePresence))
	require.NoError(t, romeo.people.Approve(ctx, romeo, j))
	until(ctx, t, own.changes, changed(r, roster.To))
	logs("RECV", "<presence", "type=\"subscribed\"")
	require.NoError(t, roster.Subscribe(ctx, romeo, j))
	logs("RECV", "<presence", "type=\"subscribe\"")
	types("/sub allow " + r.String())
	until(ctx, t, romeo.events, presenceOf(j, stanza.SubscribedPresence))
	until(ctx, t, own.changes, changed(r, roster.Both))
	until(ctx, t, romeo.events, func(e presence.Event) bool { return e.JID == foreign && e.Type == stanza.AvailablePresence })
	types("/status set dnd at-mass")
	e := until(ctx, t, romeo.events, func(e presence.Event) bool { return e.JID == foreign && e.After.Show == stanza.ShowDND })
	require.Equal(t, "at-mass", e.After.Status.String())
	types("/status set online")

	// §5, and XEP-0280: the other client hears both sides, and this one what the other says.
	types("/msg " + r.String() + " Call-me-but-<love>-&-\u2764")
	got := until(ctx, t, romeo.messages, func(m *stanza.Message) bool { return len(m.Body) > 0 })
	require.Equal(t, "Call-me-but-<love>-&-\u2764", got.Body.String())
	require.Equal(t, foreign, got.From)
	text := func(want string) func(*carbons.Carbon) bool {
		return func(c *carbons.Carbon) bool { return c.Message.Body.String() == want }
	}
	require.Equal(t, carbons.Sent, until(ctx, t, own.copies, text("Call-me-but-<love>-&-\u2764")).Direction)
	chat(romeo, foreign, "I-take-thee-at-thy-word")
	shows("I-take-thee-at-thy-word")
	require.Equal(t, carbons.Received, until(ctx, t, own.copies, text("I-take-thee-at-thy-word")).Direction)
	chat(own, r, "said-elsewhere")
	shows("said-elsewhere")

	// XEP-0313: it asks when the conversation is opened.
	types("/close")
	types("/msg " + r.String())
	logs("RECV", "urn:xmpp:mam:2", "Art-thou-there?")
	logs("RECV", "<fin", "complete=\"true\"")

	// XEP-0191.
	types("/blocked add " + r.String())
	logs("RECV", "<block ", r.String())
	chat(romeo, foreign, "unwanted")
	require.ErrorIs(t, until(ctx, t, romeo.messages, (*stanza.Message).IsError).Error, stanza.ServiceUnavailable)
	types("/blocked remove " + r.String())
	logs("RECV", "<unblock ", r.String())

	// XEP-0199, XEP-0030, XEP-0115, XEP-0012.
	types("/win console")
	types("/ping")
	shows("Ping response from server")
	types("/disco info " + ourDomain)
	shows("urn:xmpp:carbons:2")
	types("/lastactivity get " + ourDomain)
	logs("RECV", "jabber:iq:last", "seconds=")

	types("/roster remove " + r.String())
	until(ctx, t, own.changes, roster.Event.Removed)
	types("/quit")
	require.NoError(t, p.Ended(ctx))
	until(ctx, t, own.events, func(e presence.Event) bool { return e.JID == foreign && e.Type == stanza.UnavailablePresence })
	require.Empty(t, s.errorsSent())
}
