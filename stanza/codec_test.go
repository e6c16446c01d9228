package stanza

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// element parses a stanza as the specifications print it, without a namespace:
// that of the stream, ns, is declared on the outermost tag.
func element(t testing.TB, ns, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(declare(ns, xml)), nil)
	require.NoError(t, err, "%s", xml)
	return el
}

// declare puts a declaration of the default namespace into the first tag.
func declare(ns, xml string) string {
	xml = strings.TrimSpace(xml)
	i := strings.IndexAny(xml, " \n/>")
	return xml[:i] + " xmlns='" + ns + "'" + xml[i:]
}

// decode decodes a stanza that has to be good.
func decode[S Stanza](t testing.TB, xml string) S {
	t.Helper()
	st, err := Decode(element(t, stream.NSClient, xml))
	require.NoError(t, err, "%s", xml)
	require.IsType(t, *new(S), st)
	return st.(S)
}

// encode encodes a payload that has to be good.
func encode(t testing.TB, p Payload) string {
	t.Helper()
	b, err := p.AppendXML(nil)
	require.NoError(t, err)
	return string(b)
}

// requireRefused encodes a payload that has to be refused, with nothing left of
// it in the buffer of the caller.
func requireRefused(t testing.TB, p Payload, is error) {
	t.Helper()
	b, err := p.AppendXML([]byte("before"))
	require.Error(t, err)
	require.Equal(t, "before", string(b))
	if is != nil {
		require.ErrorIs(t, err, is)
	}
}

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		name stream.Name
		want Kind
	}{
		{stream.Name{Space: "jabber:client", Local: "message"}, MessageKind},
		{stream.Name{Space: "jabber:server", Local: "presence"}, PresenceKind},
		{stream.Name{Space: "jabber:component:accept", Local: "iq"}, IQKind},
		{stream.Name{Space: "jabber:component:connect", Local: "iq"}, IQKind},
		{stream.Name{Space: "jabber:client", Local: "iqbogus"}, 0},
		{stream.Name{Space: "jabber:client", Local: "Message"}, 0},
		{stream.Name{Space: "urn:evil", Local: "message"}, 0},
		{stream.Name{Local: "message"}, 0},
		{stream.Name{}, 0},
	} {
		require.Equal(t, c.want, KindOf(c.name), "%v", c.name)
	}
	require.Equal(t, "message presence iq none",
		strings.Join([]string{MessageKind.String(), PresenceKind.String(), IQKind.String(), Kind(0).String()}, " "))
}

func TestDecodeNotStanza(t *testing.T) {
	for _, xml := range []string{
		"<message xmlns='urn:evil'/>", "<message/>", "<iqbogus xmlns='jabber:client'/>",
		"<r xmlns='urn:xmpp:sm:3'/>",
	} {
		el, err := stream.ParseElement([]byte(xml), nil)
		require.NoError(t, err)
		st, err := Decode(el)
		require.Nil(t, st)
		require.ErrorIs(t, err, ErrNotStanza)
		for _, st := range []Stanza{new(Message), new(Presence), new(IQ)} {
			require.ErrorIs(t, st.DecodeElement(el), ErrNotStanza)
		}
	}
	// The kinds are not taken for each other either.
	require.ErrorIs(t, new(Message).DecodeElement(element(t, stream.NSClient, "<presence/>")), ErrNotStanza)
	require.ErrorIs(t, new(Presence).DecodeElement(element(t, stream.NSClient, "<iq/>")), ErrNotStanza)
	require.ErrorIs(t, new(IQ).DecodeElement(element(t, stream.NSClient, "<message/>")), ErrNotStanza)
}

// Every content namespace works, and names of children are looked at in that
// namespace only.
//
//conformance:proves 6120-8.4-6
func TestDecodeContentNamespaces(t *testing.T) {
	for _, ns := range []string{stream.NSClient, stream.NSServer, "jabber:component:accept"} {
		st, err := Decode(element(t, ns, "<message><body>a</body><x:body xmlns:x='urn:x'>b</x:body></message>"))
		require.NoError(t, err)
		require.Equal(t, Plain("a"), st.(*Message).Body)
	}
	// A prefix does not matter, the namespace does.
	el, err := stream.ParseElement([]byte("<c:message xmlns:c='jabber:client'><body>x</body><c:body>y</c:body></c:message>"), nil)
	require.NoError(t, err)
	var m Message
	require.NoError(t, m.DecodeElement(el))
	require.Equal(t, Plain("y"), m.Body)
}

