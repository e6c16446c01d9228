package xmpp_test

import (
	"testing"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
)

func TestZZInterplay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) {
			everything(s)
			s.Offline = &presence.MemoryOffline{Messages: 1}
		})
		say := func(what string, p *peer, xml string, listen ...*peer) {
			p.say(xml)
			t.Logf("--- %s: %s", what, xml)
			for _, l := range append(listen, p) {
				t.Logf("  %s hears %s", l.LocalAddr(), l.heard("zzz"))
			}
		}
		romeo := enter(t, s, "romeo", "orchard")
		s.AddAccount(t, "juliet", "secret of juliet")
		say("1st offline", romeo, `<message to='juliet@xmpp.test' type='chat'><body>one</body></message>`)
		say("beyond quota", romeo, `<message to='juliet@xmpp.test' type='chat'><body>two</body></message>`)
		say("romeo archive", romeo, `<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>`)
		juliet := join(t, s, "juliet", "balcony")
		say("juliet archive", juliet, `<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>`)
		say("subscribe", romeo, `<presence type='subscribe' to='juliet@xmpp.test'/>`, juliet)
		say("block", juliet, `<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@xmpp.test'/></block></iq>`, romeo)
		say("come", juliet, `<presence/>`, romeo)
		say("blocked message", romeo, `<message to='juliet@xmpp.test' type='chat'><body>three</body></message>`, juliet)
		say("blocked message full", romeo, `<message to='juliet@xmpp.test/balcony' type='chat'><body>three</body></message>`, juliet)
		say("out", juliet, `<message to='romeo@xmpp.test' type='chat'><body>x</body></message>`, romeo)
		say("directed to blocked", juliet, `<presence to='romeo@xmpp.test/orchard'/>`, romeo)
		say("approve blocked", juliet, `<presence type='subscribed' to='romeo@xmpp.test'/>`, romeo)
		say("roster juliet", juliet, `<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`)
		say("roster romeo", romeo, `<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`)
		say("unblock", juliet, `<iq type='set' id='b'><unblock xmlns='urn:xmpp:blocking'/></iq>`, romeo)
	})
}

var _ = jid.JID{}
