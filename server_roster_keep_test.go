package xmpp_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/roster"
)

// What the store keeps is enough for another server that comes after: items, states,
// requests that wait, and versions.
//
//conformance:proves 6121-2-2 6121-2.6.3-3 6121-3.1.3-9 6121-3.1.3-10
func TestRosterOutlivesTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(roster.MemoryStore)
		run := func(f func(romeo, juliet *peer)) {
			s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = store })
			romeo, juliet := join(t, s, "romeo", "full"), join(t, s, "juliet", "full")
			f(romeo, juliet)
			s.Close()
			synctest.Wait()
		}
		var ver string
		run(func(romeo, _ *peer) {
			romeo.say(setItem("s", `<item jid='juliet@xmpp.test' name='J'><group>G</group></item>`))
			romeo.say(`<presence type='subscribe' to='juliet@xmpp.test' id='t.1'><x xmlns='urn:x'/></presence>`)
			romeo.drop()
			ver, _ = romeo.versioned("")
		})
		run(func(romeo, juliet *peer) {
			empty, _, _ := romeo.asks(ver)
			require.True(t, empty)
			require.Empty(t, romeo.pushes())
			juliet.say(`<presence/>`)
			juliet.hear()
			require.Contains(t, string(juliet.hears("presence subscribe romeo@xmpp.test→juliet@xmpp.test t.1").Raw()), "urn:x")
			juliet.say(`<presence type='subscribed' to='romeo@xmpp.test'/>`)
			require.Equal(t, []string{
				"subscribed juliet@xmpp.test→romeo@xmpp.test", "push juliet@xmpp.test to name=J [G]",
			}, romeo.saidAll())
		})
		run(func(romeo, juliet *peer) {
			empty, _, _ := romeo.asks(ver)
			require.True(t, empty)
			pushes := romeo.pushes()
			require.Len(t, pushes, 1)
			require.Equal(t, "juliet@xmpp.test to name=J [G]", pushes[0].item)
			juliet.say(`<presence/>`)
			juliet.drop()
			romeo.say(`<presence/>`)
			require.Equal(t, []string{"- romeo@xmpp.test/full→romeo@xmpp.test", "- juliet@xmpp.test/full→romeo@xmpp.test"}, romeo.saidAll())
			require.Equal(t, []string{"romeo@xmpp.test from"}, juliet.items())
		})
	})
}

// A long roster comes whole, in one result; and one push says what is new in it.
//
//conformance:proves 6121-2-2 6121-2.6.3-2
func TestRosterIsLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo := join(t, s, "romeo", "full")
		name := strings.Repeat("n", 10)
		var want []string
		for i := range 2000 {
			romeo.say(setItem("s", fmt.Sprintf(`<item jid='c%d@far.test' name='%s'><group>%s</group></item>`, i, name, name)))
			romeo.hears("iq result -→romeo@xmpp.test/full s")
			want = append(want, fmt.Sprintf(`c%d@far.test none name=%s [%s]`, i, name, name))
		}
		slices.Sort(want)
		ver, items := romeo.versioned("")
		require.Equal(t, want, items)
		romeo.say(setItem("s", `<item jid='c7@far.test'/>`))
		romeo.drop()
		late := join(t, s, "romeo", "late")
		empty, _, _ := late.asks(ver)
		require.True(t, empty, "§2.6.3: less than the whole")
		pushes := late.pushes()
		require.Len(t, pushes, 1)
		require.Equal(t, "c7@far.test none", pushes[0].item)
	})
}

// A roster get while others set: what is not in the result is pushed after it, and
// nothing before it.
//
//conformance:proves 6121-2.2-2 6121-2.6.3-7
func TestRosterGetWhileItChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		writer := join(t, s, "romeo", "writer")
		const readers = 4
		var all []*peer
		for i := range readers {
			all = append(all, join(t, s, "romeo", fmt.Sprintf("reader%d", i)))
		}
		done := make(chan error, 1)
		// Owner: the test. Ends by itself. Joined below.
		go func() {
			for i := range 200 {
				set := fmt.Sprintf(`<item jid='c%d@far.test' name='%d'/>`, i%20, i)
				if i%3 == 2 {
					set = fmt.Sprintf(`<item jid='c%d@far.test' subscription='remove'/>`, (i-1)%20)
				}
				if err := writer.Send(t.Context(), raw(setItem("s", set))); err != nil {
					done <- err
					return
				}
				if i%40 == 20 {
					r := all[i/40%readers]
					if err := r.Send(t.Context(), raw(`<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>`)); err != nil {
						done <- err
						return
					}
				}
			}
			done <- nil
		}()
		require.NoError(t, <-done)
		synctest.Wait()
		writer.drop()
		want := writer.items()
		for _, r := range all {
			list, answered := map[string]string{}, false
			for len(r.in) > 0 {
				el := r.hear()
				answered = answered || el.Attr("id") == "g"
				require.True(t, answered, "a push before the result: %s", el.Raw())
				if el.Attr("id") == "g" {
					clear(list)
				}
				for query := range el.Children() {
					for item := range query.Children() {
						list[item.Attr("jid")] = itemOf(item)
						if item.Attr("subscription") == "remove" {
							delete(list, item.Attr("jid"))
						}
					}
				}
			}
			require.True(t, answered)
			require.Equal(t, want, slices.Sorted(maps.Values(list)))
		}
	})
}
