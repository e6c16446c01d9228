package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//conformance:proves 6120-4.8.5-3
func TestWriter(t *testing.T) {
	client := func(local string) Name { return Name{NSClient, local} }
	foreign := parse(t, "<p:q xmlns:p='u' xmlns='v'>x</p:q>")
	inherited := elementIn(t, "xmlns='jabber:client' xmlns:x='urn:x'", "<m><x:y/></m>").Clone()
	for _, c := range []struct {
		name  string
		build func(w *Writer)
		want  string
	}{
		{"nothing", func(w *Writer) {}, ""},
		{"empty element", func(w *Writer) { w.Start(Name{"u", "a"}); w.End() }, "<a xmlns='u'/>"},
		{"no namespace said", func(w *Writer) { w.Start(Name{Local: "a"}); w.End() }, "<a/>"},
		{"empty text is nothing", func(w *Writer) { w.Start(Name{Local: "a"}); w.Text(""); w.End() }, "<a/>"},
		{"nested", func(w *Writer) {
			w.Start(client("message"))
			w.Attr("to", "a'b\"<&>")
			w.Lang("en")
			w.Lang("")
			w.Start(Name{Local: "body"})
			w.Text("1 < 2 & ]]> 'x' \"y\"\r\n\t")
			w.End()
			w.Start(client("subject"))
			w.TextBytes([]byte("s"))
			w.End()
			w.Start(Name{"u", "x"})
			w.Start(client("y"))
			w.End()
			w.Start(Name{"u", "z"})
			w.End()
			w.End()
			w.Start(client("thread"))
			w.End()
			w.End()
		}, "<message xmlns='jabber:client' to='a&apos;b&quot;&lt;&amp;&gt;' xml:lang='en'><body>1 &lt; 2 &amp; ]]&gt; 'x' \"y\"&#xD;\n\t</body>" +
			"<subject>s</subject><x xmlns='u'><y xmlns='jabber:client'/><z/></x><thread/></message>"},
		{"attribute white space", func(w *Writer) { w.Start(Name{Local: "a"}); w.Attr("b", "\t\n\r "); w.Attr("c", ""); w.End() },
			"<a b='&#x9;&#xA;&#xD; ' c=''/>"},
		{"namespace escaped", func(w *Writer) { w.Start(Name{"u'&", "a"}); w.End() }, "<a xmlns='u&apos;&amp;'/>"},
		{"AttrNS", func(w *Writer) {
			w.Start(Name{"u", "a"})
			w.AttrNS(Name{"v", "b"}, "1")
			w.AttrNS(Name{"v", "c"}, "2")
			w.AttrNS(Name{"w", "b"}, "3")
			w.AttrNS(Name{"", "b"}, "4")
			w.AttrNS(Name{NSXML, "space"}, "preserve")
			w.End()
		}, "<a xmlns='u' xmlns:a1='v' a1:b='1' a1:c='2' xmlns:a2='w' a2:b='3' b='4' xml:space='preserve'/>"},
		{"value that ends like an attribute begins", func(w *Writer) {
			w.Start(Name{"u", "a"})
			w.AttrNS(Name{"v", "id"}, " id=")
			w.Attr("id", " a1:id=")
			w.End()
		}, "<a xmlns='u' xmlns:a1='v' a1:id=' id=' id=' a1:id='/>"},
		{"namespace of a stream element inherited", func(w *Writer) {
			w.Start(Name{"u", "a"})
			w.Start(Name{NSStream, "b"})
			w.Start(Name{Local: "c"})
			w.Start(Name{"u", "d"})
			w.Start(Name{Local: "e"})
			for range 5 {
				w.End()
			}
		}, "<a xmlns='u'><stream:b xmlns:stream='" + NSStream + "'><stream:c><d><e/></d></stream:c></stream:b></a>"},
		{"several", func(w *Writer) { w.Start(Name{"u", "a"}); w.End(); w.Start(Name{"u", "b"}); w.End() }, "<a xmlns='u'/><b xmlns='u'/>"},
		{"within a stream", func(w *Writer) {
			w.Within(NSClient)
			w.Start(client("iq"))
			w.End()
			w.Start(Name{NSServer, "iq"})
			w.End()
			w.Start(Name{NSStream, "features"})
			w.Start(Name{"u", "x"})
			w.Text("y")
			w.End()
			w.End()
		}, "<iq/><iq xmlns='jabber:server'/><stream:features><x xmlns='u'>y</x></stream:features>"},
		{"stream prefix", func(w *Writer) { w.Start(Name{NSStream, "error"}); w.Text("x"); w.End() },
			"<stream:error xmlns:stream='" + NSStream + "'>x</stream:error>"},
		{"deep", func(w *Writer) {
			for range 20 {
				w.Start(Name{"u", "a"})
			}
			for range 20 {
				w.End()
			}
		}, "<a xmlns='u'>" + strings.Repeat("<a>", 18) + "<a/>" + strings.Repeat("</a>", 19)},
		{"element", func(w *Writer) { w.Start(Name{"u", "a"}); w.Element(foreign); w.End() },
			"<a xmlns='u'><p:q xmlns:p='u' xmlns='v'>x</p:q></a>"},
		{"element where its namespace is in force", func(w *Writer) { w.Start(client("a")); w.Element(inherited); w.End() },
			"<a xmlns='jabber:client'><m xmlns:x='urn:x'><x:y/></m></a>"},
		{"element elsewhere", func(w *Writer) { w.Start(Name{"u", "a"}); w.Element(inherited); w.End() },
			"<a xmlns='u'><m xmlns='jabber:client' xmlns:x='urn:x'><x:y/></m></a>"},
		{"append", func(w *Writer) { w.Start(Name{"u", "a"}); w.Append(inherited); w.Text("t"); w.End() },
			"<a xmlns='u'><m xmlns='jabber:client' xmlns:x='urn:x'><x:y/></m>t</a>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewWriter([]byte("~"))
			c.build(&w)
			got, err := w.Bytes()
			require.NoError(t, err)
			require.Equal(t, "~"+c.want, string(got))
			require.Equal(t, len(got), w.Len())
			require.NoError(t, w.Err())
			// The tokenizer agrees that this is well-formed.
			_, err = tokens(t, nil, []byte("<stream:r xmlns:stream='"+NSStream+"'>"+c.want+"</stream:r>"))
			require.NoError(t, err)
		})
	}
	var zero Writer
	zero.Start(Name{"u", "a"})
	zero.End()
	got, err := zero.Bytes()
	require.NoError(t, err)
	require.Equal(t, "<a xmlns='u'/>", string(got))
}

