package xmpp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// setItem is a roster set.
func setItem(id, items string) string {
	return `<iq type='set' id='` + id + `'><query xmlns='jabber:iq:roster'>` + items + `</query></iq>`
}

// items asks for the roster and returns its items, in order.
func (p *peer) items() []string {
	p.t.Helper()
	_, items := p.versioned("")
	return items
}

// versioned asks for the roster with more attributes of the query, and returns what
// came: the version and the items, or "" and nothing for an empty result.
func (p *peer) versioned(attrs string) (ver string, items []string) {
	p.t.Helper()
	p.say(`<iq type='get' id='items'><query xmlns='jabber:iq:roster' ` + attrs + `/></iq>`)
	el := p.hears("iq result -→" + p.LocalAddr().String() + " items")
	for query := range el.Children() {
		require.Equal(p.t, stream.Name{Space: "jabber:iq:roster", Local: "query"}, query.Name())
		ver = query.Attr("ver")
		require.NotEmpty(p.t, ver, "RFC 6121 §2.6.3: on all results")
		for item := range query.Children() {
			require.NotEmpty(p.t, item.Attr("jid"))
			items = append(items, itemOf(item))
		}
	}
	slices.Sort(items)
	return ver, items
}

// push is a roster push.
type push struct{ id, ver, item string }

// nextPush is the next stanza, which is a roster push, with all that makes one
// (RFC 6121 §2.1.6, §2.6.3).
func (p *peer) nextPush() push {
	p.t.Helper()
	el := p.hear()
	require.Equal(p.t, "iq set", el.Name().Local+" "+el.Attr("type"), "%s", el.Raw())
	require.Equal(p.t, p.LocalAddr().String(), el.Attr("to"))
	require.Empty(p.t, el.Attr("from"), "from the account itself")
	out := push{id: el.Attr("id")}
	require.NotEmpty(p.t, out.id)
	queries, items := 0, 0
	for query := range el.Children() {
		queries++
		out.ver = query.Attr("ver")
		for item := range query.Children() {
			items++
			out.item = itemOf(item)
		}
	}
	require.Equal(p.t, []int{1, 1}, []int{queries, items}, "%s", el.Raw())
	require.NotEmpty(p.t, out.ver)
	return out
}

