package presence_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

var (
	trackJuliet = jid.MustParse("juliet@example.com")
	trackRomeo  = jid.MustParse("romeo@example.net")
	trackRoom   = jid.MustParse("lobby@chat.example.com")
)

// received is presence as it comes from the wire.
func received(t testing.TB, xml string) *stanza.Presence {
	t.Helper()
	xml = strings.Replace(xml, "<presence", "<presence xmlns='jabber:client'", 1)
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err)
	p := new(stanza.Presence)
	require.NoError(t, p.DecodeElement(el))
	return p
}

// told says what events are about, one word each.
func told(events []presence.Event) []string {
	var out []string
	for _, e := range events {
		s := string(e.Type)
		if s == "" {
			s = "available"
		}
		s += " " + e.JID.String()
		if e.Came() {
			s += " came"
		}
		if e.Went() {
			s += " went"
		}
		out = append(out, s)
	}
	return out
}

// tracker returns one for juliet, with romeo in the roster and nobody else.
func tracker(t testing.TB, change ...func(*presence.TrackerOptions)) *presence.Tracker {
	t.Helper()
	o := &presence.TrackerOptions{
		Account:  jid.MustParse("juliet@example.com/balcony"),
		InRoster: func(j jid.JID) bool { return j == trackRomeo },
	}
	for _, f := range change {
		f(o)
	}
	tr, err := presence.NewTracker(o)
	require.NoError(t, err)
	return tr
}

// outbox is a Sender that keeps what is sent.
type outbox struct {
	sent []string
	err  error
}

func (o *outbox) Send(_ context.Context, st stanza.Stanza) error {
	if o.err != nil {
		return o.err
	}
	b, err := st.AppendXML(nil)
	o.sent = append(o.sent, string(b))
	return err
}

func TestTrackerOptions(t *testing.T) {
	for _, o := range []*presence.TrackerOptions{nil, {}} {
		_, err := presence.NewTracker(o)
		require.ErrorIs(t, err, stanza.ErrInvalid)
	}
	require.Empty(t, tracker(t).Apply(nil))
}

