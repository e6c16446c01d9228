package carbons_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/hint"
	"stanzakit.dev/xmpp/stanza/sid"
	"stanzakit.dev/xmpp/stream"
)

const (
	garden = "romeo@montague.example/garden"
	home   = "romeo@montague.example/home"
	juliet = "juliet@capulet.example/balcony"
)

// XEP-0280 §3, §6.2.
func TestFeatures(t *testing.T) {
	require.Equal(t, []string{"urn:xmpp:carbons:2", "urn:xmpp:carbons:rules:0"}, new(carbons.Module).Features())
	require.Equal(t, "carbons", new(carbons.Module).Name())
}

func TestAttach(t *testing.T) {
	m := new(carbons.Module)
	require.Error(t, m.Register(new(stanza.Mux)), "there is no server yet")
	require.NoError(t, m.Attach(new(host)))
	require.Error(t, m.Attach(new(host)), "one server only")
	var mux stanza.Mux
	require.NoError(t, m.Register(&mux))
	require.ErrorIs(t, m.Register(&mux), stanza.ErrRoute)
}

// XEP-0280 examples 3 to 8, and §10.1.
func TestSwitch(t *testing.T) {
	const (
		enable   = `<iq xmlns='jabber:client' id='enable1' type='set'%s><enable xmlns='urn:xmpp:carbons:2'/></iq>`
		disable  = `<iq xmlns='jabber:client' id='enable1' type='set'%s><disable xmlns='urn:xmpp:carbons:2'/></iq>`
		none     = ""
		own      = " to='romeo@montague.example'"
		original = `<message xmlns='jabber:client' from='` + juliet + `' to='` + home + `' type='chat'><body>x</body></message>`
	)
	s := newServer(t)
	g, h := s.connect(garden), s.connect(home)
	copies := func() int {
		s.mod.AfterRoute(t.Context(), transit(t, original, nil, h))
		return len(g.take())
	}
	require.Zero(t, copies(), "not asked for")
	for _, tt := range []struct {
		name, request, to string
		answer            string
		copies            int
	}{
		{"disable what is disabled", disable, none, "type='result'", 0},
		{"enable", enable, none, "type='result'", 1},
		{"enable again", enable, none, "type='result'", 1},
		{"disable", disable, none, "type='result'", 0},
		{"disable again", disable, none, "type='result'", 0},
		{"enable at the account", enable, own, "type='result'", 1},
		{"disable at the account", disable, own, "type='result'", 0},
		{"at the server", enable, " to='montague.example'", "<service-unavailable", 0},
		{"at somebody else", enable, " to='" + "juliet@capulet.example" + "'", "<service-unavailable", 0},
		{"at another client", enable, " to='" + home + "'", "<service-unavailable", 0},
	} {
		require.Contains(t, s.ask(t, garden, fmt.Sprintf(tt.request, tt.to)), tt.answer, tt.name)
		require.Equal(t, tt.copies, copies(), tt.name)
	}
	// §4.1, §5.1.
	require.Contains(t, s.ask(t, juliet, fmt.Sprintf(enable, none)), "<not-allowed")
	// A get is no such request.
	require.Contains(t, s.ask(t, garden, `<iq xmlns='jabber:client' id='x' type='get'><enable xmlns='urn:xmpp:carbons:2'/></iq>`), "<service-unavailable")
}

// §7, examples 9 and 10: the copy of what was received, byte for byte.
func TestReceived(t *testing.T) {
	s := newServer(t)
	g, h := s.enabled(t, garden), s.enabled(t, home)
	original := `<message xmlns='jabber:client'
         from='juliet@capulet.example/balcony'
         to='romeo@montague.example/garden'
         type='chat'>
  <body>What man art thou that, thus bescreen'd in night, so stumblest on my counsel?</body>
  <thread>0e3141cd80894871a68e6fe6b1ec56fa</thread>
</message>`
	s.mod.AfterRoute(t.Context(), transit(t, original, nil, g))
	require.Empty(t, g.take(), "who gets the message gets no copy")
	require.Equal(t, []string{
		`<message from='romeo@montague.example' type='chat' to='romeo@montague.example/home'>` +
			`<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>` +
			`<message xmlns='jabber:client' type='chat' from='juliet@capulet.example/balcony' to='romeo@montague.example/garden'>
  <body>What man art thou that, thus bescreen'd in night, so stumblest on my counsel?</body>
  <thread>0e3141cd80894871a68e6fe6b1ec56fa</thread>
</message></forwarded></received></message>`,
	}, h.take())
}