// RFC 6121 §2.1.4, §2.3.2: an empty roster is a query without items; an item that is
// set is pushed as it was set to all resources that have asked for the roster, the
// one that set it included, and to no other, with one version.
//
//conformance:proves 6121-2-1 6121-2-2 6121-2.1.4-1 6121-2.1.1-3 6121-2.1.2.3-1 6121-2.1.6-1 6121-2.2-2 6121-2.3.2-1 6121-2.3.2-2 6121-2.3.2-3 6121-2.4.1-1 6121-2.4.2-1
//conformance:proves 6121-2.6.3-6 6121-2.6.3-8
func TestRosterSet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		full, list, shown, deaf := resource(t, s, "romeo", "full"), resource(t, s, "romeo", "list"), resource(t, s, "romeo", "shown"), resource(t, s, "romeo", "deaf")
		stranger := resource(t, s, "juliet", "full")
		full.drop()
		require.Empty(t, list.items())
		long := strings.Repeat("ü", 511) + "!"
		versions := map[string]bool{}
		for i, tc := range []struct{ set, want string }{
			{`<item jid='nurse@far.test'/>`, `nurse@far.test none`},
			{`<item jid='nurse@far.test' name='Nurse'><group>Servants</group></item>`, `nurse@far.test none name=Nurse [Servants]`},
			// §2.4.1: adding a group, deleting one, changing the handle, deleting it; exactly as provided.
			{`<item jid='nurse@far.test' name='Nurse'><group>Servants</group><group>Friends</group></item>`, `nurse@far.test none name=Nurse [Servants] [Friends]`},
			{`<item jid='nurse@far.test' name='Nurse'><group>Friends</group></item>`, `nurse@far.test none name=Nurse [Friends]`},
			{`<item jid='nurse@far.test' name='Angelica'><group>Friends</group></item>`, `nurse@far.test none name=Angelica [Friends]`},
			{`<item jid='nurse@far.test'><group>Friends</group></item>`, `nurse@far.test none [Friends]`},
			{`<item jid='nurse@far.test' name=''/>`, `nurse@far.test none`},
			{`<item jid='nurse@far.test'/>`, `nurse@far.test none`}, // nothing is different
			// §2.1.2.1, §2.1.2.2, §2.1.5 rule 2: what a client has no say in.
			{`<item jid='nurse@far.test' subscription='both' ask='subscribe' approved='true'/>`, `nurse@far.test none`},
			{`<item jid='nurse@far.test' subscription='garbage' ask='unsubscribe' approved='1'/>`, `nurse@far.test none`},
			{`<item jid='nurse@far.test' subscription='REMOVE'/>`, `nurse@far.test none`},
			{`<item jid='nurse@far.test' subscription=''/>`, `nurse@far.test none`},
			// §2: as the user gave it.
			{`<item jid='nurse@far.test' name='&lt;&amp;&quot;&apos;&gt;'><group> a  b </group><group>a b</group></item>`, `nurse@far.test none name=<&"'> [ a  b ] [a b]`},
			{`<item jid='nurse@far.test' name='Ὦ ξεῖν’ 👩🏽‍🚀 מרים'><group>Друзья</group><group>друзья</group><group> </group></item>`,
				`nurse@far.test none name=Ὦ ξεῖν’ 👩🏽‍🚀 מרים [Друзья] [друзья] [ ]`},
			{`<item jid='nurse@far.test' name='a&#10;b&#9;c'><group>x&#10;y</group><group><![CDATA[<z>]]></group></item>`, "nurse@far.test none name=a\nb\tc [x\ny] [<z>]"},
			{`<item jid='nurse@far.test' name='` + long + `'><group>` + long + `</group></item>`, `nurse@far.test none name=` + long + ` [` + long + `]`},
			// Contacts of all kinds; the address in its canonical form.
			{`<item jid='NURSE@Far.Test' name='Nurse'/>`, `nurse@far.test none name=Nurse`},
			{`<item jid='far.test'/>`, `far.test none`},
			{`<item jid='juliet@xmpp.test'/>`, `juliet@xmpp.test none`},
			{`<item jid='nobody@xmpp.test'/>`, `nobody@xmpp.test none`},
			{`<item jid='ᴇve@bücher.test'/>`, `ᴇve@bücher.test none`},
			{`<item jid='d\27artagnan@far.test'/>`, `d\27artagnan@far.test none`},
			// Children and attributes of others mean nothing here.
			{`<item jid='nurse@far.test' x='y' xmlns:a='urn:a' a:jid='z'><x xmlns='urn:x'/><a:group>A</a:group><group>B</group></item><item xmlns='urn:x'/>`, `nurse@far.test none [B]`},
		} {
			id := "set" + string(rune('a'+i))
			deaf.say(setItem(id, tc.set))
			deaf.hears("iq result -→romeo@xmpp.test/deaf " + id) // it has not asked for the roster
			got := full.nextPush()
			require.Equal(t, tc.want, got.item, tc.set)
			other := list.nextPush()
			require.Equal(t, push{other.id, got.ver, got.item}, other)
			require.False(t, versions[got.ver], "§2.6.3: unique")
			versions[got.ver] = true
			for _, p := range []*peer{full, list, shown, deaf, stranger} {
				p.quiet()
			}
		}
		want := []string{
			`d\27artagnan@far.test none`, `far.test none`, `juliet@xmpp.test none`, `nobody@xmpp.test none`, `nurse@far.test none [B]`, `ᴇve@bücher.test none`,
		}
		require.Equal(t, want, list.items())

		// Who sets it and is interested: the push, then the result, so that it
		// knows what has happened.
		full.say(setItem("mine", `<item jid='nurse@far.test' name='N'/>`))
		require.Equal(t, "nurse@far.test none name=N", full.nextPush().item)
		full.hears("iq result -→romeo@xmpp.test/full mine")
		list.nextPush()
		// The own bare JID as the address is as good as none.
		full.say(`<iq type='set' id='bare' to='romeo@xmpp.test'><query xmlns='jabber:iq:roster'><item jid='nurse@far.test' name='M'/></query></iq>`)
		require.Equal(t, "nurse@far.test none name=M", full.nextPush().item)
		full.hears("iq result romeo@xmpp.test→romeo@xmpp.test/full bare")
		list.nextPush()
		full.say(`<iq type='get' id='get' to='romeo@xmpp.test'><query xmlns='jabber:iq:roster'/></iq>`)
		require.Contains(t, string(full.hears("iq result romeo@xmpp.test→romeo@xmpp.test/full get").Raw()), `name='M'`)

		// It is the account's: who comes later has it, and who has gone is not asked.
		require.NoError(t, full.Close(t.Context()))
		late := join(t, s, "romeo", "late")
		require.Contains(t, late.items(), "nurse@far.test none name=M")
		require.Empty(t, stranger.items())
	})
}

// RFC 6121 §2.2: a resource is interested from the roster get on, also before it is
// available and after; replies to pushes are ignored, whatever they are.
//
//conformance:proves 6121-2.1.6-5 6121-2.2-2
func TestRosterInterest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, other := join(t, s, "romeo", "full"), join(t, s, "romeo", "other")
		n := 0
		sets := func() {
			n++
			other.say(setItem("s", `<item jid='nurse@far.test' name='`+strings.Repeat("n", n)+`'/>`))
			other.hears("iq result -→romeo@xmpp.test/other s")
		}
		sets()
		romeo.say(`<presence/>`)
		romeo.hear()
		sets()
		romeo.quiet()
		// A get that fails does not count.
		romeo.say(`<iq type='get' id='g'><query xmlns='jabber:iq:roster'><item jid='nurse@far.test'/></query></iq>`)
		romeo.hears("iq error -→romeo@xmpp.test/full g bad-request text")
		sets()
		romeo.quiet()
		require.Len(t, romeo.items(), 1)
		for _, do := range []string{``, `<presence type='unavailable'/>`, `<presence><priority>-1</priority></presence>`} {
			if do != "" {
				romeo.say(do)
				romeo.hear()
			}
			sets()
			id := romeo.nextPush().id
			for _, reply := range []string{
				`<iq type='result' id='` + id + `'/>`,
				`<iq type='error' id='` + id + `'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
				`<iq type='error' id='` + id + `' to='romeo@xmpp.test'/>`,
			} {
				romeo.say(reply)
			}
			romeo.quiet()
			other.quiet()
		}
		require.Equal(t, []string{"nurse@far.test none name=" + strings.Repeat("n", n)}, romeo.items())
	})
}
