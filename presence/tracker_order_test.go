package presence_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
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
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// rosterOf is a roster that changes, for InRoster.
type rosterOf struct {
	mu sync.Mutex
	in map[jid.JID]bool
}

func (r *rosterOf) has(contact jid.JID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in[contact]
}

// add makes somebody a contact, and returns the event of that.
func (r *rosterOf) add(contact jid.JID) roster.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.in == nil {
		r.in = make(map[jid.JID]bool)
	}
	r.in[contact] = true
	return roster.Event{After: roster.Item{JID: contact, State: roster.To}}
}

// lateRoster returns a tracker with an empty roster.
func lateRoster(t testing.TB) (*presence.Tracker, *rosterOf) {
	r := new(rosterOf)
	return tracker(t, func(o *presence.TrackerOptions) { o.InRoster = r.has }), r
}

// unseen requires that nothing shows of somebody.
func unseen(t testing.TB, tr *presence.Tracker, who jid.JID) {
	t.Helper()
	require.NotContains(t, tr.Contacts(), who)
	require.Empty(t, tr.Resources(who))
	_, ok := tr.Best(who)
	require.False(t, ok)
	_, ok = tr.Departed(who)
	require.False(t, ok)
}

// RFC 6121 §3.1.6: a roster push and the presence of the new contact come back to
// back, while OnChange of the push before is still running. A Conn handles the two in
// lanes of their own.
func TestTrackerBehindPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		var to jid.JID
		server := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Handler = stanza.HandlerFunc(func(ctx context.Context, snd stanza.Sender, st stanza.Stanza) error {
				if st.Kind() != stanza.MessageKind {
					return stanza.ServiceUnavailable
				}
				for i := range n {
					who := jid.MustParse(fmt.Sprintf("c%d@elsewhere.example/x", i))
					push := &roster.Query{Items: []roster.Entry{{Item: roster.Item{JID: who.Bare(), State: roster.To}}}}
					if err := snd.Send(ctx, &stanza.IQ{Type: stanza.SetIQ, ID: fmt.Sprint("p", i), From: to.Bare(), To: to, Payload: push}); err != nil {
						return err
					}
					if err := snd.Send(ctx, &stanza.Presence{From: who, To: to}); err != nil {
						return err
					}
				}
				return nil
			})
		}})
		juliet := server.Connect(t, "juliet")
		to = juliet.LocalAddr()

		var people *presence.Tracker
		var mu sync.Mutex
		came := map[jid.JID]int{}
		happened := func(e presence.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Came() {
				came[e.Contact()]++
			}
		}
		contacts, err := roster.NewClient(&roster.Options{Account: to, OnChange: func(_ context.Context, e roster.Event) {
			<-time.After(time.Millisecond)
			for _, e := range people.Follow(e) {
				happened(e)
			}
		}})
		require.NoError(t, err)
		people, err = presence.NewTracker(&presence.TrackerOptions{
			Account:  to,
			InRoster: func(j jid.JID) bool { _, ok := contacts.Item(j); return ok },
			OnEvent:  func(_ context.Context, _ stanza.Sender, e presence.Event) { happened(e) },
		})
		require.NoError(t, err)
		mux := new(stanza.Mux)
		require.NoError(t, stanza.Install(mux, contacts, people))
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan struct{})
		go func() { // ends with ctx, below
			defer close(served)
			_ = juliet.Serve(ctx, mux)
		}()
		t.Cleanup(func() { stop(); <-served })
		require.NoError(t, contacts.Sync(t.Context(), juliet))
		require.NoError(t, juliet.Send(t.Context(), &stanza.Message{To: server.Domain, Body: stanza.Plain("go")}))
		<-time.After(time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, people.Contacts(), n)
		require.Len(t, came, n)
		for who, times := range came {
			require.Equal(t, 1, times, who)
		}
	})
}