// Each case is what comes, one after the other, with the events of each, and who is
// available in the end.
//
//conformance:proves 6121-4.5.4-1 6121-3.1.3-8
func TestTracker(t *testing.T) {
	const from = " from='romeo@example.net/orchard'"
	for _, tt := range []struct {
		name  string
		steps [][]string // stanza, event…
		end   []string   // of romeo, best first
	}{
		{"RFC 6121 §4.2.4 rule 1, §4.4.4, §4.5.4", [][]string{
			{"<presence" + from + "/>", "available romeo@example.net/orchard came"},
			{"<presence" + from + "><show>away</show></presence>", "available romeo@example.net/orchard"},
			{"<presence" + from + " type='unavailable'/>", "unavailable romeo@example.net/orchard went"},
		}, nil},
		{"two resources", [][]string{
			{"<presence" + from + "/>", "available romeo@example.net/orchard came"},
			{"<presence from='romeo@example.net/foo'/>", "available romeo@example.net/foo"},
			{"<presence" + from + " type='unavailable'/>", "unavailable romeo@example.net/orchard"},
		}, []string{"foo"}},
		{"RFC 6121 §4.5.4: from the bare JID, for all resources", [][]string{
			{"<presence" + from + "><priority>1</priority></presence>", "available romeo@example.net/orchard came"},
			{"<presence from='romeo@example.net/foo'/>", "available romeo@example.net/foo"},
			{"<presence from='romeo@example.net' type='unavailable'/>", "unavailable romeo@example.net/orchard", "unavailable romeo@example.net/foo went"},
		}, nil},
		{"something without resources", [][]string{
			{"<presence from='romeo@example.net'/>", "available romeo@example.net came"},
			{"<presence from='romeo@example.net' type='unavailable'/>", "unavailable romeo@example.net went"},
		}, nil},
		{"RFC 6121 §4.2.2, §4.2.4 rule 3: the own resources, and no strangers", [][]string{
			{"<presence from='juliet@example.com/chamber'/>", "available juliet@example.com/chamber came"},
			{"<presence from='juliet@example.com/balcony'/>", "available juliet@example.com/balcony"},
			{"<presence from='mercutio@example.com/x'/>"},
			{"<presence from='romeo@example.org/orchard'/>"},
			{"<presence from='mercutio@example.com/x' type='unavailable'/>"},
			{"<presence from='mercutio@example.com/x' type='error'/>"},
		}, nil},
		{"RFC 6120 §8.1.2.1: without an address it is from the account", [][]string{
			{"<presence/>", "available juliet@example.com came"},
			{"<presence type='unavailable'/>", "unavailable juliet@example.com went"},
		}, nil},
		{"RFC 6121 §3.1.3 rule 3: no more than a receipt", [][]string{
			{"<presence from='romeo@example.net' type='unavailable'/>"},
			{"<presence" + from + " type='unavailable'/>"},
		}, nil},
		{"unknown resource", [][]string{
			{"<presence" + from + "/>", "available romeo@example.net/orchard came"},
			{"<presence from='romeo@example.net/foo' type='unavailable'/>"},
		}, []string{"orchard"}},
		{"RFC 6121 §4.7.1: probes are no business of clients", [][]string{
			{"<presence from='romeo@example.net' type='probe'/>"},
		}, nil},
		{"RFC 6121 §3: subscriptions", [][]string{
			{"<presence from='romeo@example.net' type='subscribed'/>", "subscribed romeo@example.net"},
			{"<presence from='romeo@example.net/orchard' type='unsubscribed'/>", "unsubscribed romeo@example.net"},
			{"<presence from='nurse@example.com' type='unsubscribe'/>", "unsubscribe nurse@example.com"},
			{"<presence from='juliet@example.com' type='subscribe'/>"},
			{"<presence type='subscribe'/>"},
		}, nil},
		{"an error changes nothing that is known", [][]string{
			{"<presence" + from + "/>", "available romeo@example.net/orchard came"},
			{"<presence" + from + " type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", "error romeo@example.net/orchard"},
		}, []string{"orchard"}},
		{"best: priority, then show, then the last one", [][]string{
			{"<presence from='romeo@example.net/negative'><priority>-1</priority><show>chat</show></presence>", "available romeo@example.net/negative came"},
			{"<presence from='romeo@example.net/dnd'><show>dnd</show></presence>", "available romeo@example.net/dnd"},
			{"<presence from='romeo@example.net/xa'><show>xa</show></presence>", "available romeo@example.net/xa"},
			{"<presence from='romeo@example.net/away'><show>away</show></presence>", "available romeo@example.net/away"},
			{"<presence from='romeo@example.net/online'/>", "available romeo@example.net/online"},
			{"<presence from='romeo@example.net/later'/>", "available romeo@example.net/later"},
			{"<presence from='romeo@example.net/chat'><show>chat</show></presence>", "available romeo@example.net/chat"},
			{"<presence from='romeo@example.net/high'><show>dnd</show><priority>1</priority></presence>", "available romeo@example.net/high"},
		}, []string{"high", "chat", "later", "online", "away", "xa", "dnd", "negative"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := tracker(t)
				for _, step := range tt.steps {
					<-time.After(time.Second)
					require.Equal(t, step[1:], append([]string{}, told(tr.Apply(received(t, step[0])))...), step[0])
				}
				var end []string
				for _, a := range tr.Resources(trackRomeo) {
					end = append(end, a.JID.Resource())
				}
				require.Equal(t, tt.end, end)
				best, ok := tr.Best(trackRomeo)
				require.Equal(t, len(tt.end) > 0, ok)
				if ok {
					require.Equal(t, tt.end[0], best.JID.Resource())
					require.Contains(t, tr.Contacts(), trackRomeo)
				}
			})
		})
	}
}