func TestWriterErrors(t *testing.T) {
	a := Name{"u", "a"}
	for _, c := range []struct {
		name  string
		build func(w *Writer)
		want  error
	}{
		{"element name with markup", func(w *Writer) { w.Start(Name{"u", "mes sage><x"}); w.End() }, ErrName},
		{"element name empty", func(w *Writer) { w.Start(Name{Space: "u"}); w.End() }, ErrName},
		{"element name with a colon", func(w *Writer) { w.Start(Name{"u", "p:a"}); w.End() }, ErrName},
		{"element name not UTF-8", func(w *Writer) { w.Start(Name{"u", "a\xff"}); w.End() }, ErrName},
		{"element name cut", func(w *Writer) { w.Start(Name{"u", "a\xe4\xbd"}); w.End() }, ErrName},
		{"element name with a digit first", func(w *Writer) { w.Start(Name{"u", "1a"}); w.End() }, ErrName},
		{"element name long", func(w *Writer) { w.Start(Name{"u", strings.Repeat("a", 1025)}); w.End() }, ErrName},
		{"attribute name", func(w *Writer) { w.Start(a); w.Attr("to='x' from", "y"); w.End() }, ErrName},
		{"attribute name empty", func(w *Writer) { w.Start(a); w.Attr("", "y"); w.End() }, ErrName},
		{"attribute name with a colon", func(w *Writer) { w.Start(a); w.Attr("xml:lang", "y"); w.End() }, ErrName},
		{"xmlns", func(w *Writer) { w.Start(a); w.Attr("xmlns", "y"); w.End() }, ErrName},
		{"AttrNS name", func(w *Writer) { w.Start(a); w.AttrNS(Name{"u", "x y"}, "y"); w.End() }, ErrName},
		{"xml as element namespace", func(w *Writer) { w.Start(Name{NSXML, "a"}); w.End() }, ErrName},
		{"xmlns as attribute namespace", func(w *Writer) { w.Start(a); w.AttrNS(Name{nsXMLNS, "a"}, "y"); w.End() }, ErrName},
		{"namespace not UTF-8", func(w *Writer) { w.Start(Name{"\xff", "a"}); w.End() }, ErrCharacter},
		{"AttrNS namespace", func(w *Writer) { w.Start(a); w.AttrNS(Name{"\x01", "a"}, "y"); w.End() }, ErrCharacter},
		{"text U+0001", func(w *Writer) { w.Start(a); w.Text("\x01"); w.End() }, ErrCharacter},
		{"text U+FFFE", func(w *Writer) { w.Start(a); w.Text("x\uFFFE"); w.End() }, ErrCharacter},
		{"text not UTF-8", func(w *Writer) { w.Start(a); w.Text("x\xff"); w.End() }, ErrCharacter},
		{"text surrogate", func(w *Writer) { w.Start(a); w.Text("\xed\xa0\x80"); w.End() }, ErrCharacter},
		{"text cut", func(w *Writer) { w.Start(a); w.Text("\xe4\xbd"); w.Text("\xa0"); w.End() }, ErrCharacter},
		{"bytes", func(w *Writer) { w.Start(a); w.TextBytes([]byte{0}); w.End() }, ErrCharacter},
		{"value", func(w *Writer) { w.Start(a); w.Attr("b", "\x00"); w.End() }, ErrCharacter},
		{"lang", func(w *Writer) { w.Start(a); w.Lang("\x1b"); w.End() }, ErrCharacter},
		{"open", func(w *Writer) { w.Start(a) }, ErrUnbalanced},
		{"End too often", func(w *Writer) { w.Start(a); w.End(); w.End() }, ErrUnbalanced},
		{"text outside", func(w *Writer) { w.Text("x") }, ErrUnbalanced},
		{"attribute outside", func(w *Writer) { w.Attr("a", "b") }, ErrUnbalanced},
		{"attribute too late", func(w *Writer) { w.Start(a); w.Text("x"); w.Attr("a", "b"); w.End() }, ErrUnbalanced},
		{"AttrNS too late", func(w *Writer) { w.Start(a); w.Text("x"); w.AttrNS(Name{"u", "a"}, "b"); w.End() }, ErrUnbalanced},
		{"attribute after end", func(w *Writer) { w.Start(a); w.Start(a); w.End(); w.Attr("a", "b"); w.End() }, ErrUnbalanced},
		{"attribute twice", func(w *Writer) { w.Start(a); w.Attr("b", "1"); w.Attr("c", "1"); w.Attr("b", "2"); w.End() }, ErrUnbalanced},
		{"lang twice", func(w *Writer) { w.Start(a); w.Lang("de"); w.AttrNS(Name{NSXML, "lang"}, "en"); w.End() }, ErrUnbalanced},
		{"AttrNS twice", func(w *Writer) { w.Start(a); w.AttrNS(Name{"u", "b"}, "1"); w.AttrNS(Name{"u", "b"}, "2"); w.End() }, ErrUnbalanced},
		{"Within late", func(w *Writer) { w.Start(a); w.End(); w.Within("u") }, ErrUnbalanced},
		{"zero element", func(w *Writer) { w.Start(a); w.Element(new(Element)); w.End() }, errNoElement},
		{"appender", func(w *Writer) { w.Start(a); w.Append(new(Element)); w.End() }, errNoElement},
		{"appender that drops", func(w *Writer) { w.Start(a); w.Append(dropper{}); w.End() }, ErrUnbalanced},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewWriter([]byte("~"))
			c.build(&w)
			first := w.Err()
			if first != nil { // and nothing changes that
				w.Start(a)
				w.Text("x")
				w.TextBytes([]byte("x"))
				w.Attr("x", "y")
				w.AttrNS(Name{"v", "x"}, "y")
				w.Lang("en")
				w.Element(parse(t, "<x/>"))
				w.Append(parse(t, "<x/>"))
				w.End()
				require.Equal(t, first, w.Err())
			}
			got, err := w.Bytes()
			require.ErrorIs(t, err, c.want)
			require.Equal(t, "~", string(got))
		})
	}
}

type dropper struct{}

func (dropper) AppendXML([]byte) ([]byte, error) { return nil, nil }

func TestAppendEscaped(t *testing.T) {
	got, err := AppendEscaped([]byte("~"), "<&>'\"\t\n\r\u00e9\U0001F600")
	require.NoError(t, err)
	require.Equal(t, "~&lt;&amp;&gt;'\"\t\n&#xD;\u00e9\U0001F600", string(got))
	got, err = AppendEscapedAttr([]byte("~"), "<&>'\"\t\n\r\u00e9")
	require.NoError(t, err)
	require.Equal(t, "~&lt;&amp;&gt;&apos;&quot;&#x9;&#xA;&#xD;\u00e9", string(got))
	for _, bad := range []string{"x<\x01", "\xff", "<\xc3", "\uffff", "\x1b[0m"} {
		got, err = AppendEscaped([]byte("~"), bad)
		require.ErrorIs(t, err, ErrCharacter)
		require.Equal(t, "~", string(got))
		got, err = AppendEscapedAttr([]byte("~"), bad)
		require.ErrorIs(t, err, ErrCharacter)
		require.Equal(t, "~", string(got))
	}
}
