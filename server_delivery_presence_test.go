package xmpp_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// available are the resources of juliet that are available in a situation.
func available(situation string) []string {
	var out []string
	for _, r := range situations[situation] {
		if r[1] != "" {
			out = append(out, r[0])
		}
	}
	return out
}

// eachScene runs a test for each situation and relation, "missing" included.
func eachScene(t *testing.T, f func(t *testing.T, situation, relation string)) {
	for situation := range messageTable {
		for _, relation := range relations {
			if situation == "missing" && relation == "own" {
				continue
			}
			t.Run(situation+"/"+relation, func(t *testing.T) {
				bubble(t, func(t *testing.T) { f(t, situation, relation) })
			})
		}
	}
}

// RFC 6121 §8.5.1, §8.5.2.1.2, §8.5.2.2.2, §8.5.3.1, §8.5.3.2.2 for presence that
// says something of its sender: to the account it is for all available resources,
// whatever their priority, and for nobody later.
//
//conformance:proves 6120-10.5.3.1-2 6120-10.5.3.2-3 6120-10.5.3.2-4 6121-8.5.1-3 6121-8.5.2.1.2-1 6121-8.5.2.1.2-4 6121-8.5.2.2.2-1 6121-8.5.3.1-5 6121-8.5.3.2.2-1 6121-4.6.3-2 6121-4.6.3-4
func TestPresenceDeliveryRFC6121Section8_5(t *testing.T) {
	eachScene(t, func(t *testing.T, situation, relation string) {
		c := stage(t, situation, relation)
		from := c.sender.LocalAddr().String()
		for _, typ := range []string{"", "unavailable", "error"} {
			attr, shown := "", "-"
			if typ != "" {
				attr, shown = ` type='`+typ+`'`, typ
			}
			say := func(to string) (xml, passed string) {
				return `<presence to='` + to + `' id='1'` + attr + `><status>there</status></presence>`,
					"presence " + shown + " " + from + "→" + to + " 1"
			}
			xml, passed := say(julietJID)
			if typ == "error" {
				c.expect(xml, map[string][]string{})
			} else {
				c.expect(xml, all(available(situation), passed))
			}
			xml, _ = say(full("absent"))
			c.expect(xml, map[string][]string{})
			for _, name := range c.matches() {
				xml, passed = say(full(name))
				c.expect(xml, all([]string{name}, passed))
			}
		}
		// Nothing of it is kept.
		if situation == "missing" {
			return
		}
		p := join(t, c.s, "juliet", "later")
		p.say(`<presence/>`)
		c.heard()
		for len(p.in) > 0 {
			el := <-p.in
			require.NotEqual(t, "1", el.Attr("id"), "%s", el.Raw())
		}
	})
}

// RFC 6121 §8.5.1, §3.1.3, §8.5.3.2.2 for presence about subscriptions, where there
// is none: a request reaches all available resources from and to the bare JID, or
// those that come later, once; everything else is ignored. The sender hears
// nothing, and cannot tell which accounts there are.
//
//conformance:proves 6121-8.5.1-4 6121-8.5.2.1.2-2 6121-8.5.2.2.2-2 6121-8.5.3.1-6 6121-8.5.3.2.2-2 6121-8.5.3.2.2-3
func TestSubscriptionDeliveryRFC6121Section8_5(t *testing.T) {
	for situation := range messageTable {
		for _, resource := range []string{"", "first", "absent"} {
			if resource == "first" && len(situations[situation]) == 0 {
				continue
			}
			t.Run(situation+"/"+resource, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := stage(t, situation, "stranger")
					to := julietJID
					switch resource {
					case "first":
						to = full(firstOf(situation))
					case "absent":
						to = full(resource)
					}
					for _, typ := range []string{"subscribed", "unsubscribe", "unsubscribed"} {
						if typ == "subscribed" && resource != "absent" {
							continue // a pre-approval, which is a change
						}
						c.expect(`<presence to='`+to+`' type='`+typ+`' id='0'/>`, map[string][]string{})
					}
					const request = "presence subscribe romeo@xmpp.test→" + julietJID + " 1"
					c.expect(`<presence to='`+to+`' type='subscribe' id='1'/>`, all(available(situation), request))
					if situation == "missing" {
						return
					}
					for range 2 { // until it is settled
						p := join(t, c.s, "juliet", "later")
						p.say(`<presence/>`)
						c.heard()
						n := 0
						for len(p.in) > 0 {
							if look(<-p.in) == request {
								n++
							}
						}
						require.Equal(t, 1, n)
						p.Abort(errOver)
						c.heard()
					}
				})
			})
		}
	}
}

