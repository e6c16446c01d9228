package xmpp_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// gateway is a module that speaks for addresses elsewhere, as a component or
// another server would.
type gateway struct{ stanza.Host }

func (g *gateway) Name() string               { return "gateway" }
func (g *gateway) Register(*stanza.Mux) error { return nil }
func (g *gateway) Attach(h stanza.Host) error { g.Host = h; return nil }

// arrives has a stanza come from elsewhere.
func (g *gateway) arrives(t *testing.T, xml string) {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err)
	p := new(stanza.Presence)
	require.NoError(t, p.DecodeElement(el))
	require.NoError(t, g.Send(t.Context(), p))
}

// bitsOf is a state of the tables as the store has it.
func bitsOf(state string) roster.State {
	bits := map[string]roster.State{"None": roster.None, "To": roster.To, "From": roster.From, "Both": roster.Both}
	base, sub, _ := strings.Cut(strings.TrimSuffix(state, "!"), "+")
	s := bits[base]
	if strings.Contains(sub, "Out") {
		s |= roster.PendingOut
	}
	if strings.Contains(sub, "In") {
		s |= roster.PendingIn
	}
	if strings.HasSuffix(state, "!") {
		s |= roster.Approved
	}
	return s
}

// RFC 6121 §A.3: every stanza arrives in every state, also in those in which the
// server of a contact who keeps its books in order would not send it. It is
// delivered to whom it concerns, before the push, or ignored in silence.
//
//conformance:proves 6121-3.1.3-4 6121-3.1.3-7 6121-3.1.6-1 6121-3.1.6-2 6121-3.1.6-4 6121-3.2.3-1 6121-3.2.3-2 6121-3.2.3-4
//conformance:proves 6121-3.3.3-1 6121-3.3.3-2 6121-3.3.3-3 6121-3.3.3-4 6121-3.4.2-7
func TestSubscriptionStatesInbound(t *testing.T) {
	for _, listed := range []bool{false, true} {
		bubble(t, func(t *testing.T) { inboundStates(t, listed) })
	}
}

func inboundStates(t *testing.T, listed bool) {
	g, store := new(gateway), new(roster.MemoryStore)
	s := memoryServer(t, func(s *xmpp.Server) {
		s.Modules = append(s.Modules, g)
		s.Rosters = store
	})
	account := s.AddAccount(t, "romeo", "secret of romeo")
	// One contact for each case, so that all is there before romeo comes.
	contact := func(state, typ string) string {
		return strings.NewReplacer("+", "-", "!", "-approved").Replace(strings.ToLower(state)) + "." + typ + "@far.test"
	}
	states := slices.Sorted(maps.Keys(inboundRows["subscribe"]))
	for _, state := range states {
		for _, typ := range stanzaTypes {
			_, err := store.Put(t.Context(), account, roster.Item{JID: address(contact(state, typ)), State: bitsOf(state), Added: listed})
			require.NoError(t, err)
		}
	}
	resources := map[string]*peer{}
	for _, name := range []string{"full", "list", "shown", "deaf"} {
		resources[name] = resource(t, s, "romeo", name)
	}
	for _, r := range resources {
		r.drop()
	}
	for _, state := range states {
		for _, typ := range stanzaTypes {
			from, row := contact(state, typ), inboundRows[typ][state]
			g.arrives(t, `<presence xmlns='jabber:client' type='`+typ+`' id='t.1' from='`+from+`' to='romeo@xmpp.test'/>`)
			sees := typ + " " + from + "→romeo@xmpp.test t.1"
			pushed := "push " + from + " " + shownAs(row.next)
			var interested, available []string
			if row.passes && typ == "subscribe" {
				available = append(available, sees)
			} else if row.passes {
				interested = append(interested, sees)
			}
			if shownAs(row.next) != shownAs(state) {
				interested = append(interested, pushed)
			}
			for name, want := range map[string][]string{
				"full": slices.Concat(interested, available), "list": interested, "shown": available, "deaf": nil,
			} {
				require.Equal(t, want, resources[name].saidAll(), "%s arrives in %s: %s", typ, state, name)
			}
			got, err := g.Host.(interface {
				Subscribed(ctx context.Context, account, contact jid.JID) (roster.State, error)
			}).Subscribed(t.Context(), account, address(from))
			require.NoError(t, err)
			require.Equal(t, bitsOf(row.next), got, "%s arrives in %s", typ, state)
			kept, err := store.Roster(t.Context(), account)
			require.NoError(t, err)
			item, _ := kept.Item(address(from))
			require.Equal(t, bitsOf(row.next), item.State, "%s arrives in %s", typ, state)
		}
	}
}

