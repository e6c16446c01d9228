package stream

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func parse(t testing.TB, s string) *Element {
	t.Helper()
	e, err := ParseElement([]byte(s), nil)
	require.NoError(t, err, s)
	return e
}

// elementIn returns the first first-level element of a stream with the given
// header attributes.
func elementIn(t testing.TB, declarations, s string) *Element {
	t.Helper()
	var sc scanner
	sc.init(defaultLimits(t), false)
	in := "<stream:stream xmlns:stream='" + NSStream + "' " + declarations + ">" + s
	copy(sc.space(len(in)), in)
	sc.filled(len(in))
	kind, _, err := sc.next()
	require.NoError(t, err)
	require.Equal(t, itemHeader, kind)
	kind, e, err := sc.next()
	require.NoError(t, err)
	require.Equal(t, itemElement, kind)
	return e
}

// elementTokens describes the tokens of an element, empty text left out.
func elementTokens(e *Element) []string {
	var out []string
	for tok := range e.Tokens() {
		if s := describe(tok); s != `""` {
			out = append(out, strings.Replace(s, " />", ">", 1))
		}
	}
	return out
}

func TestElement(t *testing.T) {
	e := parse(t, " <m xmlns='u' xmlns:p='v' to='a@b.example/c' from='' p:to='x' xml:lang='de' id='1&#10;2'>one"+
		"<p:c n='1'>in<d/></p:c> &amp; <![CDATA[<two>]]><c n='2'/>\r\n</m>\n")
	require.Equal(t, Name{"u", "m"}, e.Name())
	require.Empty(t, e.Prefix())
	require.Equal(t, "a@b.example/c", e.Attr("to"))
	require.Equal(t, "1\n2", e.Attr("id"))
	require.Empty(t, e.Attr("absent"))
	v, ok := e.AttrBytes("from")
	require.True(t, ok)
	require.Empty(t, v)
	_, ok = e.AttrBytes("absent")
	require.False(t, ok)
	v, ok = e.AttrNS(Name{"v", "to"})
	require.True(t, ok)
	require.Equal(t, "x", string(v))
	require.Equal(t, "de", e.Lang())
	var names []string
	for a := range e.Attrs() {
		names = append(names, a.Name.String())
	}
	require.Equal(t, []string{"to", "from", "{v}to", "{" + NSXML + "}lang", "id"}, names)

	to, err := e.To()
	require.NoError(t, err)
	require.Equal(t, "a@b.example/c", to.String())
	_, err = e.From()
	require.Error(t, err, "an empty attribute is not an address")
	none, err := parse(t, "<m/>").From()
	require.NoError(t, err)
	require.True(t, none.IsZero())

	require.Equal(t, "one & <two>\n", e.Text())
	require.Equal(t, "> one & <two>\n", string(e.AppendText([]byte("> "))))
	require.Equal(t, "plain", parse(t, "<a>plain</a>").Text())
	require.Equal(t, "a&b", parse(t, "<a>a&amp;b</a>").Text())
	require.Empty(t, parse(t, "<a/>").Text())

	var children []string
	for c := range e.Children() {
		children = append(children, describeElement(c))
	}
	require.Equal(t, []string{
		`{v}c "p" [ n="1" ] <p:c n='1'>in<d/></p:c>`,
		`{u}c "" [ n="2" ] <c n='2'/>`,
	}, children)

	c, ok := e.Child(Name{"v", "c"})
	require.True(t, ok)
	d, ok := c.Child(Name{"u", "d"})
	require.True(t, ok)
	require.Equal(t, "<d/>", string(d.Raw()))
	_, ok = e.Child(Name{"u", "d"})
	require.False(t, ok, "not a grandchild")
	_, ok = e.Child(Name{"", "c"})
	require.False(t, ok)
}

func TestElementInner(t *testing.T) {
	for in, want := range map[string]string{
		"<a/>":                    "",
		"<a></a>":                 "",
		"<a ></a >":               "",
		"<a b='>'>x</a>":          "x",
		"<a>x<b/>y</a\n>":         "x<b/>y",
		"<a><![CDATA[</a>]]></a>": "<![CDATA[</a>]]>",
	} {
		require.Equal(t, want, string(parse(t, in).Inner()), in)
	}
}

