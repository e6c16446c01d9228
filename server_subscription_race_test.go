package xmpp_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

// Several clients of two accounts manage the same subscriptions at the same time.
// Whatever the order, the two rosters fit each other when all is quiet (RFC 6121
// §A.1): a subscription has two ends, and a request that waits has somebody it waits
// for. Every resource has heard all pushes in the same order, the last of which is
// what the roster says.
//
//conformance:proves 6121-2.6.3-7
func TestSubscriptionRace(t *testing.T) {
	for round := range scaled(8, 500) {
		bubble(t, func(t *testing.T) { subscriptionRace(t, uint64(round)) })
	}
}

func subscriptionRace(t *testing.T, round uint64) {
	store := new(roster.MemoryStore)
	s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = store })
	names := []string{"romeo", "juliet"}
	clients := map[string][]*peer{}
	for _, name := range names {
		for _, res := range []string{"full", "list", "shown"} {
			clients[name] = append(clients[name], resource(t, s, name, res))
		}
	}
	const each = 40
	done := make(chan error, 6)
	for i, name := range names {
		to := names[1-i] + "@xmpp.test"
		for n, p := range clients[name] {
			rnd := rand.New(rand.NewPCG(round, uint64(3*i+n)))
			// Owner: the test. Ends by itself. Joined below.
			go func() {
				for range each {
					st := `<presence type='` + stanzaTypes[rnd.IntN(4)] + `' to='` + to + `'/>`
					if rnd.IntN(20) == 0 {
						st = setItem("rm", `<item jid='`+to+`' subscription='remove'/>`)
					}
					if err := p.Send(t.Context(), raw(st)); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
	}
	for range 6 {
		require.NoError(t, <-done)
	}
	synctest.Wait()
	states := [2]roster.State{}
	for i, name := range names {
		other := address(names[1-i] + "@xmpp.test")
		list, err := store.Roster(t.Context(), address(name+"@xmpp.test"))
		require.NoError(t, err)
		item, _ := list.Item(other)
		states[i] = item.State
		var heard [2][]string
		for n, p := range clients[name][:2] { // the interested ones
			for _, st := range p.saidAll() {
				if strings.HasPrefix(st, "push ") {
					heard[n] = append(heard[n], strings.TrimPrefix(st, "push "))
				}
			}
		}
		require.Equal(t, heard[0], heard[1], name)
		if len(heard[0]) > 0 {
			last := heard[0][len(heard[0])-1]
			if strings.HasSuffix(last, " remove") {
				require.False(t, item.Listed())
			} else {
				require.Equal(t, []string{last}, clients[name][0].items())
			}
		}
	}
	romeo, juliet := states[0], states[1]
	text := fmt.Sprintf("round %d: romeo %s, juliet %s", round, romeo, juliet)
	require.Equal(t, romeo.Has(roster.To), juliet.Has(roster.From), text)
	require.Equal(t, romeo.Has(roster.From), juliet.Has(roster.To), text)
	require.Equal(t, romeo.Has(roster.PendingOut), juliet.Has(roster.PendingIn), text)
	require.Equal(t, romeo.Has(roster.PendingIn), juliet.Has(roster.PendingOut), text)
}

// slowExists is a list of accounts that takes its time to find one, at a call that it
// is told of in advance: until others have gone ahead, if they can.
type slowExists struct {
	*xmpp.MemoryAccounts
	slow   atomic.Int32 // which call from now, one being the next
	passed func() bool
}

func (s *slowExists) Exists(ctx context.Context, account jid.JID) (bool, error) {
	if s.slow.Add(-1) == 0 {
		for i := 0; i < 20_000 && !s.passed(); i++ {
			runtime.Gosched()
		}
	}
	return s.MemoryAccounts.Exists(ctx, account)
}

// One client subscribes, another one of the same account takes that back, and the
// first stanza is held up on its way to the contact: the second does not overtake it
// (RFC 6120 §10.1), nor does what comes of a removal from the roster.
func TestSubscriptionIsNotOvertaken(t *testing.T) {
	takeBack := map[string]string{
		"unsubscribe": `<presence type='unsubscribe' to='juliet@xmpp.test'/>`,
		"remove":      setItem("rm", `<item jid='juliet@xmpp.test' subscription='remove'/>`),
	}
	for name, xml := range takeBack {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, slow := new(roster.MemoryStore), new(slowExists)
				s := memoryServer(t, func(s *xmpp.Server) {
					slow.MemoryAccounts = s.Accounts.(*xmpp.MemoryAccounts)
					s.Accounts, s.Rosters = slow, store
				})
				juliet := s.AddAccount(t, "juliet", "secret of juliet")
				first, second := resource(t, s, "romeo", "full"), resource(t, s, "romeo", "deaf")
				romeo := first.LocalAddr().Bare()
				state := func(account, contact jid.JID) roster.State {
					list, err := store.Roster(t.Context(), account)
					require.NoError(t, err)
					item, _ := list.Item(contact)
					return item.State
				}
				// The second one has gone ahead when romeo's side of it is done: what
				// follows at juliet's takes no time.
				slow.passed = func() bool { return state(romeo, juliet) == roster.None }
				slow.slow.Store(2) // the first is about whether to take the stanza at all
				first.say(`<presence type='subscribe' to='juliet@xmpp.test'/>`)
				require.Equal(t, "push juliet@xmpp.test none ask=subscribe", said(first.hear()))
				second.say(xml)
				synctest.Wait()
				require.Equal(t, roster.None, state(romeo, juliet))
				require.Equal(t, roster.None, state(juliet, romeo))
			})
		})
	}
}
