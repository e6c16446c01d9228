package xmpp_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// roster asks for the roster, after which pushes come.
func (p *peer) roster() string {
	p.t.Helper()
	p.say(`<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>`)
	el := p.hear()
	require.Equal(p.t, "roster", el.Attr("id"))
	require.Equal(p.t, "result", el.Attr("type"))
	return string(el.Inner())
}

// pushed is the next stanza, which is a roster push: what its item says.
func (p *peer) pushed() string {
	p.t.Helper()
	el := p.hear()
	require.Equal(p.t, "set", el.Attr("type"), "%s", el.Raw())
	require.Equal(p.t, p.LocalAddr().String(), el.Attr("to"))
	for query := range el.Children() {
		for item := range query.Children() {
			out := item.Attr("jid") + " " + item.Attr("subscription")
			if ask := item.Attr("ask"); ask != "" {
				out += " ask=" + ask
			}
			if item.Attr("approved") != "" {
				out += " approved"
			}
			return out
		}
	}
	p.t.Fatalf("no item: %s", el.Raw())
	return ""
}

// RFC 6121 §3.1: from the request to presence, both online.
//
//conformance:proves 6121-3.1.2-1
func TestSubscriptionRFC6121Section3_1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		require.Contains(t, romeo.roster(), "<query")
		juliet.roster()
		romeo.say(`<presence id='r1'><status>here</status></presence>`)
		romeo.hears("presence - romeo@xmpp.test/orchard→romeo@xmpp.test r1")
		juliet.say(`<presence id='j1'><show>away</show></presence>`)
		juliet.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test j1")

		romeo.say(`<presence type='subscribe' to='juliet@xmpp.test/balcony' id='s1'><status>let me</status></presence>`)
		require.Equal(t, "juliet@xmpp.test none ask=subscribe", romeo.pushed())
		el := juliet.hears("presence subscribe romeo@xmpp.test→juliet@xmpp.test s1")
		require.Contains(t, string(el.Raw()), "<status>let me</status>")
		romeo.quiet()
		juliet.quiet()

		juliet.say(`<presence type='subscribed' to='romeo@xmpp.test' id='s2'/>`)
		require.Equal(t, "romeo@xmpp.test from", juliet.pushed())
		romeo.hears("presence subscribed juliet@xmpp.test→romeo@xmpp.test s2")
		require.Equal(t, "juliet@xmpp.test to", romeo.pushed())
		el = romeo.hears("presence - juliet@xmpp.test/balcony→romeo@xmpp.test j1")
		require.Contains(t, string(el.Raw()), "<show>away</show>")
		romeo.quiet()
		juliet.quiet()

		// Subsequent presence (§4.4), and the other direction.
		juliet.say(`<presence id='j2'/>`)
		juliet.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test j2")
		romeo.hears("presence - juliet@xmpp.test/balcony→romeo@xmpp.test j2")
		juliet.say(`<presence type='subscribe' to='romeo@xmpp.test' id='s3'/>`)
		require.Equal(t, "romeo@xmpp.test from ask=subscribe", juliet.pushed())
		romeo.hears("presence subscribe juliet@xmpp.test→romeo@xmpp.test s3")
		romeo.say(`<presence type='subscribed' to='juliet@xmpp.test' id='s4'/>`)
		require.Equal(t, "juliet@xmpp.test both", romeo.pushed())
		juliet.hears("presence subscribed romeo@xmpp.test→juliet@xmpp.test s4")
		require.Equal(t, "romeo@xmpp.test both", juliet.pushed())
		juliet.hears("presence - romeo@xmpp.test/orchard→juliet@xmpp.test r1")

		// Unsubscribing (§3.3): romeo no longer wants juliet's presence.
		romeo.say(`<presence type='unsubscribe' to='juliet@xmpp.test' id='s5'/>`)
		require.Equal(t, "juliet@xmpp.test from", romeo.pushed())
		juliet.hears("presence unsubscribe romeo@xmpp.test→juliet@xmpp.test s5")
		require.Equal(t, "romeo@xmpp.test to", juliet.pushed())
		el = romeo.hear()
		require.Equal(t, "unavailable", el.Attr("type"), "%s", el.Raw())
		juliet.say(`<presence id='j3'/>`)
		juliet.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test j3")
		romeo.quiet()

		// Cancelling (§3.2), by removal from the roster (§2.5).
		romeo.say(`<iq type='set' id='rm'><query xmlns='jabber:iq:roster'><item jid='juliet@xmpp.test' subscription='remove'/></query></iq>`)
		require.Equal(t, "juliet@xmpp.test remove", romeo.pushed())
		romeo.hears("iq result -→romeo@xmpp.test/orchard rm")
		el = juliet.hear()
		require.Equal(t, "unavailable romeo@xmpp.test/orchard", el.Attr("type")+" "+el.Attr("from"))
		el = juliet.hear()
		require.Equal(t, "unsubscribed romeo@xmpp.test", el.Attr("type")+" "+el.Attr("from"))
		require.Equal(t, "romeo@xmpp.test none", juliet.pushed())
		juliet.quiet()
		romeo.quiet()
	})
}