func TestHead(t *testing.T) {
	for _, xml := range []string{
		"<message id='1' to='a@example.org' from='b@example.org/r' type='chat' xml:lang='en'/>",
		"<presence id='1' to='a@example.org' from='b@example.org/r' xml:lang='en'/>",
		"<iq id='1' to='a@example.org' from='b@example.org/r' type='result' xml:lang='en'/>",
	} {
		st, err := Decode(element(t, stream.NSClient, xml))
		require.NoError(t, err)
		h := st.Head()
		require.Equal(t, "1", h.ID)
		require.Equal(t, "a@example.org", h.To.String())
		require.Equal(t, "b@example.org/r", h.From.String())
		require.Equal(t, "en", h.Lang)
		h.ID = "2"
		h.To, h.From = h.From, h.To
		h.Lang = "de"
		st.SetHead(h)
		require.Equal(t, h, st.Head())
		require.Contains(t, encode(t, st), " id='2' from='a@example.org' to='b@example.org/r'")
		require.False(t, st.IsError())
	}
}

// A decoded stanza used again has nothing left of the one before.
func TestDecodeReuse(t *testing.T) {
	full := map[Stanza]string{
		new(Message): `<message id='1' to='a@b' from='c@d' type='error' xml:lang='en'><body>b</body><subject>s</subject>
			<thread parent='p'>t</thread><x xmlns='urn:x'/><error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
		new(Presence): `<presence id='1' to='a@b' from='c@d' type='error' xml:lang='en'><show>xa</show><status>s</status>
			<priority>7</priority><x xmlns='urn:x'/><error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
		new(IQ): `<iq id='1' to='a@b' from='c@d' type='error' xml:lang='en'><x xmlns='urn:x'/><error/></iq>`,
	}
	for st, xml := range full {
		require.NoError(t, st.DecodeElement(element(t, stream.NSClient, xml)))
		before := encode(t, st)
		require.Error(t, st.DecodeElement(element(t, "urn:other", "<x/>")))
		switch st := st.(type) {
		case *Message:
			require.Empty(t, st.Body)
			require.Empty(t, st.Subject)
			*st = Message{Body: st.Body, Subject: st.Subject}
			require.Equal(t, "<message/>", encode(t, st))
		case *Presence:
			require.Empty(t, st.Status)
			require.Equal(t, Presence{Status: st.Status}, *st)
		case *IQ:
			require.Equal(t, IQ{}, *st)
		}
		require.NoError(t, st.DecodeElement(element(t, stream.NSClient, xml)))
		require.Equal(t, before, encode(t, st))
	}
}

func TestClone(t *testing.T) {
	for _, xml := range []string{
		`<message from='a@b/c' id='1' type='error'><body>hello</body><x xmlns='urn:x' k='&amp;v'>text</x>` +
			`<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x</gone><y xmlns='urn:y'/></error></message>`,
		`<presence from='a@b/c' id='1' type='error'><status>hello</status><x xmlns='urn:x'>text</x>` +
			`<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x</gone><y xmlns='urn:y'/></error></presence>`,
		`<iq from='a@b/c' id='1' type='error'><x xmlns='urn:x'>text</x>` +
			`<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x</gone><y xmlns='urn:y'/></error></iq>`,
	} {
		wire := []byte(declare(stream.NSClient, xml))
		el, err := stream.ParseElement(wire, nil)
		require.NoError(t, err)
		st, err := Decode(el)
		require.NoError(t, err)
		want := encode(t, st)
		kept := Clone(st)
		require.IsType(t, st, kept)
		for i := range wire {
			wire[i] = '#' // what the stream does with its buffer
		}
		require.NoError(t, st.DecodeElement(element(t, stream.NSClient, "<"+st.Kind().String()+" id='2' type='error'/>")))
		require.Equal(t, want, encode(t, kept))
	}
	require.Nil(t, (*Error)(nil).Clone())
	own := &Message{Extra: []Payload{XML(struct{}{})}, Body: Plain("x")}
	c := own.Clone()
	require.Equal(t, own, c)
	c.Body[0].Value, c.Extra[0] = "y", nil
	require.Equal(t, "x", own.Body.String())
	require.NotNil(t, own.Extra[0])
}

