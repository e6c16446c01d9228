package stream

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// describe renders a token so that two of them can be compared.
func describe(tok *Token) string {
	var b strings.Builder
	switch tok.Kind {
	case StartElement:
		fmt.Fprintf(&b, "<%s", tok.Name)
		for _, a := range tok.Attrs {
			fmt.Fprintf(&b, " %s=%q", a.Name, a.Value)
		}
		if tok.SelfClosing {
			b.WriteString(" /")
		}
		b.WriteString(">")
	case EndElement:
		fmt.Fprintf(&b, "</%s>", tok.Name)
	case Text:
		fmt.Fprintf(&b, "%q", tok.Text)
	default:
		b.WriteString(tok.Kind.String())
	}
	return b.String()
}

// tokens reads a document that comes in pieces of the given sizes, the last one
// for ever, and returns what it consists of and how it ends.
func tokens(t testing.TB, lim *Limits, in []byte, sizes ...int) ([]string, error) {
	tok, err := NewTokenizer(lim)
	require.NoError(t, err)
	return tokensFrom(tok, in, sizes...)
}

func tokensFrom(t *Tokenizer, in []byte, sizes ...int) ([]string, error) {
	var out []string
	for {
		tok, err := t.Next()
		switch {
		case err == nil:
			out = append(out, describe(tok))
		case err != ErrNeedMore:
			return out, err
		case len(in) == 0:
			return out, t.Finish()
		default:
			n := len(in)
			if len(sizes) > 0 {
				n = min(n, sizes[0])
			}
			t.Feed(in[:n])
			in = in[n:]
			if len(sizes) > 1 {
				sizes = sizes[1:]
			}
		}
	}
}

// condition returns the condition of a stream error, "" for nil.
func condition(err error) Condition {
	var e *Error
	if errors.As(err, &e) {
		return e.Condition
	}
	if err != nil {
		return Condition("not a stream error: " + err.Error())
	}
	return ""
}

// requireSliced checks that a document gives the same tokens and the same error
// at every cut into two, and one byte at a time.
func requireSliced(t testing.TB, lim *Limits, in string) ([]string, error) {
	t.Helper()
	want, wantErr := tokens(t, lim, []byte(in))
	check := func(sizes ...int) {
		got, err := tokens(t, lim, []byte(in), sizes...)
		require.Equal(t, want, got, "pieces %v of %.200q", sizes, in)
		require.Equal(t, wantErr, err, "pieces %v of %.200q", sizes, in)
	}
	check(1)
	check(2)
	check(3)
	check(7)
	if len(in) < 2000 {
		for i := 1; i < len(in); i++ {
			check(i, len(in))
		}
	}
	return want, wantErr
}