// §8, examples 12 and 13: the copy of what was sent. It says who sent it, whatever
// the client wrote.
func TestSent(t *testing.T) {
	s := newServer(t)
	g, h := s.enabled(t, garden), s.enabled(t, home)
	tr := transit(t, `<message xmlns='jabber:client' to='juliet@capulet.example/balcony' type='chat' id='1'><body>Neither, fair saint, if either thee dislike.</body></message>`, h)
	tr.From = h.addr
	s.mod.AfterRoute(t.Context(), tr)
	require.Empty(t, h.take(), "who sent it gets no copy")
	want := `<message from='romeo@montague.example' type='chat' to='romeo@montague.example/garden'>` +
		`<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>` +
		`<message xmlns='jabber:client' type='chat' id='1' from='romeo@montague.example/home' to='juliet@capulet.example/balcony'>` +
		`<body>Neither, fair saint, if either thee dislike.</body>%s</message></forwarded></sent></message>`
	require.Equal(t, []string{fmt.Sprintf(want, "")}, g.take())

	t.Run("extra", func(t *testing.T) {
		tr.SenderExtra = []stanza.Payload{sid.StanzaID{ID: "7", By: jid.MustParse("romeo@montague.example")}, hint.Store}
		s.mod.AfterRoute(t.Context(), tr)
		require.Equal(t, []string{fmt.Sprintf(want, `<stanza-id xmlns='urn:xmpp:sid:0' id='7' by='romeo@montague.example'/><store xmlns='urn:xmpp:hints'/>`)}, g.take())
	})
	t.Run("extra in what is empty", func(t *testing.T) {
		for _, xml := range []string{`<message xmlns='jabber:client' type='chat'/>`, `<c:message xmlns:c='jabber:client' type='chat'></c:message >`} {
			tr := transit(t, xml, h)
			tr.From, tr.To, tr.SenderExtra = h.addr, jid.MustParse(juliet), []stanza.Payload{hint.Store}
			s.mod.AfterRoute(t.Context(), tr)
			got := g.take()
			require.Len(t, got, 1)
			c, err := carbons.Decode(message(t, got[0]), g.addr)
			require.NoError(t, err)
			_, ok := c.Message.Payload(stream.Name{Space: hint.NS, Local: "store"})
			require.True(t, ok, got[0])
		}
	})
	t.Run("without having copies enabled", func(t *testing.T) { // §8
		other := s.connect("romeo@montague.example/orchard")
		s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='romeo@montague.example/orchard' to='juliet@capulet.example' type='chat'/>`, other))
		require.Len(t, g.take(), 1)
		require.Len(t, h.take(), 1)
	})
	t.Run("by the server in the name of a client", func(t *testing.T) {
		s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='`+home+`' to='`+juliet+`' type='chat'/>`, nil))
		require.Empty(t, h.take())
		require.Len(t, g.take(), 1)
	})
}