// What events and lists say of a resource.
func TestTrackerAvailability(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := tracker(t)
		start := time.Now()
		// RFC 6121 §4.7.2.3, the example.
		p := received(t, `<presence from='romeo@example.net/orchard' xml:lang='en'>
		     <show>dnd</show>
		     <status>Wooing Juliet</status>
		     <status xml:lang='cs'>Dvo&#x0159;&#x00ED;m se Julii</status>
		     <priority>1</priority></presence>`)
		orchard := jid.MustParse("romeo@example.net/orchard")
		want := presence.Availability{JID: orchard, Show: stanza.ShowDND, Priority: 1, Since: start,
			Status: stanza.Texts{{Value: "Wooing Juliet"}, {Lang: "cs", Value: "Dvořím se Julii"}}}
		require.Equal(t, []presence.Event{{JID: orchard, After: want, Presence: p}}, tr.Apply(p))
		require.Equal(t, []presence.Availability{want}, tr.Resources(orchard))
		<-time.After(time.Hour)

		// Its own stamp says since when, but not in the future.
		p = received(t, "<presence from='romeo@example.net/orchard'><delay xmlns='urn:xmpp:delay' stamp='1999-12-31T23:00:00Z'/></presence>")
		next := presence.Availability{JID: orchard, Since: time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC)}
		require.Equal(t, []presence.Event{{JID: orchard, Before: want, After: next, Presence: p}}, tr.Apply(p))
		for _, stamp := range []string{"2099-12-31T23:00:00Z", "yesterday"} {
			tr.Apply(received(t, "<presence from='romeo@example.net/orchard'><delay xmlns='urn:xmpp:delay' stamp='"+stamp+"'/></presence>"))
			require.Equal(t, time.Now(), tr.Resources(trackRomeo)[0].Since)
		}
		// What is returned belongs to the caller.
		tr.Apply(received(t, "<presence from='romeo@example.net/orchard'><status>mine</status></presence>"))
		tr.Resources(trackRomeo)[0].Status[0].Value = "yours"
		require.Equal(t, "mine", tr.Resources(trackRomeo)[0].Status.String())
	})
}

// RFC 6121 §4.3.2 rule 3, §4.5.1: when somebody has left, and with what words.
func TestTrackerDeparted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := tracker(t)
		departed := func(want bool) presence.Departure {
			t.Helper()
			d, ok := tr.Departed(trackRomeo)
			require.Equal(t, want, ok)
			return d
		}
		departed(false)
		const stamped = "<presence from='romeo@example.net' type='unavailable'><status>%s</status><delay xmlns='urn:xmpp:delay' stamp='%s'/></presence>"
		// The answer to the probe of the server.
		require.Equal(t, []string{"unavailable romeo@example.net"}, told(tr.Apply(received(t, fmt.Sprintf(stamped, "night", "1999-09-10T23:41:07Z")))))
		require.Equal(t, presence.Departure{At: time.Date(1999, 9, 10, 23, 41, 7, 0, time.UTC), Status: stanza.Plain("night")}, departed(true))
		// Older news, and the same again, are none; nor is that he is not there.
		require.Empty(t, tr.Apply(received(t, fmt.Sprintf(stamped, "old", "1999-09-10T23:41:06Z"))))
		require.Empty(t, tr.Apply(received(t, fmt.Sprintf(stamped, "night", "1999-09-10T23:41:07Z"))))
		require.Empty(t, tr.Apply(received(t, "<presence from='romeo@example.net/orchard' type='unavailable'><status>gone</status></presence>")))
		require.Equal(t, "night", departed(true).Status.String())
		require.NotEmpty(t, tr.Apply(received(t, fmt.Sprintf(stamped, "newer", "1999-09-10T23:41:08Z"))))
		require.Equal(t, "newer", departed(true).Status.String())

		// What is to happen has happened now.
		require.NotEmpty(t, tr.Apply(received(t, fmt.Sprintf(stamped, "soon", "2099-09-10T23:41:08Z"))))
		require.Equal(t, time.Now(), departed(true).At)

		// He comes and goes.
		tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>"))
		departed(false)
		require.Empty(t, tr.Apply(received(t, fmt.Sprintf(stamped, "late", "1998-09-10T23:41:08Z")))[1:])
		tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>"))
		<-time.After(time.Minute)
		tr.Apply(received(t, "<presence from='romeo@example.net/orchard' type='unavailable'><status>going on vacation</status></presence>"))
		require.Equal(t, presence.Departure{At: time.Now(), Status: stanza.Plain("going on vacation")}, departed(true))
		departed(true).Status[0].Value = "changed"
		require.Equal(t, "going on vacation", departed(true).Status.String())

		// A new session: nobody is there until somebody says so.
		tr.Reset()
		require.Equal(t, "going on vacation", departed(true).Status.String())
		tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>"))
		tr.Reset()
		departed(false)
		require.Empty(t, tr.Contacts())
	})
}

