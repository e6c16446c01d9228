package stream

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestElementUnmarshal(t *testing.T) {
	type item struct {
		JID    string   `xml:"jid,attr"`
		Groups []string `xml:"group"`
	}
	var v struct {
		XMLName xml.Name `xml:"urn:x query"`
		From    string   `xml:"from,attr"`
		Lang    string   `xml:"http://www.w3.org/XML/1998/namespace lang,attr"`
		Items   []item   `xml:"urn:x item"`
		Other   string   `xml:"urn:y other"`
		Text    string   `xml:",chardata"`
	}
	e := parse(t, "<q:query xmlns:q='urn:x' xmlns:z='urn:z' z:from='evil' from='a' xml:lang='de'>t&amp;"+
		"<q:item jid='1'><q:group>A &lt;</q:group><q:group><![CDATA[<B>]]></q:group></q:item><other>no</other><other xmlns='urn:y'>yes</other></q:query>")
	require.NoError(t, e.Unmarshal(&v))
	require.Equal(t, "a", v.From)
	require.Equal(t, "de", v.Lang)
	require.Equal(t, []item{{"1", []string{"A <", "<B>"}}}, v.Items)
	require.Equal(t, "yes", v.Other)
	require.Equal(t, "t&", v.Text)

	// An attribute in a namespace is not one of the same name in none.
	v.From = ""
	require.NoError(t, parse(t, "<query xmlns='urn:x' xmlns:z='urn:z' z:from='evil'/>").Unmarshal(&v))
	require.Empty(t, v.From)

	require.Error(t, parse(t, "<query xmlns='urn:wrong'/>").Unmarshal(&v))
	require.Error(t, parse(t, "<query xmlns='urn:x'/>").Unmarshal(v), "not a pointer")

	// encoding/xml has no bytes to offer.
	var inner struct {
		B     string `xml:"b"`
		Inner []byte `xml:",innerxml"`
	}
	require.NoError(t, parse(t, "<a><b>x</b></a>").Unmarshal(&inner))
	require.Equal(t, "x", inner.B)
	require.Empty(t, inner.Inner)

	// The namespaces of the stream are in force.
	e = elementIn(t, "xmlns='jabber:client' xmlns:q='urn:x'", "<q:query from='b'/>")
	require.NoError(t, e.Unmarshal(&v))
	require.Equal(t, "b", v.From)
}

func TestTokenReader(t *testing.T) {
	e := parse(t, "<a b='1'>x<c/></a>")
	r := e.TokenReader()
	var got []xml.Token
	for {
		tok, err := r.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		got = append(got, tok)
	}
	require.Equal(t, []xml.Token{
		xml.StartElement{Name: xml.Name{Local: "a"}, Attr: []xml.Attr{{Name: xml.Name{Local: "b"}, Value: "1"}}},
		xml.CharData("x"),
		xml.StartElement{Name: xml.Name{Local: "c"}},
		xml.EndElement{Name: xml.Name{Local: "c"}},
		xml.EndElement{Name: xml.Name{Local: "a"}},
	}, got)
	require.NoError(t, r.Close())

	r = e.TokenReader() // left early
	_, err := r.Token()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	_, err = r.Token()
	require.Equal(t, io.EOF, err)
}

// verbatim lets encoding/xml write anything.
type verbatim struct {
	XMLName xml.Name `xml:"urn:x a"`
	Inner   string   `xml:",innerxml"`
}

// spaced is an element with white space around it.
type spaced struct{}

func (spaced) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	name := xml.Name{Local: "a"}
	for _, tok := range []xml.Token{xml.CharData(" \n"), xml.StartElement{Name: name}, xml.EndElement{Name: name}, xml.CharData(" ")} {
		if err := e.EncodeToken(tok); err != nil {
			return err
		}
	}
	return nil
}

// TestMarshalTrims: what is appended is an element from the first byte to the last.
func TestMarshalTrims(t *testing.T) {
	got, err := AppendMarshal([]byte("~"), spaced{})
	require.NoError(t, err)
	require.Equal(t, "~<a></a>", string(got))
}

func TestMarshal(t *testing.T) {
	got, err := AppendMarshal([]byte("~"), struct {
		XMLName xml.Name `xml:"urn:x a"`
		B       string   `xml:"b,attr"`
		C       []string `xml:"c"`
	}{B: "<\n>", C: []string{"1", "&"}})
	require.NoError(t, err)
	require.Equal(t, []string{`<{urn:x}a b="<\n>">`, "<{urn:x}c>", `"1"`, "</{urn:x}c>", "<{urn:x}c>", `"&"`, "</{urn:x}c>", "</{urn:x}a>"},
		elementTokens(parse(t, strings.TrimPrefix(string(got), "~"))))

	for name, v := range map[string]any{
		"not XML":           make(chan int),
		"nil":               nil,
		"two elements":      []verbatim{{}, {}},
		"open element":      verbatim{Inner: "<b>"},
		"injected":          verbatim{Inner: "</a><iq/>"},
		"comment":           verbatim{Inner: "<!-- x -->"},
		"element name":      struct{ XMLName xml.Name }{xml.Name{Local: "a b"}},
		"undeclared prefix": verbatim{Inner: "<p:b/>"},
	} {
		got, err := AppendMarshal([]byte("~"), v)
		require.Error(t, err, name)
		require.Equal(t, "~", string(got), name)
	}
	got, err = Marshal(verbatim{Inner: "<b/>"})
	require.NoError(t, err)
	require.Contains(t, string(got), "<b/>")
}
