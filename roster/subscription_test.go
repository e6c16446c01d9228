package roster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// managing are the types of presence that manage subscriptions.
var managing = []stanza.PresenceType{
	stanza.SubscribePresence, stanza.UnsubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribedPresence,
}

// nine are the states of RFC 6121 §A.1, by their names there.
var nine = map[string]roster.State{
	"None":                  roster.None,
	"None + Pending Out":    roster.PendingOut,
	"None + Pending In":     roster.PendingIn,
	"None + Pending Out+In": roster.PendingOut | roster.PendingIn,
	"To":                    roster.To,
	"To + Pending In":       roster.To | roster.PendingIn,
	"From":                  roster.From,
	"From + Pending Out":    roster.From | roster.PendingOut,
	"Both":                  roster.Both,
}

// states are the nine, and those with pre-approval (§3.4.2 rules 3 and 4).
func states() []roster.State {
	var all []roster.State
	for s := range roster.State(1 << 5) {
		if s.Valid() {
			all = append(all, s)
		}
	}
	return all
}

// prose is a second statement of the state machine, made from the sentences of RFC
// 6121 §3 instead of the tables of §A: what the server knows, as facts.
type prose struct {
	to, from  bool // subscriptions
	asked     bool // the user has asked the contact ("ask")
	requested bool // the contact has asked the user
	approved  bool
	effects   roster.Effects
}

func (p *prose) does(e roster.Effects) { p.effects |= e }

func proseOf(s roster.State) prose {
	return prose{
		to: s.Has(roster.To), from: s.Has(roster.From), asked: s.Has(roster.PendingOut),
		requested: s.Has(roster.PendingIn), approved: s.Has(roster.Approved),
	}
}

func (p *prose) state() (s roster.State) {
	for bit, is := range map[roster.State]bool{
		roster.To: p.to, roster.From: p.from, roster.PendingOut: p.asked, roster.PendingIn: p.requested, roster.Approved: p.approved,
	} {
		if is {
			s |= bit
		}
	}
	return s
}

// outbound is the server of the user who sends.
func (p *prose) outbound(t stanza.PresenceType) {
	switch t {
	case stanza.SubscribePresence:
		// §3.1.2: the server MUST route the stanza; then a roster push with the
		// notation that the subscription is pending. Who is subscribed has nothing
		// pending.
		p.does(roster.Route)
		if !p.to && !p.asked {
			p.asked = true
			p.does(roster.Push)
		}
	case stanza.UnsubscribePresence:
		// §3.3.2: the server MUST route the stanza, then send a push with the updated
		// item, "none" or "from".
		p.does(roster.Route)
		if p.to || p.asked {
			p.to, p.asked = false, false
			p.does(roster.Push)
		}
	case stanza.SubscribedPresence:
		switch {
		case p.from: // §3.4.2 rule 1: silently ignore
		case p.requested: // rule 2: a normal approval, §3.1.5: route, push, presence
			p.from, p.requested = true, false
			p.does(roster.Route | roster.Push | roster.SendPresence)
		case !p.approved: // rules 3 and 4: the flag, a push; MUST NOT route
			p.approved = true
			p.does(roster.Push)
		}
	case stanza.UnsubscribedPresence:
		switch {
		case !p.from && !p.requested: // §3.2.2 rules 1 and 2
			if p.approved {
				p.approved = false
				p.does(roster.Push)
			}
		default: // rule 3; "while the user is still subscribed": unavailable
			if p.from {
				p.does(roster.SendUnavailable)
			}
			p.from, p.requested = false, false
			p.does(roster.Route | roster.Push)
		}
	}
}

// inbound is the server of the user whom the contact's stanza reaches.
func (p *prose) inbound(t stanza.PresenceType) {
	switch t {
	case stanza.SubscribePresence:
		switch {
		case p.from: // §3.1.3 rule 2: auto-reply
			p.does(roster.AutoReplySubscribed | roster.SendPresence)
		case p.approved: // §3.4.2: MUST NOT deliver, but respond automatically
			p.from, p.approved = true, false
			p.does(roster.AutoReplySubscribed | roster.SendPresence | roster.Push)
		case p.requested: // §3.1.3 rule 4: not more than one request
		default: // rules 3 and 4; no push, since there MUST NOT be an item
			p.requested = true
			p.does(roster.Deliver | roster.Keep)
		}
	case stanza.UnsubscribePresence:
		if p.from { // §3.3.3
			p.does(roster.Push | roster.SendUnavailable)
		}
		if p.from || p.requested { // §A.3.2, first sentence
			p.does(roster.Deliver | roster.AutoReplyUnsubscribed)
		}
		p.from, p.requested = false, false
	case stanza.SubscribedPresence:
		if p.asked { // §3.1.6
			p.to, p.asked = true, false
			p.does(roster.Deliver | roster.Push)
		}
	case stanza.UnsubscribedPresence:
		if p.to || p.asked { // §3.2.3, and §A.3.4 for a request that is denied
			p.to, p.asked = false, false
			p.does(roster.Deliver | roster.Push)
		}
	}
}

