package xmpp_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// listener is a module that sees what passes between addresses, and may bar some.
type listener struct {
	mu   sync.Mutex
	seen map[string]int
	bars func(from, to jid.JID, typ string) bool
}

func (*listener) Name() string               { return "listener" }
func (*listener) Register(*stanza.Mux) error { return nil }

func (l *listener) Gate(from, to jid.JID, kind stanza.Kind, typ string) stanza.Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kind == stanza.PresenceKind {
		if l.seen == nil {
			l.seen = map[string]int{}
		}
		l.seen[typ+" "+from.String()+"→"+to.String()]++
		if l.bars != nil && l.bars(from, to, typ) {
			return stanza.Verdict{Action: stanza.ActionDrop}
		}
	}
	return stanza.Verdict{}
}

// RFC 6121 §4.3: what the server asks on behalf of a client that comes, it asks in
// the name of the account, of the account, and only of those whose presence the
// client may see; §4.3.1: when a presence session begins, and not later.
//
//conformance:proves 6121-4.3-1 6121-4.3.1-1 6121-4.2.2-3
func TestProbesOfTheServerRFC6121Section4_3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, rosters := new(listener), new(roster.MemoryStore)
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters, s.Modules = rosters, append(s.Modules, l) })
		for name, b := range bonds {
			s.AddAccount(t, name, "secret")
			know(t, rosters, "juliet", name, b.mine)
			know(t, rosters, name, "juliet", b.theirs)
		}
		juliet := join(t, s, "juliet", "balcony")
		probes := func() map[string]int {
			juliet.roundOf(func(*stream.Element) {})
			l.mu.Lock()
			defer l.mu.Unlock()
			out := map[string]int{}
			for what, n := range l.seen {
				if len(what) > 6 && what[:6] == "probe " {
					out[what[6:]] = n
				}
			}
			l.seen = nil
			return out
		}
		want := map[string]int{}
		for _, name := range []string{"to", "toin", "both", "toapproved"} {
			want["juliet@xmpp.test→"+name+"@xmpp.test"] = 1
		}
		for range 2 {
			juliet.say(`<presence/>`)
			require.Equal(t, want, probes())
			juliet.say(`<presence><show>away</show></presence>`)
			require.Empty(t, probes())
			juliet.say(`<presence type='unavailable'/>`)
			require.Empty(t, probes())
		}
	})
}

// What a module bars gets to nobody, in either direction: no broadcast, no answer to
// a probe, no directed presence, and no farewell.
func TestBarredPresenceReachesNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &listener{bars: func(from, to jid.JID, _ string) bool {
			return from.Local() == "romeo" || to.Local() == "romeo"
		}}
		rosters := new(roster.MemoryStore)
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters, s.Modules = rosters, append(s.Modules, l) })
		for _, pair := range [][2]string{{"juliet", "romeo"}, {"romeo", "juliet"}, {"juliet", "nurse"}, {"nurse", "juliet"}} {
			know(t, rosters, pair[0], pair[1], roster.To|roster.From)
		}
		for _, name := range []string{"romeo", "nurse", "juliet"} {
			s.AddAccount(t, name, "secret of "+name)
		}
		romeo, nurse, juliet := join(t, s, "romeo", "orchard"), join(t, s, "nurse", "kitchen"), join(t, s, "juliet", "balcony")
		nurse.say(`<presence/>`)
		juliet.say(`<presence/>`)
		nurse.quietOrFrom(address(julietJID), address("nurse@xmpp.test"))
		for _, xml := range []string{
			`<presence/>`, `<presence to='juliet@xmpp.test'/>`, `<presence to='juliet@xmpp.test/balcony'/>`, `<presence type='probe' to='juliet@xmpp.test'/>`,
			`<presence type='probe' to='juliet@xmpp.test/balcony'/>`, `<presence><show>away</show></presence>`, `<presence type='unavailable'/>`, `<presence/>`,
		} {
			romeo.say(xml)
			romeo.quietOrFrom(address("romeo@xmpp.test"))
			juliet.say(xml)
			juliet.quietOrFrom(address(julietJID), address("nurse@xmpp.test"))
		}
		juliet.say(`<presence to='romeo@xmpp.test/orchard'/>`)
		juliet.Abort(errOver)
		romeo.quiet()
		require.NotEmpty(t, nurse.in)
	})
}
