package xmpp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stream"
)

// lovers is juliet/balcony, who sends, with romeo/orchard and romeo/garden, who are
// available, and romeo/plain, who is connected only. The roster says what romeo is
// to juliet.
func lovers(t *testing.T, state, theirs roster.State) *scene {
	t.Helper()
	rosters := new(roster.MemoryStore)
	c := &scene{t: t, peers: map[string]*peer{}}
	c.s = memoryServer(t, func(s *xmpp.Server) { s.Rosters = rosters })
	know(t, rosters, "juliet", "romeo", state)
	know(t, rosters, "romeo", "juliet", theirs)
	for _, name := range []string{"orchard", "garden", "plain"} {
		c.peers[name] = join(t, c.s, "romeo", name)
		if name != "plain" {
			c.peers[name].say(`<presence/>`)
		}
	}
	c.peers["tybalt"] = join(t, c.s, "tybalt", "street")
	c.peers["tybalt"].say(`<presence/>`)
	c.sender = join(t, c.s, "juliet", "balcony")
	c.peers["sender"] = c.sender
	c.heard()
	return c
}

const (
	fromBalcony = " juliet@xmpp.test/balcony→"
	ownEcho     = " juliet@xmpp.test/balcony→juliet@xmpp.test "
)

// with adds what the sender hears of its own broadcast.
func with(heard map[string][]string, echo string) map[string][]string {
	heard["sender"] = []string{echo}
	return heard
}

var romeos = []string{"orchard", "garden"}

// RFC 6121 §4.6.3 rule 1: a subscriber gets directed presence, and broadcasts
// afterwards all the same; once each.
//
//conformance:proves 6121-4.6.1-1 6121-4.6.3-1 6121-4.6.3-2 6121-4.6.3-3
func TestDirectedPresenceToASubscriberRFC6121Section4_6_3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := lovers(t, roster.From, roster.To)
		c.expect(`<presence id='1'/>`, with(all(romeos, "presence -"+fromBalcony+"romeo@xmpp.test 1"), "presence -"+ownEcho+"1"))
		c.expect(`<presence id='2' to='romeo@xmpp.test'><status>x</status></presence>`, all(romeos, "presence -"+fromBalcony+"romeo@xmpp.test 2"))
		c.expect(`<presence id='3' to='romeo@xmpp.test/garden'/>`, all([]string{"garden"}, "presence -"+fromBalcony+"romeo@xmpp.test/garden 3"))
		c.expect(`<presence id='4' to='romeo@xmpp.test' type='unavailable'/>`, all(romeos, "presence unavailable"+fromBalcony+"romeo@xmpp.test 4"))
		c.expect(`<presence id='5'/>`, with(all(romeos, "presence -"+fromBalcony+"romeo@xmpp.test 5"), "presence -"+ownEcho+"5"))
		c.expect(`<presence id='6' type='unavailable'/>`, with(all(romeos, "presence unavailable"+fromBalcony+"romeo@xmpp.test 6"), "presence unavailable"+ownEcho+"6"))
	})
}