// RFC 6121 §8.5.3.2.2: where there is a subscription, presence to a resource that is
// not there does not end it; to the account or to a resource that is there it does.
//
//conformance:proves 6121-8.5.3.1-6 6121-8.5.3.2.2-3 6121-3.3.3-1 6121-3.3.3-2
func TestUnsubscribeDeliveryRFC6121Section8_5_3_2_2(t *testing.T) {
	for _, to := range []string{julietJID, full("low")} {
		bubble(t, func(t *testing.T) {
			c := stage(t, "mix", "subscriber")
			c.peers["plain"].roster()
			c.expect(`<presence type='unsubscribe' to='`+full("absent")+`' id='1'/>`, map[string][]string{})
			c.sender.say(`<presence type='unsubscribe' to='` + to + `' id='2'/>`)
			got := c.heard()
			require.Equal(t, "presence unsubscribe romeo@xmpp.test→"+julietJID+" 2", got["plain"][0], "the one that is interested")
			require.Len(t, got["plain"], 2, "and then a roster push")
			delete(got, "plain")
			for _, heard := range got["sender"] {
				require.Contains(t, heard, "presence unavailable "+julietJID+"/")
			}
			require.Len(t, got["sender"], 3, "§3.3.2: of each available resource")
			require.Len(t, got, 1)
		})
	}
}

// RFC 6121 §4.3.2 and §8.5, all rules: who asks, about what, in which situation.
//
//conformance:proves 6121-4.3-3 6121-4.3-4 6121-4.3.2-1 6121-4.3.2-2 6121-4.3.2-4 6121-4.3.2-6 6121-4.3.2-9 6121-4.3.2-10 6121-4.3.2-11 6121-4.3.2-12 6121-4.3.2.1-1
//conformance:proves 6121-4.3.2.1-2 6121-4.6.6-3 6121-4.6.6-4 6121-4.6.6-5 6121-8.5.1-5 6121-8.5.2.1.2-3 6121-8.5.2.2.2-3 6121-8.5.3.1-7 6121-8.5.3.2.2-4
func TestProbeDeliveryRFC6121Section8_5(t *testing.T) {
	eachScene(t, func(t *testing.T, situation, relation string) {
		c := stage(t, situation, relation)
		authorized := situation != "missing" && (relation == "subscriber" || relation == "own")
		to := "→" + c.sender.LocalAddr().String()
		denied := "presence unsubscribed " + julietJID + "→"
		// requireDenied: an answer to the account is as good as one to the resource.
		requireDenied := func(got []string, id string) {
			t.Helper()
			require.Len(t, got, 1)
			require.Contains(t, []string{denied + c.sender.LocalAddr().String() + " " + id, denied + c.sender.LocalAddr().Bare().String() + " " + id}, got[0])
		}
		probe := func(to, id string) []string {
			t.Helper()
			c.sender.say(`<presence type='probe' to='` + to + `' id='` + id + `'/>`)
			got := c.heard()
			answers := got["sender"]
			delete(got, "sender")
			require.Empty(t, got, "nobody else hears of it")
			return answers
		}

		// The bare JID: of each resource the whole, with the id that it had.
		got := probe(julietJID, "p1")
		switch {
		case !authorized:
			requireDenied(got, "p1")
		case len(available(situation)) == 0:
			require.Equal(t, []string{"presence unavailable " + julietJID + to + " p1"}, got)
		default:
			var want []string
			for _, name := range available(situation) {
				want = append(want, "presence - "+full(name)+to+" "+name)
			}
			require.ElementsMatch(t, want, got)
		}

		got = probe(full("absent"), "p2")
		if authorized {
			require.Equal(t, []string{"presence unavailable " + full("absent") + to + " p2"}, got)
		} else {
			requireDenied(got, "p2")
		}

		for _, r := range situations[situation] {
			name := r[0]
			c.sender.say(`<presence type='probe' to='` + full(name) + `' id='p3'/>`)
			answers := c.peers["sender"]
			switch {
			case authorized && r[1] == "":
				answers.hears("presence unavailable " + full(name) + to + " p3")
			case authorized, relation == "directed" && name == firstOf(situation):
				id := name // of the presence, as for the bare JID
				if !authorized {
					id = "p3" // §4.3.2.1: no subscription authorizes romeo
				}
				el := answers.hears("presence - " + full(name) + to + " " + id)
				require.Empty(t, el.Inner(), "that it is available and nothing else")
			default:
				requireDenied(c.heard()["sender"], "p3")
			}
			require.Empty(t, c.heard())
		}
	})
}
