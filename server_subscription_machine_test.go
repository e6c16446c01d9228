package xmpp_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream/xmpptest"
)

// couple is two accounts, their sessions, and what the model thinks of them.
type couple struct {
	t        *testing.T
	server   *xmpptest.Server
	r, j     *party // romeo, juliet
	sessions map[string]*peer
	ids      int
}

func newCouple(t *testing.T, romeo, juliet []string) *couple {
	t.Helper()
	p := &couple{
		t: t, server: memoryServer(t, nil), sessions: map[string]*peer{},
		r: &party{name: "romeo"}, j: &party{name: "juliet"},
	}
	p.connect(p.r, romeo...)
	p.connect(p.j, juliet...)
	p.forget()
	return p
}

func (p *couple) connect(who *party, resources ...string) {
	p.t.Helper()
	for _, r := range resources {
		p.sessions[who.addr()+"/"+r] = resource(p.t, p.server, who.name, r)
		who.up = append(who.up, r)
	}
}

// forget brings both back to nothing.
func (p *couple) forget() {
	for range 2 { // what the second one removes may be news for the first
		for _, who := range []*party{p.r, p.j} {
			to := p.other(who).addr()
			talker := p.talker(who)
			talker.say(`<presence type='unsubscribed' to='` + to + `'/><presence type='unsubscribe' to='` + to + `'/>`)
			talker.say(setItem("rm", `<item jid='`+to+`' subscription='remove'/>`))
			talker.drop()
		}
	}
	for _, s := range p.sessions {
		s.drop()
	}
	for _, who := range []*party{p.r, p.j} {
		who.state, who.listed, who.ought = "None", false, map[string][]string{}
	}
}

func (p *couple) other(who *party) *party {
	if who == p.r {
		return p.j
	}
	return p.r
}

// talker is the session that sends what a party sends: the last one, which hears
// nothing of it.
func (p *couple) talker(who *party) *peer {
	return p.sessions[who.addr()+"/"+who.up[len(who.up)-1]]
}

// send has a party send a stanza, and compares what everybody hears of it with what
// they ought to.
func (p *couple) send(who *party, typ string) {
	p.t.Helper()
	p.ids++
	id := "t." + strconv.Itoa(p.ids)
	to := p.other(who)
	before := "romeo " + p.r.state + ", juliet " + p.j.state + ": " + who.name + " sends " + typ
	who.sends(typ, id, to)
	p.talker(who).say(`<presence type='` + typ + `' to='` + to.addr() + `' id='` + id + `'/>`)
	p.compare(before)
}

// compare compares what everybody hears with what they ought to.
func (p *couple) compare(step string) {
	p.t.Helper()
	for _, who := range []*party{p.r, p.j} {
		for _, r := range who.up {
			require.Equal(p.t, who.ought[r], p.sessions[who.addr()+"/"+r].saidAll(), "%s: %s/%s", step, who.name, r)
		}
		who.ought = map[string][]string{}
	}
}

// rosters compares the rosters of those who can ask for them without harm.
func (p *couple) rosters(step string) {
	p.t.Helper()
	for _, who := range []*party{p.r, p.j} {
		var want []string
		if who.listed {
			want = []string{p.other(who).addr() + " " + shownAs(who.state)}
		}
		for _, r := range who.interested() {
			require.Equal(p.t, want, p.sessions[who.addr()+"/"+r].items(), "%s: the roster of %s", step, who.name)
		}
	}
}

// reach drives both into a state.
func (p *couple) reach(state string) {
	p.t.Helper()
	for _, step := range strings.Fields(statePaths[state]) {
		name, typ, _ := strings.Cut(step, ":")
		p.send(map[string]*party{"r": p.r, "j": p.j}[name], typ)
	}
	require.Equal(p.t, strings.TrimSuffix(state, " j!"), p.r.state)
}

