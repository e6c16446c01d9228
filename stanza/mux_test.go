package stanza

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// The most specific route wins: payload name before type.
func TestMuxSpecificity(t *testing.T) {
	q := stream.Name{Space: "urn:q", Local: "q"}
	ns := stream.Name{Space: "urn:q"}
	none := stream.Name{}
	routes := []struct {
		label string
		kind  Kind
		typ   string
		name  stream.Name
	}{
		{"get q", IQKind, "get", q},
		{"* q", IQKind, Any, q},
		{"get ns", IQKind, "get", ns},
		{"* ns", IQKind, Any, ns},
		{"get", IQKind, "get", none},
		{"*", IQKind, Any, none},
		{"chat q", MessageKind, "chat", q},
		{"message ns", MessageKind, Any, ns},
		{"normal", MessageKind, "normal", none},
		{"message", MessageKind, Any, none},
		{"available", PresenceKind, "", none},
		{"probe", PresenceKind, "probe", none},
		{"presence", PresenceKind, Any, none},
	}
	iq := func(typ, payload string) string {
		return fmt.Sprintf(`<iq id='1' type='%s'>%s</iq>`, typ, payload)
	}
	msg := func(typ, payload string) string {
		return fmt.Sprintf(`<message type='%s'><body>x</body>%s</message>`, typ, payload)
	}
	const thisQ, thisR, other = `<q xmlns='urn:q'/>`, `<r xmlns='urn:q'/>`, `<q xmlns='urn:other'/>`
	for _, tt := range []struct {
		xml  string
		want []string // in the order in which they win as the winners are removed
	}{
		{iq("get", thisQ), []string{"get q", "* q", "get ns", "* ns", "get", "*", "fallback"}},
		{iq("set", thisQ), []string{"* q", "* ns", "*", "fallback"}},
		{iq("get", thisR), []string{"get ns", "* ns", "get", "*", "fallback"}},
		{iq("set", thisR), []string{"* ns", "*", "fallback"}},
		{iq("get", other), []string{"get", "*", "fallback"}},
		{iq("result", ""), []string{"*", "fallback"}},
		{msg("chat", thisQ), []string{"chat q", "message ns", "message", "fallback"}},
		{msg("chat", thisR+thisQ), []string{"chat q", "message ns", "message", "fallback"}},
		{msg("chat", other+thisR), []string{"message ns", "message", "fallback"}},
		{msg("headline", thisQ), []string{"message ns", "message", "fallback"}},
		{msg("normal", ""), []string{"normal", "message", "fallback"}},
		{msg("unknown", ""), []string{"normal", "message", "fallback"}},
		{`<message/>`, []string{"normal", "message", "fallback"}},
		{msg("error", "<error type='cancel'/>"), []string{"message", "fallback"}},
		{`<presence/>`, []string{"available", "presence", "fallback"}},
		{`<presence type='probe'/>`, []string{"probe", "presence", "fallback"}},
		{`<presence type='unavailable'/>`, []string{"presence", "fallback"}},
	} {
		removed := map[string]bool{}
		for _, want := range tt.want {
			var m Mux
			got := ""
			record := func(label string) Handler {
				return HandlerFunc(func(context.Context, Sender, Stanza) error { got += label; return nil })
			}
			for _, r := range routes {
				if !removed[r.label] {
					require.NoError(t, m.Handle(r.kind, r.typ, r.name, record(r.label)))
				}
			}
			m.Fallback(record("fallback"))
			st, err := Decode(element(t, stream.NSClient, tt.xml))
			require.NoError(t, err)
			require.NoError(t, m.HandleStanza(t.Context(), &recorder{}, st))
			require.Equal(t, want, got, "%s without %v", tt.xml, removed)
			removed[want] = true
		}
	}
}