func testR20(t *testing.T) {
	require.Len(t, nine, 9)
	for name, s := range nine {
		require.Equal(t, name, s.String())
	}
	require.Len(t, states(), 9+3)
	for _, s := range states() {
		for _, typ := range managing {
			t.Run(fmt.Sprintf("%s, %s", s, typ), func(t *testing.T) {
				want := proseOf(s)
				want.outbound(typ)
				got, effects := s.Outbound(typ)
				require.Equal(t, want.state().String(), got.String(), "outbound")
				require.Equal(t, want.effects.String(), effects.String(), "outbound")

				want = proseOf(s)
				want.inbound(typ)
				got, effects = s.Inbound(typ)
				require.Equal(t, want.state().String(), got.String(), "inbound")
				require.Equal(t, want.effects.String(), effects.String(), "inbound")
			})
		}
	}
}

// What every step has to hold to, whatever the table says.
func TestStepProperties(t *testing.T) {
	for s := range roster.State(255) {
		for _, typ := range append([]stanza.PresenceType{stanza.AvailablePresence, stanza.UnavailablePresence, stanza.ProbePresence, stanza.ErrorPresence, "garbage"}, managing...) {
			out, outEffects := s.Outbound(typ)
			in, inEffects := s.Inbound(typ)
			name := fmt.Sprintf("%s (%d), %q", s, s, typ)
			require.True(t, out.Valid() && in.Valid(), name)
			// A second one of the same kind changes nothing and is not told again.
			again, effects := out.Outbound(typ)
			require.Equal(t, out, again, name)
			require.Zero(t, effects&(roster.Push|roster.SendPresence|roster.SendUnavailable), name)
			// Each kind of effect in its direction.
			require.Zero(t, outEffects&(roster.Deliver|roster.Keep|roster.AutoReplySubscribed|roster.AutoReplyUnsubscribed), name)
			require.Zero(t, inEffects&roster.Route, name)
			// Nobody but the user lets a contact in: §3.1.3 rule 1.
			if in.Has(roster.From) && s.Valid() {
				require.True(t, s.Has(roster.From) || s.Has(roster.Approved), name)
			}
			// Presence goes to who is subscribed, unavailable to who was.
			if (outEffects | inEffects).Has(roster.SendPresence) {
				require.True(t, out.Has(roster.From) || in.Has(roster.From), name)
			}
			if !s.Valid() {
				continue
			}
			if (outEffects | inEffects).Has(roster.SendUnavailable) {
				require.True(t, s.Has(roster.From), name)
			}
			// What the user can see changes with a push (§2.6.3).
			visible := roster.To | roster.From | roster.PendingOut | roster.Approved
			require.False(t, s&visible != out&visible && !outEffects.Has(roster.Push), name)
			require.False(t, s&visible != in&visible && !inEffects.Has(roster.Push), name)
		}
	}
}

// A combination that there is none of is taken for the nearest one.
func TestInvalidState(t *testing.T) {
	for _, tt := range []struct{ is, like roster.State }{
		{roster.To | roster.PendingOut, roster.To},
		{roster.From | roster.PendingIn, roster.From},
		{roster.Both | roster.PendingOut | roster.PendingIn | roster.Approved, roster.Both},
		{roster.From | roster.Approved, roster.From},
		{roster.PendingIn | roster.Approved, roster.PendingIn},
		{1<<5 | roster.To, roster.To},
	} {
		require.False(t, tt.is.Valid())
		require.True(t, tt.like.Valid())
		require.Equal(t, tt.like.Ask(), tt.is.Ask())
		for _, typ := range managing {
			s, e := tt.is.Outbound(typ)
			wantS, wantE := tt.like.Outbound(typ)
			require.Equal(t, wantS, s)
			require.Equal(t, wantE, e)
			s, e = tt.is.Inbound(typ)
			wantS, wantE = tt.like.Inbound(typ)
			require.Equal(t, wantS, s)
			require.Equal(t, wantE, e)
		}
		send, e := tt.is.Removal()
		wantSend, wantE := tt.like.Removal()
		require.Equal(t, wantSend, send)
		require.Equal(t, wantE, e)
	}
}