// RFC 6121 §3.1.3, §3.1.4: requests wait for the user.
//
//conformance:proves 6121-3.1.4-2 6121-3.1.4-3
func TestTrackerRequests(t *testing.T) {
	tr, out := tracker(t), &outbox{}
	nurse := jid.MustParse("nurse@example.com")
	ask := func(who string) []presence.Event {
		return tr.Apply(received(t, "<presence from='"+who+"' id='uc51xs63' type='subscribe'><status>Hi</status><nick xmlns='http://jabber.org/protocol/nick'>R</nick></presence>"))
	}
	require.Equal(t, []string{"subscribe romeo@example.net"}, told(ask("romeo@example.net")))
	require.Empty(t, ask("romeo@example.net/orchard"), "pending already")
	require.Equal(t, []string{"subscribe nurse@example.com"}, told(ask("nurse@example.com")))
	require.Len(t, tr.Requests(), 2)
	first := tr.Requests()[0]
	require.Equal(t, trackRomeo, first.From)
	require.Equal(t, "Hi", first.Status.String())
	nick, ok := first.Payload(stream.Name{Space: "http://jabber.org/protocol/nick", Local: "nick"})
	require.True(t, ok)
	require.Equal(t, "R", nick.Text())

	out.err = errors.New("no connection")
	require.ErrorIs(t, tr.Approve(t.Context(), out, trackRomeo), out.err)
	require.Len(t, tr.Requests(), 2)
	out.err = nil
	require.NoError(t, tr.Approve(t.Context(), out, jid.MustParse("romeo@example.net/orchard")))
	require.NoError(t, tr.Deny(t.Context(), out, nurse))
	require.Empty(t, tr.Requests())
	require.Contains(t, out.sent[0], "to='romeo@example.net' type='subscribed'")
	require.Contains(t, out.sent[1], "to='nurse@example.com' type='unsubscribed'")
	require.Contains(t, out.sent[0], " id='")
	require.NotContains(t, out.sent[0], "uc51xs63", "§3.1.4: MUST NOT mirror the id")

	// §3.3.1: taken back. Another client of the account has approved. The session
	// is over, after which the server delivers it again.
	for _, end := range []func(){
		func() { tr.Apply(received(t, "<presence from='nurse@example.com/x' type='unsubscribe'/>")) },
		func() { tr.Follow(roster.Event{After: roster.Item{JID: nurse, State: roster.From}}) },
		tr.Reset,
	} {
		require.NotEmpty(t, ask("nurse@example.com"))
		require.Len(t, tr.Requests(), 1)
		end()
		require.Empty(t, tr.Requests())
	}
}

// RFC 6121 §3.3.1: without a subscription nothing is known.
func TestTrackerFollow(t *testing.T) {
	item := func(s roster.State) roster.Item { return roster.Item{JID: trackRomeo, State: s} }
	for name, tt := range map[string]struct {
		e    roster.Event
		want []string
	}{
		"removed":             {roster.Event{Before: item(roster.None)}, []string{"unavailable romeo@example.net/orchard went"}},
		"unsubscribed":        {roster.Event{Before: item(roster.Both), After: item(roster.From)}, []string{"unavailable romeo@example.net/orchard went"}},
		"renamed":             {roster.Event{Before: item(roster.To), After: item(roster.To)}, nil},
		"new":                 {roster.Event{After: item(roster.None)}, nil},
		"subscription of his": {roster.Event{Before: item(roster.To), After: item(roster.Both)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker(t)
			tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>"))
			events := tr.Follow(tt.e)
			require.Equal(t, tt.want, told(events))
			for _, e := range events {
				require.Nil(t, e.Presence)
			}
			_, ok := tr.Best(trackRomeo)
			require.Equal(t, tt.want == nil, ok)
			_, ok = tr.Departed(trackRomeo)
			require.False(t, ok)
		})
	}
	t.Run("the own account", func(t *testing.T) {
		tr := tracker(t)
		tr.Apply(received(t, "<presence from='juliet@example.com/chamber'/>"))
		require.Empty(t, tr.Follow(roster.Event{Before: roster.Item{JID: trackJuliet, State: roster.To}}))
		require.NotEmpty(t, tr.Contacts())
	})
}

