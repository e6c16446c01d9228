package stream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const clientHeader = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='` + NSStream + `' to='a.example'>`

func defaultLimits(t testing.TB) Limits {
	lim, err := (*Limits)(nil).withDefaults()
	require.NoError(t, err)
	return lim
}

// describeElement renders everything an element has.
func describeElement(e *Element) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q [", e.Name(), e.Prefix())
	for a := range e.Attrs() {
		fmt.Fprintf(&b, " %s=%q", a.Name, a.Value)
	}
	fmt.Fprintf(&b, " ] %s", e.Raw())
	return b.String()
}

// items reads a stream that comes in pieces of the given sizes, the last one
// for ever. White space items are left out. At the end of the input without an
// error, the error is errNeedMore.
func items(s *scanner, in string, sizes ...int) ([]string, error) {
	var out []string
	for {
		kind, el, err := s.next()
		switch {
		case err == nil:
			switch kind {
			case itemHeader:
				out = append(out, "header "+describeElement(el))
			case itemElement:
				out = append(out, "element "+describeElement(el))
			case itemEnd:
				out = append(out, "end")
			}
		case err != errNeedMore || len(in) == 0:
			return out, err
		default:
			n := len(in)
			if len(sizes) > 0 {
				n = min(n, sizes[0])
			}
			copy(s.space(n), in[:n])
			s.filled(n)
			in = in[n:]
			if len(sizes) > 1 {
				sizes = sizes[1:]
			}
		}
	}
}

// itemsSliced checks that items are the same however the input is cut.
func itemsSliced(t testing.TB, lim Limits, framed bool, in string) ([]string, error) {
	t.Helper()
	read := func(sizes ...int) ([]string, error) {
		var s scanner
		s.init(lim, framed)
		return items(&s, in, sizes...)
	}
	want, wantErr := read()
	check := func(sizes ...int) {
		got, err := read(sizes...)
		require.Equal(t, want, got, "pieces %v", sizes)
		require.Equal(t, wantErr, err, "pieces %v", sizes)
	}
	check(1)
	check(3)
	if len(in) < 3000 {
		for i := 1; i < len(in); i++ {
			check(i, len(in))
		}
	}
	return want, wantErr
}

func TestScanner(t *testing.T) {
	in := clientHeader +
		" \n<message to='b@a.example' id='1&amp;2'><body>hi &lt;there&gt;</body></message>" +
		"\t<iq type='get' id='x'/>\r\n" +
		"<p:x xmlns:p='u' p:a='1\n2'><p:y/></p:x >" +
		"<stream:features/> </stream:stream>\n<ignored"
	got, err := itemsSliced(t, defaultLimits(t), false, in)
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, []string{
		`header {http://etherx.jabber.org/streams}stream "stream" [ to="a.example" ] ` + strings.TrimPrefix(clientHeader, "<?xml version='1.0'?>"),
		`element {jabber:client}message "" [ to="b@a.example" id="1&2" ] <message to='b@a.example' id='1&amp;2'><body>hi &lt;there&gt;</body></message>`,
		`element {jabber:client}iq "" [ type="get" id="x" ] <iq type='get' id='x'/>`,
		"element {u}x \"p\" [ {u}a=\"1 2\" ] <p:x xmlns:p='u' p:a='1\n2'><p:y/></p:x >",
		`element {http://etherx.jabber.org/streams}features "stream" [ ] <stream:features/>`,
		"end",
	}, got)
}

// RFC 7395 §3.3.3: every frame is a document of its own.
func TestScannerFramed(t *testing.T) {
	in := "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a'/>" +
		"<?xml version='1.0'?><message xmlns='jabber:client'><body/></message>\n<p:x xmlns:p='u'/><bare/>"
	got, err := itemsSliced(t, defaultLimits(t), true, in)
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, []string{
		`element {urn:ietf:params:xml:ns:xmpp-framing}open "" [ to="a" ] <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a'/>`,
		`element {jabber:client}message "" [ ] <message xmlns='jabber:client'><body/></message>`,
		`element {u}x "p" [ ] <p:x xmlns:p='u'/>`,
		`element bare "" [ ] <bare/>`,
	}, got)

	_, err = itemsSliced(t, defaultLimits(t), true, "<p:x xmlns:p='u'/><p:x/>")
	require.ErrorIs(t, err, NotWellFormed, "a prefix of another frame")
	_, err = itemsSliced(t, defaultLimits(t), true, "x")
	require.ErrorIs(t, err, NotWellFormed)
	_, err = itemsSliced(t, defaultLimits(t), true, "<a/></a>")
	require.ErrorIs(t, err, NotWellFormed)
}

// RFC 6120 §11.7, §4.9.3.1, §4.9.3.18
func TestScannerBetween(t *testing.T) {
	for in, want := range map[string]Condition{
		"hello<message/>":         BadFormat,
		"\u00a0<message/>":        BadFormat,
		"\ufeff":                  BadFormat,
		"<![CDATA[ ]]><message/>": BadFormat,
		"&#32;<message/>":         BadFormat,
		"]]>":                     BadFormat,
		"\x01":                    NotWellFormed,
		"\xff":                    UnsupportedEncoding,
		"<!-- x -->":              RestrictedXML,
		"<!DOCTYPE x>":            RestrictedXML,
		"<?x y?>":                 RestrictedXML,
		"<?xml version='1.0'?>":   RestrictedXML,
		"<![INCLUDE[":             RestrictedXML,
		"</stream>":               NotWellFormed,
		"<1/>":                    NotWellFormed,
	} {
		_, err := itemsSliced(t, defaultLimits(t), false, clientHeader+" <presence/> "+in)
		require.Equal(t, want, condition(err), "%q: %v", in, err)
	}
}