func TestParseElementErrors(t *testing.T) {
	for in, want := range map[string]Condition{
		"":                          NotWellFormed,
		"  ":                        NotWellFormed,
		"<a>":                       NotWellFormed,
		"<a/><b/>":                  NotWellFormed,
		"<a/>x":                     NotWellFormed,
		"<a/><":                     NotWellFormed,
		"<a/> <!":                   NotWellFormed,
		"<a/>\xe4":                  NotWellFormed,
		"<a/><!-- -->":              RestrictedXML,
		"x<a/>":                     NotWellFormed,
		"<?xml version='1.0'?><a/>": RestrictedXML,
		"<p:a/>":                    NotWellFormed,
		"<a>" + strings.Repeat("x", 300<<10) + "</a>": PolicyViolation,
	} {
		_, err := ParseElement([]byte(in), nil)
		require.Equal(t, want, condition(err), "%.40q", in)
	}
	_, err := ParseElement([]byte("<a/>"), &Limits{Depth: 1})
	require.ErrorIs(t, err, ErrLimits)
}

func TestElementZero(t *testing.T) {
	var e Element
	require.Empty(t, e.Name())
	require.Empty(t, e.Attr("a"))
	require.Empty(t, e.Text())
	require.Empty(t, e.Inner())
	require.Empty(t, slices.Collect(e.Children()))
	require.Empty(t, slices.Collect(e.Tokens()))
	_, err := e.AppendXML(nil)
	require.Error(t, err)
	_, err = e.AppendRewritten(nil, NSClient)
	require.Error(t, err)
	require.Error(t, e.Unmarshal(new(struct{})))
	require.NotNil(t, e.Clone())
}

// A clone shares nothing with the bytes it came from.
func TestElementClone(t *testing.T) {
	b := []byte("<m xmlns:p='u' a='1' b='2&amp;3'><p:c>x</p:c></m>")
	e, err := ParseElement(b, nil)
	require.NoError(t, err)
	c := e.Clone()
	want := elementTokens(e)
	wantText := describeElement(e)
	for i := range b {
		b[i] = '#'
	}
	require.Equal(t, want, elementTokens(c))
	require.Equal(t, wantText, describeElement(c))

	// Nor with the stream.
	e = elementIn(t, "xmlns='jabber:client' xmlns:q='v'", "<m><q:x/></m>")
	c = e.Clone()
	for i := range e.scope {
		e.scope[i] = binding{}
	}
	require.Equal(t, []string{"<{jabber:client}m>", "<{v}x>", "</{v}x>", "</{jabber:client}m>"}, elementTokens(c))
}

// Loops over children may nest and may be left early.
func TestElementNestedLoops(t *testing.T) {
	e := parse(t, "<a><b><c/><d/></b><e><f/></e></a>")
	var got []string
	for x := range e.Children() {
		for y := range x.Children() {
			got = append(got, x.Name().Local+"/"+y.Name().Local)
			for range e.Children() {
				break
			}
		}
		require.Contains(t, "be", x.Name().Local)
	}
	require.Equal(t, []string{"b/c", "b/d", "e/f"}, got)
}

func TestElementAppendXML(t *testing.T) {
	const client = "xmlns='jabber:client' xmlns:x='urn:x' xmlns:y='urn:&amp;'"
	for _, c := range []struct{ name, in, want string }{
		{"default", "<m><b/></m>", "<m xmlns='jabber:client'><b/></m>"},
		{"attributes", "<m a='1'/>", "<m xmlns='jabber:client' a='1'/>"},
		{"own default", "<m xmlns='u'><b/></m>", "<m xmlns='u'><b/></m>"},
		{"own none", "<m xmlns=''><b/></m>", "<m xmlns=''><b/></m>"},
		{"header prefix", "<m><x:b/></m>", "<m xmlns='jabber:client' xmlns:x='urn:x'><x:b/></m>"},
		{"header prefix of an attribute", "<m xmlns='u' y:a='1'/>", "<m xmlns:y='urn:&amp;' xmlns='u' y:a='1'/>"},
		{"prefix declared again", "<m xmlns:x='urn:other'><x:b/></m>", "<m xmlns='jabber:client' xmlns:x='urn:other'><x:b/></m>"},
		{"both", "<m><x:b/><c xmlns:x='urn:other'><x:d/></c></m>", "<m xmlns='jabber:client' xmlns:x='urn:x'><x:b/><c xmlns:x='urn:other'><x:d/></c></m>"},
		{"xml:lang", "<m xmlns='u' xml:lang='en'/>", "<m xmlns='u' xml:lang='en'/>"},
		{"prefixed", "<stream:error><x:a/></stream:error>", "<stream:error xmlns='jabber:client' xmlns:stream='" + NSStream + "' xmlns:x='urn:x'><x:a/></stream:error>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := elementIn(t, client, c.in)
			got, err := e.AppendXML([]byte("~"))
			require.NoError(t, err)
			require.Equal(t, "~"+c.want, string(got))
			require.Equal(t, elementTokens(e), elementTokens(parse(t, c.want)))
		})
	}
	got, err := parse(t, "<a/>").AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, "<a xmlns=''/>", string(got), "in no namespace wherever it is put")
	for c := range parse(t, "<a xmlns='u' xmlns:p='v'><b p:c='1'/></a>").Children() {
		got, err := c.AppendXML(nil)
		require.NoError(t, err)
		require.Equal(t, "<b xmlns='u' xmlns:p='v' p:c='1'/>", string(got))
	}
}