// Whatever peers do, what is kept of it is bounded.
func TestTrackerBounds(t *testing.T) {
	everybody := func(o *presence.TrackerOptions) { o.InRoster = nil }
	come := func(tr *presence.Tracker, who string) int {
		return len(tr.Apply(received(t, "<presence from='"+who+"'/>")))
	}
	t.Run("resources", func(t *testing.T) {
		tr := tracker(t)
		for i := range 64 {
			require.Equal(t, 1, come(tr, fmt.Sprintf("romeo@example.net/%d", i)))
		}
		require.Zero(t, come(tr, "romeo@example.net/too many"))
		require.Equal(t, 1, come(tr, "romeo@example.net/7"))
		require.Equal(t, uint64(1), tr.Ignored())
	})
	t.Run("contacts", func(t *testing.T) {
		tr := tracker(t, everybody, func(o *presence.TrackerOptions) { o.Contacts = 3 })
		for _, who := range []string{"a@x/r", "b@x/r", "c@x/r"} {
			require.Equal(t, 1, come(tr, who))
		}
		require.Zero(t, come(tr, "d@x/r"), "all are there")
		require.Empty(t, tr.Apply(received(t, "<presence from='d@x' type='unavailable'><delay xmlns='urn:xmpp:delay' stamp='1999-12-31T23:00:00Z'/></presence>")))
		require.Equal(t, uint64(2), tr.Ignored())
		tr.Apply(received(t, "<presence from='b@x/r' type='unavailable'/>"))
		tr.Apply(received(t, "<presence from='a@x/r' type='unavailable'/>"))
		require.Equal(t, 1, come(tr, "d@x/r"), "instead of who left first")
		_, ok := tr.Departed(jid.MustParse("b@x"))
		require.False(t, ok)
		_, ok = tr.Departed(jid.MustParse("a@x"))
		require.True(t, ok)
		// a comes back and c is removed, each of which makes or leaves room for one.
		require.Equal(t, 1, come(tr, "a@x/r"))
		require.Zero(t, come(tr, "e@x/r"))
		tr.Apply(received(t, "<presence from='c@x/r' type='unavailable'/>"))
		require.Empty(t, tr.Follow(roster.Event{Before: roster.Item{JID: jid.MustParse("c@x")}}))
		require.Equal(t, 1, come(tr, "e@x/r"))
		require.Zero(t, come(tr, "f@x/r"))
		require.Equal(t, []jid.JID{jid.MustParse("a@x"), jid.MustParse("d@x"), jid.MustParse("e@x")}, tr.Contacts())
	})
	t.Run("departures that are told again", func(t *testing.T) {
		tr := tracker(t, everybody, func(o *presence.TrackerOptions) { o.Contacts = 2 })
		left := func(who, year string) {
			require.Len(t, tr.Apply(received(t, "<presence from='"+who+"' type='unavailable'><delay xmlns='urn:xmpp:delay' stamp='"+year+"-01-01T00:00:00Z'/></presence>")), 1)
		}
		left("a@x", "1990")
		left("b@x", "1990")
		left("a@x", "1991")
		left("c@x", "1990") // instead of b
		require.Equal(t, 1, come(tr, "c@x/r"))
		require.Equal(t, 1, come(tr, "d@x/r"), "instead of a")
		require.Zero(t, come(tr, "e@x/r"))
	})
	t.Run("all resources", func(t *testing.T) {
		tr := tracker(t, everybody)
		p := new(stanza.Presence)
		for i := range 1 << 16 {
			p.From = jid.MustParse(fmt.Sprintf("u%d@x/%d", i/64, i%64))
			require.Len(t, tr.Apply(p), 1)
		}
		require.Zero(t, come(tr, "v@x/r"))
		tr.Apply(received(t, "<presence from='u0@x/0' type='unavailable'/>"))
		require.Equal(t, 1, come(tr, "v@x/r"))
	})
	t.Run("requests", func(t *testing.T) {
		tr := tracker(t)
		for i := range 1025 {
			events := tr.Apply(received(t, fmt.Sprintf("<presence type='subscribe' from='u%d@x'/>", i)))
			require.Equal(t, i < 1024, len(events) == 1)
		}
		require.Equal(t, uint64(1), tr.Ignored())
		tr.Reset()
		tr.Apply(received(t, "<presence type='subscribe' from='u@x' id='"+strings.Repeat("i", 5000)+"'><status>"+strings.Repeat("é", 2000)+"</status><x xmlns='urn:x'/></presence>"))
		kept := tr.Requests()[0]
		require.Equal(t, &stanza.Presence{From: jid.MustParse("u@x"), To: trackJuliet, Type: stanza.SubscribePresence, Status: stanza.Plain(strings.Repeat("é", 512))}, kept)
	})
	t.Run("status", func(t *testing.T) {
		tr := tracker(t)
		texts := "<status>x" + strings.Repeat("é", 600) + "</status><status xml:lang='" + strings.Repeat("l", 129) + "'>dropped</status><status xml:lang='" + strings.Repeat("l", 128) + "'>kept</status>"
		for i := range 20 {
			texts += fmt.Sprintf("<status xml:lang='l%d'>t</status>", i)
		}
		tr.Apply(received(t, "<presence from='romeo@example.net/x'>"+texts+"</presence>"))
		status := tr.Resources(trackRomeo)[0].Status
		require.Len(t, status, 8)
		require.Equal(t, "x"+strings.Repeat("é", 511), status.String())
		require.Equal(t, stanza.Text{Lang: strings.Repeat("l", 128), Value: "kept"}, status[1])
		require.Equal(t, stanza.Text{Lang: "l5", Value: "t"}, status[7])
	})
}