// RFC 6121 §4.6.3 rules 2 and 3: somebody else gets directed presence, no
// broadcasts of available presence, and unavailable presence in the end; not if it
// was told already, and not a second time.
//
//conformance:proves 6121-4.6.1-4 6121-4.6.3-4 6121-4.6.3-5 6121-4.6.3-6 6121-4.6.3-7
func TestDirectedPresenceToOthersRFC6121Section4_6_3(t *testing.T) {
	for _, state := range []roster.State{roster.None, roster.To, roster.PendingOut, roster.Approved} {
		for _, session := range []bool{true, false} {
			bubble(t, func(t *testing.T) {
				c := lovers(t, state, roster.None)
				end := `<presence id='end' type='unavailable'/>`
				echo := func(want map[string][]string) map[string][]string {
					if session {
						want["sender"] = []string{"presence unavailable" + ownEcho + "end"}
					}
					return want
				}
				begin := func() {
					if session {
						c.sender.say(`<presence/>`)
						require.Empty(t, c.heard()["orchard"])
					}
				}
				begin()
				c.expect(`<presence id='1' to='romeo@xmpp.test'><status>x</status></presence>`, all(romeos, "presence -"+fromBalcony+"romeo@xmpp.test 1"))
				c.expect(`<presence id='2' to='romeo@xmpp.test/plain'/>`, all([]string{"plain"}, "presence -"+fromBalcony+"romeo@xmpp.test/plain 2"))
				if session { // a broadcast is not for them
					c.expect(`<presence id='3'/>`, map[string][]string{"sender": {"presence -" + ownEcho + "3"}})
				}
				want := all(romeos, "presence unavailable"+fromBalcony+"romeo@xmpp.test end")
				want["plain"] = []string{"presence unavailable" + fromBalcony + "romeo@xmpp.test/plain end"}
				c.expect(end, echo(want))
				// The list is empty now.
				begin()
				c.expect(end, echo(map[string][]string{}))
				// Who was told is not told again.
				begin()
				c.expect(`<presence id='4' to='romeo@xmpp.test/plain'/>`, all([]string{"plain"}, "presence -"+fromBalcony+"romeo@xmpp.test/plain 4"))
				c.expect(`<presence id='5' to='romeo@xmpp.test/plain' type='unavailable'><status>so long</status></presence>`,
					all([]string{"plain"}, "presence unavailable"+fromBalcony+"romeo@xmpp.test/plain 5"))
				c.sender.Abort(stream.ErrTruncated)
				require.Empty(t, c.heard())
			})
		}
	}
}

// RFC 6121 §4.6.1: subscriptions come first. Who subscribes after directed presence
// gets what subscribers get, and is told by a cancellation.
//
//conformance:proves 6121-4.6.1-1 6121-4.6.1-2 6121-4.6.1-3
func TestSubscriptionAfterDirectedPresenceRFC6121Section4_6_1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := lovers(t, roster.PendingIn, roster.PendingOut)
		c.sender.say(`<presence id='0'/>`)
		c.heard()
		c.expect(`<presence id='1' to='romeo@xmpp.test'/>`, all(romeos, "presence -"+fromBalcony+"romeo@xmpp.test 1"))
		c.expect(`<presence id='2' to='romeo@xmpp.test' type='subscribed'/>`, all(romeos, "presence -"+fromBalcony+"romeo@xmpp.test 0"))
		c.expect(`<presence id='3'/>`, with(all(romeos, "presence -"+fromBalcony+"romeo@xmpp.test 3"), "presence -"+ownEcho+"3"))
		c.sender.say(`<presence id='4' to='romeo@xmpp.test' type='unsubscribed'/>`)
		for _, name := range romeos {
			el := c.peers[name].hear()
			require.Equal(t, "unavailable juliet@xmpp.test/balcony romeo@xmpp.test", el.Attr("type")+" "+el.Attr("from")+" "+el.Attr("to"))
		}
		require.Empty(t, c.heard())
		c.expect(`<presence id='5'/>`, map[string][]string{"sender": {"presence -" + ownEcho + "5"}})
		// They have been told.
		c.expect(`<presence id='6' type='unavailable'/>`, map[string][]string{"sender": {"presence unavailable" + ownEcho + "6"}})
	})
}