// Among payloads whose routes are equally specific the first one decides.
//
//conformance:proves 6120-8.4-11
func TestMuxFirstPayload(t *testing.T) {
	var m Mux
	got := ""
	for _, name := range []stream.Name{{Space: "urn:a"}, {Space: "urn:b"}, {Space: "urn:c", Local: "x"}, {Space: "urn:d", Local: "x"}} {
		require.NoError(t, m.Handle(MessageKind, Any, name, HandlerFunc(func(context.Context, Sender, Stanza) error {
			got = name.Space
			return nil
		})))
	}
	for xml, want := range map[string]string{
		"<x xmlns='urn:a'/><x xmlns='urn:b'/>":                                           "urn:a",
		"<x xmlns='urn:b'/><x xmlns='urn:a'/>":                                           "urn:b",
		"<x xmlns='urn:b'/><x xmlns='urn:a'/><x xmlns='urn:d'/><x xmlns='urn:c'/>":       "urn:d",
		"<x xmlns='urn:z'/><x xmlns='urn:a'/><y xmlns='urn:d'/><x xmlns='urn:c'>c</x>":   "urn:c",
		"<x xmlns='urn:z'><x xmlns='urn:c'/></x><x xmlns='urn:a'/><body xmlns='urn:d'/>": "urn:a",
	} {
		st, err := Decode(element(t, stream.NSClient, "<message>"+xml+"</message>"))
		require.NoError(t, err)
		require.NoError(t, m.HandleStanza(t.Context(), &recorder{}, st))
		require.Equal(t, want, got, xml)
	}
}

// RFC 6120 §8.2.3 rule 3, §8.4: requests that nobody knows are answered, and
// nothing else is.
//
//conformance:proves 6120-8.2.3-4 6120-8.2.3-6 6120-8.4-12
//conformance:proves 6120-8.4-7
func TestMuxUnrouted(t *testing.T) {
	for xml, want := range map[string]string{
		someGet: "service-unavailable", someSet: "service-unavailable",
		someResult: "", someIQError: "", someMessage: "", someBounce: "", somePresence: "",
	} {
		st, err := Decode(element(t, stream.NSClient, xml))
		require.NoError(t, err)
		r := &recorder{}
		require.NoError(t, Dispatch(t.Context(), &Mux{}, r, st))
		if want == "" {
			require.Empty(t, r.sent, xml)
			continue
		}
		require.Len(t, r.sent, 1)
		require.Contains(t, r.sent[0], want)
	}
}

func TestMuxHandleIQ(t *testing.T) {
	for name, tt := range map[string]struct {
		payload Payload
		err     error
		want    string
		result  bool // Dispatch has something to report
	}{
		"empty result":  {nil, nil, `<iq id='1' from='montague.lit' to='juliet@capulet.lit/balcony' type='result'/>`, false},
		"payload":       {pingQuery, nil, `<iq id='1' from='montague.lit' to='juliet@capulet.lit/balcony' type='result'><ping xmlns='urn:xmpp:ping'/></iq>`, false},
		"stanza error":  {nil, &Error{Condition: Forbidden}, `forbidden`, false},
		"condition":     {pingQuery, ItemNotFound, `item-not-found`, false},
		"other error":   {nil, errors.New("private"), `internal-server-error`, true},
		"bad payload":   {badPayload{}, nil, `internal-server-error`, true},
		"panic payload": {nil, errPanic, `internal-server-error`, true},
	} {
		t.Run(name, func(t *testing.T) {
			var m Mux
			require.NoError(t, m.HandleIQ(Any, stream.Name{}, func(_ context.Context, iq *IQ) (Payload, error) {
				require.True(t, iq.IsRequest())
				if tt.err == errPanic {
					panic("private")
				}
				return tt.payload, tt.err
			}))
			for _, xml := range []string{someGet, someSet} {
				r := &recorder{}
				st, err := Decode(element(t, stream.NSClient, xml))
				require.NoError(t, err)
				err = Dispatch(t.Context(), &m, r, st)
				require.Equal(t, tt.result, err != nil, "%v", err)
				require.Len(t, r.sent, 1)
				require.Contains(t, r.sent[0], tt.want)
				require.NotContains(t, r.sent[0], "private")
			}
			// A route for any type also matches replies, which are never answered.
			for _, xml := range []string{someResult, someIQError} {
				r := &recorder{}
				st, err := Decode(element(t, stream.NSClient, xml))
				require.NoError(t, err)
				require.NoError(t, Dispatch(t.Context(), &m, r, st))
				require.Empty(t, r.sent)
			}
		})
	}
}

var errPanic = errors.New("panic")

func TestMuxTypedHandlers(t *testing.T) {
	var m Mux
	var got []string
	require.NoError(t, m.HandleMessage("", stream.Name{}, func(_ context.Context, _ Sender, msg *Message) error {
		got = append(got, "message "+msg.Body.String())
		return nil
	}))
	require.NoError(t, m.HandlePresence(AvailablePresence, stream.Name{}, func(_ context.Context, s Sender, p *Presence) error {
		got = append(got, "presence "+string(p.Show))
		return s.Send(t.Context(), &Presence{To: p.From})
	}))
	r := &recorder{}
	for _, xml := range []string{someMessage, `<presence from='a@b/c'><show>away</show></presence>`, someBounce, `<presence type='unavailable'/>`} {
		st, err := Decode(element(t, stream.NSClient, xml))
		require.NoError(t, err)
		require.NoError(t, m.HandleStanza(t.Context(), r, st))
	}
	require.Equal(t, []string{"message hi", "presence away"}, got)
	require.Equal(t, []string{"<presence to='a@b/c'/>"}, r.sent)
}

