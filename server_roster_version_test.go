package xmpp_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
)

// RFC 6121 §2.6.1, §3.4: what a server can do with rosters is said in the features
// of the stream, once the client is authenticated.
//
//conformance:proves 6121-2.6.1-1 6121-3.4-1
func TestRosterFeatures(t *testing.T) {
	s := memoryServer(t, allowPlain)
	s.AddAccount(t, "romeo", "secret of romeo")
	w := dialWire(t, s)
	w.starttls()
	const ver, sub = `<ver xmlns='urn:xmpp:features:rosterver'/>`, `<sub xmlns='urn:xmpp:features:pre-approval'/>`
	before := w.open("")
	require.NotContains(t, before, "rosterver")
	require.NotContains(t, before, "pre-approval")
	w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldCBvZiByb21lbw==</auth>`)
	w.until("<success")
	w.until(">")
	after := w.open("")
	require.Contains(t, after, ver)
	require.Contains(t, after, sub)
	// Neither is to be negotiated: binding works without.
	w.bind("orchard")
	require.Contains(t, w.until("</iq>"), "romeo@xmpp.test/orchard")
}

// pushes are all roster pushes that have come. Nothing else has.
func (p *peer) pushes() []push {
	p.t.Helper()
	synctest.Wait()
	out := []push{}
	for len(p.in) > 0 {
		out = append(out, p.nextPush())
	}
	return out
}

// asks asks for the roster since a version, and returns whether the result was
// empty, and if not, what was in it.
func (p *peer) asks(ver string) (empty bool, now string, items []string) {
	p.t.Helper()
	now, items = p.versioned(`ver='` + ver + `'`)
	return now == "", now, items
}

// RFC 6121 §2.6.2, §2.6.3: who has the current version gets an empty result; who has
// an older one gets one push for each item that is different since, in the order of
// the changes, each with a version of its own, and the last of them the current one;
// who has a version that the server does not know gets everything.
//
//conformance:proves 6121-2.1.1-1 6121-2.1.1-3 6121-2.6.3-1 6121-2.6.3-2 6121-2.6.3-3 6121-2.6.3-6 6121-2.6.3-7 6121-2.6.3-8
func TestRosterVersions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, other := join(t, s, "romeo", "full"), join(t, s, "romeo", "other")
		// The version of a roster in which nothing has ever been.
		none, items := romeo.versioned(`ver=''`)
		require.Empty(t, items)
		empty, _, _ := romeo.asks(none)
		require.True(t, empty)
		require.Empty(t, romeo.pushes())

		for _, item := range []string{`<item jid='a@far.test'/>`, `<item jid='b@far.test' name='B'><group>G</group></item>`, `<item jid='c@far.test'/>`} {
			other.say(setItem("s", item))
		}
		other.drop()
		pushed := romeo.pushes()
		require.Len(t, pushed, 3)
		first, items := other.versioned("")
		require.Equal(t, []string{"a@far.test none", "b@far.test none name=B [G]", "c@far.test none"}, items)
		require.Equal(t, pushed[2].ver, first, "the version of the last push")
		for i, p := range pushed {
			// Each version that a push has told of is one to come back with.
			late := join(t, s, "romeo", "late")
			empty, _, _ := late.asks(p.ver)
			require.True(t, empty)
			require.Equal(t, pushed[i+1:], ignoreIDs(late.pushes(), pushed[i+1:]))
			require.NoError(t, late.Close(t.Context()))
			synctest.Wait()
		}

		// §2.6.3's story: all of it while the client is away, the final result of
		// each item only.
		for _, item := range []string{
			`<item jid='a@far.test' name='A1'/>`, `<item jid='d@far.test'/>`, `<item jid='b@far.test' subscription='remove'/>`, `<item jid='a@far.test' name='A2'/>`,
			`<item jid='e@far.test'/>`, `<item jid='e@far.test' subscription='remove'/>`, `<item jid='f@far.test'/>`, `<item jid='f@far.test' subscription='remove'/>`, `<item jid='f@far.test' name='F'/>`,
		} {
			other.say(setItem("s", item))
		}
		other.say(`<presence type='subscribed' to='d@xmpp.test'/><presence type='subscribe' to='d@xmpp.test'/>`)
		other.drop()
		live := romeo.pushes()
		require.Len(t, live, 11)
		late := join(t, s, "romeo", "late")
		empty, _, _ = late.asks(first)
		require.True(t, empty)
		want := []push{live[1], live[2], live[3], live[5], live[8], live[10]}
		require.Equal(t, want, ignoreIDs(late.pushes(), want))
		require.Equal(t, []string{"d@far.test none", "b@far.test remove", "a@far.test none name=A2", "e@far.test remove", "f@far.test none name=F", "d@xmpp.test none ask=subscribe approved=true"},
			[]string{want[0].item, want[1].item, want[2].item, want[3].item, want[4].item, want[5].item})

		// After an empty result the resource is interested like any other.
		other.say(setItem("s", `<item jid='g@far.test'/>`))
		other.drop()
		require.Equal(t, "g@far.test none", late.nextPush().item)
		current, all := late.versioned("")
		require.Equal(t, "a@far.test none name=A2", all[0])

		// What the server cannot place.
		for _, ver := range []string{"", "garbage", "0", "1", "-1", none + "0", current + "0", "0" + current, current + " ", " ", "18446744073709551615", strings.Repeat("9", 400), "ver&lt;&apos;14"} {
			empty, now, items := late.asks(ver)
			require.False(t, empty, ver)
			require.Equal(t, current, now, ver)
			require.Equal(t, all, items, ver)
			late.quiet()
		}
		// A version of somebody else's roster.
		juliet := join(t, s, "juliet", "full")
		juliet.say(setItem("s", `<item jid='z@far.test'/>`))
		juliet.drop()
		empty, _, items = juliet.asks(current)
		require.False(t, empty)
		require.Equal(t, []string{"z@far.test none"}, items)
		// A long one is an error, and no more.
		late.say(`<iq type='get' id='long'><query xmlns='jabber:iq:roster' ver='` + strings.Repeat("v", 10_000) + `'/></iq>`)
		require.Equal(t, "modify not-acceptable", late.refused("long"))

		// A request that nobody sees in the roster is no modification of it.
		juliet.say(`<presence type='subscribe' to='romeo@xmpp.test'/>`)
		synctest.Wait()
		empty, _, _ = late.asks(current)
		require.True(t, empty)
		late.quiet()
	})
}

// ignoreIDs gives pushes the ids of others, which are of no concern.
func ignoreIDs(got, like []push) []push {
	if len(got) == len(like) {
		for i := range got {
			got[i].id = like[i].id
		}
	}
	return got
}

// RFC 6121 §2.6.3: whatever happens between, the roster of an older version and what
// the server sends for it make the current roster; and two servers do not share
// versions.
//
//conformance:proves 6121-2.6.3-1 6121-2.6.3-3 6121-2.6.3-7
func TestRosterVersionsAddUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		rnd := rand.New(rand.NewPCG(6121, 2))
		seen, juliet := join(t, s, "romeo", "seen"), join(t, s, "juliet", "deaf")
		talker := join(t, s, "romeo", "talker")
		type snapshot struct {
			ver   string
			items []string
		}
		var past []snapshot
		versions := map[string]bool{}
		for i := range 300 {
			if i%10 == 0 {
				talker.drop()
				ver, items := talker.versioned("")
				past = append(past, snapshot{ver, items})
				require.NoError(t, talker.Close(t.Context())) // it is interested now
				talker = join(t, s, "romeo", "talker")
			}
			contact := fmt.Sprintf("c%d@far.test", rnd.IntN(30))
			switch n := rnd.IntN(10); {
			case n < 5:
				talker.say(setItem("s", fmt.Sprintf(`<item jid='%s' name='%d'><group>g%d</group></item>`, contact, i, rnd.IntN(3))))
			case n < 8:
				talker.say(setItem("s", `<item jid='`+contact+`' subscription='remove'/>`))
			default:
				from, to := talker, "juliet@xmpp.test"
				if n == 9 {
					from, to = juliet, "romeo@xmpp.test"
				}
				from.say(`<presence type='` + stanzaTypes[rnd.IntN(4)] + `' to='` + to + `'/>`)
			}
			synctest.Wait()
		}
		talker.drop()
		current, all := seen.versioned("")
		for _, p := range past {
			late := join(t, s, "romeo", "late")
			empty, ver, items := late.asks(p.ver)
			if empty {
				ver, items = p.ver, p.items
				for _, change := range late.pushes() {
					contact, what, _ := strings.Cut(change.item, " ")
					items = slices.DeleteFunc(items, func(item string) bool { return strings.HasPrefix(item, contact+" ") })
					if what != "remove" {
						items = append(items, change.item)
					}
					ver = change.ver
				}
				slices.Sort(items)
			}
			require.Equal(t, all, items, "since %s", p.ver)
			require.Equal(t, current, ver)
			versions[p.ver] = true
			require.NoError(t, late.Close(t.Context()))
			synctest.Wait()
		}
		require.Greater(t, len(versions), len(past)/2)

		again := memoryServer(t, func(s *xmpp.Server) {})
		stranger := join(t, again, "romeo", "full")
		stranger.say(setItem("s", `<item jid='a@far.test'/>`))
		stranger.drop()
		for ver := range versions {
			empty, _, items := stranger.asks(ver)
			require.False(t, empty, "%s of another server", ver)
			require.Equal(t, []string{"a@far.test none"}, items)
		}
	})
}

// Two clients of one account set items at the same time: all hear all pushes in one
// order, with versions that are not repeated, and what is said last of each item is
// what the roster has.
//
//conformance:proves 6121-2.3.2-3 6121-2.6.3-7
func TestRosterRace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		resources := []*peer{resource(t, s, "romeo", "full"), resource(t, s, "romeo", "list")}
		resources[0].drop()
		const rounds = 60
		done := make(chan error, len(resources))
		for n, p := range resources {
			// Owner: the test. Ends by itself. Joined below.
			go func() {
				for i := range rounds {
					set := fmt.Sprintf(`<item jid='c%d@far.test' name='%d of %d'/>`, i%4, i, n)
					if i%7 == 6 {
						set = fmt.Sprintf(`<item jid='c%d@far.test' subscription='remove'/>`, i%4)
					}
					if err := p.Send(t.Context(), raw(setItem(fmt.Sprintf("s%d", i), set))); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range resources {
			require.NoError(t, <-done)
		}
		synctest.Wait()
		var heard [2][]push
		for n, p := range resources {
			replies := 0
			for len(p.in) > 0 {
				el := p.hear()
				if el.Attr("type") == "set" {
					for query := range el.Children() {
						for item := range query.Children() {
							heard[n] = append(heard[n], push{ver: query.Attr("ver"), item: itemOf(item)})
						}
					}
					continue
				}
				// Results, and item-not-found for what the other has removed, in order.
				require.Equal(t, fmt.Sprintf("s%d", replies), el.Attr("id"))
				replies++
			}
			require.Equal(t, rounds, replies)
		}
		require.Equal(t, heard[0], heard[1])
		list, versions := map[string]string{}, map[string]bool{}
		for _, p := range heard[0] {
			require.False(t, versions[p.ver])
			versions[p.ver] = true
			contact, what, _ := strings.Cut(p.item, " ")
			if list[contact] = p.item; what == "remove" {
				delete(list, contact)
			}
		}
		require.Equal(t, slices.Sorted(maps.Values(list)), resources[0].items())
	})
}
