package csi_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
)

// inactive makes a resource whose client is inactive.
func inactive(tb testing.TB, m *csi.Module) *resource {
	tb.Helper()
	r := newResource()
	csi.Set(m, r, true)
	require.NotNil(tb, r.f.Load())
	return r
}

const body = "<message from='romeo@montague.lit/home' type='chat'><body>x</body></message>"

func presence(from, inside string) string {
	return "<presence from='" + from + "'>" + inside + "</presence>"
}

// XEP-0352 §4.2: a stream begins active, and what the client says holds from then
// on. What waited comes in order, and before anything important.
func TestModule(t *testing.T) {
	m := new(csi.Module)
	r := newResource()
	away := presence("romeo@montague.lit/home", "<show>away</show>")
	state := "<message from='romeo@montague.lit/home' type='chat'>" + composing + "</message>"

	r.route(t, away)
	require.Equal(t, []string{away}, r.take(), "active")
	csi.Set(m, r, false)
	require.Nil(t, r.f.Load(), "an active client costs nothing")

	csi.Set(m, r, true)
	r.route(t, away)
	r.route(t, state)
	require.Empty(t, r.take(), "they wait")
	r.route(t, body)
	require.Equal(t, []string{away, state, body}, r.take(), "a body does not")
	r.route(t, body)
	require.Equal(t, []string{body}, r.take())

	r.route(t, away)
	csi.Set(m, r, true)
	require.Empty(t, r.take(), "it was inactive before")
	csi.Set(m, r, false)
	require.Equal(t, []string{away}, r.take(), "§5.1: it is there before anything that the client asks for next")
	require.Nil(t, r.f.Load())
	r.route(t, away)
	require.Equal(t, []string{away}, r.take())

	csi.Set(m, r, true)
	r.route(t, away)
	m.SessionResumed(t.Context(), r)
	require.Equal(t, []string{away}, r.take(), "§5.2")
}

// XEP-0352 §3.2: the latest presence of each full JID, where it is in the order.
func TestLatest(t *testing.T) {
	r := inactive(t, new(csi.Module))
	const home, orchard = "romeo@montague.lit/home", "romeo@montague.lit/orchard"
	event := "<message from='" + home + "' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>"
	room := "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none' nick='oldhag'/><status code='303'/></x>"
	leaves, comes := "<presence from='darkcave@chat.shakespeare.lit/thirdwitch' type='unavailable'>"+room+"</presence>",
		presence("darkcave@chat.shakespeare.lit/thirdwitch", "<x xmlns='http://jabber.org/protocol/muc#user'/>")
	for _, s := range []string{
		presence(home, ""), presence(orchard, "<show>dnd</show>"), event, leaves,
		"<presence from='" + home + "' type='unavailable'/>", presence(home, "<show>xa</show>"), comes,
	} {
		r.route(t, s)
	}
	require.Empty(t, r.take())
	r.route(t, body)
	require.Equal(t, []string{
		presence(orchard, "<show>dnd</show>"), event,
		leaves, // XEP-0045 §7.6: it says what the occupant is called now
		presence(home, "<show>xa</show>"), comes, body,
	}, r.take())
}

