package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// faults decides which calls of stores fail: half of them while it is on. Every
// other failure of a change comes after the change was made.
type faults struct {
	mu     sync.Mutex
	on     bool
	random *rand.Rand
	count  int
}

var errFault = errors.New("the store is out of order")

func (f *faults) set(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = on
}

// fails returns errors for before a call and for after it.
func (f *faults) fails() (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.on {
		return nil, nil
	}
	switch f.random.IntN(4) {
	case 0:
		f.count++
		return errFault, nil
	case 1:
		f.count++
		return nil, errFault
	}
	return nil, nil
}

type (
	faultyRosters struct {
		roster.MemoryStore
		*faults
	}
	faultyOffline struct {
		presence.MemoryOffline
		*faults
	}
	faultySeen struct {
		presence.MemoryLastSeen
		*faults
	}
	faultyAccounts struct {
		*xmpp.MemoryAccounts
		*faults
	}
)

// faulty makes a call unless it fails before.
func faulty[T any](f *faults, call func() (T, error)) (T, error) {
	before, after := f.fails()
	var none T
	if before != nil {
		return none, before
	}
	v, err := call()
	if err == nil && after != nil {
		return none, after
	}
	return v, err
}

func faultyCall(f *faults, call func() error) error {
	_, err := faulty(f, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (s *faultyRosters) Roster(ctx context.Context, a jid.JID) (roster.Roster, error) {
	return faulty(s.faults, func() (roster.Roster, error) { return s.MemoryStore.Roster(ctx, a) })
}

func (s *faultyRosters) Put(ctx context.Context, a jid.JID, i roster.Item) (uint64, error) {
	return faulty(s.faults, func() (uint64, error) { return s.MemoryStore.Put(ctx, a, i) })
}

func (s *faultyRosters) Changes(ctx context.Context, a jid.JID, since uint64) ([]roster.Change, bool, error) {
	if before, _ := s.fails(); before != nil {
		return nil, false, before
	}
	return s.MemoryStore.Changes(ctx, a, since)
}

func (s *faultyRosters) Delete(ctx context.Context, a jid.JID) error {
	return faultyCall(s.faults, func() error { return s.MemoryStore.Delete(ctx, a) })
}

func (s *faultyOffline) Add(ctx context.Context, a jid.JID, m []byte) error {
	return faultyCall(s.faults, func() error { return s.MemoryOffline.Add(ctx, a, m) })
}

func (s *faultyOffline) Messages(ctx context.Context, a jid.JID, max int) ([]presence.OfflineMessage, error) {
	return faulty(s.faults, func() ([]presence.OfflineMessage, error) { return s.MemoryOffline.Messages(ctx, a, max) })
}

func (s *faultyOffline) Remove(ctx context.Context, a jid.JID, upTo uint64) error {
	return faultyCall(s.faults, func() error { return s.MemoryOffline.Remove(ctx, a, upTo) })
}

func (s *faultyOffline) Count(ctx context.Context, a jid.JID) (int, error) {
	return faulty(s.faults, func() (int, error) { return s.MemoryOffline.Count(ctx, a) })
}

func (s *faultySeen) SetLastSeen(ctx context.Context, a jid.JID, seen presence.LastSeen) error {
	return faultyCall(s.faults, func() error { return s.MemoryLastSeen.SetLastSeen(ctx, a, seen) })
}

func (s *faultySeen) LastSeen(ctx context.Context, a jid.JID) (presence.LastSeen, error) {
	return faulty(s.faults, func() (presence.LastSeen, error) { return s.MemoryLastSeen.LastSeen(ctx, a) })
}

func (s *faultyAccounts) Exists(ctx context.Context, a jid.JID) (bool, error) {
	return faulty(s.faults, func() (bool, error) { return s.MemoryAccounts.Exists(ctx, a) })
}

// Stores that fail at random cost what they were asked for, and nothing else:
// sessions go on, every request is answered once, every message arrives or comes
// back, nobody stays a ghost, and when the stores work again so does all the rest.
func TestFaultyStores(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { faultyRun(t, seed) })
		})
	}
}

