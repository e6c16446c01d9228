package auth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// parse reads one element.
func parse(tb testing.TB, xml string) *stream.Element {
	tb.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(tb, err)
	return el
}

const xmlns = ` xmlns='` + NS + `'`

func TestParseFrame(t *testing.T) {
	for _, c := range []struct {
		in   string
		want frame
	}{
		{`<auth` + xmlns + ` mechanism='PLAIN'>AAAA</auth>`, frame{kind: frameAuth, mechanism: "PLAIN", data: []byte{0, 0, 0}}},
		{`<auth` + xmlns + ` mechanism='PLAIN'/>`, frame{kind: frameAuth, mechanism: "PLAIN"}},
		{`<auth` + xmlns + ` mechanism='PLAIN'>=</auth>`, frame{kind: frameAuth, mechanism: "PLAIN", data: []byte{}}},
		{`<auth` + xmlns + `/>`, frame{kind: frameAuth}},
		{`<s:auth xmlns:s='` + NS + `' mechanism='X'>AA<![CDATA[AA]]></s:auth>`, frame{kind: frameAuth, mechanism: "X", data: []byte{0, 0, 0}}},
		{`<auth` + xmlns + ` mechanism='X'> AAAA</auth>`, frame{kind: frameAuth, mechanism: "X", err: errEncoding}},
		{`<auth` + xmlns + ` mechanism='X'>AA&#10;AA</auth>`, frame{kind: frameAuth, mechanism: "X", err: errEncoding}},
		{`<auth` + xmlns + ` mechanism='X'>AA<x/>AA</auth>`, frame{kind: frameAuth, mechanism: "X", err: errContent}},
		{`<challenge` + xmlns + `>AAAA</challenge>`, frame{kind: frameChallenge, data: []byte{0, 0, 0}}},
		{`<challenge` + xmlns + `/>`, frame{kind: frameChallenge, data: []byte{}}},
		{`<challenge` + xmlns + `>=</challenge>`, frame{kind: frameChallenge, data: []byte{}}},
		{`<challenge` + xmlns + `><x/></challenge>`, frame{kind: frameChallenge, err: errContent}},
		{`<response` + xmlns + `></response>`, frame{kind: frameResponse, data: []byte{}}},
		{`<response` + xmlns + `>AAA</response>`, frame{kind: frameResponse, err: errEncoding}},
		{`<abort` + xmlns + `/>`, frame{kind: frameAbort}},
		{`<success` + xmlns + `/>`, frame{kind: frameSuccess}},
		{`<success` + xmlns + `>=</success>`, frame{kind: frameSuccess, data: []byte{}}},
		{`<success` + xmlns + `>dj0x</success>`, frame{kind: frameSuccess, data: []byte("v=1")}},
		{`<mechanisms` + xmlns + `/>`, frame{kind: frameUnknown}},
		{`<Auth` + xmlns + ` mechanism='PLAIN'/>`, frame{kind: frameUnknown}},
		{`<auth xmlns='jabber:client' mechanism='PLAIN'>AAAA</auth>`, frame{}},
		{`<success xmlns='urn:evil'/>`, frame{}},
	} {
		el := parse(t, c.in)
		c.want.name = el.Name()
		got := parseFrame(el)
		require.Equal(t, c.want, got, c.in)
		require.Equal(t, c.want.data == nil, got.data == nil, c.in)
	}
}

// Before TLS, the server looks at what an element is and no further.
func TestParseKind(t *testing.T) {
	el := parse(t, `<auth`+xmlns+` mechanism='PLAIN'>AGp1bGlldAByMG0zMA==</auth>`)
	require.Equal(t, frame{kind: frameAuth, name: el.Name(), mechanism: "PLAIN"}, parseKind(el))
}