func TestTokenizer(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"RFC6120-11.5 declaration", `<?xml version='1.0'?><a/>`, []string{"Declaration", "<a />", "</a>"}},
		{"RFC6120-11.5 encoding", `<?xml version="1.0" encoding="UTF-8"?><a/>`, []string{"Declaration", "<a />", "</a>"}},
		{"RFC6120-11.5 standalone ignored", "<?xml version = '1.0'\tencoding='utf8' standalone='no' ?>\n<a/>", []string{"Declaration", "<a />", "</a>"}},
		{"RFC6120-11.5 standalone without encoding", `<?xml version='1.0' standalone='yes'?><a/>`, []string{"Declaration", "<a />", "</a>"}},
		{"XML-4.3.3 encoding label", `<?xml version='1.0' encoding='unicode-1-1-utf-8'?><a/>`, []string{"Declaration", "<a />", "</a>"}},
		{"white space around", " \t\r\n<a></a>\n ", []string{"<a>", "</a>"}},
		{"XML-3.1 white space in tags", "<a\n\tb = 'c'\r\nd\n=\n\"e\" ></a\n>", []string{`<a b="c" d="e">`, "</a>"}},
		{"XML-2.4 quotation marks", `<a b='"' c="'">'"</a>`, []string{`<a b="\"" c="'">`, `"'\""`, "</a>"}},
		{"XML-4.6 predefined entities", `<a b='&lt;&gt;&amp;&quot;&apos;'>&lt;&gt;&amp;&quot;&apos;</a>`, []string{`<a b="<>&\"'">`, `"<>&\"'"`, "</a>"}},
		{"XML-4.1 character references", `<a b='&#65;&#x42;&#x1F600;'>&#9;&#xD;&#x00000041;&#xe9;</a>`, []string{`<a b="AB😀">`, `"\t\rAé"`, "</a>"}},
		{"XML-2.11 line ends", "<a>1\r\n2\r3\n4\r\r\n</a>", []string{"<a>", `"1\n2\n3\n4\n\n"`, "</a>"}},
		{"XML-2.11 CR at the end of text", "<a>\r</a>", []string{"<a>", `"\n"`, "</a>"}},
		{"XML-3.3.3 normalisation", "<a b='1\t2\n3\r\n4\r5&#9;&#10;&#13;6'/>", []string{`<a b="1 2 3 4 5\t\n\r6" />`, "</a>"}},
		{"XML-2.7 CDATA", "<a><![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>", []string{"<a>", `"<b>&amp;]]>"`, "</a>"}},
		{"XML-2.7 CDATA merged", "<a>1<![CDATA[2\r\n]]>3<![CDATA[]]>&lt;</a>", []string{"<a>", `"12\n3<"`, "</a>"}},
		{"XML-2.7 brackets in CDATA", "<a><![CDATA[a]b]]c]]]></a>", []string{"<a>", `"a]b]]c]"`, "</a>"}},
		{"XML-2.7 empty CDATA", "<a><![CDATA[]]></a>", []string{"<a>", "</a>"}},
		{"XML-2.4 brackets", "<a>]] ]> ]]&gt; >]]</a>", []string{"<a>", `"]] ]> ]]> >]]"`, "</a>"}},
		{"XML-2.4 bracket after markup", "<a><b c=']]'/>><![CDATA[x]]>></a>", []string{"<a>", `<b c="]]" />`, "</b>", `">x>"`, "</a>"}},
		{"XML-2.2 text", "<a>\u00e9 \u4f60\u597d \U0001F600 \ufeff \u0085 \x7f \U0010FFFF \U0001FFFE</a>", []string{"<a>", fmt.Sprintf("%q", "\u00e9 \u4f60\u597d \U0001F600 \ufeff \u0085 \x7f \U0010FFFF \U0001FFFE"), "</a>"}},
		{"XML-2.3 names", "<\u00e9l\u00e9ment \u4f60='1' _x.-\u00b7='2'/>", []string{"<\u00e9l\u00e9ment \u4f60=\"1\" _x.-\u00b7=\"2\" />", "</\u00e9l\u00e9ment>"}},
		{"NS-6 default", `<a xmlns='u'><b/><c xmlns=''><d/></c><e/></a>`, []string{"<{u}a>", "<{u}b />", "</{u}b>", "<c>", "<d />", "</d>", "</c>", "<{u}e />", "</{u}e>", "</{u}a>"}},
		{"NS-6 prefixes", `<p:a xmlns:p='u'><p:b xmlns:p='v' p:c='1' c='2'/><p:d/></p:a>`, []string{"<{u}a>", `<{v}b {v}c="1" c="2" />`, "</{v}b>", "<{u}d />", "</{u}d>", "</{u}a>"}},
		{"NS-6.2 default and attributes", `<a xmlns='u' xmlns:p='u' b='1' p:b='2'/>`, []string{`<{u}a b="1" {u}b="2" />`, "</{u}a>"}},
		{"NS-3 xml", `<a xml:lang='en' xmlns:xml='http://www.w3.org/XML/1998/namespace'/>`, []string{`<a {http://www.w3.org/XML/1998/namespace}lang="en" />`, "</a>"}},
		{"NS-3 element with prefix xml", `<xml:a/>`, []string{"<{" + NSXML + "}a />", "</{" + NSXML + "}a>"}},
		{"NS-3 reference in a namespace name", `<a xmlns='u&amp;v'/>`, []string{"<{u&v}a />", "</{u&v}a>"}},
		{"declaration after use", `<p:a p:b='1' xmlns:p='u'/>`, []string{`<{u}a {u}b="1" />`, "</{u}a>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := requireSliced(t, nil, c.in)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestTokenizerErrors(t *testing.T) {
	const xmlns = "http://www.w3.org/2000/xmlns/"
	for _, c := range []struct {
		name, in string
		want     Condition
	}{
		// RFC 6120 §11.1
		{"RFC6120-11.1 comment", "<a><!-- x --></a>", RestrictedXML},
		{"RFC6120-11.1 comment in prolog", "<!-- x --><a/>", RestrictedXML},
		{"RFC6120-11.1 comment in epilog", "<a/><!-- x -->", RestrictedXML},
		{"RFC6120-11.1 PI", "<a><?x y?></a>", RestrictedXML},
		{"RFC6120-11.1 PI in prolog", "<?x y?><a/>", RestrictedXML},
		{"RFC6120-11.1 PI in epilog", "<a/><?x y?>", RestrictedXML},
		{"RFC6120-11.1 PI xml-stylesheet", "<?xml-stylesheet href='x'?><a/>", RestrictedXML},
		{"RFC6120-11.1 DTD", "<!DOCTYPE a><a/>", RestrictedXML},
		{"RFC6120-11.1 DTD inside", "<a><!DOCTYPE a></a>", RestrictedXML},
		{"RFC6120-11.1 entity declaration", "<a><!ENTITY a 'b'></a>", RestrictedXML},
		{"RFC6120-11.1 conditional section", "<a><![IGNORE[x]]></a>", RestrictedXML},
		{"XML-2.7 lower case CDATA", "<a><![cdata[x]]></a>", RestrictedXML},
		{"RFC6120-11.1 entity", "<a>&foo;</a>", NotWellFormed},
		{"RFC6120-11.1 entity in attribute", "<a b='&foo;'/>", NotWellFormed},
		// RFC 6120 §11.5, §11.6, §11.8
		{"RFC6120-11.5 space before", " <?xml version='1.0'?><a/>", RestrictedXML},
		{"RFC6120-11.5 twice", "<?xml version='1.0'?><?xml version='1.0'?><a/>", RestrictedXML},
		{"RFC6120-11.5 inside", "<a><?xml version='1.0'?></a>", RestrictedXML},
		{"RFC6120-11.8 version 1.1", "<?xml version='1.1'?><a/>", NotWellFormed},
		{"XML-2.8 no version", "<?xml encoding='UTF-8'?><a/>", NotWellFormed},
		{"XML-2.8 empty", "<?xml ?><a/>", NotWellFormed},
		{"XML-2.8 order", "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>", NotWellFormed},
		{"XML-2.8 no space", "<?xml version='1.0'encoding='UTF-8'?><a/>", NotWellFormed},
		{"XML-2.8 only a name", "<?xml version?><a/>", NotWellFormed},
		{"XML-2.8 no quotes", "<?xml version=1.0?><a/>", NotWellFormed},
		{"XML-2.8 quote not closed", "<?xml version='1.0?><a/>", NotWellFormed},
		{"XML-2.8 unknown", "<?xml version='1.0' x='y'?><a/>", NotWellFormed},
		{"XML-2.8 no question mark", "<?xml version='1.0'><a/>", NotWellFormed},
		{"XML-2.9 standalone", "<?xml version='1.0' standalone='maybe'?><a/>", NotWellFormed},
		{"XML-2.8 long", "<?xml version='1.0'" + strings.Repeat(" ", 300) + "?><a/>", NotWellFormed},
		{"XML-4.3.3 EncName", "<?xml version='1.0' encoding=' UTF-8'?><a/>", NotWellFormed},
		{"RFC6120-11.6 ISO-8859-1", "<?xml version='1.0' encoding='ISO-8859-1'?><a/>", UnsupportedEncoding},
		{"RFC6120-11.6 UTF-16 label", "<?xml version='1.0' encoding='UTF-16'?><a/>", UnsupportedEncoding},
		{"RFC6120-11.6 unknown label", "<?xml version='1.0' encoding='x-nonsense'?><a/>", UnsupportedEncoding},
		{"RFC6120-11.6 UTF-16BE", "\x00<\x00a\x00/\x00>", UnsupportedEncoding},
		{"RFC6120-11.6 UTF-16LE", "<\x00a\x00/\x00>\x00", UnsupportedEncoding},
		{"RFC6120-11.6 UTF-16BE with BOM", "\xFE\xFF\x00<\x00a", UnsupportedEncoding},
		{"RFC6120-11.6 UTF-16LE with BOM", "\xFF\xFE<\x00a\x00", UnsupportedEncoding},
		{"RFC6120-11.6 U+FEFF first", "\uFEFF<a/>", NotWellFormed},
		{"RFC6120-11.6 U+FEFF between", "<?xml version='1.0'?>\uFEFF<a/>", NotWellFormed},
		// UTF-8, RFC 3629 §4
		{"RFC3629 continuation", "<a>\x80</a>", UnsupportedEncoding},
		{"RFC3629 overlong 2", "<a>\xC0\x80</a>", UnsupportedEncoding},
		{"RFC3629 overlong 2b", "<a>\xC1\xBF</a>", UnsupportedEncoding},
		{"RFC3629 overlong 3", "<a>\xE0\x9F\xBF</a>", UnsupportedEncoding},
		{"RFC3629 overlong 4", "<a>\xF0\x8F\xBF\xBF</a>", UnsupportedEncoding},
		{"RFC3629 surrogate", "<a>\xED\xA0\x80</a>", UnsupportedEncoding},
		{"RFC3629 surrogate end", "<a>\xED\xBF\xBF</a>", UnsupportedEncoding},
		{"RFC3629 above", "<a>\xF4\x90\x80\x80</a>", UnsupportedEncoding},
		{"RFC3629 F5", "<a>\xF5\x80\x80\x80</a>", UnsupportedEncoding},
		{"RFC3629 FF", "<a>\xFF</a>", UnsupportedEncoding},
		{"RFC3629 cut 2", "<a>\xC3</a>", UnsupportedEncoding},
		{"RFC3629 cut 3", "<a>\xE4\xBD</a>", UnsupportedEncoding},
		{"RFC3629 cut 4", "<a>\xF0\x9F\x98</a>", UnsupportedEncoding},
		{"RFC3629 in attribute", "<a b='\xFF'/>", UnsupportedEncoding},
		{"RFC3629 in namespace", "<a xmlns='\xFF'/>", UnsupportedEncoding},
		{"RFC3629 in name", "<a\xFF/>", UnsupportedEncoding},
		{"RFC3629 first in name", "<\xFF/>", UnsupportedEncoding},
		{"RFC3629 in attribute name", "<a b\xFF='1'/>", UnsupportedEncoding},
		{"RFC3629 in CDATA", "<a><![CDATA[\xFF]]></a>", UnsupportedEncoding},
		{"RFC3629 in prolog", "\x80<a/>", UnsupportedEncoding},
		// Char, XML 1.0 §2.2
		{"XML-2.2 NUL", "<a>\x00</a>", NotWellFormed},
		{"XML-2.2 U+0001", "<a>\x01</a>", NotWellFormed},
		{"XML-2.2 U+001F", "<a>aaaaaaaa\x1faaaaaaa</a>", NotWellFormed},
		{"XML-2.2 U+000B", "<a>\x0b</a>", NotWellFormed},
		{"XML-2.2 U+FFFE", "<a>\uFFFE</a>", NotWellFormed},
		{"XML-2.2 U+FFFF", "<a>\uFFFF</a>", NotWellFormed},
		{"XML-2.2 attribute", "<a b='\x01'/>", NotWellFormed},
		{"XML-2.2 attribute U+FFFE", "<a b='\uFFFE'/>", NotWellFormed},
		{"XML-2.2 CDATA", "<a><![CDATA[\x01]]></a>", NotWellFormed},
		{"XML-2.2 CDATA U+FFFF", "<a><![CDATA[\uFFFF]]></a>", NotWellFormed},
		{"XML-2.2 prolog", "\x01<a/>", NotWellFormed},
		{"XML-2.2 tag", "<a \x01b='1'/>", NotWellFormed},
		// references, XML 1.0 §4.1
		{"XML-4.1 no semicolon", "<a>&amp</a>", NotWellFormed},
		{"XML-4.1 no semicolon 2", "<a>&#65</a>", NotWellFormed},
		{"XML-4.1 upper case X", "<a>&#X41;</a>", NotWellFormed},
		{"XML-4.1 empty", "<a>&;</a>", NotWellFormed},
		{"XML-4.1 no digits", "<a>&#;</a>", NotWellFormed},
		{"XML-4.1 no hex digits", "<a>&#x;</a>", NotWellFormed},
		{"XML-4.1 sign", "<a>&#-1;</a>", NotWellFormed},
		{"XML-4.1 space", "<a>& amp;</a>", NotWellFormed},
		{"XML-4.1 case", "<a>&AMP;</a>", NotWellFormed},
		{"XML-4.1 NUL", "<a>&#0;</a>", NotWellFormed},
		{"XML-4.1 control", "<a>&#x1;</a>", NotWellFormed},
		{"XML-4.1 surrogate", "<a>&#xD800;</a>", NotWellFormed},
		{"XML-4.1 surrogate pair", "<a>&#xD83D;&#xDE00;</a>", NotWellFormed},
		{"XML-4.1 U+FFFE", "<a>&#xFFFE;</a>", NotWellFormed},
		{"XML-4.1 U+FFFF", "<a>&#65535;</a>", NotWellFormed},
		{"XML-4.1 above", "<a>&#x110000;</a>", NotWellFormed},
		{"XML-4.1 overflow", "<a>&#x100000041;</a>", NotWellFormed},
		{"XML-4.1 overflow 64", "<a>&#18446744073709551681;</a>", NotWellFormed},
		{"XML-4.1 in attribute", "<a b='&#xFFFF;'/>", NotWellFormed},
		{"long reference", "<a>&#" + strings.Repeat("0", 100) + "65;</a>", PolicyViolation},
		// tags, XML 1.0 §3.1
		{"XML-3.1 duplicate", "<a b='1' b='2'/>", NotWellFormed},
		{"XML-3.1 duplicate, many", "<a" + manyAttributes(40) + " a7='2'/>", NotWellFormed},
		{"XML-3.1 no white space", "<a b='1'c='2'/>", NotWellFormed},
		{"XML-3.1 no white space after the name", "<a'1'/>", NotWellFormed},
		{"XML-3.1 unquoted", "<a b=1/>", NotWellFormed},
		{"XML-3.1 valueless", "<a b/>", NotWellFormed},
		{"XML-3.1 valueless 2", "<a b c='1'/>", NotWellFormed},
		{"XML-3.1 no equals sign", "<a b c'1'/>", NotWellFormed},
		{"XML-3.1 no equals sign 2", "<a b:'1'/>", NotWellFormed},
		{"XML-3.1 no equals sign 3", "<a b+'1'/>", NotWellFormed},
		{"XML-3.1 only a value", "<a ='1'/>", NotWellFormed},
		{"XML-3.1 mixed quotes", "<a b='1\"/>", NotWellFormed},
		{"XML-3.1 < in attribute", "<a b='<'/>", NotWellFormed},
		{"XML-3.1 attribute in end tag", "<a></a b='1'>", NotWellFormed},
		{"XML-3.1 mismatch", "<a></b>", NotWellFormed},
		{"XML-3.1 mismatch prefix of", "<ab></a>", NotWellFormed},
		{"XML-3.1 mismatch longer", "<a></ab>", NotWellFormed},
		{"XML-3.1 mismatch prefix", "<p:a xmlns:p='u' xmlns:q='u'></q:a>", NotWellFormed},
		{"XML-3.1 end without start", "</a>", NotWellFormed},
		{"XML-3.1 space before the name", "< a/>", NotWellFormed},
		{"XML-3.1 space in the end tag", "<a></ a>", NotWellFormed},
		{"XML-3.1 slash", "<a / >", NotWellFormed},
		{"XML-3.1 slash in between", "<a /b='1'>", NotWellFormed},
		{"XML-3.1 <>", "<a><></a>", NotWellFormed},
		{"XML-3.1 <!", "<a><!></a>", NotWellFormed},
		{"XML-3.1 < in tag", "<a <b/>", NotWellFormed},
		{"XML-2.3 digit", "<1/>", NotWellFormed},
		{"XML-2.3 seen before as a namespace", "<a xmlns='1x'><1x/></a>", NotWellFormed},
		{"XML-2.3 seen before as a namespace, long", "<a xmlns='1xxxxxxxx'><1xxxxxxxx        /></a>", NotWellFormed},
		{"XML-2.3 seen before as a namespace, attribute", "<a xmlns='1x'><b 1x='aaaaaaaaaaaaa'/></a>", NotWellFormed},
		{"NS-4 seen before as a namespace", "<a xmlns='a:b:c' xmlns:a='u'><a:b:c        /></a>", NotWellFormed},
		{"XML-2.3 hyphen", "<-a/>", NotWellFormed},
		{"XML-2.3 middle dot first", "<\u00b7a/>", NotWellFormed},
		{"XML-2.3 multiplication sign", "<a\u00d7/>", NotWellFormed},
		{"XML-2.3 combining first", "<a \u0301='1'/>", NotWellFormed},
		{"XML-2.3 no-break space", "<a\u00a0b='1'/>", NotWellFormed},
		{"XML-2.3 U+37E", "<a\u037e/>", NotWellFormed},
		{"XML-2.3 private use", "<a\ue000/>", NotWellFormed},
		{"XML-2.3 surrogate", "<a\xed\xa0\x80/>", UnsupportedEncoding},
		{"XML-2.4 ]]>", "<a>]]></a>", NotWellFormed},
		{"XML-2.4 ]]> 2", "<a>aaaaaaaa]]]>bbbb</a>", NotWellFormed},
		// documents, XML 1.0 §2.1
		{"XML-2.1 two roots", "<a/><b/>", NotWellFormed},
		{"XML-2.1 text after", "<a/>x", NotWellFormed},
		{"XML-2.1 text before", "x<a/>", NotWellFormed},
		{"XML-2.1 CDATA before", "<![CDATA[x]]><a/>", NotWellFormed},
		{"XML-2.1 CDATA after", "<a/><![CDATA[x]]>", NotWellFormed},
		{"XML-2.1 reference before", "&#32;<a/>", NotWellFormed},
		{"XML-2.1 nothing", "", NotWellFormed},
		{"XML-2.1 unfinished tag", "<a", NotWellFormed},
		{"XML-2.1 unfinished element", "<a>", NotWellFormed},
		{"XML-2.1 unfinished end tag", "<a></a", NotWellFormed},
		{"XML-2.1 unfinished text", "<a>x", NotWellFormed},
		{"XML-2.1 unfinished CDATA", "<a><![CDATA[x]]", NotWellFormed},
		{"XML-2.1 unfinished value", "<a b='", NotWellFormed},
		{"XML-2.1 unfinished reference", "<a>&am", NotWellFormed},
		{"XML-2.1 unfinished markup after the root", "<a/><", NotWellFormed},
		{"XML-2.1 unfinished comment after the root", "<a/><!", NotWellFormed},
		{"XML-2.1 unfinished character after the root", "<a/> \xe4\xbd", NotWellFormed},
		{"XML-2.1 popped too early", "<a/", NotWellFormed},
		{"XML-2.1 unfinished declaration", "<?xml version='1.0'", NotWellFormed},
		// Namespaces in XML
		{"NS-4 two colons", "<a:b:c xmlns:a='u'/>", NotWellFormed},
		{"NS-4 leading colon", "<:a/>", NotWellFormed},
		{"NS-4 trailing colon", "<a: xmlns:a='u'/>", NotWellFormed},
		{"NS-4 only a colon", "<:/>", NotWellFormed},
		{"NS-4 attribute", "<a :b='1'/>", NotWellFormed},
		{"NS-4 attribute trailing", "<a b:='1' xmlns:b='u'/>", NotWellFormed},
		{"NS-4 digit after colon", "<a:1 xmlns:a='u'/>", NotWellFormed},
		{"NS-4 xmlns:", "<a xmlns:='u'/>", NotWellFormed},
		{"NS-4 xmlns:a:b", "<a xmlns:a:b='u'/>", NotWellFormed},
		{"NS-5 undeclared element", "<p:a/>", NotWellFormed},
		{"NS-5 undeclared attribute", "<a p:b='1'/>", NotWellFormed},
		{"NS-5 declared elsewhere", "<a><b xmlns:p='u'/><p:c/></a>", NotWellFormed},
		{"NS-5 declared within", "<p:a><b xmlns:p='u'/></p:a>", NotWellFormed},
		{"NS-5 unbound again", "<a xmlns:p='u'><b xmlns:p=''/></a>", NotWellFormed},
		{"NS-6.3 same expanded name", "<x xmlns:a='u' xmlns:b='u' a:k='1' b:k='2'/>", NotWellFormed},
		{"NS-6.3 two declarations", "<a xmlns:p='u' xmlns:p='v'/>", NotWellFormed},
		{"NS-6.3 two defaults", "<a xmlns='u' xmlns='v'/>", NotWellFormed},
		{"NS-3 xml elsewhere", "<a xmlns:xml='u'/>", NotWellFormed},
		{"NS-3 other prefix for xml", "<a xmlns:p='" + NSXML + "'/>", NotWellFormed},
		{"NS-3 xml as default", "<a xmlns='" + NSXML + "'/>", NotWellFormed},
		{"NS-3 xmlns declared", "<a xmlns:xmlns='u'/>", NotWellFormed},
		{"NS-3 xmlns declared as itself", "<a xmlns:xmlns='" + xmlns + "'/>", NotWellFormed},
		{"NS-3 other prefix for xmlns", "<a xmlns:p='" + xmlns + "'/>", NotWellFormed},
		{"NS-3 xmlns as default", "<a xmlns='" + xmlns + "'/>", NotWellFormed},
		{"NS-3 by reference", "<a xmlns:p='http://www.w3.org/XML/1998/namespac&#101;'/>", NotWellFormed},
		{"NS-3 element with prefix xmlns", "<xmlns:a/>", NotWellFormed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := requireSliced(t, nil, c.in)
			require.Equal(t, c.want, condition(err), "%v", err)
		})
	}
}

