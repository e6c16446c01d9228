package xmpp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stream"
)

// bonds are the states that a contact can be in, from juliet's side, and the
// contact's state of juliet that fits (RFC 6121 Appendix A.1).
var bonds = map[string]struct{ mine, theirs roster.State }{
	"none":       {0, 0},
	"noneout":    {roster.PendingOut, roster.PendingIn},
	"nonein":     {roster.PendingIn, roster.PendingOut},
	"noneoutin":  {roster.PendingOut | roster.PendingIn, roster.PendingOut | roster.PendingIn},
	"to":         {roster.To, roster.From},
	"toin":       {roster.To | roster.PendingIn, roster.From | roster.PendingOut},
	"from":       {roster.From, roster.To},
	"fromout":    {roster.From | roster.PendingOut, roster.To | roster.PendingIn},
	"both":       {roster.To | roster.From, roster.To | roster.From},
	"approved":   {roster.Approved, 0},
	"toapproved": {roster.To | roster.Approved, roster.From},
}

// crowd is a scene with a contact of juliet in each state, with three resources
// each: one that is available, one with a negative priority and one that is
// connected only. The sender is juliet/balcony, which is connected only; she has
// the same three beside it.
func crowd(t *testing.T) *scene {
	t.Helper()
	rosters := new(roster.MemoryStore)
	c := &scene{t: t, peers: map[string]*peer{}}
	c.s = memoryServer(t, func(s *xmpp.Server) { s.Rosters = rosters })
	enter := func(localpart string) {
		for resource, presence := range map[string]string{
			"here": `<presence id='here'><status>in</status></presence>`, "low": `<presence id='low'><priority>-1</priority></presence>`, "plain": "",
		} {
			p := join(t, c.s, localpart, resource)
			c.peers[localpart+"/"+resource] = p
			if presence != "" {
				p.say(presence)
			}
		}
	}
	c.s.AddAccount(t, "juliet", "secret of juliet")
	for name, b := range bonds {
		know(t, rosters, "juliet", name, b.mine)
		know(t, rosters, name, "juliet", b.theirs)
		enter(name)
	}
	c.peers["tybalt"] = join(t, c.s, "tybalt", "street")
	c.peers["tybalt"].say(`<presence/>`)
	enter("juliet")
	c.sender = join(t, c.s, "juliet", "balcony")
	c.peers["sender"] = c.sender
	c.heard()
	return c
}

// know puts a contact into the roster of an account.
func know(t testing.TB, s roster.Store, account, contact string, state roster.State) {
	t.Helper()
	_, err := s.Put(t.Context(), address(account+"@xmpp.test"), roster.Item{JID: address(contact + "@xmpp.test"), State: state})
	require.NoError(t, err)
}

// subscribers is what the contacts in a state of From and juliet herself hear of
// presence of juliet/balcony: each available resource, at the bare JID.
func subscribers(what string) map[string][]string {
	out := map[string][]string{}
	for _, name := range []string{"from", "fromout", "both", "juliet"} {
		for _, resource := range []string{"/here", "/low"} {
			out[name+resource] = []string{"presence " + what[:len(what)-2] + " juliet@xmpp.test/balcony→" + name + "@xmpp.test " + what[len(what)-1:]}
		}
	}
	return out
}

// RFC 6121 §4.2.2, §4.4.2, §4.5.2: who hears of initial, of subsequent, and of
// unavailable presence, and who does not.
//
//conformance:proves 6121-4.2.2-1 6121-4.2.2-2 6121-4.2.2-3 6121-4.2.3-1 6121-4.3.1-1 6121-4.4.2-1 6121-4.4.2-2 6121-4.4.3-1 6121-4.5.2-2 6121-4.5.2-4 6121-4.5.2-5 6121-4.5.2-7 6121-4.5.3-1
//conformance:proves 6120-10.3.2-1 6120-10.3-1
func TestPresenceBroadcastRFC6121Section4(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := crowd(t)
		for range 2 { // a second session is like the first
			c.sender.say(`<presence id='1'><show>dnd</show><x xmlns='urn:x'/></presence>`)
			got := c.heard()
			// What juliet hears herself: her own, that of her others, requests that
			// wait, and the presence of those that she is subscribed to.
			want := []string{
				"presence - juliet@xmpp.test/balcony→juliet@xmpp.test 1",
				"presence - juliet@xmpp.test/here→juliet@xmpp.test here",
				"presence - juliet@xmpp.test/low→juliet@xmpp.test low",
			}
			for _, name := range []string{"to", "toin", "both", "toapproved"} {
				want = append(want, "presence - "+name+"@xmpp.test/here→juliet@xmpp.test here", "presence - "+name+"@xmpp.test/low→juliet@xmpp.test low")
			}
			for _, name := range []string{"nonein", "noneoutin", "toin"} {
				want = append(want, "presence subscribe "+name+"@xmpp.test→juliet@xmpp.test -")
			}
			require.ElementsMatch(t, want, got["sender"])
			require.Equal(t, want[0], got["sender"][0], "her own comes first")
			delete(got, "sender")
			require.Equal(t, subscribers("- 1"), got)

			// Subsequent presence: nobody is asked any more.
			c.sender.say(`<presence id='2'><show>away</show><priority>-3</priority><x xmlns='urn:x'>y</x></presence>`)
			want2 := subscribers("- 2")
			want2["sender"] = []string{"presence - juliet@xmpp.test/balcony→juliet@xmpp.test 2"}
			require.Equal(t, want2, c.heard())

			// The same words for all of them, the whole of them.
			c.sender.say(`<presence id='3' type='unavailable'><status>bye</status><x xmlns='urn:x'>y</x></presence>`)
			for _, name := range []string{"from/here", "both/low", "juliet/here", "sender"} {
				el := c.peers[name].hear()
				require.Contains(t, string(el.Raw()), `<status>bye</status><x xmlns='urn:x'>y</x>`)
			}
			want3 := subscribers("unavailable 3")
			delete(want3, "from/here")
			delete(want3, "both/low")
			delete(want3, "juliet/here")
			require.Equal(t, want3, c.heard())
		}
		// Once is enough: there is nothing to tell when she says it again, or goes.
		c.expect(`<presence type='unavailable' id='4'/>`, map[string][]string{})
		c.sender.Abort(stream.ErrTruncated)
		require.Empty(t, c.heard())
	})
}