// What a program can get wrong is an error when it registers.
func TestMuxRegistration(t *testing.T) {
	q := stream.Name{Space: "urn:q", Local: "q"}
	h := HandlerFunc(func(context.Context, Sender, Stanza) error { return nil })
	fn := func(context.Context, *IQ) (Payload, error) { return nil, nil }
	var m Mux
	require.NoError(t, m.Handle(IQKind, "get", q, h))
	require.NoError(t, m.HandleIQ(SetIQ, q, fn))
	require.NoError(t, m.HandleMessage(ChatMessage, q, func(context.Context, Sender, *Message) error { return nil }))
	for name, err := range map[string]error{
		"twice":                    m.Handle(IQKind, "get", q, h),
		"twice, iq":                m.HandleIQ(SetIQ, q, fn),
		"nil handler":              m.Handle(IQKind, "get", stream.Name{}, nil),
		"nil iq function":          m.HandleIQ(GetIQ, stream.Name{}, nil),
		"nil message function":     m.HandleMessage(Any, q, nil),
		"nil presence function":    m.HandlePresence(Any, q, nil),
		"no kind":                  m.Handle(0, Any, q, h),
		"wrong kind":               m.Handle(IQKind+1, Any, q, h),
		"iq type":                  m.Handle(IQKind, "foo", q, h),
		"empty iq type":            m.HandleIQ("", q, fn),
		"message type":             m.Handle(MessageKind, "", q, h),
		"presence type":            m.Handle(PresenceKind, "available", q, h),
		"a result is no request":   m.HandleIQ(ResultIQ, q, fn),
		"an error is no request":   m.HandleIQ(ErrorIQ, q, fn),
		"name without namespace":   m.Handle(IQKind, "get", stream.Name{Local: "q"}, h),
		"module":                   Install(&m, badModule{}),
		"module, after a good one": Install(&m, &filterModule{}, badModule{}),
	} {
		require.ErrorIs(t, err, ErrRoute, name)
	}
}

func TestMuxMiddleware(t *testing.T) {
	var m Mux
	var got string
	mark := func(label string) func(Handler) Handler {
		wrapped := 0
		return func(next Handler) Handler {
			wrapped++
			require.Equal(t, 1, wrapped)
			return HandlerFunc(func(ctx context.Context, s Sender, st Stanza) error {
				got += label + "("
				err := next.HandleStanza(ctx, s, st)
				got += ")"
				return err
			})
		}
	}
	m.Use(mark("a"), nil, mark("b"))
	m.Use(func(Handler) Handler { return nil })
	require.NoError(t, m.Handle(MessageKind, Any, stream.Name{}, HandlerFunc(func(context.Context, Sender, Stanza) error {
		got += "h"
		return nil
	})))
	m.Use(mark("c"))
	require.NoError(t, m.HandleStanza(t.Context(), &recorder{}, &Message{}))
	require.Equal(t, "a(b(c(h)))", got)
	got = ""
	require.ErrorIs(t, m.HandleStanza(t.Context(), &recorder{}, &IQ{Type: GetIQ}), ServiceUnavailable)
	require.Equal(t, "a(b(c()))", got, "middleware sees what is not routed")
	m.Fallback(HandlerFunc(func(context.Context, Sender, Stanza) error { return nil }))
	require.NoError(t, m.HandleStanza(t.Context(), &recorder{}, &IQ{Type: GetIQ}))
	m.Fallback(nil)
	require.ErrorIs(t, m.HandleStanza(t.Context(), &recorder{}, &IQ{Type: GetIQ}), ServiceUnavailable)
}

// Routes may be added while stanzas arrive: the race detector judges.
func TestMuxConcurrent(t *testing.T) {
	var m Mux
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				name := stream.Name{Space: fmt.Sprintf("urn:%d", i), Local: fmt.Sprint(j)}
				require.NoError(t, m.HandleIQ(GetIQ, name, func(context.Context, *IQ) (Payload, error) { return nil, nil }))
				m.Use(func(next Handler) Handler { return next })
				m.HandleStanza(t.Context(), &recorder{}, &Message{})
			}
		})
	}
	wg.Wait()
}