func TestWriteFrame(t *testing.T) {
	for _, c := range []struct {
		in   frame
		want string
	}{
		{frame{kind: frameAuth, mechanism: "X"}, `<auth` + xmlns + ` mechanism='X'/>`},
		{frame{kind: frameAuth, mechanism: "X", data: []byte{}}, `<auth` + xmlns + ` mechanism='X'>=</auth>`},
		{frame{kind: frameAuth, mechanism: "X", data: []byte("n,,")}, `<auth` + xmlns + ` mechanism='X'>biws</auth>`},
		{frame{kind: frameChallenge, data: []byte{}}, `<challenge` + xmlns + `/>`},
		{frame{kind: frameChallenge, data: []byte("n,,")}, `<challenge` + xmlns + `>biws</challenge>`},
		{frame{kind: frameResponse, data: []byte{}}, `<response` + xmlns + `/>`},
		{frame{kind: frameResponse, data: []byte("n,,")}, `<response` + xmlns + `>biws</response>`},
		{frame{kind: frameSuccess}, `<success` + xmlns + `/>`},
		{frame{kind: frameSuccess, data: []byte{}}, `<success` + xmlns + `>=</success>`},
		{frame{kind: frameSuccess, data: []byte("n,,")}, `<success` + xmlns + `>biws</success>`},
		{frame{kind: frameAbort}, `<abort` + xmlns + `/>`},
		{frame{kind: frameFailure, failure: &Failure{Err: &sasl.Error{Condition: sasl.Aborted}}}, `<failure` + xmlns + `><aborted/></failure>`},
		{frame{kind: frameFailure, failure: &Failure{Err: &sasl.Error{}}}, `<failure` + xmlns + `><not-authorized/></failure>`},
		{frame{kind: frameFailure, failure: &Failure{Err: &sasl.Error{Condition: "x y><"}}}, `<failure` + xmlns + `><not-authorized/></failure>`},
		{
			frame{kind: frameFailure, failure: &Failure{Err: &sasl.Error{Condition: sasl.AccountDisabled, Text: "a<\x00\x1b\ufffe\uffff\xff&b", Cause: errContent}}},
			`<failure` + xmlns + `><account-disabled/><text xml:lang='en'>a&lt;&amp;b</text></failure>`,
		},
	} {
		w := stream.NewWriter(nil)
		c.in.write(&w)
		got, err := w.Bytes()
		require.NoError(t, err)
		require.Equal(t, c.want, string(got))
	}
}

func TestParseFailure(t *testing.T) {
	for _, c := range []struct {
		in   string
		want sasl.Condition
		text string
		lang string
	}{
		{`<failure` + xmlns + `><account-disabled/><text xml:lang='de'>Gesperrt</text></failure>`, sasl.AccountDisabled, "Gesperrt", "de"},
		{`<failure` + xmlns + `><text>first</text><text>second</text><aborted/></failure>`, sasl.Aborted, "first", ""},
		// RFC 6120 §6.5: unknown is not-authorized.
		{`<failure` + xmlns + `><bad-auth/></failure>`, sasl.NotAuthorized, "", ""},
		{`<failure` + xmlns + `/>`, sasl.NotAuthorized, "", ""},
		{`<failure` + xmlns + `><aborted xmlns='urn:x'/></failure>`, sasl.NotAuthorized, "", ""},
		{`<failure` + xmlns + `><aborted/><account-disabled/></failure>`, sasl.Aborted, "", ""},
		{`<failure` + xmlns + `><aborted/><text>` + strings.Repeat("ü", 1000) + `</text></failure>`, sasl.Aborted, strings.Repeat("ü", 256), ""},
		{`<failure` + xmlns + `><aborted/><text>x` + strings.Repeat("ü", 1000) + `</text></failure>`, sasl.Aborted, "x" + strings.Repeat("ü", 255), ""},
		{`<failure` + xmlns + `><aborted/><text>` + strings.Repeat("x", 512) + `</text></failure>`, sasl.Aborted, strings.Repeat("x", 512), ""},
	} {
		f := parseFrame(parse(t, c.in)).failure
		require.Equal(t, c.want, f.Err.Condition, c.in)
		require.Equal(t, c.text, f.Err.Text)
		require.Equal(t, c.lang, f.Lang)
		require.Equal(t, c.in, string(f.Raw))
		require.ErrorIs(t, f, c.want)
		require.LessOrEqual(t, len(f.Error()), 4<<10)
	}
}

// An error text is safe to print (RFC 6120 §6.5: the text is for humans, and it comes from the
// wire).
func TestFailureTextIsQuoted(t *testing.T) {
	f := parseFrame(parse(t, `<failure`+xmlns+`><not-authorized/><text>a&#13;&#10;b`+"\u202e"+`</text></failure>`)).failure
	require.NotContains(t, f.Error(), "\n")
	require.NotContains(t, f.Error(), "\r")
	require.NotContains(t, f.Error(), "\u202e")
}