// Presence that comes before the contact is in the roster, and what comes of it once
// Follow is told.
func TestTrackerHeldBack(t *testing.T) {
	const came = "available romeo@example.net/orchard came"
	const also = "available romeo@example.net/foo"
	for _, tt := range []struct {
		name  string
		comes []string // type and sender
		want  []string // events of Follow
	}{
		{"nothing", nil, nil},
		{"one resource", []string{"available orchard"}, []string{came}},
		{"two resources, in order", []string{"available orchard", "available foo"}, []string{came, also}},
		{"the same again", []string{"available orchard", "available foo", "available orchard"}, []string{came, also}},
		{"it has gone", []string{"available orchard", "unavailable orchard"}, nil},
		{"one of two has gone", []string{"available orchard", "available foo", "unavailable foo"}, []string{came}},
		{"RFC 6121 §4.5.4: all have gone", []string{"available orchard", "available foo", "unavailable "}, nil},
		{"it is back", []string{"available foo", "available orchard", "unavailable foo", "available foo"}, []string{came, also}},
		{"an error says nothing", []string{"available orchard", "error orchard", "error foo"}, []string{came}},
		{"something without resources", []string{"available "}, []string{"available romeo@example.net came"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr, contacts := lateRoster(t)
			for _, s := range tt.comes {
				typ, resource, _ := strings.Cut(s, " ")
				from := strings.TrimSuffix("romeo@example.net/"+resource, "/")
				require.Empty(t, tr.Apply(received(t, strings.Replace("<presence from='"+from+"' type='"+typ+"'/>", " type='available'", "", 1))))
				unseen(t, tr, trackRomeo)
			}
			// He is not the one who was added, and InRoster still says no.
			require.Empty(t, tr.Follow(contacts.add(jid.MustParse("nurse@example.com"))))
			require.Empty(t, tr.Follow(roster.Event{After: roster.Item{JID: trackRomeo}}))
			unseen(t, tr, trackRomeo)
			e := contacts.add(trackRomeo)
			require.Equal(t, tt.want, told(tr.Follow(e)))
			require.Len(t, tr.Resources(trackRomeo), len(tt.want))
			require.Empty(t, tr.Follow(e), "told once")
			require.Zero(t, tr.Ignored())
		})
	}
}

// What is held back says as much as what is not, and since when.
func TestTrackerHeldBackContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, contacts := lateRoster(t)
		start := time.Now()
		tr.Apply(received(t, "<presence from='romeo@example.net/a' id='x'><show>away</show><status>Wooing</status><priority>3</priority><c xmlns='urn:x'/></presence>"))
		tr.Apply(received(t, "<presence from='romeo@example.net/stamped'><delay xmlns='urn:xmpp:delay' stamp='1999-12-31T23:00:00Z'/></presence>"))
		long := strings.Repeat("é", 3000)
		tr.Apply(received(t, "<presence from='romeo@example.net/long'><show>dnd</show><status>"+long+"</status><priority>-3</priority><c xmlns='urn:x'/><delay xmlns='urn:xmpp:delay' stamp='1998-12-31T23:00:00Z'/></presence>"))
		tr.Apply(received(t, "<presence from='romeo@example.net/ahead'><delay xmlns='urn:xmpp:delay' stamp='2099-12-31T23:00:00Z'/></presence>"))
		<-time.After(time.Hour)
		events := tr.Follow(contacts.add(trackRomeo))
		require.Len(t, events, 4)
		full := func(resource string) jid.JID { return jid.MustParse("romeo@example.net/" + resource) }
		for i, want := range []presence.Availability{
			{JID: full("a"), Show: stanza.ShowAway, Status: stanza.Plain("Wooing"), Priority: 3, Since: start},
			{JID: full("stamped"), Since: time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC)},
			{JID: full("long"), Show: stanza.ShowDND, Status: stanza.Plain(long[:1024]), Priority: -3, Since: time.Date(1998, 12, 31, 23, 0, 0, 0, time.UTC)},
			{JID: full("ahead"), Since: start},
		} {
			require.Equal(t, want, events[i].After)
			require.Equal(t, i, events[i].Others)
			require.Equal(t, want.JID, events[i].Presence.From)
		}
		_, ok := events[0].Presence.Payload(stream.Name{Space: "urn:x", Local: "c"})
		require.True(t, ok)
		require.Equal(t, "x", events[0].Presence.ID)
		require.Equal(t, &stanza.Presence{From: full("long"), To: trackJuliet, Show: stanza.ShowDND, Status: stanza.Plain(long[:1024]), Priority: -3}, events[2].Presence)
	})
}

// Without Follow, what was held back comes with the next presence of the contact,
// before that.
func TestTrackerHeldBackNext(t *testing.T) {
	for typ, want := range map[string][]string{
		"":             {"available romeo@example.net/orchard came", "available romeo@example.net/foo"},
		"unavailable":  {"available romeo@example.net/orchard came"},
		"unsubscribed": {"available romeo@example.net/orchard came", "unsubscribed romeo@example.net"},
	} {
		tr, contacts := lateRoster(t)
		tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>"))
		contacts.add(trackRomeo)
		unseen(t, tr, trackRomeo)
		require.Equal(t, want, told(tr.Apply(&stanza.Presence{From: jid.MustParse("romeo@example.net/foo"), Type: stanza.PresenceType(typ)})), typ)
	}
}

