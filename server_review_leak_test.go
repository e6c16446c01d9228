package xmpp_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/vcard"
)

// What a stranger is told about an account does not tell whether there is one, byte
// for byte: requests (RFC 6121 §8.5.1, §8.5.2.1.3), probes (§4.3.2) and presence.
// Messages are another matter: §8.5.1 has an error where §8.5.2.2.1 stores them.
func TestStrangerLearnsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Modules = []stanza.Module{&disco.Responder{}, &blocking.Module{}, &mam.Module{}, &vcard.Module{}}
		})
		available := join(t, s, "there", "x")
		available.say(`<presence/>`)
		connected := join(t, s, "mute", "x")
		blocks := join(t, s, "shut", "x")
		blocks.say(`<presence/>`)
		blocks.say(`<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='spy@xmpp.test'/></block></iq>`)
		s.AddAccount(t, "gone", "secret of gone")
		spy := join(t, s, "spy", "street")
		spy.say(`<presence/>`)
		spy.hear()
		spy.quiet()
		for _, tc := range []string{
			`<iq type='get' to='WHO' id='1'><query xmlns='urn:x'/></iq>`,
			`<iq type='set' to='WHO' id='1'><query xmlns='urn:x'/></iq>`,
			`<iq type='get' to='WHO' id='1'><query xmlns='jabber:iq:roster'/></iq>`,
			`<iq type='get' to='WHO' id='1'><vCard xmlns='vcard-temp'/></iq>`,
			`<iq type='get' to='WHO' id='1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
			`<iq type='get' to='WHO' id='1'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`,
			`<iq type='get' to='WHO' id='1'><query xmlns='jabber:iq:last'/></iq>`,
			`<iq type='get' to='WHO' id='1' xml:lang='de'><blocklist xmlns='urn:xmpp:blocking'/></iq>`,
			`<iq type='set' to='WHO' id='1'><vCard xmlns='vcard-temp'/></iq>`,
			`<iq type='set' to='WHO' id='1'><block xmlns='urn:xmpp:blocking'><item jid='x.test'/></block></iq>`,
			`<iq type='get' to='WHO/x' id='1'><query xmlns='urn:x'/></iq>`,
			`<iq type='get' to='WHO/x' id='1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
			`<iq type='result' to='WHO' id='1'/>`,
			`<presence type='probe' to='WHO' id='1'/>`,
			`<presence type='probe' to='WHO/x' id='1'/>`,
			`<presence type='subscribe' to='WHO' id='1'/>`,
			`<presence type='unsubscribe' to='WHO' id='1'/>`,
			`<presence type='subscribed' to='WHO' id='1'/>`,
			`<presence type='unsubscribed' to='WHO' id='1'/>`,
			`<presence to='WHO' id='1'/>`,
			`<presence type='unavailable' to='WHO' id='1'/>`,
			`<presence to='WHO/nowhere' id='1'/>`,
		} {
			answers := map[string]string{}
			for _, who := range []string{"there", "mute", "shut", "gone", "nobody"} {
				spy.say(strings.ReplaceAll(tc, "WHO", who+"@xmpp.test"))
				spy.quietFor(func(raw string) { answers[who] += strings.ReplaceAll(raw, who+"@xmpp.test", "WHO") })
			}
			for who, answer := range answers {
				require.Equal(t, answers["nobody"], answer, "%s: %s", tc, who)
			}
		}
		require.NoError(t, connected.Err())
	})
}

// quietFor hands on all that comes.
func (p *peer) quietFor(f func(raw string)) {
	synctest.Wait()
	for len(p.in) > 0 {
		f(string((<-p.in).Raw()))
	}
}