// RFC 6120 §4.8.5 and what follows from it.
//
//conformance:proves 6120-4.8.5-5 6120-4.8.5-11
func TestElementAppendRewritten(t *testing.T) {
	const client = "xmlns='jabber:client' xmlns:x='urn:x'"
	to := AttrSet{Name: Name{Local: "to"}, Value: "c'd"}
	from := AttrSet{Name: Name{Local: "from"}, Value: "e@f"}
	noID := AttrSet{Name: Name{Local: "id"}, Remove: true}
	lang := AttrSet{Name: Name{NSXML, "lang"}, Value: "de"}
	for _, c := range []struct {
		name, in, content, want string
		set                     []AttrSet
	}{
		{"plain", "<message to='a'><body>x</body></message>", NSServer, "<message to='a'><body>x</body></message>", nil},
		{"set", "<message to='a' id='1' type='chat'><body>x</body></message>", NSServer,
			"<message type='chat' to='c&apos;d' from='e@f'><body>x</body></message>", []AttrSet{to, from, noID}},
		{"lang", "<message xml:lang='en' lang='x'/>", NSServer, "<message lang='x' xml:lang='de'/>", []AttrSet{lang}},
		{"empty", "<presence  to = 'a' />", NSServer, "<presence to='a'/>", nil},
		{"quotes kept", `<presence a="'" b='"' c='&lt;&#10;'/>`, NSServer, `<presence a="'" b='"' c='&lt;&#10;'/>`, nil},
		{"own declaration of the content namespace", "<message xmlns='jabber:client'><body/></message>", NSServer, "<message><body/></message>", nil},
		{"child declares the content namespace", "<message><body xmlns='jabber:client'><i/></body></message>", NSServer, "<message><body><i></i></body></message>", nil},
		{"child declares the other content namespace", "<message><body xmlns='jabber:server'/></message>", NSServer, "<message><body></body></message>", nil},
		{"prefixed stanza", "<c:message xmlns:c='jabber:client'><c:body/></c:message>", NSServer, "<message xmlns:c='jabber:client'><body></body></message>", nil},
		{"forwarded stanza stays", "<message><f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body/></message></f></message>", NSServer,
			"<message><f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body></body></message></f></message>", nil},
		{"header prefix", "<message><x:a/></message>", NSServer, "<message xmlns:x='urn:x'><x:a></x:a></message>", nil},
		{"inherited default below a prefix", "<message><x:a><body/></x:a></message>", NSServer,
			"<message xmlns:x='urn:x'><x:a><body xmlns='jabber:client'></body></x:a></message>", nil},
		{"CDATA", "<message><x:a><![CDATA[<b>]]>&amp;</x:a></message>", NSServer, "<message xmlns:x='urn:x'><x:a><![CDATA[<b>]]>&amp;</x:a></message>", nil},
		{"no stanza", "<r xmlns='urn:xmpp:sm:3'/>", NSServer, "<r xmlns='urn:xmpp:sm:3'/>", nil},
		{"no namespace", "<a xmlns=''><b/></a>", NSServer, "<a xmlns=''><b/></a>", nil},
		{"set in the slow path", "<message to='a' x:k='1'/>", NSServer, "<message xmlns:x='urn:x' x:k='1' to='c&apos;d'></message>", []AttrSet{to}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := elementIn(t, client, c.in)
			got, err := e.AppendRewritten([]byte("~"), c.content, c.set...)
			require.NoError(t, err)
			require.Equal(t, "~"+c.want, string(got))
			elementIn(t, "xmlns='"+c.content+"'", c.want) // well-formed there
		})
	}

	e := elementIn(t, client, "<message to='a'><body/></message>")
	got, err := e.AppendFramed(nil, NSClient, to)
	require.NoError(t, err)
	require.Equal(t, "<message xmlns='jabber:client' to='c&apos;d'><body/></message>", string(got))

	e = elementIn(t, "xmlns='urn:other'", "<message/>")
	got, err = e.AppendRewritten(nil, NSClient)
	require.NoError(t, err)
	require.Equal(t, "<message xmlns='urn:other'/>", string(got))

	e = parse(t, "<a xmlns:p='u' p:to='1' to='2'/>")
	got, err = e.AppendRewritten(nil, NSClient, to)
	require.NoError(t, err)
	require.Equal(t, "<a xmlns='' xmlns:p='u' p:to='1' to='c&apos;d'/>", string(got))

	slow := parse(t, "<p:a xmlns:p='u'/>")
	got, err = slow.AppendRewritten([]byte("~"), NSClient, AttrSet{Name: Name{Local: "a"}, Value: "\x01"})
	require.ErrorIs(t, err, ErrCharacter)
	require.Equal(t, "~", string(got))

	for _, bad := range [][]AttrSet{
		{{Name: Name{Local: "x y"}}},
		{{Name: Name{Local: "p:q"}}},
		{{Name: Name{Local: ""}}},
		{{Name: Name{Local: "xmlns"}}},
		{{Name: Name{"u", "a"}}},
		{{Name: Name{NSXML, "space"}}},
		{to, to},
		{{Name: Name{Local: "a"}, Value: "\x01"}},
	} {
		got, err := e.AppendRewritten([]byte("~"), NSClient, bad...)
		require.Error(t, err)
		require.Equal(t, "~", string(got))
	}
}

