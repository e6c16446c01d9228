package xmpp_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// bomb is a module, and three stores, of which one method panics the next time
// that it is called.
type bomb struct{ armed atomic.Pointer[string] }

func (b *bomb) arm(where string) { b.armed.Store(&where) }

func (b *bomb) at(where string) {
	if p := b.armed.Load(); p != nil && *p == where && b.armed.CompareAndSwap(p, nil) {
		panic("bomb in " + where)
	}
}

func (b *bomb) Name() string                                 { return "bomb" }
func (b *bomb) Register(*stanza.Mux) error                   { return nil }
func (b *bomb) SessionGone(context.Context, stanza.Resource) { b.at("SessionGone") }
func (b *bomb) SessionUp(_ context.Context, r stanza.Resource) {
	b.at("SessionUp")
	r.Intercept(func(_ *stanza.Transit, st stream.Appender, next func(stream.Appender) error) error {
		if r.Addr() == address(full("balcony")) {
			b.at("Intercept")
		}
		return next(st)
	})
}
func (b *bomb) Gate(jid.JID, jid.JID, stanza.Kind, string) stanza.Verdict {
	b.at("Gate")
	return stanza.Verdict{}
}
func (b *bomb) BeforeRoute(context.Context, *stanza.Transit) stanza.Verdict {
	b.at("BeforeRoute")
	return stanza.Verdict{}
}
func (b *bomb) BeforeDeliver(context.Context, *stanza.Transit) { b.at("BeforeDeliver") }
func (b *bomb) AfterRoute(context.Context, *stanza.Transit)    { b.at("AfterRoute") }
func (b *bomb) PresenceChanged(_ context.Context, _ stanza.Resource, p *stream.Element, _ bool) {
	if p == nil {
		b.at("PresenceChanged gone")
	}
	b.at("PresenceChanged")
}

// The stores.
type (
	rosterBomb struct {
		roster.MemoryStore
		*bomb
	}
	offlineBomb struct {
		presence.MemoryOffline
		*bomb
	}
	seenBomb struct {
		presence.MemoryLastSeen
		*bomb
	}
)

func (b *rosterBomb) Roster(ctx context.Context, account jid.JID) (roster.Roster, error) {
	b.at("Roster")
	return b.MemoryStore.Roster(ctx, account)
}

func (b *rosterBomb) Item(ctx context.Context, account, contact jid.JID) (roster.Item, error) {
	b.at("Roster")
	return b.MemoryStore.Item(ctx, account, contact)
}

func (b *rosterBomb) Put(ctx context.Context, account jid.JID, item roster.Item) (uint64, error) {
	b.at("Put")
	return b.MemoryStore.Put(ctx, account, item)
}

func (b *offlineBomb) Add(ctx context.Context, account jid.JID, message []byte) error {
	b.at("Add")
	return b.MemoryOffline.Add(ctx, account, message)
}

func (b *offlineBomb) Messages(ctx context.Context, account jid.JID, max int) ([]presence.OfflineMessage, error) {
	b.at("Messages")
	return b.MemoryOffline.Messages(ctx, account, max)
}

func (b *offlineBomb) Count(ctx context.Context, account jid.JID) (int, error) {
	b.at("Count")
	return b.MemoryOffline.Count(ctx, account)
}

func (b *seenBomb) SetLastSeen(ctx context.Context, account jid.JID, seen presence.LastSeen) error {
	b.at("SetLastSeen")
	return b.MemoryLastSeen.SetLastSeen(ctx, account, seen)
}

func (b *seenBomb) LastSeen(ctx context.Context, account jid.JID) (presence.LastSeen, error) {
	b.at("LastSeen")
	return b.MemoryLastSeen.LastSeen(ctx, account)
}

