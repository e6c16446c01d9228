package forward

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
)

func parse(t testing.TB, s string) *stream.Element {
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

const example2 = `<forwarded xmlns='urn:xmpp:forward:0'>
    <delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>
    <message from='juliet@capulet.lit/orchard'
             id='0202197'
             to='romeo@montague.lit'
             type='chat'
             xmlns='jabber:client'>
      <body>Yet I should kill thee with much cherishing.</body>
      <mood xmlns='http://jabber.org/protocol/mood'>
        <amorous/>
      </mood>
    </message>
  </forwarded>`

var stamp = time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC)

// XEP-0297 example 2, read and written.
func TestExample(t *testing.T) {
	var f Forwarded
	require.NoError(t, f.DecodeElement(parse(t, example2)))
	require.Equal(t, &delay.Delay{Stamp: stamp}, f.Delay)
	require.Equal(t, stream.Name{Space: stream.NSClient, Local: "message"}, f.Element.Name())
	m, err := f.Message()
	require.NoError(t, err)
	require.Equal(t, jid.MustParse("juliet@capulet.lit/orchard"), m.From)
	require.Equal(t, "Yet I should kill thee with much cherishing.", m.Body.String())
	_, ok := m.Payload(stream.Name{Space: "http://jabber.org/protocol/mood", Local: "mood"})
	require.True(t, ok)

	// From the bytes and from the value: the namespace of the stanza stays (§3.2).
	for _, out := range []Forwarded{f, {Delay: f.Delay, Stanza: m}} {
		b, err := out.AppendXML(nil)
		require.NoError(t, err)
		var again Forwarded
		require.NoError(t, again.DecodeElement(parse(t, string(b))))
		require.Equal(t, f.Delay, again.Delay)
		m2, err := again.Message()
		require.NoError(t, err)
		require.Equal(t, m.Head(), m2.Head())
		require.Equal(t, m.Body, m2.Body)
	}
}

// XEP-0297 §3.2: without xmlns the stanza would be in the namespace of the extension.
// One of another kind of stream moves to that of clients, with its own children, while
// what an extension carries stays.
func TestAppendNamespace(t *testing.T) {
	for in, want := range map[string]string{
		`<message xmlns='jabber:client' id='1'><body>x</body></message>`:                                                  `<message xmlns='jabber:client' id='1'><body>x</body></message>`,
		`<message xmlns='jabber:server' id='1'><body>x</body></message>`:                                                  `<message xmlns='jabber:client' id='1'><body>x</body></message>`,
		`<s:message xmlns:s='jabber:server' id='1'><s:body>x</s:body></s:message>`:                                        `<message xmlns='jabber:client' xmlns:s='jabber:server' id='1'><body>x</body></message>`,
		`<iq xmlns='jabber:component:accept' type='get' id='1'><q xmlns='urn:q'><iq xmlns='jabber:server'></iq></q></iq>`: `<iq xmlns='jabber:client' type='get' id='1'><q xmlns='urn:q'><iq xmlns='jabber:server'></iq></q></iq>`,
	} {
		b, err := Forwarded{Element: parse(t, in)}.AppendXML([]byte("x"))
		require.NoError(t, err)
		require.Equal(t, "x<forwarded xmlns='urn:xmpp:forward:0'>"+want+"</forwarded>", string(b), in)
	}
	// Inside a stream, the namespace is that of the header around.
	for _, ns := range []string{stream.NSClient, stream.NSServer} {
		outer := parse(t, "<outer xmlns='"+ns+"' xmlns:p='urn:p'><message id='1' p:a='b'><body>x</body><p:y/></message></outer>")
		for el := range outer.Children() {
			b, err := Forwarded{Element: el}.AppendXML(nil)
			require.NoError(t, err)
			inner, ok := parse(t, string(b)).Child(stream.Name{Space: stream.NSClient, Local: "message"})
			require.True(t, ok, "%s", b)
			_, ok = inner.Child(stream.Name{Space: stream.NSClient, Local: "body"})
			require.True(t, ok, "%s", b)
			_, ok = inner.Child(stream.Name{Space: "urn:p", Local: "y"})
			require.True(t, ok, "%s", b)
			v, _ := inner.AttrNS(stream.Name{Space: "urn:p", Local: "a"})
			require.Equal(t, "b", string(v))
		}
	}
}