// manyAttributes returns n attributes with different names.
// TestTokenizerSpaceAtTheEnd: white space after the document has no limit,
// whether it comes in one piece or in many.
func TestTokenizerSpaceAtTheEnd(t *testing.T) {
	in := []byte("<a/>" + strings.Repeat(" ", 30_000))
	for _, size := range []int{1, 100, 10_000, len(in)} {
		_, err := tokens(t, &Limits{ElementBytes: 10_000}, in, size)
		require.NoError(t, err, size)
		_, err = tokens(t, &Limits{ElementBytes: 10_000}, append(in, '<', 'b'), size)
		require.Equal(t, NotWellFormed, condition(err), size)
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d='1'", i)
	}
	return b.String()
}

// X11 for everyday traffic: where whole names and values are at hand the
// tokenizer takes shortcuts, one byte at a time it cannot.
func TestTokenizerCorpusSlices(t *testing.T) {
	in := corpus()[:200<<10]
	want, err := tokens(t, nil, in)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Greater(t, len(want), 5000)
	for _, size := range []int{1, 7, 1000} {
		got, err := tokens(t, nil, in, size)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, want, got)
	}
	// encoding/xml agrees about the corpus.
	d := xml.NewDecoder(bytes.NewReader(in))
	for _, w := range want {
		tok, err := d.Token()
		require.NoError(t, err)
		switch x := tok.(type) {
		case xml.StartElement:
			require.True(t, strings.HasPrefix(w, "<"+Name(x.Name).String()), w)
		case xml.CharData:
			require.Equal(t, w, fmt.Sprintf("%q", x))
		case xml.EndElement:
			require.Equal(t, w, "</"+Name(x.Name).String()+">")
		}
	}
}