// RFC 6121 §A.2, §A.3: each of the nine states, and those with pre-approval on
// either side, is reached over real sessions; then each stanza is sent; and what
// every resource hears on both sides is what §3 and the tables say, at each step.
// So is who is told: requests go to available resources, the rest to interested
// ones, and "deaf" ones, which are neither, hear nothing.
//
//conformance:proves 6121-3-1 6121-3.1.2-3 6121-3.1.2-5 6121-3.1.2-7 6121-3.1.3-3 6121-3.1.3-4 6121-3.1.3-5 6121-3.1.3-6 6121-3.1.3-7 6121-3.1.3-13
//conformance:proves 6121-3.1.5-1 6121-3.1.5-2 6121-3.1.5-3 6121-3.1.6-1 6121-3.1.6-2 6121-3.1.6-3 6121-3.1.6-4
//conformance:proves 6121-3.2.2-1 6121-3.2.2-2 6121-3.2.2-3 6121-3.2.2-4 6121-3.2.2-5 6121-3.2.2-6 6121-3.2.2-7 6121-3.2.2-8 6121-3.2.2-9
//conformance:proves 6121-3.2.3-1 6121-3.2.3-2 6121-3.2.3-3 6121-3.2.3-4 6121-3.3.2-1 6121-3.3.2-3 6121-3.3.2-4 6121-3.3.3-1 6121-3.3.3-2 6121-3.3.3-3 6121-3.3.3-4
//conformance:proves 6121-3.4.2-1 6121-3.4.2-2 6121-3.4.2-3 6121-3.4.2-4 6121-3.4.2-5 6121-3.4.2-6 6121-3.4.2-7 6121-3.4.2-8
//conformance:proves 6121-2.1.2.1-1 6121-2.1.2.2-1 6121-2.2-2
func TestSubscriptionStatesOnline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all := []string{"full", "list", "shown", "deaf"}
		for _, juliet := range [][]string{all, {"list", "deaf"}} {
			p := newCouple(t, all, juliet)
			for _, state := range slices.Sorted(maps.Keys(statePaths)) {
				for _, typ := range stanzaTypes {
					p.reach(state)
					p.send(p.r, typ)
					p.rosters(state + ": " + typ)
					// Again: the server and the model are in the same state still.
					p.send(p.r, typ)
					for _, next := range stanzaTypes {
						p.send(p.j, next)
					}
					p.rosters(state + ": " + typ + " and more")
					p.forget()
				}
			}
		}
	})
}

// The same with a contact who is not connected while it happens: she finds all in
// order when she comes back, and the request once.
//
//conformance:proves 6121-3.1.3-9 6121-3.1.3-10 6121-3.1.3-11 6121-3.1.3-12 6121-3.1.3-13
func TestSubscriptionStatesAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newCouple(t, []string{"full", "list", "shown", "deaf"}, []string{"deaf"})
		for _, state := range slices.Sorted(maps.Keys(statePaths)) {
			for _, typ := range stanzaTypes {
				step := state + ": " + typ
				p.reach(state)
				require.NoError(t, p.talker(p.j).Close(t.Context()))
				p.j.up = nil
				p.send(p.r, typ)
				p.rosters(step)
				p.returns(step)
				p.forget()
			}
		}
	})
}

// returns lets juliet come back, and go again; a deaf resource of hers stays.
func (p *couple) returns(step string) {
	p.t.Helper()
	p.connect(p.j, "deaf")
	p.compare(step)
	full := join(p.t, p.server, "juliet", "full")
	want := []string(nil)
	if p.j.listed {
		want = []string{"romeo@xmpp.test " + shownAs(p.j.state)}
	}
	require.Equal(p.t, want, full.items(), "%s: the roster of juliet", step)
	for range 2 {
		full.say(`<presence/>`)
		p.j.up = []string{"full"}
		ought := []string{"- juliet@xmpp.test/full→juliet@xmpp.test"}
		if wasAsked(p.j.state) {
			ought = append(ought, "subscribe romeo@xmpp.test→juliet@xmpp.test")
		}
		if maySee(p.j.state) {
			ought = append(ought, "- romeo@xmpp.test/full→juliet@xmpp.test", "- romeo@xmpp.test/shown→juliet@xmpp.test")
		}
		heard := full.saidAll()
		for i := range heard {
			heard[i], _, _ = strings.Cut(heard[i], " t.") // that of whichever request was kept
		}
		require.ElementsMatch(p.t, ought, heard, step)
		if mayBeSeen(p.j.state) {
			p.r.sees(p.j, "-")
		}
		full.say(`<presence type='unavailable'/>`)
		require.Equal(p.t, []string{"unavailable juliet@xmpp.test/full→juliet@xmpp.test"}, full.saidAll(), step)
		if mayBeSeen(p.j.state) {
			p.r.sees(p.j, "unavailable")
		}
		p.j.up = []string{"deaf"}
		p.compare(step)
	}
	require.NoError(p.t, full.Close(p.t.Context()))
}