func faultyRun(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	f := &faults{random: rand.New(rand.NewPCG(seed, 2))}
	rosters := &faultyRosters{faults: f}
	s, _ := serverOf(t, func(s *xmpp.Server) {
		s.Rosters, s.Offline, s.LastSeen = rosters, &faultyOffline{faults: f}, &faultySeen{faults: f}
		s.Accounts = &faultyAccounts{s.Accounts.(*xmpp.MemoryAccounts), f}
	})
	names := []string{"romeo", "juliet", "nurse"}
	var all []*peer
	for _, name := range names {
		all = append(all, join(t, s, name, "a"), join(t, s, name, "b"))
	}
	bare := func() string { return names[random.IntN(len(names))] + "@xmpp.test" }
	asked, answered := map[string]bool{}, map[string]int{}
	sent, arrived := map[string]bool{}, map[string]bool{}
	there := map[string]map[string]bool{}
	drain := func() {
		synctest.Wait()
		for _, p := range all {
			me := p.LocalAddr().String()
			if there[me] == nil {
				there[me] = map[string]bool{}
			}
			for len(p.in) > 0 {
				el := <-p.in
				id, typ := el.Attr("id"), el.Attr("type")
				switch stanza.KindOf(el.Name()) {
				case stanza.IQKind:
					if typ != "set" && typ != "get" {
						answered[id]++
					} else if typ == "set" {
						p.say(`<iq type='result' id='` + id + `'/>`)
					}
				case stanza.MessageKind:
					arrived[id] = true
				case stanza.PresenceKind:
					if from := el.Attr("from"); typ == "" && strings.Contains(from, "/") {
						there[me][from] = true
					} else if typ == "unavailable" {
						delete(there[me], from)
					}
				}
			}
		}
	}
	for i := range 400 {
		f.set(i > 20 && i < 380)
		p, id := all[random.IntN(len(all))], fmt.Sprintf("%d", i)
		switch random.IntN(12) {
		case 0, 1:
			p.say(`<presence/>`)
		case 2:
			p.say(`<presence><priority>-1</priority></presence>`)
		case 3:
			p.say(`<presence type='unavailable'/>`)
			drain()
			clear(there[p.LocalAddr().String()]) // it is told nothing any more
		case 4, 5:
			typ := []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"}[random.IntN(5)]
			p.say(`<presence type='` + typ + `' to='` + bare() + `'/>`)
		case 6, 7, 8:
			sent[id] = true
			p.say(`<message type='chat' id='` + id + `' to='` + bare() + `'><body>hello</body></message>`)
		case 9:
			asked[id] = true
			p.say(`<iq type='get' id='` + id + `'><query xmlns='jabber:iq:roster' ver=''/></iq>`)
		case 10:
			asked[id] = true
			remove := []string{"", " subscription='remove'"}[random.IntN(2)]
			p.say(`<iq type='set' id='` + id + `'><query xmlns='jabber:iq:roster'><item jid='` + bare() + `'` + remove + `/></query></iq>`)
		case 11:
			asked[id] = true
			p.say(`<iq type='get' id='` + id + `' to='` + bare() + `'><query xmlns='urn:x'/></iq>`)
		}
		drain()
	}
	require.Greater(t, f.count, 50)
	f.set(false)
	for _, p := range all {
		require.NoError(t, p.Err())
		p.say(`<presence type='unavailable'/>`)
		drain()
		clear(there[p.LocalAddr().String()])
		p.say(`<presence/>`)
		drain()
	}
	for id := range asked {
		require.Equal(t, 1, answered[id], "request %s", id)
	}
	for id := range sent {
		require.True(t, arrived[id], "message %s", id)
	}
	// The first goes last, and is told of the end of all others.
	for _, p := range all[1:] {
		p.say(`<presence type='unavailable'/>`)
		drain()
	}
	first := all[0].LocalAddr().String()
	delete(there[first], first)
	require.Empty(t, there[first])
}