func TestTokenizerZeroValue(t *testing.T) {
	var tok Tokenizer
	_, err := tok.Next()
	require.ErrorIs(t, err, ErrNeedMore)
	got, err := tokensFrom(&tok, []byte("<a/>"))
	require.NoError(t, err)
	require.Equal(t, []string{"<a />", "</a>"}, got)

	require.NoError(t, tok.Reset(nil))
	got, err = tokensFrom(&tok, []byte("<?xml version='1.0'?><b/>"), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"Declaration", "<b />", "</b>"}, got)

	require.ErrorIs(t, tok.Reset(&Limits{Depth: -1}), ErrLimits)
	_, err = NewTokenizer(&Limits{Depth: 1})
	require.ErrorIs(t, err, ErrLimits)
}

// The first error stays, and Finish reports it too.
func TestTokenizerStickyError(t *testing.T) {
	var tok Tokenizer
	tok.Feed([]byte("<a><!-- --></a>"))
	_, err := tok.Next()
	require.NoError(t, err)
	_, first := tok.Next()
	require.ErrorIs(t, first, RestrictedXML)
	tok.Feed([]byte("<b/>"))
	_, err = tok.Next()
	require.Same(t, first, err)
	require.Same(t, first, tok.Finish())

	tok = Tokenizer{}
	tok.Feed([]byte("<a>"))
	require.ErrorIs(t, tok.Finish(), io.ErrUnexpectedEOF)
}