// The push comes, and Follow is told, between the question to InRoster and the
// moment when presence is held back.
func TestTrackerHeldBackMeanwhile(t *testing.T) {
	var tr *presence.Tracker
	contacts := new(rosterOf)
	asked := 0
	tr = tracker(t, func(o *presence.TrackerOptions) {
		o.InRoster = func(j jid.JID) bool {
			if asked++; asked == 1 {
				require.Empty(t, tr.Follow(contacts.add(j)))
				return false
			}
			return contacts.has(j)
		}
	})
	require.Equal(t, []string{"available romeo@example.net/orchard came"}, told(tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>"))))
	require.Len(t, tr.Resources(trackRomeo), 1)
}

// What makes an end of presence makes an end of what is held back, too.
func TestTrackerHeldBackEnds(t *testing.T) {
	out := &outbox{}
	for name, end := range map[string]func(*presence.Tracker){
		"a new session":            func(tr *presence.Tracker) { tr.Reset() },
		"RFC 6121 §4.5":            func(tr *presence.Tracker) { require.NoError(t, tr.Unavailable(t.Context(), out, "")) },
		"RFC 6121 §3.3: cancelled": func(tr *presence.Tracker) { require.NoError(t, tr.Unsubscribe(t.Context(), out, trackRomeo)) },
		"he is told directly, and was the last to go": func(tr *presence.Tracker) {
			me := jid.MustParse("romeo@example.net/me")
			require.NoError(t, tr.Direct(t.Context(), out, me))
			require.Len(t, tr.Apply(&stanza.Presence{From: me}), 1)
			require.Len(t, tr.Apply(&stanza.Presence{From: me, Type: stanza.UnavailablePresence}), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr, contacts := lateRoster(t)
			tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>"))
			end(tr)
			require.Empty(t, tr.Follow(contacts.add(trackRomeo)))
			require.Empty(t, tr.Contacts())
		})
	}
	t.Run("newer presence is believed for another reason", func(t *testing.T) {
		tr, contacts := lateRoster(t)
		for _, r := range []string{"a", "b", "c"} {
			require.Empty(t, tr.Apply(&stanza.Presence{From: jid.MustParse("romeo@example.net/" + r)}))
		}
		require.NoError(t, tr.Direct(t.Context(), out, trackRomeo))
		unseen(t, tr, trackRomeo)
		require.Len(t, tr.Apply(&stanza.Presence{From: jid.MustParse("romeo@example.net/a"), Show: stanza.ShowDND}), 1)
		require.Empty(t, tr.Apply(&stanza.Presence{From: jid.MustParse("romeo@example.net/b"), Type: stanza.UnavailablePresence}))
		require.Equal(t, []string{"available romeo@example.net/c"}, told(tr.Follow(contacts.add(trackRomeo))))
		require.Len(t, tr.Resources(trackRomeo), 2)
		require.Equal(t, stanza.ShowDND, tr.Resources(trackRomeo)[1].Show)
	})
}

// Strangers get no more room than the bounds, and nothing of it shows.
func TestTrackerHeldBackBounds(t *testing.T) {
	t.Run("one contact", func(t *testing.T) {
		tr, contacts := lateRoster(t)
		nurse := jid.MustParse("nurse@example.com")
		tr.Apply(&stanza.Presence{From: nurse})
		for i := range 18 {
			tr.Apply(&stanza.Presence{From: jid.MustParse(fmt.Sprintf("romeo@example.net/%d", i))})
		}
		tr.Apply(&stanza.Presence{From: jid.MustParse("romeo@example.net/7")}) // there already
		events := tr.Follow(contacts.add(trackRomeo))
		require.Len(t, events, 16)
		require.Equal(t, "2", events[0].JID.Resource(), "the oldest have gone")
		require.Len(t, tr.Follow(contacts.add(nurse)), 1, "who is another one")
	})
	t.Run("all", func(t *testing.T) {
		tr, contacts := lateRoster(t)
		who := func(i int) jid.JID { return jid.MustParse(fmt.Sprintf("u%d@example.net/x", i)) }
		for i := range 1000 {
			require.Empty(t, tr.Apply(&stanza.Presence{From: who(i)}))
		}
		require.Empty(t, tr.Contacts())
		for i := range 1000 {
			require.Equal(t, i >= 1000-256, len(tr.Follow(contacts.add(who(i).Bare()))) == 1, i)
		}
		require.Len(t, tr.Contacts(), 256)
		require.Zero(t, tr.Ignored(), "strangers are not counted")
	})
	t.Run("memory", func(t *testing.T) {
		tr, _ := lateRoster(t)
		used := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := used()
		for i := range 300 {
			for _, n := range []int{100 << 10, 3 << 10} {
				p := received(t, fmt.Sprintf("<presence from='u%d@example.net/%d'><status>%s</status></presence>", i, n, strings.Repeat("x", n)))
				require.Empty(t, tr.Apply(p))
			}
		}
		require.Less(t, used(), before+4<<20, "of 30 MiB")
		runtime.KeepAlive(tr)
	})
}

// Presence and changes of the roster at the same time: everybody is known in the
// end, and has come once.
func TestTrackerHeldBackConcurrent(t *testing.T) {
	tr, contacts := lateRoster(t)
	const n = 200 // so that all may be held back
	var wg sync.WaitGroup
	var mu sync.Mutex
	came := map[jid.JID]int{}
	happened := func(events []presence.Event) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			if e.Came() {
				came[e.Contact()]++
			}
		}
	}
	for i := range n {
		who := jid.MustParse(fmt.Sprintf("u%d@example.net/x", i))
		wg.Go(func() { happened(tr.Apply(&stanza.Presence{From: who})) })
		wg.Go(func() { happened(tr.Follow(contacts.add(who.Bare()))) })
	}
	wg.Wait()
	require.Len(t, tr.Contacts(), n)
	require.Len(t, came, n)
	for who, times := range came {
		require.Equal(t, 1, times, who)
	}
}