// RFC 6120 §4.3.3, §11.5: a restarted stream is a new document.
func TestScannerRestart(t *testing.T) {
	var s scanner
	s.init(defaultLimits(t), false)
	_, err := items(&s, clientHeader+"<x:y xmlns:x='u'/>")
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, NSClient, s.defaultNS())
	s.restart()
	require.Empty(t, s.defaultNS())
	require.Zero(t, s.buffered())
	got, err := items(&s, strings.Replace(clientHeader, "jabber:client", "jabber:server", 1)+"<a/>", 1)
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 2)
	require.Equal(t, NSServer, s.defaultNS())
	_, err = items(&s, "<a xmlns='u'><b")
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, NSServer, s.defaultNS(), "not that of an element")

	// What was not read is kept.
	s.init(defaultLimits(t), false)
	in := clientHeader + "<a/>" + clientHeader
	copy(s.space(len(in)), in)
	s.filled(len(in))
	_, _, err = s.next()
	require.NoError(t, err)
	kind, _, err := s.next()
	require.NoError(t, err)
	require.Equal(t, itemElement, kind)
	require.Equal(t, len(clientHeader), s.buffered())
	s.restart()
	require.Equal(t, len(clientHeader), s.buffered())
	kind, _, err = s.next()
	require.NoError(t, err)
	require.Equal(t, itemHeader, kind)
}

// Limits change with the next item, not within one.
func TestScannerSetLimits(t *testing.T) {
	var s scanner
	small := defaultLimits(t).preAuth()
	s.init(small, false)
	big := "<m>" + strings.Repeat("x", small.ElementBytes) + "</m>"
	got, err := items(&s, clientHeader+"<a/>")
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 2)
	s.setLimits(defaultLimits(t))
	got, err = items(&s, big)
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 1)
	s.setLimits(small)
	_, err = items(&s, big)
	require.ErrorIs(t, err, PolicyViolation)
}

// An idle scanner holds no buffer.
func TestScannerRelease(t *testing.T) {
	var s scanner
	s.init(defaultLimits(t), false)
	require.False(t, s.pending())
	_, err := items(&s, clientHeader+"<a>x</a> ")
	require.ErrorIs(t, err, errNeedMore)
	require.False(t, s.pending())
	require.NotZero(t, cap(s.c.t.buf))
	s.release()
	require.Zero(t, cap(s.c.t.buf))

	_, err = items(&s, "<a><b")
	require.ErrorIs(t, err, errNeedMore)
	require.True(t, s.pending())
	s.release()
	require.NotZero(t, cap(s.c.t.buf), "in the middle of an element")
	got, err := items(&s, "/></a>")
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, []string{`element {jabber:client}a "" [ ] <a><b/></a>`}, got)
	s.release()
	require.Zero(t, cap(s.c.t.buf))

	// Nor much of anything else after an unusual element.
	got, err = items(&s, "<a"+manyAttributes(60)+" xmlns:p='u' b='"+strings.Repeat("&amp;", 20_000)+"'>"+strings.Repeat("<a>", 50)+strings.Repeat("</a>", 51))
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 1)
	s.release()
	require.LessOrEqual(t, cap(s.c.t.attrs)+cap(s.c.el.attrs)+cap(s.c.t.frames)+cap(s.c.t.bindings), 80)
	require.LessOrEqual(t, cap(s.c.values)+cap(s.c.t.scratch), 2*keptScratch)

	// White space only is not the beginning of an item.
	_, err = items(&s, " \n")
	require.ErrorIs(t, err, errNeedMore)
	require.False(t, s.pending())
}

// A stream end that comes with more does not make the buffer grow.
func TestScannerAfterEnd(t *testing.T) {
	var s scanner
	s.init(defaultLimits(t), false)
	got, err := items(&s, clientHeader+"</stream:stream>")
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 2)
	for range 1000 {
		got, err = items(&s, strings.Repeat("<x>", 1000))
		require.ErrorIs(t, err, errNeedMore)
		require.Empty(t, got)
		require.False(t, s.pending())
	}
	require.Less(t, cap(s.c.t.buf), 64<<10)
}

// Attributes are views of the buffer while the element is read; they have to
// survive that the buffer moves.
func TestScannerMovingBuffer(t *testing.T) {
	for _, size := range []int{1, 5, 100, 4096} {
		var s scanner
		s.init(defaultLimits(t), false)
		long := strings.Repeat("0123456789abcdef", 2000)
		var in strings.Builder
		in.WriteString(clientHeader)
		var want []string
		for i := range 5 {
			el := fmt.Sprintf("<m a='%d' b='x&amp;%d' c='%s'>%s<n d='%s'/></m>", i, i, long[:i*100], long, long[:50])
			in.WriteString(el)
			want = append(want, fmt.Sprintf(`element {jabber:client}m "" [ a="%d" b="x&%d" c="%s" ] %s`, i, i, long[:i*100], el))
		}
		got, err := items(&s, in.String(), size)
		require.ErrorIs(t, err, errNeedMore)
		require.Equal(t, want, got[1:])
	}
}