// RFC 6121 §4.6.1: who says that he is gone, or whose server says so, need not be
// told, and whoever has his address next is nobody's friend.
//
//conformance:proves 6121-4.6.1-5
func TestDirectedPresenceToOneWhoGoesRFC6121Section4_6_1(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		state  roster.State // of romeo in juliet's roster: with To she sees his broadcasts
		back   string       // what he sends first
		leave  func(c *scene, romeo *peer)
	}{
		"says so":               {"plain", roster.None, "", func(_ *scene, p *peer) { p.say(`<presence type='unavailable' to='juliet@xmpp.test/balcony'/>`) }},
		"says so to all of her": {"plain", roster.None, "", func(_ *scene, p *peer) { p.say(`<presence type='unavailable' to='juliet@xmpp.test'/>`) }},
		"vanishes":              {"plain", roster.None, `<presence to='juliet@xmpp.test/balcony'/>`, func(_ *scene, p *peer) { p.Abort(stream.ErrTruncated) }},
		"broadcasts":            {"orchard", roster.To, "", func(_ *scene, p *peer) { p.say(`<presence type='unavailable'/>`) }},
		"subscription, closes":  {"orchard", roster.To, "", func(c *scene, p *peer) { require.NoError(c.t, p.Close(c.t.Context())) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				theirs := roster.None
				if c.state == roster.To {
					theirs = roster.From
				}
				s := lovers(t, c.state, theirs)
				romeo := s.peers[c.target]
				s.sender.say(`<presence/><presence to='romeo@xmpp.test/` + c.target + `'/>`)
				if c.back != "" {
					romeo.say(c.back)
				}
				require.Contains(t, s.heard()[c.target], "presence -"+fromBalcony+"romeo@xmpp.test/"+c.target+" -")
				c.leave(s, romeo)
				s.heard()
				select {
				case <-romeo.Done():
					romeo = join(t, s.s, "romeo", c.target)
					s.peers[c.target] = romeo
				default:
				}
				romeo.say(`<presence type='probe' to='juliet@xmpp.test/balcony' id='p'/>`)
				el := romeo.hear()
				require.Equal(t, "unsubscribed juliet@xmpp.test", el.Attr("type")+" "+el.Attr("from"))
				s.heard()
				s.sender.Abort(stream.ErrTruncated)
				require.Empty(t, s.heard())
			})
		})
	}
}

// Directed presence to resources of the own account, which see each other anyway.
//
//conformance:proves 6121-4.6.3-6
func TestDirectedPresenceToOneself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := stage(t, "mix", "own")
		self := "juliet@xmpp.test/self→"
		c.expect(`<presence to='juliet@xmpp.test/plain' id='1'/>`, all([]string{"plain"}, "presence - "+self+full("plain")+" 1"))
		c.expect(`<presence to='juliet@xmpp.test' id='2'/>`, all([]string{"a", "b", "low"}, "presence - "+self+julietJID+" 2"))
		c.sender.say(`<presence id='3'/>`)
		c.heard()
		c.sender.Abort(stream.ErrTruncated)
		want := all([]string{"a", "b", "low"}, "presence unavailable "+self+julietJID+" -")
		want["plain"] = []string{"presence unavailable " + self + full("plain") + " -"}
		require.Equal(t, want, c.heard(), "who is connected only hears no broadcast")
	})
}

// RFC 6121 §4.6.6: once directed presence is over, so is the answer to probes; and
// it is for whom it was sent to.
//
//conformance:proves 6121-4.6.6-3 6121-4.6.6-4 6121-4.6.6-5
func TestProbeAfterDirectedPresenceRFC6121Section4_6_6(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := lovers(t, roster.None, roster.None)
		const yes, no = "- juliet@xmpp.test/balcony", "unsubscribed juliet@xmpp.test"
		probe := func(name, want string) {
			t.Helper()
			c.peers[name].say(`<presence type='probe' to='juliet@xmpp.test/balcony' id='p'/>`)
			got := c.heard()
			require.Len(t, got, 1)
			if want != no {
				want += "→romeo@xmpp.test/" + name
			} else {
				want += "→romeo@xmpp.test"
			}
			require.Equal(t, []string{"presence " + want + " p"}, got[name])
		}
		probe("garden", no)
		c.sender.say(`<presence to='romeo@xmpp.test/garden'/>`)
		c.heard()
		probe("garden", yes)
		probe("orchard", no)
		probe("plain", no)
		c.sender.say(`<presence to='romeo@xmpp.test'/>`)
		c.heard()
		probe("orchard", yes)
		c.sender.say(`<presence to='romeo@xmpp.test' type='unavailable'/>`)
		c.heard()
		probe("orchard", no)
		probe("garden", yes)
		c.sender.say(`<presence/>`)
		c.heard()
		probe("garden", yes)
		c.sender.say(`<presence type='unavailable'/>`)
		c.heard()
		probe("garden", no)
		c.sender.Abort(stream.ErrTruncated)
		c.heard()
		probe("garden", no)
	})
}