type badModule struct{}

func (badModule) Name() string          { return "bad" }
func (badModule) Register(m *Mux) error { return m.HandleIQ(ResultIQ, pingName, nil) }

// filterModule decides by the id of the stanza.
type filterModule struct{ seen []string }

func (*filterModule) Name() string        { return "filter" }
func (*filterModule) Register(*Mux) error { return nil }

func (f *filterModule) Filter(_ context.Context, _ Sender, st Stanza) Verdict {
	id := st.Head().ID
	f.seen = append(f.seen, id)
	switch id {
	case "drop":
		return Drop()
	case "bounce":
		return Bounce(NotAcceptable)
	case "redirect":
		return RedirectTo(capulet)
	}
	return Pass()
}

// The verdicts of a filter, for a message and for a request, which is answered
// whatever happens to it.
func TestModuleVerdicts(t *testing.T) {
	for _, tt := range []struct {
		id, message, request string // what is sent
	}{
		{"pass", "", "type='result'"},
		{"drop", "", "service-unavailable"},
		{"bounce", "not-acceptable", "not-acceptable"},
		{"redirect", "from='juliet@capulet.lit' to='capulet.lit'", "from='juliet@capulet.lit' to='capulet.lit'"},
	} {
		t.Run(tt.id, func(t *testing.T) {
			var m Mux
			first, second := &filterModule{}, &filterModule{}
			require.NoError(t, Install(&m, first, second))
			handled := 0
			require.NoError(t, m.HandleMessage(Any, stream.Name{}, func(context.Context, Sender, *Message) error { handled++; return nil }))
			require.NoError(t, m.HandleIQ(Any, stream.Name{}, func(context.Context, *IQ) (Payload, error) { handled++; return nil, nil }))
			from := jid.MustParse("juliet@capulet.lit")
			for want, st := range map[string]Stanza{
				tt.message + " ": &Message{ID: tt.id, From: from, To: montague},
				tt.request:       &IQ{ID: tt.id, From: from, To: montague, Type: GetIQ, Payload: pingQuery},
			} {
				r := &recorder{}
				require.NoError(t, Dispatch(t.Context(), &m, r, st))
				if want == " " {
					require.Empty(t, r.sent)
					continue
				}
				require.Len(t, r.sent, 1)
				require.Contains(t, r.sent[0], want[:len(want)-1])
				require.Equal(t, montague, st.Head().To, "the original was changed")
			}
			require.Equal(t, []string{tt.id, tt.id}, first.seen)
			if tt.id == "pass" {
				require.Equal(t, 2, handled)
				require.Len(t, second.seen, 2)
			} else {
				require.Zero(t, handled)
				require.Empty(t, second.seen, "the first verdict is the last")
			}
		})
	}
}

func BenchmarkMux(b *testing.B) {
	var m Mux
	for i := range 50 {
		name := stream.Name{Space: fmt.Sprintf("urn:xmpp:%d", i), Local: "query"}
		require.NoError(b, m.HandleIQ(GetIQ, name, func(context.Context, *IQ) (Payload, error) { return nil, nil }))
		require.NoError(b, m.Handle(MessageKind, Any, name, HandlerFunc(func(context.Context, Sender, Stanza) error { return nil })))
	}
	chat := HandlerFunc(func(context.Context, Sender, Stanza) error { return nil })
	require.NoError(b, m.Handle(MessageKind, "chat", stream.Name{}, chat))
	for name, xml := range map[string]string{
		"chat":      `<message type='chat'><body>hi</body></message>`,
		"extension": `<message type='chat'><body>hi</body><query xmlns='urn:xmpp:7'/></message>`,
	} {
		b.Run(name, func(b *testing.B) {
			el := element(b, stream.NSClient, xml)
			st, err := Decode(el)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				m.HandleStanza(b.Context(), nil, st)
			}
		})
	}
}

// A request whose redirection fails is answered, since nobody else has it.
func TestModuleRedirectFails(t *testing.T) {
	var m Mux
	require.NoError(t, Install(&m, &filterModule{}))
	st := &IQ{ID: "redirect", From: juliet, To: montague, Type: GetIQ, Payload: badPayload{}}
	r := &recorder{}
	require.ErrorContains(t, Dispatch(t.Context(), &m, r, st), "cannot encode")
	require.Len(t, r.sent, 1)
	require.Contains(t, r.sent[0], "internal-server-error")
	require.Equal(t, montague, st.To)
}