// Addresses may hold what XML does not.
func TestEscaped(t *testing.T) {
	s := newServer(t)
	odd := s.enabled(t, `romeo@montague.example/'<&">`)
	s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from="juliet@capulet.example/a'&lt;b" to='`+garden+`' type='chat'/>`, nil, s.connect(garden)))
	got := odd.take()
	require.Len(t, got, 1)
	m := message(t, got[0])
	require.Equal(t, odd.addr, m.To)
	c, err := carbons.Decode(m, odd.addr)
	require.NoError(t, err)
	require.Equal(t, "juliet@capulet.example/a'<b", c.Message.From.String())
}

// Who gets copies: everybody once.
func TestOnce(t *testing.T) {
	const chat = `<message xmlns='jabber:client' from='%s' to='%s' type='chat'><body>x</body></message>`
	for _, tt := range []struct {
		name      string
		from, to  string
		delivered []string
		change    func(*stanza.Transit)
		want      string // who gets a copy and which
	}{
		{"§7 to one of three", juliet, garden, []string{"garden"}, nil, "home received, orchard received"},
		{"§7 to the account", juliet, "romeo@montague.example", []string{"garden", "home"}, nil, "orchard received"},
		{"§7 to the account, by all", juliet, "romeo@montague.example", []string{"garden", "home", "orchard"}, nil, ""},
		{"§8 from one of three", garden, juliet, nil, nil, "home sent, orchard sent"},
		{"to another client of the account", garden, home, []string{"home"}, nil, "orchard sent"},
		{"to the own account", garden, "romeo@montague.example", []string{"garden", "home"}, nil, "orchard sent"},
		{"§7 kept for later", juliet, "romeo@montague.example", nil, func(t *stanza.Transit) { t.Stored = true }, "garden received, home received, orchard received"},
		{"dropped", juliet, garden, nil, nil, ""},
		{"refused", juliet, garden, nil, func(t *stanza.Transit) { t.Refused = stanza.ServiceUnavailable }, ""},
		{"refused for the sender", garden, juliet, nil, func(t *stanza.Transit) { t.Refused = stanza.NotAcceptable }, ""},
		{"strangers", juliet, "nurse@capulet.example", nil, nil, ""},
		{"from the server", "montague.example", garden, []string{"garden"}, nil, "home received, orchard received"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			names := []string{"garden", "home", "orchard"}
			all := map[string]*resource{}
			for _, name := range names {
				all[name] = s.enabled(t, "romeo@montague.example/"+name)
			}
			tr := transit(t, fmt.Sprintf(chat, tt.from, tt.to), nil)
			if r := s.Resource(tr.From); r != nil {
				tr.Sender = r
			}
			for _, name := range tt.delivered {
				tr.Delivered = append(tr.Delivered, all[name])
			}
			if tt.change != nil {
				tt.change(tr)
			}
			s.mod.AfterRoute(t.Context(), tr)
			var got []string
			for _, name := range names {
				for _, xml := range all[name].take() {
					c, err := carbons.Decode(message(t, xml), all[name].addr)
					require.NoError(t, err)
					got = append(got, name+" "+c.Direction.String())
				}
			}
			require.Equal(t, tt.want, strings.Join(got, ", "))
		})
	}
}

// Both accounts on this server: each side gets its own.
func TestBothSides(t *testing.T) {
	s := newServer(t)
	g, h := s.enabled(t, garden), s.enabled(t, home)
	j, k := s.enabled(t, juliet), s.enabled(t, "juliet@capulet.example/chamber")
	s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='`+garden+`' to='`+juliet+`' type='chat'/>`, g, j))
	require.Empty(t, g.take())
	require.Empty(t, j.take())
	require.Contains(t, strings.Join(h.take(), ""), "<sent ")
	require.Contains(t, strings.Join(k.take(), ""), "<received ")
}

// Presence and requests are not copied.
func TestOtherKinds(t *testing.T) {
	s := newServer(t)
	g := s.enabled(t, garden)
	s.mod.AfterRoute(t.Context(), transit(t, `<presence xmlns='jabber:client' from='`+juliet+`' to='`+home+`'/>`, nil, s.connect(home)))
	s.mod.AfterRoute(t.Context(), transit(t, `<iq xmlns='jabber:client' from='`+juliet+`' to='`+home+`' type='get' id='x'><ping xmlns='urn:xmpp:ping'/></iq>`, nil, s.connect(home)))
	require.Empty(t, g.take())
}

// A resource that is gone gets nothing, is not kept, and its successor has to ask.
func TestGone(t *testing.T) {
	const chat = `<message xmlns='jabber:client' from='` + juliet + `' to='` + home + `' type='chat'/>`
	s := newServer(t)
	h := s.connect(home)
	old := s.enabled(t, garden)
	s.forget(old)
	s.mod.SessionGone(t.Context(), old)
	s.mod.AfterRoute(t.Context(), transit(t, chat, nil, h))
	require.Empty(t, old.take())

	// One of which nobody said that it is gone goes when the account asks again.
	lost := s.enabled(t, garden)
	fresh := s.connect(garden)
	other := s.enabled(t, "romeo@montague.example/orchard")
	s.mod.AfterRoute(t.Context(), transit(t, chat, nil, h))
	require.Empty(t, lost.take())
	require.Empty(t, fresh.take())
	require.Len(t, other.take(), 1)
}