// TestElementAppendToView: appending to what an element returns leaves the bytes
// after it alone, which are those of the next element.
func TestElementAppendToView(t *testing.T) {
	buf := []byte("<a b='1' c='2'><d>x</d><e>y</e></a>")
	want := string(buf)
	e, err := ParseElement(buf, nil)
	require.NoError(t, err)
	b, _ := e.AttrBytes("b")
	_ = append(b, "zzz"...)
	_ = append(e.Inner(), "zzz"...)
	for a := range e.Attrs() {
		_ = append(a.Value, "zzz"...)
	}
	for c := range e.Children() {
		_ = append(c.Raw(), "zzz"...)
		_ = append(c.Inner(), "zzz"...)
	}
	require.Equal(t, want, string(buf))
}

// TestElementRewrittenSize: no element becomes many times as large on its way
// through a router.
func TestElementRewrittenSize(t *testing.T) {
	children := strings.Repeat("<c/>", 8000)
	long := strings.Repeat("'", 1000)
	for _, c := range []struct {
		name, in string
		err      error
	}{
		{"a declaration that can stay", `<message xmlns='jabber:client'><p:x xmlns:p='u' xmlns="` + long + `">` + children + "</p:x></message>", nil},
		{"one that cannot", `<message xmlns='jabber:client'><p:x xmlns:p='jabber:client' xmlns="` + long + `">` + children + "</p:x></message>", errRepeats},
		{"at the outermost", `<p:x xmlns:p='jabber:client' xmlns="` + long + `">` + children + "</p:x>", errRepeats},
		{"inherited", `<message xmlns='jabber:client'><p:x xmlns:p='u'>` + children + "</p:x></message>", errRepeats},
		{"a few", `<message xmlns='jabber:client'><p:x xmlns:p='jabber:client' xmlns="u"><c/><c/></p:x></message>`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := parse(t, c.in)
			out, err := e.AppendRewritten([]byte("~"), NSServer)
			require.ErrorIs(t, err, c.err)
			if err != nil {
				require.Equal(t, "~", string(out))
				require.LessOrEqual(t, cap(out), 16*len(c.in))
				return
			}
			require.Equal(t, movedTokens(e, NSServer), reparsed(t, "AppendFramed", must(e.AppendFramed(nil, NSServer)), nil))
			require.LessOrEqual(t, len(out), 4*len(c.in))
		})
	}
	got, err := parse(t, "<message xmlns='jabber:client'><p:x xmlns:p='u' xmlns='v'><c/><c/></p:x></message>").AppendRewritten(nil, NSServer)
	require.NoError(t, err)
	require.Equal(t, "<message><p:x xmlns='v' xmlns:p='u'><c></c><c></c></p:x></message>", string(got))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