// What is kept of a stanza does not keep the rest of it: the strings of a stanza share
// their memory.
func TestTrackerMemory(t *testing.T) {
	tr := tracker(t, func(o *presence.TrackerOptions) { o.InRoster = nil })
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	status := "<status>" + strings.Repeat("x", 100<<10) + "</status>"
	before := used()
	for i := range 100 {
		for _, typ := range []string{"", "", " type='subscribe'"} { // anew, again
			tr.Apply(received(t, fmt.Sprintf("<presence from='u%d@x/r'%s>%s</presence>", i, typ, status)))
		}
		tr.Apply(received(t, fmt.Sprintf("<presence from='v%d@x' type='unavailable'>%s<delay xmlns='urn:xmpp:delay' stamp='1999-01-01T00:00:00Z'/></presence>", i, status)))
	}
	require.Less(t, used(), before+4<<20, "of 40 MiB")
	require.Len(t, tr.Contacts(), 100)
	require.Len(t, tr.Requests(), 100)
}

// A Tracker in a Mux: it sees presence that other routes handle, and OnEvent may use
// it and send.
func TestTrackerModule(t *testing.T) {
	var tr *presence.Tracker
	var mu sync.Mutex
	var events []string
	tr = tracker(t, func(o *presence.TrackerOptions) {
		o.OnEvent = func(ctx context.Context, s stanza.Sender, e presence.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, told([]presence.Event{e})...)
			require.Len(t, tr.Requests(), 1)
			require.NoError(t, tr.Approve(ctx, s, e.JID))
		}
	})
	var mux stanza.Mux
	routed := 0
	require.NoError(t, stanza.Install(&mux, tr))
	require.NoError(t, mux.HandlePresence(stanza.Any, stream.Name{Space: "urn:x"}, func(context.Context, stanza.Sender, *stanza.Presence) error {
		routed++
		return nil
	}))
	s := &conn{}
	require.NoError(t, mux.HandleStanza(t.Context(), s, received(t, "<presence type='subscribe' from='nurse@example.com'><x xmlns='urn:x'/></presence>")))
	require.NoError(t, mux.HandleStanza(t.Context(), s, &stanza.Message{}))
	require.Equal(t, []string{"subscribe nurse@example.com"}, events)
	require.Equal(t, 1, routed)
	require.Len(t, s.sent, 1)
	require.Equal(t, "presence", tr.Name())

	quiet := tracker(t) // nobody to tell
	require.Equal(t, stanza.Pass(), quiet.Filter(t.Context(), s, received(t, "<presence from='romeo@example.net/x'/>")))
	require.NotEmpty(t, quiet.Contacts())
}

