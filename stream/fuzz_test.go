package stream

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzLimits are small, so that the fuzzer comes to them.
var fuzzLimits = &Limits{ElementBytes: 10_000, Depth: 8, Attributes: 8, Namespaces: 8, Elements: 256}

// documentSeeds are documents to start from, besides roundTripSeeds.
var documentSeeds = []string{
	clientHeader + "<message to='a'><body>hi &lt; \u00e9</body></message> <iq/></stream:stream>",
	"<?xml version='1.0' encoding='UTF-8' standalone='no'?>\n<a b='1\n2'>\r\n<![CDATA[x]]y]]>&#x10FFFF;</a >",
	"<a><b c='1' d=\"2\"/><p:e xmlns:p='u' p:f='3'><p:g/></p:e>]]&gt;</a>",
	"<a>\xff</a>", "<a>\xed\xa0\x80</a>", "\xfe\xff\x00<", "<a\u00b7 \u00e9='\U0001F600'/>",
	"<!DOCTYPE a><a/>", "<a><!-- --></a>", "<?pi?><a/>", "<a/><b/>", "<a b='1'c='2'/>", "<a b='1' b='2'/>",
	"<p:a/>", "<a xmlns:xml='u'/>", "<a>&#xD800;</a>", "<a b='\r\n\t'/>", "<a>\r\n\r</a>", "<a>]]></a>",
	strings.Repeat("<a>", 20), "<a " + strings.Repeat("b ", 5) + "/>", "<a/><", "<a/> <!", "<a xmlns='1x'><1x/></a>",
}

func addSeeds(f *testing.F) {
	for _, s := range documentSeeds {
		f.Add([]byte(s))
	}
	for _, s := range roundTripSeeds {
		f.Add([]byte(s))
	}
}

// FuzzTokenizer checks that no input makes the tokenizer panic, and that tokens
// and error do not depend on how the input is sliced (X11).
func FuzzTokenizer(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		want, wantErr := tokens(t, fuzzLimits, in)
		got, err := tokens(t, fuzzLimits, in, 1)
		require.Equal(t, want, got)
		require.Equal(t, wantErr, err)
		// Sizes that follow from the input itself.
		sizes := make([]int, 0, len(in)+1)
		for _, c := range in {
			sizes = append(sizes, int(c%13)+1)
		}
		got, err = tokens(t, fuzzLimits, in, append(sizes, 5)...)
		require.Equal(t, want, got)
		require.Equal(t, wantErr, err)

		lim, err := fuzzLimits.withDefaults()
		require.NoError(t, err)
		for _, framed := range []bool{false, true} {
			read := func(size int) ([]string, error) {
				var s scanner
				s.init(lim, framed)
				return items(&s, string(in), size)
			}
			want, wantErr := read(len(in) + 1)
			got, err := read(1)
			require.Equal(t, want, got)
			require.Equal(t, wantErr, err)
		}
	})
}

// FuzzElement checks that an element means the same after it was written in any
// of the ways there are (X34), as itself and as part of streams.
func FuzzElement(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		checkRoundTrip(t, string(in))
		e, err := ParseElement(in, nil)
		if err != nil {
			return
		}
		_ = e.Unmarshal(new(nest))
		// The parts make up the whole.
		var parts []string
		for c := range e.Children() {
			parts = append(parts, elementTokens(c)...)
		}
		depth := 0
		whole := slices.DeleteFunc(elementTokens(e), func(s string) bool {
			switch {
			case strings.HasPrefix(s, "</"):
				depth--
				return depth == 0
			case strings.HasPrefix(s, "<"):
				depth++
				return depth == 1
			}
			return depth == 1
		})
		require.Equal(t, strings.Join(whole, ""), strings.Join(parts, ""))
	})
}

// stricter are the texts of errors for documents that encoding/xml takes
// without a word, although XML, Namespaces in XML or RFC 6120 forbid them. All
// other documents that we refuse, it refuses too.
var stricter = []string{
	"attribute occurs twice",
	"namespace prefix declared twice",
	"namespace prefix that is not declared",
	"the prefix xmlns cannot be declared",
	"the prefix xml and its namespace belong together",
	"a prefix cannot be undeclared",
	"no white space before an attribute",
	"comment",
	"processing instruction", // and an XML declaration in mid-stream
	"document type or markup declaration",
	"conditional section",
	"malformed markup", // "<!" and anything, a directive to encoding/xml
	"markup after the document element",
	"text outside the document element",
	"reference to a character that XML does not allow", // a surrogate becomes U+FFFD
	"malformed XML declaration",
	"malformed name",                      // old tables of name characters, colons at the ends
	"the input ended inside the document", // without an element
	"element larger than 10000 octets",
	"elements nested deeper than 8",
	"more than 8 attributes in a tag",
	"more than 8 namespace declarations in scope",
	"more than 256 elements in one",
	"name longer than 1024 octets",
	"namespace name longer than 1024 octets",
	"character reference longer than 64 octets",
}