func TestQualified(t *testing.T) {
	m := &Message{ID: "1", Body: Plain("x")}
	require.Equal(t, "<message xmlns='jabber:client' id='1'><body>x</body></message>", encode(t, Qualified(m, stream.NSClient)))
	p := &Presence{Type: UnavailablePresence}
	require.Equal(t, "<presence xmlns='jabber:server' type='unavailable'/>", encode(t, Qualified(p, stream.NSServer)))
	q := &IQ{ID: "1", Type: ResultIQ}
	require.Equal(t, "<iq xmlns='jabber:client' id='1' type='result'/>", encode(t, Qualified(q, stream.NSClient)))
	requireRefused(t, Qualified(nil, stream.NSClient), ErrInvalid)
}

// What cannot be written is an error, and nothing of it reaches the buffer.
//
//conformance:proves 6120-8.1.3-2 6120-8.2.3-1 6120-8.2.3-2 6120-8.2.3-7 6120-8.2.3-9 6120-8.3.1-6 6120-8.3.1-9 6120-8.3.2-2 6120-8.3.2-3 6120-8.3.2-5
//conformance:proves 6120-8.4-1 6121-4.7.1-2 6121-4.7.2.1-3 6121-5.2.2-2 6121-5.2.5-3
func TestEncodeRefuses(t *testing.T) {
	var noMessage *Message
	var noPresence *Presence
	var noIQ *IQ
	query := XML(struct {
		XMLName struct{} `xml:"urn:x query"`
	}{})
	encode(t, &Message{Body: manyTexts(64)})
	for name, c := range map[string]struct {
		st Stanza
		is error
	}{
		"nil message":                  {noMessage, ErrInvalid},
		"nil presence":                 {noPresence, ErrInvalid},
		"nil iq":                       {noIQ, ErrInvalid},
		"message type":                 {&Message{Type: "subscribe"}, ErrInvalid},
		"message control character":    {&Message{Body: Plain("\x01")}, nil},
		"message noncharacter":         {&Message{Body: Plain("\uFFFE")}, nil},
		"message invalid UTF-8":        {&Message{Subject: Plain("\xff")}, nil},
		"message id":                   {&Message{ID: "\x00"}, nil},
		"message lang":                 {&Message{Lang: "\x1b"}, nil},
		"message thread":               {&Message{Thread: "\x1b"}, nil},
		"message thread loop":          {&Message{Thread: "x", ThreadParent: "x"}, ErrInvalid},
		"message body language twice":  {&Message{Body: Texts{{"en", "a"}, {"EN", "b"}}}, ErrInvalid},
		"message body language equal":  {&Message{Lang: "en", Body: Texts{{"en", "a"}, {"", "b"}}}, ErrInvalid},
		"message subject twice":        {&Message{Subject: Texts{{"", "a"}, {"", "b"}}}, ErrInvalid},
		"message too many languages":   {&Message{Body: manyTexts(65)}, ErrInvalid},
		"message nil payload":          {&Message{Extra: []Payload{nil}}, ErrInvalid},
		"message error without Error":  {&Message{Type: ErrorMessage}, ErrInvalid},
		"message Error without error":  {&Message{Error: &Error{Condition: Gone}}, ErrInvalid},
		"message Error without cond":   {&Message{Type: ErrorMessage, Error: &Error{}}, ErrInvalid},
		"message Error unknown cond":   {&Message{Type: ErrorMessage, Error: &Error{Condition: "x y"}}, ErrInvalid},
		"message Error unknown type":   {&Message{Type: ErrorMessage, Error: &Error{Condition: Gone, Type: "x"}}, ErrInvalid},
		"message Error URI":            {&Message{Type: ErrorMessage, Error: &Error{Condition: BadRequest, URI: "x"}}, ErrInvalid},
		"message Error text":           {&Message{Type: ErrorMessage, Error: &Error{Condition: Gone, Text: "\x02"}}, nil},
		"message encoding/xml names":   {&Message{Extra: []Payload{XML(badName{})}}, nil},
		"presence type":                {&Presence{Type: "available"}, ErrInvalid},
		"presence show":                {&Presence{Show: "here"}, ErrInvalid},
		"presence status":              {&Presence{Status: Plain("\x01")}, nil},
		"presence status twice":        {&Presence{Status: Texts{{"", "a"}, {"", "b"}}}, ErrInvalid},
		"presence error without Error": {&Presence{Type: ErrorPresence}, ErrInvalid},
		"iq zero":                      {&IQ{}, ErrInvalid},
		"iq type":                      {&IQ{ID: "1", Type: "subscribe"}, ErrInvalid},
		"iq get without payload":       {&IQ{ID: "1", Type: GetIQ}, ErrInvalid},
		"iq set without payload":       {&IQ{ID: "1", Type: SetIQ}, ErrInvalid},
		"iq get without id":            {&IQ{Type: GetIQ, Payload: query}, ErrInvalid},
		"iq result without id":         {&IQ{Type: ResultIQ}, ErrInvalid},
		"iq error without Error":       {&IQ{ID: "1", Type: ErrorIQ}, ErrInvalid},
		"iq Error without error":       {&IQ{ID: "1", Type: ResultIQ, Error: &Error{Condition: Gone}}, ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) { requireRefused(t, c.st, c.is) })
	}
}