// conn is a stanza.Sender.
type conn struct{ outbox }

func (*conn) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) { return nil, errors.New("not here") }

// All methods at the same time, for the race detector.
func TestTrackerConcurrent(t *testing.T) {
	tr := tracker(t, func(o *presence.TrackerOptions) { o.InRoster = nil })
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			out := &outbox{}
			for j := range 200 {
				who := jid.MustParse(fmt.Sprintf("u%d@x/%d", i, j%3))
				tr.Apply(&stanza.Presence{From: who})
				tr.Apply(&stanza.Presence{From: who.Bare(), Type: stanza.SubscribePresence})
				tr.Best(who)
				tr.Contacts()
				tr.Departed(who)
				require.NoError(t, tr.Direct(t.Context(), out, who))
				tr.Directed()
				tr.Requests()
				require.NoError(t, tr.Available(t.Context(), out, "", "x", 1))
				require.NoError(t, tr.Deny(t.Context(), out, who))
				tr.Follow(roster.Event{Before: roster.Item{JID: who.Bare()}})
				tr.Apply(&stanza.Presence{From: who, Type: stanza.UnavailablePresence})
			}
		})
	}
	wg.Wait()
	require.Empty(t, tr.Contacts())
	require.Zero(t, tr.Ignored())
}

// FuzzTracker: nothing that is well-formed breaks what is known, and what is known
// agrees with itself.
func FuzzTracker(f *testing.F) {
	for _, s := range []string{
		"<presence from='romeo@example.net/orchard'/>",
		"<presence from='romeo@example.net/orchard' type='unavailable'/><presence from='romeo@example.net'/>",
		"<presence from='romeo@example.net/a'><show>away</show><priority>1e2</priority><status xml:lang='x'>y</status></presence><presence from='romeo@example.net' type='unavailable'/>",
		"<presence type='subscribe' from='x@y'/><presence type='error' from='lobby@chat.example.com/me'/>",
		"<presence from='lobby@chat.example.com/me' type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'/><delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:41:07Z'/></presence>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all, err := stream.ParseElement([]byte("<all xmlns='jabber:client'>"+s+"</all>"), nil)
		if err != nil {
			return
		}
		tr := tracker(t, func(o *presence.TrackerOptions) { o.Contacts, o.Resources = 3, 2 })
		require.NoError(t, tr.Direct(t.Context(), &outbox{}, jid.MustParse("lobby@chat.example.com/me")))
		there := map[jid.JID]presence.Availability{}
		for el := range all.Children() {
			p := new(stanza.Presence)
			if p.DecodeElement(el) != nil {
				continue
			}
			for _, e := range tr.Apply(p) {
				require.Equal(t, there[e.JID], e.Before)
				if delete(there, e.JID); !e.After.IsZero() {
					require.Equal(t, e.JID, e.After.JID)
					there[e.JID] = e.After
				}
			}
		}
		n := 0
		for _, contact := range tr.Contacts() {
			best, ok := tr.Best(contact)
			require.True(t, ok)
			_, gone := tr.Departed(contact)
			require.False(t, gone)
			for i, a := range tr.Resources(contact) {
				require.Equal(t, there[a.JID], a)
				require.LessOrEqual(t, a.Priority, best.Priority)
				require.Less(t, i, 4096)
				n++
			}
		}
		require.Len(t, there, n)
	})
}