// What a module sends to a client past the router waits by the same rules: there
// is no Transit, and it may be of any type.
func TestPushes(t *testing.T) {
	r := inactive(t, new(csi.Module))
	home := jid.MustParse("romeo@montague.lit/home")
	send := func(st stream.Appender) []string {
		require.NoError(t, r.TrySend(st))
		return r.take()
	}
	require.Empty(t, send(&stanza.Presence{From: home, Priority: 1}))
	require.Empty(t, send(&stanza.Presence{From: home}))
	require.Empty(t, send(xml(carbon("<message xmlns='jabber:client' type='chat'>"+composing+"</message>"))))
	got := send(&stanza.IQ{ID: "1", Type: stanza.ResultIQ})
	require.Equal(t, []string{
		"<presence from='romeo@montague.lit/home'/>",
		carbon("<message xmlns='jabber:client' type='chat'>" + composing + "</message>"),
		"<iq id='1' type='result'/>",
	}, got)
	require.Len(t, send(&stanza.Message{From: home, Body: stanza.Plain("x")}), 1)
	require.Len(t, send(xml(carbon("<message xmlns='jabber:client' type='chat'><body>x</body></message>"))), 1)
	// What cannot be read does not wait.
	require.Len(t, send(xml("<presence from='a'/><presence from='b'/>")), 1)
	require.Len(t, send(xml("<presence>")), 1)
	// What comes from nobody, or from who cannot be told, replaces nothing.
	require.Empty(t, send(xml("<presence from='@'/>")))
	require.Empty(t, send(xml("<presence from='@'><show>xa</show></presence>")))
	require.Empty(t, send(xml("<presence/>")))
	require.Empty(t, send(xml("<presence> </presence>")))
	require.Len(t, send(&stanza.IQ{ID: "1", Type: stanza.ResultIQ}), 5)
	// The Transit may be about the stanza that caused this one, or have none.
	require.NoError(t, r.deliver(&stanza.Transit{Kind: stanza.PresenceKind, From: home}, xml("<presence from='romeo@montague.lit/home' type='unavailable'/>")))
	require.NoError(t, r.deliver(&stanza.Transit{Kind: stanza.PresenceKind, From: home, Element: parse(t, "<presence type='unavailable'/>")}, xml("<presence from='romeo@montague.lit' type='unsubscribed'/>")))
	require.Len(t, r.take(), 2)
	// What cannot be written is an error.
	require.Error(t, r.TrySend(&stanza.Message{Type: "strange"}))
	require.Error(t, r.deliver(&stanza.Transit{Kind: stanza.PresenceKind, Element: parse(t, "<presence/>")}, &stanza.Presence{Type: "strange"}))
}

// The bound: when more waits than may, all of it goes out.
func TestBounds(t *testing.T) {
	from := func(i int) string { return presence(fmt.Sprintf("romeo@montague.lit/%d", i), "") }
	t.Run("stanzas", func(t *testing.T) {
		r := inactive(t, &csi.Module{MaxStanzas: 3})
		for i := range 3 {
			r.route(t, from(i))
			r.route(t, from(i)) // replaced, so it does not count
		}
		require.Empty(t, r.take())
		r.route(t, from(3))
		require.Equal(t, []string{from(0), from(1), from(2), from(3)}, r.take())
		r.route(t, from(4))
		require.Empty(t, r.take(), "the count begins anew")
	})
	t.Run("bytes", func(t *testing.T) {
		r := inactive(t, &csi.Module{MaxBytes: 2 * len(from(0))})
		r.route(t, from(0))
		r.route(t, from(1))
		r.route(t, from(0)) // replaced
		require.Empty(t, r.take())
		r.route(t, from(2))
		require.Equal(t, []string{from(1), from(0), from(2)}, r.take())
	})
	t.Run("default", func(t *testing.T) {
		r := inactive(t, new(csi.Module))
		for i := range 256 {
			r.route(t, from(i))
		}
		require.Empty(t, r.take())
		r.route(t, from(256))
		require.Len(t, r.take(), 257)
		r.route(t, presence("romeo@montague.lit", "<status>"+strings.Repeat("x", 64<<10)+"</status>"))
		require.Len(t, r.take(), 1, "more than all may be together")
	})
	require.Error(t, (&csi.Module{MaxStanzas: -1}).Attach(new(host)))
	require.Error(t, (&csi.Module{MaxBytes: -1}).Attach(new(host)))
}

// The policy decides about what can wait, and about nothing else.
func TestPolicy(t *testing.T) {
	var asked []string
	m := &csi.Module{Unimportant: func(r stanza.Resource, el *stream.Element) bool {
		require.Equal(t, "juliet@capulet.lit/balcony", r.Addr().String())
		asked = append(asked, el.Attr("from"))
		return el.Attr("from") != "romeo@montague.lit/home"
	}}
	r := inactive(t, m)
	r.route(t, presence("nurse@capulet.lit/x", ""))
	require.Empty(t, r.take())
	r.route(t, presence("romeo@montague.lit/home", ""))
	require.Len(t, r.take(), 2)
	r.route(t, body)
	r.route(t, "<presence from='romeo@montague.lit' type='subscribe'/>")
	require.Len(t, r.take(), 2)
	require.Equal(t, []string{"nurse@capulet.lit/x", "romeo@montague.lit/home"}, asked)
}