func TestAppendBad(t *testing.T) {
	for _, f := range []Forwarded{
		{}, {Delay: &delay.Delay{Stamp: stamp}}, {Element: parse(t, "<x/>")}, {Element: parse(t, "<message xmlns='urn:x'/>")},
		{Stanza: &stanza.IQ{}}, {Delay: &delay.Delay{}, Stanza: &stanza.Message{}}, {Stanza: (*stanza.Message)(nil)},
	} {
		b, err := f.AppendXML([]byte("x"))
		require.Error(t, err)
		require.Equal(t, "x", string(b))
	}
	_, err := Forwarded{}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)
	_, err = Forwarded{Element: parse(t, "<x/>")}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrNotStanza)
}

func TestDecodeBad(t *testing.T) {
	const msg, stamped = "<message xmlns='jabber:client'/>", "<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>"
	for wire, want := range map[string]stanza.Condition{
		"<x xmlns='urn:xmpp:forward:0'>" + msg + "</x>": stanza.BadRequest,
		"<forwarded>" + msg + "</forwarded>":            stanza.BadRequest,
		fwd(""):                                         stanza.BadRequest,
		fwd(stamped):                                    stanza.BadRequest,
		fwd("<message/>"):                               stanza.BadRequest, // in the namespace of the extension: no stanza
		fwd("<x xmlns='urn:x'>" + msg + "</x>"):         stanza.BadRequest,
		fwd(msg + msg):                                  stanza.BadRequest,
		fwd(msg + "<presence xmlns='jabber:server'/>"):  stanza.BadRequest,
		fwd(stamped + stamped + msg):                    stanza.BadRequest,
		fwd("<delay xmlns='urn:xmpp:delay'/>" + msg):    stanza.BadRequest,
		fwd("<delay xmlns='urn:xmpp:delay' from='@' stamp='2010-07-10T23:08:25Z'/>" + msg): stanza.JIDMalformed,
	} {
		f := Forwarded{Stanza: &stanza.Message{}}
		err := f.DecodeElement(parse(t, wire))
		var e *stanza.Error
		require.True(t, errors.As(err, &e), wire)
		require.Equal(t, want, e.Condition, wire)
		require.Zero(t, f)
	}
	// What it does not know is ignored, in any order.
	var f Forwarded
	require.NoError(t, f.DecodeElement(parse(t, fwd("<x xmlns='urn:x'/>"+msg+stamped))))
	require.NotNil(t, f.Delay)
}

func fwd(inner string) string {
	return "<forwarded xmlns='urn:xmpp:forward:0'>" + inner + "</forwarded>"
}

// Only a message is a message, and an error inside is an error.
func TestDecode(t *testing.T) {
	var f Forwarded
	require.NoError(t, f.DecodeElement(parse(t, fwd("<presence xmlns='jabber:client'/>"))))
	st, err := f.Decode()
	require.NoError(t, err)
	require.Equal(t, stanza.PresenceKind, st.Kind())
	_, err = f.Message()
	require.ErrorIs(t, err, stanza.ErrNotStanza)
	require.NoError(t, f.DecodeElement(parse(t, fwd("<message xmlns='jabber:client' from='@'/>"))))
	_, err = f.Message()
	require.ErrorIs(t, err, stanza.JIDMalformed)
	_, err = (&Forwarded{}).Decode()
	require.ErrorIs(t, err, stanza.ErrNotStanza)
	m := &stanza.Message{ID: "1"}
	got, err := (&Forwarded{Stanza: m}).Message()
	require.NoError(t, err)
	require.Same(t, m, got)
}