// RFC 6121 §4.5.2: however a resource goes, everybody who knew of it is told, once.
//
//conformance:proves 6121-4.5.2-1 6121-4.5.2-2 6121-4.5.2-3 6121-4.5.2-6
func TestPresenceEndsWithTheSessionRFC6121Section4_5_2(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, c *scene){
		"closes":       func(t *testing.T, c *scene) { require.NoError(t, c.sender.Close(t.Context())) },
		"vanishes":     func(_ *testing.T, c *scene) { c.sender.Abort(stream.ErrTruncated) },
		"stream error": func(_ *testing.T, c *scene) { c.sender.say(`<presence from='tybalt@xmpp.test'/>`) },
		"replaced":     func(t *testing.T, c *scene) { join(t, c.s, "juliet", "balcony") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := crowd(t)
				c.sender.say(`<presence id='1'/>`)
				c.heard()
				leave(t, c)
				got := c.heard()
				delete(got, "sender")
				require.Equal(t, subscribers("unavailable -"), got)
				c.sender.Abort(stream.ErrTruncated)
				require.Empty(t, c.heard())
			})
		})
	}
}

// A contact's resource that comes after juliet is shown her, and those that are
// there are not shown her again.
//
//conformance:proves 6120-8.4-10 6121-4.2.2-3 6121-4.3.1-1 6121-4.3.2.1-1
func TestProbeWhenAResourceComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := crowd(t)
		c.sender.say(`<presence id='1'><x xmlns='urn:x'/></presence>`)
		c.heard()
		for name := range bonds {
			sees := name == "from" || name == "fromout" || name == "both"
			plain := c.peers[name+"/plain"]
			plain.say(`<presence id='9'/>`)
			of := map[string]bool{}
			for _, heard := range c.heard()[name+"/plain"] {
				of[heard] = true
			}
			for _, from := range []string{"balcony→" + name + "@xmpp.test 1", "here→" + name + "@xmpp.test here", "low→" + name + "@xmpp.test low"} {
				require.Equal(t, sees, of["presence - juliet@xmpp.test/"+from], "%s: %v", name, of)
			}
		}
	})
}

// RFC 6121 §4.3.2 rule 3: a contact who is away, and since when; with rule 1 for one
// who knows nothing of a subscription, whose pre-approval outlives it.
//
//conformance:proves 6121-4.3.2-2 6121-4.3.2-3 6121-4.3.2-4 6121-4.3.2-6 6121-4.3.2-7 6121-4.3.2-8 6121-4.3.2.1-2
func TestProbeOfThoseWhoAreAwayRFC6121Section4_3_2(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rosters := new(roster.MemoryStore)
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = rosters })
		know(t, rosters, "juliet", "romeo", roster.To)
		know(t, rosters, "romeo", "juliet", roster.From)
		know(t, rosters, "juliet", "paris", roster.To|roster.From)
		know(t, rosters, "paris", "juliet", roster.Approved)
		know(t, rosters, "juliet", "ghost", roster.To)
		romeo := join(t, s, "romeo", "orchard")
		s.AddAccount(t, "paris", "secret")
		romeo.say(`<presence id='a'/>`)
		romeo.hear()
		romeo.say(`<presence id='b' type='unavailable'><status>secret</status></presence>`)
		romeo.hear()
		gone := time.Now().UTC().Format(time.RFC3339)
		<-time.After(time.Hour)

		juliet := join(t, s, "juliet", "balcony")
		juliet.roster()
		juliet.say(`<presence id='1'/>`)
		juliet.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test 1")
		answers := map[string]*stream.Element{}
		for range 5 { // one, and two that come with a push
			el := juliet.hear()
			if el.Name().Local == "presence" {
				answers[el.Attr("from")] = el
			}
		}
		el := answers["romeo@xmpp.test"]
		require.NotNil(t, el)
		require.Equal(t, "presence unavailable romeo@xmpp.test→juliet@xmpp.test -", look(el))
		require.Contains(t, string(el.Raw()), "stamp='"+gone)
		require.NotContains(t, string(el.Raw()), "secret", "what he said is not told")
		require.Equal(t, "presence unsubscribed paris@xmpp.test→juliet@xmpp.test -", look(answers["paris@xmpp.test"]))
		item, err := rosters.Roster(t.Context(), address("paris@xmpp.test"))
		require.NoError(t, err)
		require.Len(t, item.Items, 1)
		require.Equal(t, roster.Approved, item.Items[0].State, "the pre-approval stays")

		// Asked by the client, the id of the probe comes back.
		juliet.say(`<presence type='probe' id='p' to='romeo@xmpp.test'/>`)
		el = nil
		for el == nil || el.Attr("from") != "romeo@xmpp.test" {
			el = juliet.hear()
		}
		require.Equal(t, "presence unavailable romeo@xmpp.test→juliet@xmpp.test/balcony p", look(el))
		require.Contains(t, string(el.Raw()), "stamp='"+gone)
	})
}
