package xmpp_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/entitytime"
	"stanzakit.dev/xmpp/stanza/last"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stanza/version"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// everything wires all modules, in the order of examples/server. The
// administrator is bard@xmpp.test.
func everything(s *xmpp.Server) {
	who := s.Accounts.(*xmpp.MemoryAccounts)
	self := &disco.Entity{Identities: []disco.Identity{{Category: "server", Type: "im", Name: "test"}}}
	ofAccount := new(disco.Entity)
	s.Modules = []stanza.Module{
		new(blocking.Module), new(mam.Module), new(carbons.Module), new(vcard.Module), new(private.Module), new(last.Server),
		new(csi.Module), ping.Responder(), entitytime.Responder(nil), version.Responder(version.Version{Name: "test", Number: "1"}),
		&caps.Announcer{Node: "https://xmpp.test/", Entity: self},
		&disco.Responder{Self: self, Account: ofAccount},
		&register.Module{Accounts: who},
		&admin.Module{Accounts: who, Admins: []jid.JID{jid.MustParse("bard@xmpp.test")}},
	}
	self.Modules, ofAccount.Modules = s.Modules, s.Modules[:6]
}

// requests are one or more payloads of each namespace that the modules know, with
// the type of the request; and those of some that they do not.
var requests = []struct{ typ, payload string }{
	{"get", `<query xmlns='jabber:iq:roster'/>`},
	{"set", `<query xmlns='jabber:iq:roster'><item jid='x@xmpp.test'/></query>`},
	{"get", `<blocklist xmlns='urn:xmpp:blocking'/>`},
	{"set", `<block xmlns='urn:xmpp:blocking'><item jid='x@xmpp.test'/></block>`},
	{"set", `<unblock xmlns='urn:xmpp:blocking'/>`},
	{"get", `<query xmlns='urn:xmpp:mam:2'/>`},
	{"set", `<query xmlns='urn:xmpp:mam:2' queryid='q'/>`},
	{"get", `<metadata xmlns='urn:xmpp:mam:2'/>`},
	{"get", `<prefs xmlns='urn:xmpp:mam:2'/>`},
	{"set", `<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>`},
	{"set", `<enable xmlns='urn:xmpp:carbons:2'/>`},
	{"set", `<disable xmlns='urn:xmpp:carbons:2'/>`},
	{"get", `<vCard xmlns='vcard-temp'/>`},
	{"set", `<vCard xmlns='vcard-temp'><FN>x</FN></vCard>`},
	{"get", `<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>`},
	{"set", `<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><x/></storage></query>`},
	{"get", `<query xmlns='jabber:iq:last'/>`},
	{"set", `<query xmlns='jabber:iq:last'/>`},
	{"get", `<ping xmlns='urn:xmpp:ping'/>`},
	{"get", `<time xmlns='urn:xmpp:time'/>`},
	{"get", `<query xmlns='jabber:iq:version'/>`},
	{"get", `<query xmlns='http://jabber.org/protocol/disco#info'/>`},
	{"get", `<query xmlns='http://jabber.org/protocol/disco#info' node='http://jabber.org/protocol/commands'/>`},
	{"get", `<query xmlns='http://jabber.org/protocol/disco#info' node='http://jabber.org/protocol/admin#add-user'/>`},
	{"get", `<query xmlns='http://jabber.org/protocol/disco#items'/>`},
	{"get", `<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>`},
	{"set", `<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#add-user' action='execute'/>`},
	{"get", `<query xmlns='jabber:iq:register'/>`},
	{"set", `<query xmlns='jabber:iq:register'><username>x</username><password>y</password></query>`},
	{"set", `<query xmlns='jabber:iq:register'><remove/></query>`},
	{"set", `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>`},
	{"set", `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>`},
	{"get", `<query xmlns='urn:x'/>`},
	{"set", `<query xmlns='urn:x'/>`},
}

// heard returns all that has come, with the name of who is meant taken out.
// Inside a bubble only.
func (p *peer) heard(who string) string {
	var b strings.Builder
	synctest.Wait()
	for len(p.in) > 0 {
		b.Write((<-p.in).Raw())
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(b.String(), who+"@xmpp.test", "WHO")
}

// showTo gives b a subscription to the presence of a, both of which are
// available, and forgets what came of it.
func showTo(a, b *peer) {
	b.say(`<presence type='subscribe' to='` + a.LocalAddr().Bare().String() + `'/>`)
	a.heard("")
	a.say(`<presence type='subscribed' to='` + b.LocalAddr().Bare().String() + `'/>`)
	a.heard("")
	b.heard("")
}

// enter joins and sends presence.
func enter(t testing.TB, s *xmpptest.Server, localpart, resource string) *peer {
	p := join(t, s, localpart, resource)
	p.say(`<presence/>`)
	p.heard("")
	return p
}

// Requests to the bare JID of another account tell nobody whether there is such
// an account, with all modules, unless he may see its presence (RFC 6121 §8.5.1,
// RFC 6120 §13.11): byte for byte.
func TestModulesTellStrangersNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, everything)
		enter(t, s, "there", "x")
		join(t, s, "mute", "x")
		s.AddAccount(t, "gone", "secret of gone")
		spy := enter(t, s, "spy", "street")
		for _, name := range []string{"shut", "enemy"} {
			p := enter(t, s, name, "x")
			if name == "enemy" { // a contact who blocks the spy
				showTo(p, spy)
			}
			p.say(`<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='spy@xmpp.test'/></block></iq>`)
		}
		contact := enter(t, s, "contact", "x")
		showTo(contact, spy)
		spy.heard("")
		for _, to := range []string{"WHO", "WHO/x", "WHO/y"} {
			for _, r := range requests {
				request := `<iq type='` + r.typ + `' to='` + to + `' id='1'>` + r.payload + `</iq>`
				answers := map[string]string{}
				for _, who := range []string{"nobody", "there", "mute", "shut", "gone", "enemy", "contact"} {
					spy.say(strings.ReplaceAll(request, "WHO", who+"@xmpp.test"))
					answers[who] = spy.heard(who)
				}
				for who, answer := range answers {
					if who != "contact" {
						require.Equal(t, answers["nobody"], answer, "%s: %s", who, request)
					}
				}
			}
		}
		require.NoError(t, spy.Err())
	})
}
