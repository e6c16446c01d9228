package xmpp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// RFC 6121 §3.1.2, §3.1.3: a request arrives as it was sent, from and to the bare
// JIDs, whoever gets it and whenever: now, at the next login, or at the tenth; at
// each of them once; until it is approved, denied or withdrawn, and not after.
//
//conformance:proves 6121-3-1 6121-3.1.2-2 6121-3.1.2-5 6121-3.1.3-2 6121-3.1.3-7 6121-3.1.3-9 6121-3.1.3-10 6121-3.1.3-11 6121-3.1.3-13
func TestSubscriptionRequestIsKept(t *testing.T) {
	const subscribe = `<presence xml:lang='de' id='t.1' type='subscribe' to='juliet@xmpp.test%s' from='romeo@xmpp.test/full' xmlns:p='urn:p'>` +
		`<status>laß mich</status><status xml:lang='en'>let me &lt;in&gt;</status><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick>` +
		`<p:x a='1' p:b='2'><p:y/><z xmlns=''>zed</z></p:x></presence>`
	for _, end := range []struct {
		who, xml string
	}{
		{"juliet", `<presence type='subscribed' to='romeo@xmpp.test'/>`},
		{"juliet", `<presence type='unsubscribed' to='romeo@xmpp.test'/>`},
		{"romeo", `<presence type='unsubscribe' to='juliet@xmpp.test'/>`},
		{"romeo", setItem("r", `<item jid='juliet@xmpp.test' subscription='remove'/>`)},
	} {
		for _, to := range []string{"", "/full", "/nowhere"} {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, nil)
				s.AddAccount(t, "juliet", "secret of juliet")
				romeo := resource(t, s, "romeo", "full")
				romeo.say(fmt.Sprintf(subscribe, to))
				for range 3 { // §3.1.3 rule 4: only one of them
					romeo.say(`<presence type='subscribe' to='juliet@xmpp.test' id='t.2'/>`)
				}
				require.Equal(t, []string{"push juliet@xmpp.test none ask=subscribe"}, romeo.saidAll())
				requestComes(t, s, romeo, end.who, end.xml)
			})
		}
	}
}

// requestComes has juliet log in and out while the request waits, until it ends.
func requestComes(t *testing.T, s *xmpptest.Server, romeo *peer, who, end string) {
	t.Helper()
	comes := func(p *peer, others int) {
		t.Helper()
		p.say(`<presence/>`)
		p.hears("presence - " + p.LocalAddr().String() + "→juliet@xmpp.test -")
		for range others {
			p.hear() // the presence of other resources
		}
		requireRequest(t, p.hear())
		p.quiet()
	}
	for range 3 {
		juliet := join(t, s, "juliet", "full")
		require.Empty(t, juliet.items(), "§3.1.3: not before it is approved")
		comes(juliet, 0)
		// Other presence is no new resource.
		juliet.say(`<presence><show>away</show></presence>`)
		juliet.hear()
		juliet.quiet()
		// A resource that was there does not hear it again when another comes.
		second := join(t, s, "juliet", "second")
		second.quiet()
		comes(second, 1)
		juliet.hear() // the presence of the second
		juliet.quiet()
		// Going and coming back is a new availability.
		juliet.say(`<presence type='unavailable'/>`)
		juliet.drop()
		comes(juliet, 1)
		second.drop()
		require.Empty(t, second.items())
		require.NoError(t, juliet.Close(t.Context()))
		require.NoError(t, second.Close(t.Context()))
		synctest.Wait()
	}
	juliet := join(t, s, "juliet", "full")
	(map[string]*peer{"romeo": romeo, "juliet": juliet}[who]).say(end)
	synctest.Wait()
	require.NoError(t, juliet.Close(t.Context()))
	synctest.Wait()
	juliet = join(t, s, "juliet", "full")
	juliet.say(`<presence/>`)
	require.Equal(t, []string{"- juliet@xmpp.test/full→juliet@xmpp.test"}, juliet.saidAll(), "after %s", end)
}

// requireRequest requires the first request of TestSubscriptionRequestIsKept, with
// all that was in it.
func requireRequest(t *testing.T, el *stream.Element) {
	t.Helper()
	require.Equal(t, "subscribe romeo@xmpp.test→juliet@xmpp.test t.1", said(el))
	lang := stream.Name{Space: stream.NSXML, Local: "lang"}
	v, _ := el.AttrNS(lang)
	require.Equal(t, "de", string(v))
	var got []string
	for c := range el.Children() {
		s := "{" + c.Name().Space + "}" + c.Name().Local + " " + c.Text()
		if v, ok := c.AttrNS(lang); ok {
			s += " " + string(v)
		}
		for cc := range c.Children() {
			s += " {" + cc.Name().Space + "}" + cc.Name().Local + " " + cc.Text()
		}
		if v, ok := c.AttrNS(stream.Name{Space: "urn:p", Local: "b"}); ok {
			s += " a=" + c.Attr("a") + " p:b=" + string(v)
		}
		got = append(got, s)
	}
	require.ElementsMatch(t, []string{
		"{jabber:client}status laß mich", "{jabber:client}status let me <in> en", "{http://jabber.org/protocol/nick}nick Romeo",
		"{urn:p}x  {urn:p}y  {}z zed a=1 p:b=2",
	}, got, "%s", el.Raw())
}