// badName writes an element whose name is none.
type badName struct {
	XMLName struct{} `xml:"a><b"`
}

// Text is escaped, and comes back as it was.
//
//conformance:proves 6121-5.2.3-1 6121-5.2.4-1 6121-5.2.5-7
func TestEncodeEscapes(t *testing.T) {
	text := "<b>&amp;\"'\r\n\t]]> \U0001F600"
	m := &Message{ID: "<'\"&>\n\t", Body: Plain(text), Thread: "a<b", Subject: Texts{{"en", text}}}
	var got Message
	el, err := stream.ParseElement([]byte(encode(t, Qualified(m, stream.NSClient))), nil)
	require.NoError(t, err)
	require.NoError(t, got.DecodeElement(el))
	require.Equal(t, m.ID, got.ID)
	require.Equal(t, m.Body, got.Body)
	require.Equal(t, m.Subject, got.Subject)
	require.Equal(t, m.Thread, got.Thread)
}

// Any string is either refused, as what XML cannot express, or arrives as it was.
func TestEncodeAnyString(t *testing.T) {
	rng := rand.New(rand.NewPCG(6120, 8))
	pieces := []string{"a", "é", " ", "\t", "\n", "\r", "<", ">", "&", "'", `"`, "]]>", "--", "\x7f", "\u0085", "\ufffd", "\U0001F600"}
	const alien = "\x00\x01\x1f\x0b\xff\xc3"
	sent, refused := 0, 0
	for range 20_000 {
		fit := true
		random := func() string {
			var b strings.Builder
			for range rng.IntN(6) {
				b.WriteString(pieces[rng.IntN(len(pieces))])
			}
			if rng.IntN(20) == 0 {
				b.WriteByte(alien[rng.IntN(len(alien))])
				fit = false
			}
			return b.String()
		}
		m := &Message{
			ID: random(), Lang: random(), Type: ErrorMessage, Body: Texts{{random(), random()}}, Subject: Plain(random()),
			Thread: "t" + random() + "t", ThreadParent: random(),
			Error: &Error{Condition: Gone, Type: WaitError, Text: "t" + random(), Lang: random(), URI: "u" + random() + "u", Received: true},
		}
		b, err := m.AppendXML(nil)
		require.Equal(t, fit, err == nil, "%q: %v", m, err)
		if err != nil {
			refused++
			continue
		}
		sent++
		got := decode[*Message](t, string(b))
		got.source = nil
		require.Equal(t, m, got, "%s", b)
	}
	require.NotZero(t, sent)
	require.NotZero(t, refused)
}

// manyTexts returns texts in that many languages.
func manyTexts(n int) (t Texts) {
	for i := range n {
		t = append(t, Text{"x-" + strconv.Itoa(i), "x"})
	}
	return t
}