// XML 1.0 §2.3: the ranges of NameStartChar and NameChar, tried at their
// borders in both places.
func TestNameRanges(t *testing.T) {
	type span struct{ lo, hi rune }
	start := []span{{0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x2FF}, {0x370, 0x37D}, {0x37F, 0x1FFF}, {0x200C, 0x200D},
		{0x2070, 0x218F}, {0x2C00, 0x2FEF}, {0x3001, 0xD7FF}, {0xF900, 0xFDCF}, {0xFDF0, 0xFFFD}, {0x10000, 0xEFFFF}}
	other := []span{{0xB7, 0xB7}, {0x300, 0x36F}, {0x203F, 0x2040}}
	in := func(spans []span, r rune) bool {
		for _, s := range spans {
			if s.lo <= r && r <= s.hi {
				return true
			}
		}
		return false
	}
	for r := rune(0x80); r <= 0x10FFFF; r++ {
		if in(start, r) != isNameStart(r) || (in(start, r) || in(other, r)) != isNameChar(r) {
			t.Fatalf("U+%04X", r)
		}
	}
}

// XML 1.0 §2.2: Char, for every code point.
func TestCharRange(t *testing.T) {
	for r := rune(0); r <= 0x110000; r++ {
		want := r == 9 || r == 10 || r == 13 || 0x20 <= r && r <= 0xD7FF || 0xE000 <= r && r <= 0xFFFD || 0x10000 <= r && r <= 0x10FFFF
		if want != isChar(r) {
			t.Fatalf("U+%04X", r)
		}
		if r >= 0x80 && r <= 0x10FFFF && (r < 0xD800 || r > 0xDFFF) {
			seq := []byte(string(r))
			if n := sequence(seq); (n == len(seq)) != want {
				t.Fatalf("U+%04X: %d", r, n)
			}
			for cut := 1; cut < len(seq); cut++ {
				if n := sequence(seq[:cut]); n != seqShort {
					t.Fatalf("U+%04X cut at %d: %d", r, cut, n)
				}
			}
		}
	}
}

// A CDATA section with nothing in it is no text.
func TestTokenizerEmptyCDATA(t *testing.T) {
	for in, want := range map[string]int{
		"<a><![CDATA[]]></a>":                  0,
		"<a><![CDATA[]]><![CDATA[]]><b/></a>":  0,
		"<a><![CDATA[]]>x<![CDATA[]]></a>":     1,
		"<a><![CDATA[]]> <![CDATA[<]]></a>":    1,
		"<a><b/><![CDATA[]]><b/>&amp;<b/></a>": 1,
	} {
		tok, err := NewTokenizer(nil)
		require.NoError(t, err)
		tok.Feed([]byte(in))
		texts := 0
		for {
			tk, err := tok.Next()
			if err != nil {
				require.Equal(t, ErrNeedMore, err)
				break
			}
			if tk.Kind == Text {
				texts++
				require.NotEmpty(t, tk.Text, in)
			}
		}
		require.NoError(t, tok.Finish())
		require.Equal(t, want, texts, in)
	}
}