// RFC 6121 §3.1.3: the request goes to all available resources, whatever their
// priority, and to no other; a request without a language has that of the stream,
// now and later (RFC 6120 §4.7.4).
//
//conformance:proves 6121-3.1.3-4 6121-3.1.3-7 6121-3.1.3-10
func TestSubscriptionRequestGoesToAvailable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo := resource(t, s, "romeo", "deaf")
		full, shown, list, deaf := resource(t, s, "juliet", "full"), resource(t, s, "juliet", "shown"), resource(t, s, "juliet", "list"), resource(t, s, "juliet", "deaf")
		negative := join(t, s, "juliet", "negative")
		negative.say(`<presence><priority>-128</priority><show>dnd</show></presence>`)
		all := []*peer{full, shown, list, deaf, negative}
		for _, p := range all {
			p.drop()
		}
		romeo.say(`<presence type='subscribe' to='juliet@xmpp.test' id='t.1'><show>dnd</show><priority>300</priority><x xmlns='urn:x'/></presence>`)
		for _, p := range []*peer{full, shown, negative} {
			el := p.hear()
			require.Equal(t, "subscribe romeo@xmpp.test→juliet@xmpp.test t.1", said(el))
			require.Contains(t, string(el.Raw()), "xml:lang='en'")
		}
		for _, p := range all {
			p.quiet()
		}
		list.say(`<presence/>`)
		list.hear()
		for range 3 {
			list.hear()
		}
		el := list.hear()
		require.Equal(t, "subscribe romeo@xmpp.test→juliet@xmpp.test t.1", said(el))
		require.Contains(t, string(el.Raw()), "xml:lang='en'")
		require.Contains(t, string(el.Raw()), "urn:x", "also of a request that is odd (§3.1.3 rule 4)")
	})
}

// RFC 6121 §3.1.3, rule 4 and third security warning: what strangers can make the
// server keep is bounded; each of them is heard once; beyond the bounds the stanza is
// cut down, or dropped, and the one who asks cannot tell.
//
//conformance:proves 6121-3.1.3-12
func TestSubscriptionRequestsOfMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = &roster.MemoryStore{MaxPending: 5} })
		s.AddAccount(t, "juliet", "secret of juliet")
		var want []string
		for i := range 7 {
			p := resource(t, s, fmt.Sprintf("suitor%d", i), "full")
			p.say(`<presence type='subscribe' to='juliet@xmpp.test'><x xmlns='urn:x'>` + strings.Repeat("x", 1000) + `</x></presence>`)
			p.say(`<presence type='subscribe' to='juliet@xmpp.test'><x xmlns='urn:y'/></presence>`)
			require.Equal(t, []string{"push juliet@xmpp.test none ask=subscribe"}, p.saidAll())
			if i < 5 {
				want = append(want, fmt.Sprintf("subscribe suitor%d@xmpp.test→juliet@xmpp.test", i))
			}
		}
		juliet := join(t, s, "juliet", "full")
		juliet.say(`<presence/>`)
		juliet.hear()
		heard := juliet.saidAll()
		slices.Sort(heard)
		require.Equal(t, want, heard)
		// There is room again when she has answered.
		juliet.say(`<presence type='unsubscribed' to='suitor0@xmpp.test'/>`)
		big := resource(t, s, "big", "full")
		big.say(`<presence type='subscribe' to='juliet@xmpp.test' id='t.1'><x xmlns='urn:x'>` + strings.Repeat("x", 50_000) + `</x></presence>`)
		require.Greater(t, len(juliet.hears("presence subscribe big@xmpp.test→juliet@xmpp.test t.1").Raw()), 50_000)
		juliet.say(`<presence type='unavailable'/><presence/>`)
		synctest.Wait()
		n := 0
		for len(juliet.in) > 0 {
			if el := juliet.hear(); el.Attr("from") == "big@xmpp.test" {
				require.Less(t, len(el.Raw()), 8<<10)
				n++
			}
		}
		require.Equal(t, 1, n)
	})
}

// RFC 6121 §3.1.2, §8.5.1: what is addressed to oneself, to the server, or to nobody
// does no harm and tells nothing.
//
//conformance:proves 6121-3.1.2-1
func TestSubscriptionToOneself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, other := resource(t, s, "romeo", "full"), resource(t, s, "romeo", "other")
		romeo.drop()
		for _, to := range []string{"romeo@xmpp.test", "romeo@xmpp.test/full", "romeo@xmpp.test/other", "romeo@xmpp.test/nowhere", "ROMEO@XMPP.test"} {
			for _, typ := range stanzaTypes {
				romeo.say(`<presence type='` + typ + `' to='` + to + `'/>`)
				romeo.quiet()
				other.quiet()
			}
		}
		for _, typ := range stanzaTypes {
			romeo.say(`<presence type='` + typ + `'/>`) // to nobody
			romeo.say(`<presence type='` + typ + `' to='xmpp.test'/>`)
			other.quiet()
		}
		require.Empty(t, romeo.items())
		romeo.quiet()
		// Everybody sees himself without a subscription.
		other.say(`<presence/>`)
		romeo.hears("presence - romeo@xmpp.test/other→romeo@xmpp.test -")
	})
}