// RFC 6121 §2.1.2.5, §2.1.2.2, §3.1.3.
func TestStateOnTheWire(t *testing.T) {
	for name, want := range map[string]struct {
		sub    roster.Subscription
		ask    bool
		listed bool
	}{
		"None":                  {roster.SubscriptionNone, false, false},
		"None + Pending Out":    {roster.SubscriptionNone, true, true},
		"None + Pending In":     {roster.SubscriptionNone, false, false},
		"None + Pending Out+In": {roster.SubscriptionNone, true, true},
		"To":                    {roster.SubscriptionTo, false, true},
		"To + Pending In":       {roster.SubscriptionTo, false, true},
		"From":                  {roster.SubscriptionFrom, false, true},
		"From + Pending Out":    {roster.SubscriptionFrom, true, true},
		"Both":                  {roster.SubscriptionBoth, false, true},
	} {
		s := nine[name]
		require.Equal(t, want.sub, s.Subscription(), name)
		require.Equal(t, want.ask, s.Ask(), name)
		require.Equal(t, want.listed, s.Listed(), name)
	}
	require.True(t, roster.Approved.Listed(), "§3.4.2 rule 4")
}

// RFC 6121 §2.5.2, and what this package adds for requests.
func TestRemoval(t *testing.T) {
	const unsubscribe, unsubscribed = stanza.UnsubscribePresence, stanza.UnsubscribedPresence
	for name, want := range map[string][]stanza.PresenceType{
		"None":                  nil,
		"None + Pending Out":    {unsubscribe},
		"None + Pending In":     {unsubscribed},
		"None + Pending Out+In": {unsubscribe, unsubscribed},
		"To":                    {unsubscribe},               // rule 1
		"To + Pending In":       {unsubscribe, unsubscribed}, // rule 1
		"From":                  {unsubscribed},              // rule 2
		"From + Pending Out":    {unsubscribe, unsubscribed}, // rule 2
		"Both":                  {unsubscribe, unsubscribed}, // rule 3
	} {
		s := nine[name]
		send, effects := s.Removal()
		require.Equal(t, want, send, name)
		require.True(t, effects.Has(roster.Push), name)
		require.Equal(t, s.Has(roster.From), effects.Has(roster.SendUnavailable), name)
		// It is what the user could have sent before.
		var sum roster.Effects
		for _, typ := range send {
			var e roster.Effects
			s, e = s.Outbound(typ)
			require.True(t, e.Has(roster.Route), name)
			sum |= e
		}
		require.Equal(t, roster.None, s, name)
		require.Equal(t, sum.Has(roster.SendUnavailable), effects.Has(roster.SendUnavailable), name)
	}
	send, effects := roster.Approved.Removal()
	require.Empty(t, send, "§3.4.2: the contact never knew")
	require.Equal(t, roster.Push, effects)
}

// An item follows its state.
func TestItemWith(t *testing.T) {
	stranger := roster.Item{JID: romeo, State: roster.PendingIn, Request: []byte("<presence/>")}
	require.False(t, stranger.Listed())
	require.True(t, stranger.Noted())
	denied := stranger.With(roster.None)
	require.False(t, denied.Noted(), "§3.1.3: there never was an item")
	require.Nil(t, denied.Request)
	approved := stranger.With(roster.From)
	require.True(t, approved.Listed() && approved.Added)
	require.Nil(t, approved.Request)
	// §3.2.2: the push after a cancellation has the item, with "none".
	require.True(t, approved.With(roster.None).Listed())
	// §3.4.2, third note: the same for a pre-approval that is cancelled.
	require.True(t, roster.Item{JID: romeo, State: roster.Approved}.With(roster.None).Listed())
	pending := stranger.With(roster.PendingIn | roster.PendingOut)
	require.Equal(t, stranger.Request, pending.Request)
	require.Equal(t, roster.To, stranger.With(roster.To|roster.PendingOut).State)

	require.True(t, roster.Item{JID: romeo, Added: true}.With(roster.PendingIn).Added)
	require.False(t, stranger.With(roster.PendingIn).Listed())
	for name, i := range map[string]roster.Item{
		"a name": {Name: "x"}, "a group": {Groups: []string{"x"}}, "a state": {State: roster.Approved}, "added": {Added: true},
	} {
		require.True(t, i.Listed(), name)
	}
}

func TestItemEqual(t *testing.T) {
	a := roster.Item{JID: romeo, Groups: []string{"b", "a", "c"}}
	require.True(t, a.Equal(roster.Item{JID: romeo, Groups: []string{"a", "c", "b"}}))
	require.True(t, roster.Item{JID: romeo, Groups: []string{"a", "c", "b"}}.Equal(a))
	require.Equal(t, []string{"b", "a", "c"}, a.Groups, "it is not changed")
	for _, b := range []roster.Item{
		{JID: romeo, Groups: []string{"b", "b", "c"}}, {JID: romeo, Groups: []string{"a"}}, {JID: nurse, Groups: a.Groups},
		{JID: romeo, Groups: a.Groups, Name: "x"}, {JID: romeo, Groups: a.Groups, State: roster.To},
		{JID: romeo, Groups: a.Groups, Added: true}, {JID: romeo, Groups: a.Groups, Request: []byte("x")},
	} {
		require.False(t, a.Equal(b))
	}
}
