package xmpp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
)

// Directed presence beyond the bound is refused whoever it is for: otherwise the
// answer would tell who is connected.
func TestDirectedPresenceBoundTellsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		juliet.hear()
		join(t, s, "nurse", "quiet") // connected, not available
		s.AddAccount(t, "paris", "secret of paris")
		spy := join(t, s, "spy", "street")
		for i := range 256 {
			r := join(t, s, "spy", fmt.Sprint(i%60))
			spy.say(`<presence to='spy@xmpp.test/` + fmt.Sprint(i%60) + `'/>`)
			_ = r
			if i == 59 {
				break
			}
		}
		others := 60
		for _, name := range []string{"a", "b", "c", "d"} {
			for i := range 60 {
				if others == 256 {
					break
				}
				join(t, s, name, fmt.Sprint(i))
				spy.say(`<presence to='` + name + `@xmpp.test/` + fmt.Sprint(i) + `'/>`)
				others++
			}
		}
		spy.quiet()
		for _, to := range []string{
			"juliet@xmpp.test/balcony", "juliet@xmpp.test", "juliet@xmpp.test/elsewhere",
			"nurse@xmpp.test/quiet", "nurse@xmpp.test", "paris@xmpp.test", "paris@xmpp.test/x", "nobody@xmpp.test", "nobody@xmpp.test/x",
		} {
			spy.say(`<presence to='` + to + `' id='d'/>`)
			spy.hears("presence error " + to + "→spy@xmpp.test/street d resource-constraint")
		}
		juliet.quiet()
		// Who knows already can be told, and that it is over; then there is room.
		spy.say(`<presence to='a@xmpp.test/0'/>`)
		spy.say(`<presence to='juliet@xmpp.test' type='unavailable'/>`)
		spy.say(`<presence to='a@xmpp.test/0' type='unavailable'/>`)
		spy.say(`<presence to='juliet@xmpp.test' id='now'/>`)
		juliet.hears("presence unavailable spy@xmpp.test/street→juliet@xmpp.test -")
		juliet.hears("presence - spy@xmpp.test/street→juliet@xmpp.test now")
		spy.quiet()
	})
}

// RFC 6121 §4.6.3 rule 1: a subscriber is told by the broadcast, but a resource of
// it that is not available gets no broadcasts.
func TestDirectedPresenceToUnavailableResourceOfSubscriber(t *testing.T) {
	for _, first := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			rosters := new(roster.MemoryStore)
			_, err := rosters.Put(t.Context(), address(julietJID), roster.Item{JID: address("romeo@xmpp.test"), State: roster.From})
			require.NoError(t, err)
			s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = rosters })
			romeo := join(t, s, "romeo", "orchard") // connected, not available
			juliet := join(t, s, "juliet", "balcony")
			direct := `<presence to='romeo@xmpp.test/orchard' id='d'/>`
			if first {
				juliet.say(direct)
			}
			juliet.say(`<presence/>`)
			juliet.hear()
			if !first {
				juliet.say(direct)
			}
			romeo.hears("presence - juliet@xmpp.test/balcony→romeo@xmpp.test/orchard d")
			juliet.Abort(errOver)
			romeo.hears("presence unavailable juliet@xmpp.test/balcony→romeo@xmpp.test/orchard -")
			romeo.quiet()
		})
	}
}

