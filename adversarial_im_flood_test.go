package xmpp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stream"
)

// everybody are accounts of which every one exists.
type everybody struct{ xmpp.Accounts }

func (everybody) Exists(context.Context, jid.JID) (bool, error) { return true, nil }

// flood sends n stanzas and returns how often which condition came back.
func (p *peer) flood(n int, xml func(i int) string) map[string]int {
	p.t.Helper()
	got := map[string]int{}
	for i := range n {
		p.say(xml(i))
		if i%500 == 499 || i == n-1 {
			synctest.Wait()
			for len(p.in) > 0 {
				words := strings.Fields(look(<-p.in))
				got[words[len(words)-1]]++
			}
		}
	}
	return got
}

// Floods of what is kept for others (RFC 6120 §13.12 rule 5): what is kept is
// bounded, who floods is told, and so is the program.
func adversarialL16(t *testing.T) {
	t.Run("messages to one account", floodOfMessages)
	t.Run("large messages to one account", floodOfLargeMessages)
	t.Run("messages to many accounts", floodOfRecipients)
	t.Run("requests of one account", floodOfRequests)
	t.Run("requests to one account", floodOfRequesters)
	t.Run("a policy of the program", floodWithPolicy)
}

func floodOfMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := scaled(2_000, 10_000)
		var log records
		store := new(presence.MemoryOffline)
		s := memoryServer(t, func(s *xmpp.Server) { s.Offline, s.Logger = store, log.logger() })
		s.AddAccount(t, "juliet", "secret of juliet")
		s.AddAccount(t, "nurse", "secret of nurse")
		romeo := join(t, s, "romeo", "orchard")
		got := romeo.flood(n, func(i int) string {
			return fmt.Sprintf(`<message to='%s' id='%d'><body>buy</body></message>`, []string{julietJID, full("x")}[i%2]+"' type='chat", i)
		})
		require.Equal(t, map[string]int{"resource-constraint": n - 100}, got)
		kept, err := store.Count(t.Context(), address(julietJID))
		require.NoError(t, err)
		require.Equal(t, 100, kept)
		require.Contains(t, log.String(), "storing a message failed")
		require.Contains(t, log.String(), "romeo@xmpp.test", "who floods")
		require.Contains(t, log.String(), julietJID, "whom")
		// Others are none the worse, and when she has read there is room again.
		romeo.say(`<message to='nurse@xmpp.test' id='1'/>`)
		romeo.quiet()
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		require.Equal(t, upTo(0, 100), juliet.messageIDs())
		juliet.say(`<presence type='unavailable'/>`)
		juliet.hear()
		romeo.say(`<message to='juliet@xmpp.test' id='1'/>`)
		romeo.quiet()
	})
}

func floodOfLargeMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(presence.MemoryOffline)
		s := memoryServer(t, func(s *xmpp.Server) { s.Offline = store })
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo := join(t, s, "romeo", "orchard")
		body := strings.Repeat("x", 200<<10)
		got := romeo.flood(20, func(i int) string {
			return fmt.Sprintf(`<message to='%s' id='%d'><body>%s</body></message>`, julietJID, i, body)
		})
		require.Equal(t, map[string]int{"resource-constraint": 15}, got, "1 MiB holds five of them")
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		require.Equal(t, upTo(0, 5), juliet.messageIDs())
	})
}

func floodOfRecipients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := scaled(2_000, 10_000)
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Accounts, s.Offline = everybody{s.Accounts}, &presence.MemoryOffline{Accounts: 700}
		})
		romeo := join(t, s, "romeo", "orchard")
		got := romeo.flood(n, func(i int) string {
			return fmt.Sprintf(`<message to='victim%d@xmpp.test' id='%d'><body>buy</body></message>`, i, i)
		})
		require.Equal(t, map[string]int{"resource-constraint": n - 700}, got)
		// Presence and probes leave nothing behind.
		require.Empty(t, romeo.flood(n, func(i int) string { return fmt.Sprintf(`<presence to='victim%d@xmpp.test'/>`, i) }))
	})
}

func floodOfRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := scaled(1_000, 10_000)
		rosters := &roster.MemoryStore{MaxItems: 300}
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = rosters })
		romeo := join(t, s, "romeo", "orchard")
		got := romeo.flood(n, func(i int) string {
			return fmt.Sprintf(`<presence to='victim%d@xmpp.test' type='subscribe' id='%d'/>`, i, i)
		})
		require.Equal(t, map[string]int{"resource-constraint": n - 300}, got)
		list, err := rosters.Roster(t.Context(), address("romeo@xmpp.test"))
		require.NoError(t, err)
		require.Len(t, list.Items, 300)
	})
}

func floodOfRequesters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := scaled(1_000, 10_000)
		var log records
		g, rosters := new(gateway), new(roster.MemoryStore)
		s := memoryServer(t, func(s *xmpp.Server) {
			allowPlain(s)
			s.Rosters, s.Logger = rosters, log.logger()
			s.Modules = append(s.Modules, g)
		})
		juliet := dialWire(t, s)
		juliet.login("juliet", "balcony", "")
		essay := strings.Repeat("x", 20<<10)
		for i := range n {
			g.arrives(t, fmt.Sprintf(`<presence xmlns='jabber:client' type='subscribe' from='bot%d@far.test' to='%s'><status>%s</status></presence>`, i, julietJID, essay[:[]int{20 << 10, 7500, 7500}[i%3]]))
		}
		list, err := rosters.Roster(t.Context(), address(julietJID))
		require.NoError(t, err)
		require.Len(t, list.Items, 256, "the requests of strangers are bounded")
		size := 0
		for _, item := range list.Items {
			size += len(item.Request)
		}
		require.Less(t, size, 256*(8<<10+200))
		require.Contains(t, log.String(), "storing a roster failed")

		// It does not keep her out, however slowly she reads.
		juliet.say(`<presence/>`)
		<-time.After(5 * time.Second)
		require.NoError(t, juliet.SetDeadline(time.Now().Add(time.Minute)))
		for range 256 {
			juliet.until(`type='subscribe'`)
		}
		juliet.say(`<iq type='get' id='alive' to='xmpp.test'><ping xmlns='urn:xmpp:ping'/></iq>`)
		juliet.until(`id='alive'`)
		require.Contains(t, juliet.until(">"), "result")
	})
}

// The program may be stricter: Rates.Stanza ends the session of who overdoes it.
func floodWithPolicy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		recipients := map[jid.JID]map[string]bool{}
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Rates.Stanza = func(from jid.JID, el *stream.Element) (time.Duration, error) {
				if recipients[from] == nil {
					recipients[from] = map[string]bool{}
				}
				recipients[from][el.Attr("to")] = true
				if len(recipients[from]) > 50 {
					return 0, &stream.Error{Condition: stream.PolicyViolation, Text: "too many recipients"}
				}
				return 0, nil
			}
		})
		romeo := join(t, s, "romeo", "orchard")
		for i := range 10_000 {
			if romeo.Send(t.Context(), raw(fmt.Sprintf(`<message to='victim%d@xmpp.test' id='%d'/>`, i, i))) != nil {
				break
			}
		}
		require.ErrorIs(t, romeo.ended(), stream.PolicyViolation)
		synctest.Wait()
		require.Len(t, romeo.in, 50)
	})
}
