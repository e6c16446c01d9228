package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// roundTripSeeds are documents of one element, good and bad, that went wrong
// somewhere: the first ones are those of CVE-2020-29509, -29510 and -29511, in
// which what encoding/xml wrote was read as something else.
var roundTripSeeds = []string{
	"<x::a/>", "<a x::b=''/>", "<:a/>", "<a :b='c'/>", "<a: xmlns:a='u'/>", "<a xmlns:='u'/>", "<x :y:='1'/>",
	"<a xmlns:x='u' x:='1'/>", "<x: foo='bar'></x:>", "<a x:xmlns='u' xmlns:x='v'/>", "<a xmlns:xmlns='u' xmlns:b=''/>",
	"<!DOCTYPE <!-- --> x><a/>", "<! <<!-- -->!-- x><a/>", "<a><! <!-- --> --></a>", "<a><!ENTITY x '<!-- -->'></a>",
	"<Response xmlns:saml='urn:s' saml:ID='1'><saml:Assertion/></Response>",
	// namespaces
	"<a/>", "<a></a>", "<a xmlns='u'/>", "<a xmlns='u'><b xmlns=''><c xmlns='u'/></b></a>", "<p:a xmlns:p='u' p:b='1' b='2'/>",
	"<a xmlns:p='u'><p:b xmlns:p='v'><p:c/></p:b><p:d/></a>", "<a xmlns='u' xmlns:p='u'><p:b><c/></p:b></a>",
	"<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='x'/>", "<a xmlns='&quot;&apos;&lt;'/>",
	"<message xmlns='jabber:client'><body xmlns='jabber:client'/><x xmlns='u'><message xmlns='jabber:client'><body/></message></x></message>",
	"<c:message xmlns:c='jabber:client'><c:body xmlns='v'><d/></c:body></c:message>",
	"<message xmlns='jabber:server' xmlns:p='jabber:server'><p:body/><q xmlns='jabber:client'/></message>",
	"<a xmlns='jabber:client'><p:b xmlns:p='u'><c/><p:d xmlns='v'><e/></p:d></p:b></a>",
	"<iq xmlns='jabber:client'><p:q xmlns:p='jabber:client' p:a='1'/></iq>",
	// text and values
	"<a>&lt;&gt;&amp;&quot;&apos;</a>", "<a>]]&gt;</a>", "<a>x<![CDATA[]]]]><![CDATA[>]]>y</a>", "<a>1\r\n2\r3</a>", "<a>&#13;&#10;</a>",
	"<a b='&#9;&#10;&#13;'/>", "<a b='\t\r\n'/>", "<a b=\"'\" c='\"'/>", "<a>\u00e9\U0001F600\ufeff</a>", "<a><![CDATA[]]></a>", "<a>&#xD800;</a>", "<\u00e9 \u4f60='1'/>",
}

// reparsed returns the tokens of what the element is appended as.
func reparsed(t testing.TB, what string, b []byte, err error) []string {
	t.Helper()
	require.NoError(t, err, what)
	e, err := ParseElement(b, &Limits{ElementBytes: 64 << 20, Depth: 1 << 20, Attributes: 1 << 20, Namespaces: 1 << 20, Elements: 1 << 20})
	require.NoError(t, err, "%s: %q", what, b)
	return elementTokens(e)
}

// checkRoundTrip checks that an element, if it is one, means the same after
// each way of writing it: parse(write(parse(x))) ≡ parse(x).
func checkRoundTrip(t testing.TB, in string) {
	t.Helper()
	e, err := ParseElement([]byte(in), nil)
	if err != nil {
		return
	}
	want := elementTokens(e)
	require.NotEmpty(t, want)
	out, err := e.AppendXML(nil)
	require.Equal(t, want, reparsed(t, "AppendXML", out, err))
	require.Equal(t, want, elementTokens(e.Clone()))
	out, err = writeTokens(e)
	require.Equal(t, want, reparsed(t, "Writer", out, err), "%q", out)

	// In a stream, with all that can be around it.
	for _, header := range []string{"xmlns='jabber:client' xmlns:q='urn:q'", "xmlns='jabber:server' xmlns:p='urn:p' xmlns:c='jabber:client'", ""} {
		lim := defaultLimits(t)
		lim.Depth++ // for the stream tag
		var s scanner
		s.init(lim, false)
		doc := "<stream:stream xmlns:stream='" + NSStream + "' " + header + ">" + in
		copy(s.space(len(doc)), doc)
		s.filled(len(doc))
		_, _, err := s.next()
		require.NoError(t, err)
		kind, e, err := s.next()
		for kind == itemSpace {
			kind, e, err = s.next()
		}
		if err != nil {
			continue // one namespace declaration too many, with those of the header
		}
		checkRewrites(t, e)
	}
}

// checkRewrites checks every way of writing an element that is in a stream.
func checkRewrites(t testing.TB, e *Element) {
	t.Helper()
	want := elementTokens(e)
	out, err := e.AppendXML(nil)
	require.Equal(t, want, reparsed(t, "AppendXML", out, err), "%q", out)
	require.Equal(t, want, elementTokens(e.Clone()))
	for _, content := range []string{NSClient, NSServer, "jabber:component:accept"} {
		want := movedTokens(e, content)
		out, err := e.AppendFramed(nil, content)
		require.Equal(t, want, reparsed(t, "AppendFramed", out, err), "%q", out)
		out, err = e.AppendRewritten([]byte("<s xmlns='"+content+"' xmlns:p='urn:else' xmlns:q='urn:else'>"), content)
		got := reparsed(t, "AppendRewritten", append(out, "</s>"...), err)
		require.Equal(t, want, got[1:len(got)-1], "%q", out)
	}
}

// movedTokens describes e as it has to be in a stream with another content
// namespace; it knows the rule and nothing of how it is carried out.
func movedTokens(e *Element, content string) []string {
	var out []string
	move := []bool{isContentSpace(e.Name().Space)}
	for tok := range e.Tokens() {
		tok := *tok
		top := move[len(move)-1]
		switch tok.Kind {
		case StartElement:
			move = append(move, top && tok.Name.Space == e.Name().Space)
		case EndElement:
			move = move[:len(move)-1]
		}
		if tok.Kind != Text && top && tok.Name.Space == e.Name().Space {
			tok.Name.Space = content
		}
		if s := describe(&tok); s != `""` {
			out = append(out, strings.Replace(s, " />", ">", 1))
		}
	}
	return out
}

// writeTokens writes e token by token. A Writer has no way to say that an
// element is in no namespace, so an element with such ones is written whole.
func writeTokens(e *Element) ([]byte, error) {
	var w Writer
	for tok := range e.Tokens() {
		if tok.Kind == StartElement && tok.Name.Space == "" {
			w.Element(e)
			return w.Bytes()
		}
	}
	for tok := range e.Tokens() {
		switch tok.Kind {
		case StartElement:
			w.Start(tok.Name)
			for _, a := range tok.Attrs {
				w.AttrNS(a.Name, string(a.Value))
			}
		case EndElement:
			w.End()
		case Text:
			w.TextBytes(tok.Text)
		}
	}
	return w.Bytes()
}
