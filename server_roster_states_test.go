package xmpp_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// removes is RFC 6121 §2.5.2: the user removes the contact from the roster. Requests
// are withdrawn and denied as well as subscriptions: whoever asked is not left to
// wait for an answer to what nobody knows of any more.
func (p *party) removes(other *party) {
	before := p.state
	p.state, p.listed = "None", false
	if mayBeSeen(before) {
		other.sees(p, "unavailable")
	}
	p.hears(p.interested(), "push "+other.addr()+" remove")
	if maySee(before) || strings.Contains(before, "+Out") {
		other.gets("unsubscribe", "", p)
	}
	if mayBeSeen(before) || wasAsked(before) {
		other.gets("unsubscribed", "", p)
	}
}

// RFC 6121 §2.5.2: an item is removed in each state, and what everybody hears is
// what the sections say; both sides agree on the state afterwards.
//
//conformance:proves 6121-2.2-2 6121-2.5.2-1 6121-2.5.2-2 6121-2.5.2-3 6121-2.5.2-4 6121-2.5.3-1 6121-3.2.2-7
func TestRosterRemoveInEachState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all := []string{"full", "list", "shown", "deaf"}
		for _, juliet := range [][]string{all, {"list", "deaf"}, {"deaf"}} {
			c := newCouple(t, all, juliet)
			for _, state := range slices.Sorted(maps.Keys(statePaths)) {
				for _, who := range []*party{c.r, c.j} {
					c.reach(state)
					other, talker := c.other(who), c.talker(who)
					step := state + ": " + who.name + " removes"
					talker.say(setItem("rm", `<item jid='`+other.addr()+`' subscription='remove'/>`))
					if who.listed {
						who.removes(other)
						talker.hears("iq result -→" + talker.LocalAddr().String() + " rm")
					} else {
						require.Equal(t, "modify item-not-found", talker.refused("rm"), step)
					}
					c.compare(step)
					c.rosters(step)
					// The server and the model are in the same state still.
					for _, next := range []*party{other, who} {
						for _, typ := range stanzaTypes {
							c.send(next, typ)
						}
					}
					c.forget()
				}
			}
		}
	})
}

// RFC 6121 §2.4.1, §3.1.1: a roster set in each state changes the name and the
// groups, and nothing else; the contact hears nothing of it; what the user has
// added stays, whatever becomes of the subscription, until it is removed.
//
//conformance:proves 6121-2.1.2.5-3 6121-2.1.5-2 6121-2.4.1-1 6121-3.1.1-3
func TestRosterSetInEachState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all := []string{"full", "list", "shown", "deaf"}
		c := newCouple(t, all, all)
		for _, state := range slices.Sorted(maps.Keys(statePaths)) {
			c.reach(state)
			talker := c.talker(c.r)
			for _, sub := range []string{"", "none", "to", "from", "both", "x"} {
				talker.say(setItem("s", `<item jid='juliet@xmpp.test' name='J' subscription='`+sub+`' ask='subscribe' approved='true'><group>G</group></item>`))
				c.r.hears(c.r.interested(), "push juliet@xmpp.test "+shownAs(c.r.state)+" name=J [G]")
				talker.hears("iq result -→romeo@xmpp.test/deaf s")
				c.compare(state)
			}
			talker.say(setItem("s", `<item jid='juliet@xmpp.test'/>`))
			c.r.listed = true
			c.r.hears(c.r.interested(), "push juliet@xmpp.test "+shownAs(c.r.state))
			talker.hears("iq result -→romeo@xmpp.test/deaf s")
			c.compare(state)
			for _, typ := range stanzaTypes {
				c.send(c.r, typ)
				c.send(c.j, typ)
				c.rosters(state)
			}
			for _, typ := range []string{"unsubscribe", "unsubscribed"} {
				c.send(c.r, typ)
				c.send(c.j, typ)
			}
			require.Equal(t, "None", c.r.state)
			c.rosters(state)
			c.forget()
		}
	})
}

// RFC 6121 §3.1.1, §3.1.2, §3.4.2: the name is kept when the subscription changes, in
// either order of roster set and request; and a contact who does not exist looks as
// if it did, to the user who asks and to the one who adds it (§8.5.1).
//
//conformance:proves 6121-3.1.1-3 6121-3.1.2-7
func TestRosterSetAndRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo := resource(t, s, "romeo", "full")
		for _, contact := range []string{"juliet@xmpp.test", "nobody@xmpp.test"} {
			set := setItem("s", `<item jid='`+contact+`' name='N'><group>G</group></item>`)
			subscribe := `<presence type='subscribe' to='` + contact + `/somewhere' id='p'/>`
			for _, tc := range []struct {
				say  []string
				want []string
			}{
				{[]string{set, subscribe}, []string{"push C none name=N [G]", "iq result -→romeo@xmpp.test/full s", "push C none ask=subscribe name=N [G]"}},
				{[]string{subscribe, set}, []string{"push C none ask=subscribe", "push C none ask=subscribe name=N [G]", "iq result -→romeo@xmpp.test/full s"}},
				{[]string{subscribe, subscribe}, []string{"push C none ask=subscribe"}},
				{[]string{subscribe, `<presence type='unsubscribe' to='` + contact + `'/>`}, []string{"push C none ask=subscribe", "push C none"}},
				{[]string{`<presence type='subscribed' to='` + contact + `'/>`, set, subscribe}, []string{
					"push C none approved=true", "push C none approved=true name=N [G]", "iq result -→romeo@xmpp.test/full s", "push C none ask=subscribe approved=true name=N [G]",
				}},
				{[]string{`<presence type='subscribed' to='` + contact + `'/>`, `<presence type='unsubscribed' to='` + contact + `'/>`}, []string{"push C none approved=true", "push C none"}},
				{[]string{`<presence type='unsubscribed' to='` + contact + `'/>`, `<presence type='unsubscribe' to='` + contact + `'/>`, `<presence type='probe' to='` + contact + `'/>`}, []string{"unsubscribed C→romeo@xmpp.test"}},
			} {
				for i := range tc.want {
					tc.want[i] = strings.ReplaceAll(tc.want[i], "C", contact)
				}
				for _, xml := range tc.say {
					romeo.say(xml)
				}
				require.Equal(t, tc.want, romeo.saidAll(), "%s %q", contact, tc.say)
				romeo.say(setItem("r", `<item jid='`+contact+`' subscription='remove'/>`))
				romeo.drop()
				require.Empty(t, romeo.items())
			}
			// And all is there at the next login.
			romeo.say(set)
			romeo.say(subscribe)
			romeo.drop()
			require.NoError(t, romeo.Close(t.Context()))
			synctest.Wait()
			romeo = join(t, s, "romeo", "full")
			require.Equal(t, []string{contact + " none ask=subscribe name=N [G]"}, romeo.items())
			romeo.say(`<presence/>`)
			require.Equal(t, []string{"- romeo@xmpp.test/full→romeo@xmpp.test"}, romeo.saidAll())
			if contact == "nobody@xmpp.test" {
				// Nothing was kept for who may get that name later.
				nobody := join(t, s, "nobody", "full")
				nobody.say(`<presence/>`)
				require.Equal(t, []string{"- nobody@xmpp.test/full→nobody@xmpp.test"}, nobody.saidAll())
			}
			romeo.say(setItem("r", `<item jid='`+contact+`' subscription='remove'/>`))
			romeo.drop()
		}
	})
}