// FuzzTrackerOrder: a tracker whose roster is late says nothing of anybody before
// its time, and knows in the end what one knows that has had the roster all along.
// Each octet of a script is a step.
func FuzzTrackerOrder(f *testing.F) {
	for _, s := range []string{"", "\x00\xe0", "\xe0\x00", "\x00\x08\x10\x60\xe0", "\x00\x20\xc0\x05\x02\xe1", "\x00\x60\x20\xe8\x00", "\x03\x63\x08\xe3\x00\x60", "\x00\x80\xa0\xe2"} {
		f.Add([]byte(s))
	}
	people := []jid.JID{trackRomeo, jid.MustParse("nurse@example.com"), jid.MustParse("x@example.org")}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			late, contacts := lateRoster(t)
			early := tracker(t, func(o *presence.TrackerOptions) { o.InRoster = func(j jid.JID) bool { return true } })
			there := map[jid.JID]presence.Availability{} // as the events of late have it
			known := map[jid.JID]bool{}                  // whom late must know
			happened := func(contact jid.JID, events []presence.Event) {
				for _, e := range events {
					require.Equal(t, contact, e.Contact())
					require.True(t, contacts.has(contact), "a stranger shows")
					require.Equal(t, there[e.JID], e.Before)
					if delete(there, e.JID); !e.After.IsZero() {
						there[e.JID] = e.After
					}
				}
			}
			follow := func(who jid.JID) {
				happened(who, late.Follow(contacts.add(who)))
				known[who] = true
			}
			check := func() {
				n := 0
				for _, who := range people {
					switch {
					case known[who]:
						require.Equal(t, early.Resources(who), late.Resources(who))
					case !contacts.has(who):
						unseen(t, late, who)
					}
					for _, a := range late.Resources(who) {
						require.Equal(t, there[a.JID], a)
						n++
					}
				}
				require.Len(t, there, n)
			}
			for _, b := range script {
				<-time.After(time.Second)
				who := people[int(b&3)%len(people)]
				p := &stanza.Presence{From: who, Priority: int8(b >> 4 & 1)}
				if r := b >> 2 & 3; r > 0 {
					p.From = jid.MustParse(fmt.Sprintf("%s/%d", who, r))
				}
				switch b >> 5 {
				case 3, 4:
					p.Type, p.Priority = stanza.UnavailablePresence, 0
				case 5:
					p.Show = stanza.ShowDND
				case 6: // Follow is late, too
					contacts.add(who)
					continue
				case 7:
					follow(who)
					check()
					continue
				}
				happened(who, late.Apply(p))
				early.Apply(p)
				known[who] = contacts.has(who) // the next presence finds out
				check()
			}
			for _, who := range people {
				follow(who)
			}
			check()
			require.Equal(t, early.Contacts(), late.Contacts())
		})
	})
}