// RFC 6121 §A.2: what is not to be routed does not leave the server of the user,
// also when the other side, whose books are in another order, would take it; what is
// to be routed leaves.
//
//conformance:proves 6121-3.1.2-3 6121-3.2.2-2 6121-3.2.2-5 6121-3.3.2-1 6121-3.4.2-1 6121-3.4.2-4 6121-3.4.2-6
func TestSubscriptionStatesOutbound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(roster.MemoryStore)
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = store })
		romeo := s.AddAccount(t, "romeo", "secret of romeo")
		listens := map[string]string{"subscribe": "None", "unsubscribe": "From", "subscribed": "None+Out", "unsubscribed": "None+Out"}
		states := slices.Sorted(maps.Keys(outboundRows["subscribe"]))
		contact := func(i, j int) string { return fmt.Sprintf("c%d-%d", i, j) }
		put := func(account jid.JID, item roster.Item) {
			_, err := store.Put(t.Context(), account, item)
			require.NoError(t, err)
		}
		for i, state := range states {
			for j, typ := range stanzaTypes {
				account := s.AddAccount(t, contact(i, j), "secret of "+contact(i, j))
				put(romeo, roster.Item{JID: account, State: bitsOf(state)})
				put(account, roster.Item{JID: romeo, State: bitsOf(listens[typ])})
			}
		}
		full := resource(t, s, "romeo", "full")
		for i, state := range states {
			for j, typ := range stanzaTypes {
				row, name := outboundRows[typ][state], contact(i, j)
				other := resource(t, s, name, "full")
				full.drop()
				full.say(`<presence type='` + typ + `' to='` + name + `@xmpp.test' id='t.1'/>`)
				var want []string
				if typ == "unsubscribed" && mayBeSeen(state) {
					want = append(want, "unavailable romeo@xmpp.test/full→"+name+"@xmpp.test")
				}
				if row.passes {
					want = append(want, typ+" romeo@xmpp.test→"+name+"@xmpp.test t.1")
				}
				heard := slices.DeleteFunc(other.saidAll(), func(s string) bool { return strings.HasPrefix(s, "push ") || strings.HasPrefix(s, "- ") })
				require.Equal(t, want, heard, "%s in %s", typ, state)
				require.NoError(t, other.Close(t.Context()))
			}
		}
	})
}

// RFC 6121 §3.1.2, §3.3.2: where the server does not reach, the user is told, and
// nothing has changed, for each stanza and in each form of the address.
//
//conformance:proves 6121-3.1.2-1 6121-3.1.2-6 6121-3.1.3-1
func TestSubscriptionElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo := join(t, s, "romeo", "full")
		romeo.say(`<presence/>`)
		romeo.drop()
		require.Empty(t, romeo.items())
		romeo.say(setItem("1", `<item jid='nurse@far.test' name='Nurse'/>`))
		romeo.drop()
		for _, to := range []string{"juliet@far.test", "juliet@far.test/balcony", "far.test", "nurse@far.test"} {
			for _, typ := range stanzaTypes {
				romeo.say(`<presence type='` + typ + `' to='` + to + `' id='p'/>`)
				romeo.hears("presence error " + to + "→romeo@xmpp.test/full p remote-server-not-found")
				require.Equal(t, []string{"nurse@far.test none name=Nurse"}, romeo.items())
			}
		}
		for _, to := range []string{"@xmpp.test", "a@b@xmpp.test", "xmpp.test/", "juliet@", "ju liet@xmpp.test"} {
			for _, typ := range stanzaTypes {
				romeo.say(`<presence type='` + typ + `' to='` + to + `' id='p'/>`)
				romeo.hears("presence error -→romeo@xmpp.test/full p jid-malformed")
			}
		}
		require.Equal(t, []string{"nurse@far.test none name=Nurse"}, romeo.items())
		romeo.quiet()
	})
}