// §10.3: the error about a copy goes nowhere: it has no id by which it would be
// about a message, and its addressee is the own account.
func TestBounced(t *testing.T) {
	s := newServer(t)
	g, h := s.enabled(t, garden), s.enabled(t, home)
	j := s.enabled(t, juliet)
	s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='`+juliet+`' to='`+garden+`' type='chat' id='1'/>`, j, g))
	copied := message(t, h.take()[0])
	require.Empty(t, copied.ID)
	bounce := `<message xmlns='jabber:client' from='` + home + `' to='romeo@montague.example' type='error' id='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`
	for _, id := range []string{"", "1"} {
		s.mod.AfterRoute(t.Context(), transit(t, fmt.Sprintf(bounce, id), h))
		require.Empty(t, g.take())
		require.Empty(t, h.take())
		require.Empty(t, j.take())
	}
}

// Senders, clients that come and go, and clients that change their mind, at once.
func TestConcurrent(t *testing.T) {
	s := newServer(t)
	always := s.enabled(t, "romeo@montague.example/always")
	h := s.connect(home)
	const n = 200
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { // ends by itself
			for range n {
				s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='`+juliet+`' to='`+home+`' type='chat' id='1'/>`, nil, h))
			}
		})
		wg.Go(func() { // ends by itself
			addr := fmt.Sprintf("romeo@montague.example/%d", i)
			for range n {
				r := s.enabled(t, addr)
				s.ask(t, addr, `<iq xmlns='jabber:client' id='1' type='set'><disable xmlns='urn:xmpp:carbons:2'/></iq>`)
				s.ask(t, addr, `<iq xmlns='jabber:client' id='1' type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`)
				s.forget(r)
				s.mod.SessionGone(t.Context(), r)
			}
		})
	}
	wg.Wait()
	require.Len(t, always.take(), 4*n)
}

// The message is encoded once, however many clients get a copy.
func TestAllocs(t *testing.T) {
	allocs := func(n int) float64 {
		s := newServer(t)
		for i := range n {
			s.enabled(t, fmt.Sprintf("romeo@montague.example/%d", i)).mute = true
		}
		tr := transit(t, `<message xmlns='jabber:client' from='`+juliet+`' to='`+home+`' type='chat' id='1'><body>`+strings.Repeat("x", 2000)+`</body></message>`, nil, s.connect(home))
		return testing.AllocsPerRun(100, func() { s.mod.AfterRoute(t.Context(), tr) })
	}
	// Not exactly equal: the race detector makes pools forget.
	one, many := allocs(1), allocs(100)
	require.InDelta(t, one, many, 2)
	require.LessOrEqual(t, many, 6.0)
	require.Zero(t, allocs(0), "an account without carbons")
}

// The copies of one message share its bytes.
func TestShared(t *testing.T) {
	s := newServer(t)
	a, b := s.enabled(t, garden), s.enabled(t, "romeo@montague.example/orchard")
	s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='`+juliet+`' to='`+home+`' type='chat'/>`, nil, s.connect(home)))
	// What was handed to one resource is not changed for the other.
	first, err := a.st[0].AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, a.got[0], string(first))
	require.Equal(t, strings.Replace(a.got[0], "to='"+garden, "to='"+b.addr.String(), 1), b.got[0])
}

// A message to an account of which three other clients want copies, and to one of
// which none does.
func BenchmarkAfterRoute(b *testing.B) {
	for _, n := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("%d copies", n), func(b *testing.B) {
			s := newServer(b)
			for i := range n {
				s.enabled(b, fmt.Sprintf("romeo@montague.example/%d", i)).mute = true
			}
			tr := transit(b, `<message xmlns='jabber:client' from='`+juliet+`' to='`+home+`' type='chat' id='1'><body>What man art thou?</body></message>`, nil, s.connect(home))
			b.ReportAllocs()
			for b.Loop() {
				s.mod.AfterRoute(b.Context(), tr)
			}
		})
	}
}