// A clone outlives the bytes that the original was read from.
func TestClone(t *testing.T) {
	wire := []byte(example2)
	el, err := stream.ParseElement(wire, nil)
	require.NoError(t, err)
	var f Forwarded
	require.NoError(t, f.DecodeElement(el))
	c := f.Clone()
	clear(wire)
	m, err := c.Message()
	require.NoError(t, err)
	require.Equal(t, "0202197", m.ID)
	require.Equal(t, f.Delay, c.Delay)
	require.NotSame(t, f.Delay, c.Delay)
	c = (&Forwarded{Stanza: m}).Clone()
	require.NotSame(t, m, c.Stanza)
}

// nested returns a message with depth messages forwarded inside one another.
func nested(depth int) string {
	const open = "<message xmlns='jabber:client'><forwarded xmlns='urn:xmpp:forward:0'>"
	return strings.Repeat(open, depth) + "<message xmlns='jabber:client'><body>core</body></message>" + strings.Repeat("</forwarded></message>", depth)
}

// Nesting costs nothing until somebody looks inside, and its depth is bounded by the
// limits of the stream. Written again, it grows in proportion.
func TestNested(t *testing.T) {
	_, err := stream.ParseElement([]byte(nested(32)), nil)
	require.Error(t, err) // 65 deep
	const depth = 31
	el := parse(t, nested(depth))
	for range depth {
		child, ok := el.Child(Name)
		require.True(t, ok)
		var f Forwarded
		require.NoError(t, f.DecodeElement(child))
		b, err := f.AppendXML(nil)
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), len(nested(depth)))
		el = f.Element
	}
	require.Equal(t, "message", el.Name().Local)

	// As values, one inside the other.
	var st stanza.Stanza = &stanza.Message{Body: stanza.Plain("core")}
	for range depth {
		st = &stanza.Message{Extra: []stanza.Payload{Forwarded{Stanza: st}}}
	}
	b, err := stanza.Qualified(st, stream.NSClient).AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, nested(depth), string(b))
}

// Reading allocates little, however much is in the stanza inside.
func TestDecodeAllocs(t *testing.T) {
	el := parse(t, fwd("<message xmlns='jabber:client'>"+strings.Repeat("<x xmlns='urn:x'><y/></x>", 1000)+"</message>"))
	var f Forwarded
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if f.DecodeElement(el) != nil {
			panic("not decoded")
		}
	}), 12.0) // less without the race detector
}

func BenchmarkDecode(b *testing.B) {
	el := parse(b, example2)
	var f Forwarded
	b.ReportAllocs()
	for b.Loop() {
		if err := f.DecodeElement(el); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDecode: nothing that is forwarded panics, and what was read is written so that it
// is read again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(example2))
	f.Add([]byte(fwd("<s:iq xmlns:s='jabber:server' type='get' id='1'><q xmlns='urn:q'/></s:iq>")))
	f.Add([]byte(fwd(nested(3))))
	f.Add([]byte("<f:forwarded xmlns:f='urn:xmpp:forward:0' xmlns='jabber:client' xmlns:a='urn:a'><presence a:b='&lt;'><a:x/></presence></f:forwarded>"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var fw, again Forwarded
		if err := fw.DecodeElement(el); err != nil {
			require.Zero(t, fw)
			return
		}
		st, err := fw.Decode()
		if fw.Delay != nil && fw.Delay.Stamp.IsZero() {
			return
		}
		b, writeErr := fw.AppendXML(nil)
		require.NoError(t, writeErr)
		require.NoError(t, again.DecodeElement(parse(t, string(b))), "%s", b)
		require.Equal(t, stream.NSClient, again.Element.Name().Space)
		require.Equal(t, fw.Delay, again.Delay)
		st2, err2 := again.Decode()
		require.Equal(t, err == nil, err2 == nil)
		if err == nil {
			require.Equal(t, st.Head(), st2.Head())
			_, err = Forwarded{Stanza: st}.AppendXML(nil)
			require.NoError(t, err)
		}
	})
}