// XEP-0191 §3.3: who is blocked is told that the user is gone, also by a resource
// that has only ever shown itself to that contact.
func TestBlockHidesDirectedPresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Modules = []stanza.Module{&blocking.Module{}} })
		for _, to := range []string{"tybalt@xmpp.test/street", "tybalt@xmpp.test"} {
			for _, block := range []string{"tybalt@xmpp.test/street", "tybalt@xmpp.test", "xmpp.test"} {
				if to == "tybalt@xmpp.test" && block == "tybalt@xmpp.test/street" {
					continue // other resources of his are not blocked
				}
				tybalt := join(t, s, "tybalt", "street")
				tybalt.say(`<presence/>`)
				tybalt.hear()
				juliet := join(t, s, "juliet", "balcony")
				juliet.say(`<presence to='` + to + `' id='d'/>`)
				tybalt.hears("presence - juliet@xmpp.test/balcony→" + to + " d")
				juliet.say(`<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='` + block + `'/></block></iq>`)
				juliet.hear()
				el := tybalt.hear()
				require.Equal(t, "unavailable juliet@xmpp.test/balcony", el.Attr("type")+" "+el.Attr("from"), "%s %s", to, block)
				juliet.Abort(errOver)
				tybalt.quiet()
				again := join(t, s, "juliet", "again")
				again.say(`<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'/></iq>`)
				again.hear()
				require.NoError(t, again.Close(t.Context()))
				tybalt.quiet()
				require.NoError(t, tybalt.Close(t.Context()))
			}
		}
	})
}

// Contacts decide how much there is to be told of them: it waits for the client
// that has just come, or they could keep it out for good.
func TestMuchPresenceOfContactsDoesNotKeepClientOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rosters := new(roster.MemoryStore)
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Rosters = rosters
			s.Limits = &stream.Limits{ElementBytes: 20 << 10, OutboundBytes: 64 << 10}
		})
		want := map[string]bool{}
		status := strings.Repeat("x", 15<<10)
		for i := range 10 {
			name := fmt.Sprintf("mallory%d", i)
			_, err := rosters.Put(t.Context(), address(julietJID), roster.Item{JID: address(name + "@xmpp.test"), State: roster.To})
			require.NoError(t, err)
			_, err = rosters.Put(t.Context(), address(name+"@xmpp.test"), roster.Item{JID: address(julietJID), State: roster.From})
			require.NoError(t, err)
			for _, r := range []string{"a", "b", "c"} {
				p := join(t, s, name, r)
				p.say(`<presence><status>` + status + `</status></presence>`)
				synctest.Wait()
				want[p.LocalAddr().String()] = true
			}
		}
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		juliet.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test -")
		for len(want) > 0 {
			el := juliet.hear()
			require.True(t, want[el.Attr("from")], "%.200s", el.Raw())
			delete(want, el.Attr("from"))
		}
		juliet.quiet()
		require.NoError(t, juliet.Err())
	})
}

// What a client has asked for may be more than its queue holds, also while a module
// stands between: it waits for the client.
func TestLargeAnswersToInactiveClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rosters := new(roster.MemoryStore)
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Modules = []stanza.Module{&csi.Module{}}
			s.Rosters = rosters
			s.Handler = stanza.HandlerFunc(func(ctx context.Context, sender stanza.Sender, st stanza.Stanza) error {
				for i := range 12 {
					if err := sender.Send(ctx, &stanza.Message{ID: fmt.Sprint(i), Body: stanza.Plain(strings.Repeat("x", 200<<10))}); err != nil {
						return err
					}
				}
				return nil
			})
		})
		// Strangers have asked, too, at length.
		for i := range 250 {
			contact := address(fmt.Sprintf("stranger%d@xmpp.test", i))
			_, err := rosters.Put(t.Context(), address(julietJID), roster.Item{JID: contact, State: roster.PendingIn,
				Request: roster.KeepRequest(&stanza.Presence{
					ID: "ask", From: contact, To: address(julietJID), Type: stanza.SubscribePresence, Status: stanza.Plain(strings.Repeat("x", 7<<10)),
				})})
			require.NoError(t, err)
		}
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<inactive xmlns='urn:xmpp:csi:0'/>`)
		juliet.say(`<iq type='get' id='much'><query xmlns='urn:x'/></iq>`)
		for i := range 12 {
			juliet.said(fmt.Sprint(i))
		}
		juliet.say(`<presence/>`)
		for range 250 {
			require.Equal(t, "subscribe", juliet.said("ask").Attr("type"))
		}
		require.NoError(t, juliet.Err())
	})
}