// A module or a store that panics costs the session at hand, at most: nobody waits
// for a lock that is left behind, nobody stays a ghost, and the server goes on.
func TestPanicCostsOneSession(t *testing.T) {
	const (
		talk     = `<message to='juliet@xmpp.test' type='chat'><body>hello</body></message>`
		direct   = `<message to='juliet@xmpp.test/balcony' type='chat'><body>hello</body></message>`
		away     = `<message to='nurse@xmpp.test' type='chat'><body>hello</body></message>`
		show     = `<presence><show>dnd</show></presence>`
		probe    = `<presence type='probe' to='juliet@xmpp.test'/>`
		probeOne = `<presence type='probe' to='juliet@xmpp.test/balcony'/>`
		visit    = `<presence to='juliet@xmpp.test/balcony'/>`
		ask      = `<presence type='subscribe' to='paris@xmpp.test'/>`
		end      = `<presence type='unsubscribed' to='juliet@xmpp.test'/>`
		list     = `<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`
		set      = `<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='x@far.test'/></query></iq>`
		remove   = `<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='juliet@xmpp.test' subscription='remove'/></query></iq>`
		version  = `<iq type='get' to='juliet@xmpp.test/balcony' id='v'><query xmlns='jabber:iq:version'/></iq>`
	)
	for _, tc := range []struct {
		where string
		say   []string
	}{
		{"Gate", []string{talk, direct, away, show, probe, probeOne, visit, ask, end, version}},
		{"BeforeRoute", []string{talk, show, ask, set}},
		{"BeforeDeliver", []string{talk, direct, away}},
		{"AfterRoute", []string{talk, show, set}},
		{"PresenceChanged", []string{show, `<presence type='unavailable'/>`}},
		{"PresenceChanged gone", []string{`<presence type='unavailable'/>`, "", "</stream:stream>"}},
		{"SessionGone", []string{"", "</stream:stream>"}},
		{"SessionUp", []string{"join"}},
		{"Intercept", []string{talk, direct, show, visit, end, version}},
		{"Roster", []string{"join", list}},
		{"Put", []string{ask, end, set, remove}},
		{"Add", []string{away}},
		{"Messages", []string{"join"}},
		{"Count", []string{"join"}},
		{"SetLastSeen", []string{`<presence type='unavailable'/>`, "", "</stream:stream>"}},
		{"LastSeen", []string{"<presence to='nurse@xmpp.test' type='probe'/>"}},
	} {
		for _, xml := range tc.say {
			t.Run(tc.where+" "+xml, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					b := &bomb{}
					rosters, offline := &rosterBomb{bomb: b}, &offlineBomb{bomb: b}
					know := func(account, contact string) {
						_, err := rosters.MemoryStore.Put(t.Context(), address(account), roster.Item{JID: address(contact), State: roster.Both})
						require.NoError(t, err)
					}
					know("romeo@xmpp.test", julietJID)
					know(julietJID, "romeo@xmpp.test")
					know("romeo@xmpp.test", "nurse@xmpp.test")
					know("nurse@xmpp.test", "romeo@xmpp.test")
					s, inner := serverOf(t, func(s *xmpp.Server) {
						s.Modules = []stanza.Module{b}
						s.Rosters, s.Offline, s.LastSeen = rosters, offline, &seenBomb{bomb: b}
					})
					s.AddAccount(t, "nurse", "secret of nurse")
					romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
					watch := join(t, s, "juliet", "watch")
					for _, p := range []*peer{romeo, juliet, watch} {
						p.say(`<presence/>`)
						synctest.Wait()
					}
					if tc.where == "Messages" { // which are not asked for unless there are some
						require.NoError(t, offline.MemoryOffline.Add(t.Context(), address("romeo@xmpp.test"), []byte(`<message to='romeo@xmpp.test'/>`)))
					}
					b.arm(tc.where)
					switch xml {
					case "":
						romeo.Abort(errOver)
					case "join":
						extra := join(t, s, "romeo", "garden")
						_ = extra.Send(t.Context(), raw(`<presence/>`)) // it may be over
					default:
						romeo.say(xml)
					}
					synctest.Wait()
					require.Nil(t, b.armed.Load(), "it went off")
					<-timeAfterClosing()
					require.GreaterOrEqual(t, inner.OpenConnections(), 2)
					require.LessOrEqual(t, inner.OpenConnections(), 4)
					require.NoError(t, watch.Err())

					// All of them work: with each other, and after all have gone.
					for round := range 2 {
						var again []*peer
						for _, name := range []string{"romeo", "juliet", "nurse"} {
							p := join(t, s, name, "again")
							p.say(`<presence id='again'/>`)
							p.listed()
							again = append(again, p)
						}
						again[0].say(`<message to='juliet@xmpp.test/again' id='last'/>`)
						again[1].say(`<message to='romeo@xmpp.test/again' id='last'/>`)
						again[0].said("last")
						again[1].said("last")
						for _, p := range again {
							require.NoError(t, p.Close(t.Context()))
						}
						if round == 0 {
							for _, p := range []*peer{romeo, juliet} {
								p.Abort(errOver)
							}
							synctest.Wait()
						}
					}
					// No ghosts: watch has been told the end of everybody.
					synctest.Wait()
					there := map[string]bool{}
					for len(watch.in) > 0 {
						if el := <-watch.in; el.Name().Local == "presence" {
							switch el.Attr("type") {
							case "":
								there[el.Attr("from")] = true
							case "unavailable":
								delete(there, el.Attr("from"))
							}
						}
					}
					delete(there, full("watch"))
					require.Empty(t, there)
				})
			})
		}
	}
}

// timeAfterClosing is when sessions that were closed have ended, whatever their
// clients do.
func timeAfterClosing() <-chan time.Time { return time.After(20 * time.Second) }

// listed asks for the roster and waits for the answer, whatever comes before.
func (p *peer) listed() {
	p.t.Helper()
	p.say(`<iq type='get' id='listed'><query xmlns='jabber:iq:roster'/></iq>`)
	p.said("listed")
}

// said waits for a stanza with an id, whatever comes before.
func (p *peer) said(id string) *stream.Element {
	p.t.Helper()
	for {
		if el := p.hear(); el.Attr("id") == id {
			return el
		}
	}
}
