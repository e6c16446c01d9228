package sid

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

func parse(t testing.TB, s string) *stream.Element {
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

const example3 = `<message xmlns='jabber:client'
         to='room@muc.example.com'
         type='groupchat'>
  <body>Typical body text</body>
  <stanza-id xmlns='urn:xmpp:sid:0'
             id='5f3dbc5e-e1d3-4077-a492-693f3769c7ad'
             by='room@muc.example.com'/>
  <origin-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013'/>
</message>`

var room = jid.MustParse("room@muc.example.com")

// XEP-0359 examples 1 to 4.
func TestExamples(t *testing.T) {
	var s StanzaID
	require.NoError(t, s.DecodeElement(parse(t, `<stanza-id xmlns='urn:xmpp:sid:0'
           id='de305d54-75b4-431b-adb2-eb6b9e546013'
           by='room@muc.example.com'/>`)))
	require.Equal(t, StanzaID{"de305d54-75b4-431b-adb2-eb6b9e546013", room}, s)
	b, err := s.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<stanza-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013' by='room@muc.example.com'/>`, string(b))

	el := parse(t, example3)
	id, ok := Find(el, room)
	require.True(t, ok)
	require.Equal(t, "5f3dbc5e-e1d3-4077-a492-693f3769c7ad", id)
	id, ok = Origin(el)
	require.True(t, ok)
	require.Equal(t, "de305d54-75b4-431b-adb2-eb6b9e546013", id)
	b, err = OriginID{id}.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<origin-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013'/>`, string(b))

	var r Reference
	require.NoError(t, r.DecodeElement(parse(t, `<referenced-stanza xmlns='urn:xmpp:sid:0' id='xep359-stanza-id' by='muc.example.org'/>`)))
	require.Equal(t, Reference{"xep359-stanza-id", jid.MustParse("muc.example.org")}, r)
	b, err = r.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<referenced-stanza xmlns='urn:xmpp:sid:0' id='xep359-stanza-id' by='muc.example.org'/>`, string(b))
	require.NoError(t, r.DecodeElement(parse(t, `<referenced-stanza xmlns='urn:xmpp:sid:0' id='x'/>`)))
	require.Equal(t, Reference{ID: "x"}, r)
}

// XEP-0359 §3: what every element MUST have and MUST NOT have.
func TestDecodeBad(t *testing.T) {
	long := strings.Repeat("x", maxID+1)
	for wire, want := range map[string]stanza.Condition{
		`<stanza-id xmlns='urn:other' id='1' by='a.example'/>`:                     stanza.BadRequest,
		`<stanza-id xmlns='urn:xmpp:sid:0' by='a.example'/>`:                       stanza.BadRequest,
		`<stanza-id xmlns='urn:xmpp:sid:0' id='' by='a.example'/>`:                 stanza.BadRequest,
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>`:                               stanza.BadRequest,
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by=''/>`:                         stanza.JIDMalformed,
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='@'/>`:                        stanza.JIDMalformed,
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a.example'>x</stanza-id>`:    stanza.BadRequest,
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a.example'><x/></stanza-id>`: stanza.BadRequest,
		`<stanza-id xmlns='urn:xmpp:sid:0' id='` + long + `' by='a.example'/>`:     stanza.BadRequest,
	} {
		s := StanzaID{ID: "old"}
		err := s.DecodeElement(parse(t, wire))
		var e *stanza.Error
		require.True(t, errors.As(err, &e), wire)
		require.Equal(t, want, e.Condition, wire)
		require.Zero(t, s)
	}
	o, r := OriginID{ID: "old"}, Reference{ID: "old"}
	require.ErrorIs(t, o.DecodeElement(parse(t, `<origin-id xmlns='urn:xmpp:sid:0'/>`)), stanza.BadRequest)
	require.Zero(t, o)
	require.ErrorIs(t, r.DecodeElement(parse(t, `<referenced-stanza xmlns='urn:xmpp:sid:0' id='1' by='@'/>`)), stanza.JIDMalformed)
	require.Zero(t, r)
	// White space inside is no content, and origin-id has no 'by' to look at.
	require.NoError(t, o.DecodeElement(parse(t, "<origin-id xmlns='urn:xmpp:sid:0' id='1' by='@'>\n</origin-id>")))
	require.Equal(t, OriginID{"1"}, o)
}

func TestAppendBad(t *testing.T) {
	for _, p := range []stanza.Payload{
		StanzaID{}, StanzaID{ID: "1"}, StanzaID{By: room}, OriginID{}, Reference{By: room},
		OriginID{strings.Repeat("x", maxID+1)},
	} {
		b, err := p.AppendXML([]byte("x"))
		require.ErrorIs(t, err, stanza.ErrInvalid)
		require.Equal(t, "x", string(b))
	}
}

