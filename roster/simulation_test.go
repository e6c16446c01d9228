package roster_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// side is the server of one of two users, who are each other's contact.
type side struct {
	state roster.State
	in    []stanza.PresenceType // from the other side, in order
	peer  *side

	consented bool // the user has let the contact in since it was last turned away
	wanted    bool // the user has asked for a subscription since it was last ended
	sent      int
}

// pair returns two sides in some states.
func pair(a, b roster.State) (*side, *side) {
	x, y := &side{state: a}, &side{state: b}
	x.peer, y.peer = y, x
	for _, s := range []*side{x, y} {
		s.consented = s.state&(roster.From|roster.Approved) != 0
		s.wanted = s.state&(roster.To|roster.PendingOut) != 0
	}
	return x, y
}

func (s *side) send(t stanza.PresenceType) {
	s.sent++
	s.peer.in = append(s.peer.in, t)
}

// act is what the user does: a stanza, or with "" the removal of the contact.
func (s *side) act(t stanza.PresenceType) {
	switch t {
	case stanza.SubscribePresence:
		s.wanted = true
	case stanza.SubscribedPresence:
		s.consented = true
	case stanza.UnsubscribePresence:
		s.wanted = false
	case stanza.UnsubscribedPresence:
		s.consented = false
	case "":
		s.wanted, s.consented = false, false
		send, _ := s.state.Removal()
		s.state = roster.None
		for _, t := range send {
			s.send(t)
		}
		return
	}
	next, effects := s.state.Outbound(t)
	s.state = next
	if effects.Has(roster.Route) {
		s.send(t)
	}
}

// arrive takes the next stanza from the other side.
func (s *side) arrive() {
	t := s.in[0]
	s.in = s.in[1:]
	next, effects := s.state.Inbound(t)
	s.state = next
	if effects.Has(roster.AutoReplySubscribed) {
		s.send(stanza.SubscribedPresence)
	}
	if effects.Has(roster.AutoReplyUnsubscribed) {
		s.send(stanza.UnsubscribedPresence)
	}
}

// drain lets everything arrive, and fails if it never ends.
func drain(t *testing.T, rnd *rand.Rand, a, b *side) {
	t.Helper()
	for budget := 2 * (len(a.in) + len(b.in)); len(a.in)+len(b.in) > 0; budget-- {
		// An automatic reply is never replied to: each stanza causes one at most.
		require.Positive(t, budget, "a loop")
		step(rnd, a, b)
	}
}

// step lets one stanza arrive, at a side that has one.
func step(rnd *rand.Rand, a, b *side) {
	if len(a.in) > 0 && (len(b.in) == 0 || rnd.IntN(2) == 0) {
		a.arrive()
	} else if len(b.in) > 0 {
		b.arrive()
	}
}

// agree fails unless each subscription and request is known on both sides.
func agree(t *testing.T, a, b *side, msg string) {
	t.Helper()
	for _, s := range []*side{a, b} {
		require.Equal(t, s.state.Has(roster.To), s.peer.state.Has(roster.From), "%s: To with one is From with the other: %s, %s", msg, s.state, s.peer.state)
		require.Equal(t, s.state.Has(roster.PendingOut), s.peer.state.Has(roster.PendingIn), "%s: asked with one is asked with the other: %s, %s", msg, s.state, s.peer.state)
	}
}

var actions = append([]stanza.PresenceType{""}, managing...)

// As long as nothing crosses on the way, two servers never disagree.
func TestSimulationInOrder(t *testing.T) {
	const seed = 3
	rnd := rand.New(rand.NewPCG(seed, seed))
	a, b := pair(roster.None, roster.None)
	seen := map[roster.State]bool{}
	var log []string
	for range 20_000 {
		s := []*side{a, b}[rnd.IntN(2)]
		what := actions[rnd.IntN(len(actions))]
		log = append(log[max(0, len(log)-8):], fmt.Sprintf("%t %q", s == a, what))
		s.act(what)
		drain(t, rnd, a, b)
		agree(t, a, b, fmt.Sprint(log))
		seen[a.state] = true
	}
	require.Len(t, seen, len(states()), "all states were reached")
}

