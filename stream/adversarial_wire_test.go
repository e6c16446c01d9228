package stream_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// What a peer must not send, as it looks on the wire: the stream error, the
// closing tag, the end of the connection, on both sides of a stream. What the
// tokenizer makes of the same input, byte by byte, is in the tests inside the
// package.
var wireRows = []struct {
	id     string
	inputs []string // inside an established stream
	want   []stream.Condition
}{
	{"X03", []string{"<!-- x -->", "<message><!-- x --></message>", "<message a='1'<!-- -->/>"}, xml},
	{"X04", []string{"<?pi x?>", "<message><?pi x?></message>", "<?XML version='1.0'?>", " <?xml-stylesheet x?>"}, xml},
	{"X05", []string{"<?xml version='1.0'?>", " <?xml version='1.0'?><message/>"}, xml},
	{"X08", []string{"<message>&foo;</message>", "<message>&amp</message>", "<message>&#X41;</message>", "<message>&#xD800;</message>", "<message a='&lol;'/>"}, nwf},
	{"X13", []string{"<message to='a@x' to='b@x'/>"}, nwf},
	{"X14", []string{"<message xmlns:a='u' xmlns:b='u' a:k='1' b:k='2'/>"}, nwf},
	{"X15", []string{"<foo:message/>", "<message foo:to='x'/>"}, nwf},
	{"X17", []string{"<a:b:c xmlns:a='u'/>", "<:x/>", "<x:/>", "<message :a='1'/>"}, nwf},
	{"X18", []string{"<x a='1'b='2'/>", "<x a=1/>", "<x a/>", "<x></x a='1'>", "<p:x xmlns:p='u' xmlns:q='u'></q:x>", "<message></presence>"}, nwf},
	{"X19", []string{"<message a='<'/>", "<message>]]></message>", "<!-- a -- b -->"}, xml},
	{"X21", []string{"hello<message/>", "\u00a0", "<![CDATA[ ]]>", "&#32;"}, append([]stream.Condition{stream.BadFormat}, nwf...)},
	{"X06", []string{"<message>\xff</message>", "<message>\xc0\xaf</message>", "<message>\xed\xa0\x80</message>", "\xfe\xff"}, encoding},
	{"L03", []string{
		"<message to='" + strings.Repeat("x", 300_000), "<" + strings.Repeat("x", 300_000),
		"<" + strings.Repeat("p", 300_000) + ":x/>", "<message xmlns:p='" + strings.Repeat("u", 300_000),
	}, limit},
	{"L04", []string{strings.Repeat("<a>", 10_000)}, limit},
	{"L05", []string{"<message" + attributes("a%d='1' ", 10_000) + "/>", "<message" + attributes("xmlns:n%d='u%[1]d' ", 10_000) + "/>"}, limit},
}

var (
	nwf      = []stream.Condition{stream.NotWellFormed}
	xml      = []stream.Condition{stream.RestrictedXML, stream.NotWellFormed}
	encoding = []stream.Condition{stream.UnsupportedEncoding, stream.NotWellFormed, stream.BadFormat}
	limit    = []stream.Condition{stream.PolicyViolation}
)

func attributes(format string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte(' ')
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// refusedWith asserts that a stream ended in one of the conditions, that the
// peer was told, and that the connection was closed after that.
func refusedWith(want []stream.Condition) func(*testing.T, string, error) {
	return func(t *testing.T, wire string, err error) {
		t.Helper()
		for _, c := range want {
			if errors.Is(err, c) {
				wantErrorWithText(t, wire, c)
				return
			}
		}
		require.Fail(t, "unexpected outcome", "%v, wanted one of %v", err, want)
	}
}

// wireTests returns the tests of the tables here, by row.
func wireTests() map[string][]func(*testing.T) {
	tests := map[string][]func(*testing.T){"X07": {adversarialX07}}
	for _, row := range wireRows {
		tests[row.id] = append(tests[row.id], func(t *testing.T) {
			for i, input := range row.inputs {
				t.Run(fmt.Sprint("inside ", i), func(t *testing.T) { overSession(t, input, refusedWith(row.want)) })
			}
		})
	}
	for _, row := range headerRows {
		tests[row.id] = append(tests[row.id], func(t *testing.T) {
			for i, input := range row.inputs {
				t.Run(fmt.Sprint("header ", i), func(t *testing.T) { insteadOfAHeader(t, input, row.want) })
			}
		})
	}
	return tests
}

const laughs = `<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol9 "&lol;&lol;&lol;">]>`

// The same before there is a stream.
var headerRows = []struct {
	id     string
	inputs []string
	want   []stream.Condition
}{
	{"X01", []string{laughs + "<stream:stream to='&lol9;'>"}, xml},
	{"X02", []string{`<!DOCTYPE x SYSTEM 'http://127.0.0.1:9/'>`, `<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]>`}, xml},
	{"X03", []string{"<!-- x -->" + clientHeader}, xml},
	{"X05", []string{" <?xml version='1.0'?>" + clientHeader, "<?xml version='1.0'?><?xml version='1.0'?>" + clientHeader}, xml},
	{"X06", []string{
		"<?xml version='1.1'?>" + clientHeader, "<?xml version='1.0' encoding='ISO-8859-1'?>" + clientHeader,
		"\xff\xfe<\x00?\x00x\x00m\x00l\x00", "\x00<\x00?\x00x\x00m\x00l", "<\x00?\x00x\x00m\x00l\x00",
	}, encoding},
}

// insteadOfAHeader sends input where a header is expected. A server still sends
// its own before the error (RFC 6120 §4.9.1.2).
func insteadOfAHeader(t *testing.T, input string, want []stream.Condition) {
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare})
			p.say(t, input)
			err := <-errs
			p.Close()
			wire := p.all(t)
			require.True(t, strings.HasPrefix(wire, "<?xml version='1.0'?><stream:stream "), wire)
			refusedWith(want)(t, wire, err)
		})
	})
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
			p.say(t, strings.ReplaceAll(input, clientHeader, serverHeader))
			err := <-errs
			p.Close()
			refusedWith(want)(t, p.all(t), err)
		})
	})
}

// X07: standalone says nothing that matters here, and is let pass on both sides.
func adversarialX07(t *testing.T) {
	const declaration = "<?xml version='1.0' standalone='no'?>"
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare})
			p.say(t, declaration+clientHeader+"</stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			p.all(t)
		})
	})
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
			p.say(t, declaration+serverHeader+"<stream:features/></stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			p.all(t)
		})
	})
}