// FuzzDifferential compares us with encoding/xml. What both take has to mean
// the same, but for the normalisation of white space in attribute values, which
// encoding/xml does not do (XML 1.0 §3.3.3). What we take it takes, unless a
// name has characters that its old tables do not know. What we refuse and it
// takes is refused for a reason in the list above.
func FuzzDifferential(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		ours, ourErr := differentialTokens(t, in)
		theirs, theirErr := standardTokens(in)
		switch {
		case ourErr == nil && theirErr != nil:
			for _, tok := range ours {
				if !isASCIIName(tok.name) || slices.ContainsFunc(tok.attrs, func(a string) bool { return !isASCIIName(a) }) {
					return
				}
			}
			if bytes.ContainsFunc(in, func(r rune) bool { return r >= 0x80 }) {
				return // a prefix that is not ASCII, of a declaration
			}
			t.Fatalf("only encoding/xml refuses %q: %v", in, theirErr)
		case ourErr != nil && theirErr == nil:
			var e *Error
			require.True(t, errors.As(ourErr, &e))
			require.Contains(t, stricter, e.Text, "%q", in)
		case ourErr == nil:
			require.Equal(t, len(theirs), len(ours), "%q", in)
			for i := range ours {
				require.True(t, ours[i].same(theirs[i]), "%q: %v, encoding/xml: %v", in, ours[i], theirs[i])
			}
		}
	})
}

// event is a token in a form that both have.
type event struct {
	kind          Kind
	name          string
	attrs, values []string
	text          string
}

// same compares with an event of encoding/xml.
func (e event) same(o event) bool {
	return e.kind == o.kind && e.text == o.text && sameValue(e.name, o.name) &&
		slices.EqualFunc(e.attrs, o.attrs, sameValue) && slices.EqualFunc(e.values, o.values, sameValue)
}

// sameValue compares an attribute value, or a name whose namespace came from
// one, with what encoding/xml makes of it, which does not normalise white space.
func sameValue(ours, theirs string) bool {
	a, b := []rune(ours), []rune(theirs)
	return slices.EqualFunc(a, b, func(x, y rune) bool {
		return x == y || x == ' ' && (y == '\n' || y == '\t')
	})
}

func isASCIIName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func differentialTokens(t *testing.T, in []byte) ([]event, error) {
	tok, err := NewTokenizer(fuzzLimits)
	require.NoError(t, err)
	tok.Feed(in)
	var out []event
	for {
		x, err := tok.Next()
		if err == ErrNeedMore {
			return out, tok.Finish()
		}
		if err != nil {
			return nil, err
		}
		e := event{kind: x.Kind, name: x.Name.String(), text: string(x.Text)}
		for _, a := range x.Attrs {
			e.attrs = append(e.attrs, a.Name.String())
			e.values = append(e.values, string(a.Value))
		}
		if x.Kind != Declaration && (x.Kind != Text || e.text != "") {
			out = append(out, e)
		}
	}
}

func standardTokens(in []byte) ([]event, error) {
	d := xml.NewDecoder(bytes.NewReader(in))
	d.CharsetReader = func(label string, r io.Reader) (io.Reader, error) {
		if !isUTF8Label(label) {
			return nil, ErrEncoding
		}
		return r, nil
	}
	var out []event
	for depth := 0; ; {
		tok, err := d.Token()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		switch x := tok.(type) {
		case xml.StartElement:
			e := event{kind: StartElement, name: Name(x.Name).String()}
			for _, a := range x.Attr {
				if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
					e.attrs = append(e.attrs, Name(a.Name).String())
					e.values = append(e.values, a.Value)
				}
			}
			out = append(out, e)
			depth++
		case xml.EndElement:
			out = append(out, event{kind: EndElement, name: Name(x.Name).String()})
			depth--
		case xml.CharData:
			// White space around the document element is no event to us.
			switch {
			case depth == 0 || len(x) == 0:
			case out[len(out)-1].kind == Text:
				out[len(out)-1].text += string(x)
			default:
				out = append(out, event{kind: Text, text: string(x)})
			}
		}
	}
}