// Only the stanza-id by the entity that was asked for counts, and only if there is no
// doubt about it (XEP-0359 §3).
func TestFind(t *testing.T) {
	for inner, want := range map[string]string{
		``: "",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example.com'/>`:                                                                     "1",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='Room@MUC.example.com'/>`:                                                                     "1",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example.com/me'/>`:                                                                  "",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='muc.example.com'/>`:                                                                          "",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>`:                                                                                               "",
		`<stanza-id xmlns='urn:other' id='1' by='room@muc.example.com'/>`:                                                                          "",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='' by='room@muc.example.com'/>`:                                                                      "",
		`<x xmlns='urn:x'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example.com'/></x>`:                                                "",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='0' by='evil.example'/><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example.com'/>`:         "1",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='0' by='room@muc.example.com'/><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example.com'/>`: "",
		`<stanza-id xmlns='urn:xmpp:sid:0' id='0' by='room@muc.example.com'/><stanza-id xmlns='urn:xmpp:sid:0' by='room@muc.example.com'/>`:        "",
		`<stanza-id xmlns='urn:xmpp:sid:0' by='room@muc.example.com'/><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example.com'/>`:        "",
	} {
		el := parse(t, "<message xmlns='jabber:client'>"+inner+"</message>")
		id, ok := Find(el, room)
		require.Equal(t, want, id, inner)
		require.Equal(t, want != "", ok, inner)
		_, ok = Find(el, jid.JID{})
		require.False(t, ok)
	}
}

func TestOrigin(t *testing.T) {
	_, ok := Origin(parse(t, "<message xmlns='jabber:client'/>"))
	require.False(t, ok)
	_, ok = Origin(parse(t, "<message xmlns='jabber:client'><origin-id xmlns='urn:xmpp:sid:0' id=''/></message>"))
	require.False(t, ok)
}

// XEP-0359 §3: who gives ids deletes those in its name, and only those.
func TestStrip(t *testing.T) {
	account := jid.MustParse("juliet@capulet.lit")
	for _, tt := range []struct{ name, in, out string }{
		{"nothing there", `<message xmlns='jabber:client'><body>x</body></message>`, ""},
		{"by others", example3, ""},
		{"the word only", `<message xmlns='jabber:client'><body>stanza-id &amp; juliet@capulet.lit</body></message>`, ""},
		{
			"forged",
			`<message xmlns='jabber:client' id='7' xml:lang='en' to='juliet@capulet.lit'> <body>a &lt; b</body><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@capulet.lit'/><x xmlns='urn:x'>y</x></message>`,
			`<message xmlns='jabber:client' id='7' xml:lang='en' to='juliet@capulet.lit'><body>a &lt; b</body><x xmlns='urn:x'>y</x></message>`,
		}, {
			"several, otherwise malformed, hidden behind prefixes and references",
			`<message xmlns='jabber:client' xmlns:s='urn:xmpp:sid:0'><s:stanza-id by='JULIET@capulet.lit'/><stanza-id xmlns='urn:xmpp:sid&#58;0' id='1' by='juliet&#64;capulet.lit'>z</stanza-id><s:origin-id id='o'/></message>`,
			`<message xmlns='jabber:client'><s:origin-id xmlns:s='urn:xmpp:sid:0' id='o'/></message>`,
		}, {
			"inside an extension it is none",
			`<message xmlns='jabber:client'><x xmlns='urn:x'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@capulet.lit'/></x></message>`, "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			el := parse(t, tt.in)
			out, stripped, err := Strip(el, jid.MustParse("capulet.lit"), account)
			require.NoError(t, err)
			require.Equal(t, tt.out != "", stripped)
			if tt.out == "" {
				require.Same(t, el, out)
				return
			}
			require.Equal(t, tt.out, string(out.Raw()))
		})
	}
}

// An element is stripped whatever limits it has come through.
func TestStripLarge(t *testing.T) {
	deep := strings.Repeat("<x xmlns='urn:x'>", 500) + strings.Repeat("</x>", 500)
	wire := "<message xmlns='jabber:client'>" + deep + "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example.com'/></message>"
	el, err := stream.ParseElement([]byte(wire), &stream.Limits{Depth: 1000, Namespaces: 1000})
	require.NoError(t, err)
	out, stripped, err := Strip(el, room)
	require.NoError(t, err)
	require.True(t, stripped)
	_, ok := Find(out, room)
	require.False(t, ok)
}

// The common case, in which there is nothing to strip, allocates nothing.
func TestStripAllocs(t *testing.T) {
	el := parse(t, "<message xmlns='jabber:client' to='juliet@capulet.lit'><body>x</body></message>")
	require.Zero(t, testing.AllocsPerRun(100, func() { Strip(el, room) }))
}

// FuzzFind: no message panics; an id that is found is the only one, and gone after
// stripping.
func FuzzFind(f *testing.F) {
	f.Add([]byte(example3))
	f.Add([]byte(`<message xmlns='jabber:client' xmlns:s='urn:xmpp:sid:0'><s:stanza-id id='1' by='ROOM@muc.example.com'/>t<s:origin-id id='o'/></message>`))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		id, ok := Find(el, room)
		require.Equal(t, id != "", ok)
		origin, hasOrigin := Origin(el)
		out, stripped, err := Strip(el, room)
		if err != nil {
			return
		}
		require.True(t, stripped || !ok)
		_, ok = Find(out, room)
		require.False(t, ok)
		_, again, err := Strip(out, room)
		require.NoError(t, err)
		require.False(t, again)
		o, ok := Origin(out)
		require.Equal(t, hasOrigin, ok)
		require.Equal(t, origin, o)
	})
}