// XEP-0203 §2: what has waited says since when, once.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inactive(t, new(csi.Module))
		const delay = "<delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='2000-01-01T00:00:00Z'/>"
		const other = "<delay xmlns='urn:xmpp:delay' stamp='1999-12-31T23:08:25Z'/>"
		r.route(t, "<presence from='romeo@montague.lit/a'/>")
		r.route(t, "<presence from='romeo@montague.lit/b'>"+other+"</presence>")
		r.route(t, "<presence from='romeo@montague.lit/c'><show>xa</show></presence >\n")
		<-time.After(time.Hour)
		r.route(t, "<presence from='romeo@montague.lit/d' />")
		<-time.After(999 * time.Millisecond)
		csi.Set(csi.ModuleOf(r), r, false)
		require.Equal(t, []string{
			"<presence from='romeo@montague.lit/a'>" + delay + "</presence>",
			"<presence from='romeo@montague.lit/b'>" + other + "</presence>",
			"<presence from='romeo@montague.lit/c'><show>xa</show>" + delay + "</presence >",
			"<presence from='romeo@montague.lit/d' />", // not worth saying
		}, r.take())
	})
}

// When the session is over, whoever sends something that must not be lost learns of
// it, and what waited is forgotten.
func TestGone(t *testing.T) {
	m := new(csi.Module)
	r := inactive(t, m)
	r.route(t, presence("romeo@montague.lit/home", ""))
	r.gone = true
	el := parse(t, body)
	require.Error(t, r.deliver(&stanza.Transit{Kind: stanza.MessageKind, Element: el}, xml(body)))
	csi.Set(m, r, false) // does no harm
	csi.Set(m, r, true)
	r.route(t, presence("romeo@montague.lit/home", ""))
	m.SessionGone(t.Context(), r)
	require.Nil(t, r.f.Load())
	require.Nil(t, csi.ModuleOf(r))
	r.gone = false
	csi.Set(m, r, true)
	csi.Set(m, r, false)
	require.Empty(t, r.take())
}

// The end of a session that was never inactive is none of the module's business.
func TestGoneActive(t *testing.T) {
	r := newResource()
	r.Intercept(func(_ *stanza.Transit, st stream.Appender, next func(stream.Appender) error) error { return next(st) })
	new(csi.Module).SessionGone(t.Context(), r)
	require.NotNil(t, r.f.Load())
}

// Senders and a client that changes its state all the time: nothing is lost, and
// what one of them sends comes in order.
func TestConcurrent(t *testing.T) {
	m := &csi.Module{MaxStanzas: 10}
	r := newResource()
	const senders, n = 4, 300
	var wg sync.WaitGroup
	stop := make(chan struct{})
	changed := make(chan struct{})
	go func() { // ends with stop, joined by changed
		defer close(changed)
		for on := true; ; on = !on {
			csi.Set(m, r, on)
			select {
			case <-stop:
				csi.Set(m, r, false)
				return
			default:
			}
		}
	}()
	for s := range senders {
		wg.Go(func() { // ends by itself
			for i := range n {
				inside := composing
				if i%7 == 0 {
					inside = "<body>x</body>"
				}
				r.route(t, fmt.Sprintf("<message from='s%d@montague.lit' id='%d' type='chat'>%s</message>", s, i, inside))
			}
		})
	}
	wg.Wait()
	close(stop)
	<-changed
	next := make([]int, senders)
	got := r.take()
	require.Len(t, got, senders*n)
	for _, s := range got {
		var who, id int
		_, err := fmt.Sscanf(s, "<message from='s%d@montague.lit' id='%d'", &who, &id)
		require.NoError(t, err)
		require.Equal(t, next[who], id, "in order")
		next[who]++
	}
	require.Equal(t, slices.Repeat([]int{n}, senders), next)
}