// RFC 6121 §3.1.3 rule 4, §3.4, §4.3: who is away is asked later, who is approved
// beforehand is not asked about, and who comes is shown who is there.
func TestSubscriptionWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo := join(t, s, "romeo", "orchard")
		romeo.roster()
		romeo.say(`<presence/>`)
		romeo.hear()
		for range 3 {
			romeo.say(`<presence type='subscribe' to='juliet@xmpp.test'><x xmlns='urn:x'/></presence>`)
		}
		require.Equal(t, "juliet@xmpp.test none ask=subscribe", romeo.pushed())
		romeo.quiet()
		juliet := join(t, s, "juliet", "balcony")
		require.NotContains(t, juliet.roster(), "romeo", "§3.1.3: not before it is approved")
		for range 2 { // each time, until it is settled
			juliet.say(`<presence/>`)
			juliet.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test -")
			el := juliet.hears("presence subscribe romeo@xmpp.test→juliet@xmpp.test -")
			require.Contains(t, string(el.Raw()), "urn:x")
			juliet.quiet()
			juliet.say(`<presence type='unavailable'/>`)
			juliet.hears("presence unavailable juliet@xmpp.test/balcony→juliet@xmpp.test -")
		}
		juliet.say(`<presence type='subscribed' to='romeo@xmpp.test'/>`)
		juliet.pushed()
		romeo.hears("presence subscribed juliet@xmpp.test→romeo@xmpp.test -")
		require.Equal(t, "juliet@xmpp.test to", romeo.pushed())
		juliet.say(`<presence/>`)
		juliet.hear()
		juliet.quiet()
		romeo.hears("presence - juliet@xmpp.test/balcony→romeo@xmpp.test -")

		// §3.4: juliet may not be asked any more.
		juliet.say(`<presence type='subscribed' to='paris@xmpp.test'/>`)
		require.Equal(t, "paris@xmpp.test none approved", juliet.pushed())
		paris := join(t, s, "paris", "crypt")
		paris.roster()
		paris.say(`<presence/>`)
		paris.hear()
		paris.say(`<presence type='subscribe' to='juliet@xmpp.test'/>`)
		require.Equal(t, "juliet@xmpp.test none ask=subscribe", paris.pushed())
		require.Equal(t, "subscribed juliet@xmpp.test→paris@xmpp.test", said(paris.hear()))
		require.Equal(t, "juliet@xmpp.test to", paris.pushed())
		paris.hears("presence - juliet@xmpp.test/balcony→paris@xmpp.test -")
		require.Equal(t, "paris@xmpp.test from", juliet.pushed())

		// §4.3: a new resource of romeo is shown juliet, and told when she goes.
		garden := join(t, s, "romeo", "garden")
		garden.say(`<presence/>`)
		garden.hears("presence - romeo@xmpp.test/garden→romeo@xmpp.test -")
		garden.hears("presence - romeo@xmpp.test/orchard→romeo@xmpp.test -")
		garden.hears("presence - juliet@xmpp.test/balcony→romeo@xmpp.test -")
		require.NoError(t, juliet.Close(t.Context()))
		garden.hears("presence unavailable juliet@xmpp.test/balcony→romeo@xmpp.test -")
		garden.say(`<presence type='unavailable'/>`)
		garden.hear()
		garden.say(`<presence/>`)
		garden.hear()
		garden.hear()
		el := garden.hear()
		require.Equal(t, "unavailable juliet@xmpp.test", el.Attr("type")+" "+el.Attr("from"))
		require.Contains(t, string(el.Raw()), "urn:xmpp:delay", "§4.3.2 rule 3")
	})
}

// XEP-0160: what nobody could take waits, in order, and comes once.
func TestOfflineMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo := join(t, s, "romeo", "orchard")
		for _, id := range []string{"1", "2", "3"} {
			romeo.say(`<message type='chat' to='juliet@xmpp.test' id='` + id + `'><body>hello</body></message>`)
		}
		romeo.say(`<message type='chat' to='juliet@xmpp.test/nowhere' id='4'><body>hello</body></message>`)
		romeo.say(`<message type='chat' to='juliet@xmpp.test' id='state'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`)
		romeo.say(`<message type='headline' to='juliet@xmpp.test' id='news'><body>hello</body></message>`)
		romeo.say(`<message type='groupchat' to='juliet@xmpp.test' id='group'><body>hello</body></message>`)
		romeo.hears("message error juliet@xmpp.test→romeo@xmpp.test/orchard group service-unavailable")
		romeo.quiet()
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence><priority>-1</priority></presence>`)
		juliet.hear()
		juliet.quiet()
		romeo.say(`<message to='juliet@xmpp.test' id='5'><body>hello</body></message>`)
		juliet.quiet()
		juliet.say(`<presence/>`)
		juliet.hear()
		for _, want := range []string{"chat romeo@xmpp.test/orchard→juliet@xmpp.test 1", "chat romeo@xmpp.test/orchard→juliet@xmpp.test 2",
			"chat romeo@xmpp.test/orchard→juliet@xmpp.test 3", "chat romeo@xmpp.test/orchard→juliet@xmpp.test/nowhere 4", "- romeo@xmpp.test/orchard→juliet@xmpp.test 5"} {
			el := juliet.hears("message " + want)
			require.Contains(t, string(el.Raw()), "<delay xmlns='urn:xmpp:delay' from='xmpp.test' stamp='2000-01-01T00:00:")
		}
		juliet.quiet()
		romeo.say(`<message to='juliet@xmpp.test' id='6'><body>hello</body></message>`)
		juliet.hears("message - romeo@xmpp.test/orchard→juliet@xmpp.test 6")
		require.NoError(t, juliet.Close(t.Context()))
		again := join(t, s, "juliet", "balcony")
		again.say(`<presence/>`)
		again.hear()
		again.quiet()
	})
}