// Whatever crosses, a loop never comes of it, and nobody gets a subscription that
// the other has not granted: From takes consent, To takes a request.
func TestSimulationCrossing(t *testing.T) {
	const seed = 6
	rnd := rand.New(rand.NewPCG(seed, seed))
	a, b := pair(roster.None, roster.None)
	consent := func() {
		for _, s := range []*side{a, b} {
			require.True(t, !s.state.Has(roster.From) || s.consented, "From without consent: %s", s.state)
			require.True(t, s.state&(roster.To|roster.PendingOut) == 0 || s.wanted, "To without a request: %s", s.state)
		}
	}
	acted := 0
	for range 20_000 {
		if rnd.IntN(3) == 0 && len(a.in)+len(b.in) < 16 {
			[]*side{a, b}[rnd.IntN(2)].act(actions[rnd.IntN(len(actions))])
			acted++
		} else {
			step(rnd, a, b)
		}
		consent()
	}
	drain(t, rnd, a, b)
	consent()
	// Two for a removal, and an automatic reply to each.
	require.LessOrEqual(t, a.sent+b.sent, 4*acted)
}

// The same if the other server is hostile and sends anything.
func TestSimulationHostile(t *testing.T) {
	const seed = 9
	rnd := rand.New(rand.NewPCG(seed, seed))
	s, peer := pair(roster.None, roster.None)
	for range 20_000 {
		if rnd.IntN(4) == 0 {
			s.act(actions[rnd.IntN(len(actions))])
		} else {
			s.in = append(s.in, managing[rnd.IntN(len(managing))])
			s.arrive()
		}
		peer.in = nil
		require.True(t, !s.state.Has(roster.From) || s.consented, "%s", s.state)
		require.True(t, s.state&(roster.To|roster.PendingOut) == 0 || s.wanted, "%s", s.state)
	}
}

// The protocol has no way to tell replies apart, so that servers can disagree when
// stanzas cross. This is one way, from the automatic reply of §A.3.2: a user who
// unsubscribes and asks again at once takes "unsubscribed", the reply to the former,
// for the answer to the latter. The contact's approval then finds nobody who asked.
func TestSimulationCrossingDisagrees(t *testing.T) {
	a, b := pair(roster.To, roster.From)
	a.act(stanza.UnsubscribePresence)
	a.act(stanza.SubscribePresence)
	b.arrive() // and is replied to
	b.arrive()
	a.arrive()
	b.act(stanza.SubscribedPresence)
	a.arrive()
	require.Equal(t, roster.None, a.state)
	require.Equal(t, roster.From, b.state)
	// To ask once more is enough: who is subscribed gets the reply again (§A.3.1).
	a.act(stanza.SubscribePresence)
	b.arrive()
	a.arrive()
	agree(t, a, b, "asked again")
	require.Equal(t, roster.To, a.state)
}

// However far two servers are apart, to end a subscription from both ends and to
// begin it again brings them together.
func TestSimulationRepair(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, x := range states() {
		for _, y := range states() {
			a, b := pair(x, y)
			msg := fmt.Sprintf("%s and %s", x, y)
			for _, s := range []*side{a, b} {
				s.act("")
				drain(t, rnd, a, b)
			}
			agree(t, a, b, msg)
			require.Zero(t, a.state|b.state, msg)
			for _, s := range []*side{a, b} {
				s.act(stanza.SubscribePresence)
				drain(t, rnd, a, b)
				s.peer.act(stanza.SubscribedPresence)
				drain(t, rnd, a, b)
			}
			agree(t, a, b, msg)
			require.Equal(t, roster.Both, a.state, msg)
		}
	}
}
