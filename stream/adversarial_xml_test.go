package stream

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var _ = attack(
	adversarialRow{"X01", "tokenizer", attackEntities},
	adversarialRow{"X02", "tokenizer", attackExternalDTD},
	adversarialRow{"X03", "tokenizer", attackComments},
	adversarialRow{"X04", "tokenizer", attackInstructions},
	adversarialRow{"X05", "tokenizer", attackDeclarations},
	adversarialRow{"X06", "tokenizer", attackEncodings},
	adversarialRow{"X07", "tokenizer", attackStandalone},
	adversarialRow{"X08", "tokenizer", attackReferences},
	adversarialRow{"X11", "tokenizer", attackSlices},
	adversarialRow{"X13", "tokenizer", refused(NotWellFormed, "<message to='a@x' to='b@x'/>")},
	adversarialRow{"X14", "tokenizer", refused(NotWellFormed, "<x xmlns:a='u' xmlns:b='u' a:k='1' b:k='2'/>")},
	adversarialRow{"X15", "tokenizer", refused(NotWellFormed, "<foo:message/>", "<message foo:to='x'/>", "<message><foo:x/></message>")},
	adversarialRow{"X17", "tokenizer", refused(NotWellFormed, "<a:b:c xmlns:a='u'/>", "<:x/>", "<x:/>", "<x :a='1'/>")},
	adversarialRow{"X18", "tokenizer", refused(NotWellFormed, "<x a='1'b='2'/>", "<x a=1/>", "<x a/>", "<x a b'1'/>", "<x></x a='1'>",
		"<p:x xmlns:p='u' xmlns:q='u'></q:x>", "<p:x xmlns:p='u'></x>", "<x xmlns:p='u'></p:x>")},
	adversarialRow{"X19", "tokenizer", refused(NotWellFormed, "<x a='<'/>", "<x>]]></x>", "<x a='&lt;<'/>")},
	adversarialRow{"X19", "double hyphen", refused(RestrictedXML, "<x><!-- a -- b --></x>")},
	adversarialRow{"X21", "scanner", attackBetween},
	adversarialRow{"X28", "element", attackHeaderPrefix},
	adversarialRow{"X31", "element", attackCDATA},
	adversarialRow{"X32", "tokenizer", attackReferenceFlood},
	adversarialRow{"X33", "writer", attackWriter},
	adversarialRow{"X34", "round trip", attackRoundTrip},
	adversarialRow{"X35", "scanner", attackSlowElement},
	adversarialRow{"X38", "legacy reader", TestLegacyReaderErrors},
	adversarialRow{"L01", "scanner", attackSize},
	adversarialRow{"L03", "scanner", attackLongParts},
	adversarialRow{"L04", "scanner", attackDepth},
	adversarialRow{"L04", "unmarshal", attackDecodeDepth},
	adversarialRow{"L05", "scanner", attackFloods},
)

// readStream reads one first-level element, or two, of a stream. It reports how
// many elements came out whole, the memory that was taken, and the error; it
// does not hang.
func readStream(t *testing.T, lim *Limits, in string, size int) (elements int, memory uint64, err error) {
	t.Helper()
	l, err := lim.withDefaults()
	require.NoError(t, err)
	type result struct {
		err      error
		elements int
		memory   uint64
	}
	done := make(chan result, 1)
	go func() { // ends by itself, or the test fails
		var before, after runtime.MemStats
		var r result
		runtime.ReadMemStats(&before)
		var s scanner
		s.init(l, false)
		for rest := in; ; {
			kind, _, err := s.next()
			if err == nil {
				if kind == itemElement {
					r.elements++
				}
				continue
			}
			if err != errNeedMore || rest == "" {
				r.err = err
				break
			}
			n := min(size, len(rest))
			copy(s.space(n), rest[:n])
			s.filled(n)
			rest = rest[n:]
		}
		runtime.ReadMemStats(&after)
		r.memory = after.TotalAlloc - before.TotalAlloc
		done <- r
	}()
	select {
	case r := <-done:
		return r.elements, r.memory, r.err
	case <-time.After(30 * time.Second):
		t.Fatal("hangs")
		return 0, 0, nil
	}
}

// refused returns a row: each element is refused wherever it stands.
func refused(want Condition, elements ...string) func(*testing.T) {
	return func(t *testing.T) {
		for _, el := range elements {
			_, err := requireSliced(t, nil, "<root>"+el+"</root>")
			require.Equal(t, want, condition(err), "%s: %v", el, err)
			_, err = requireSliced(t, nil, el)
			require.Equal(t, want, condition(err), "%s: %v", el, err)
			got, err := itemsSliced(t, defaultLimits(t), false, clientHeader+el)
			require.Equal(t, want, condition(err), "%s: %v", el, err)
			require.Len(t, got, 1, "only the header")
			_, err = ParseElement([]byte(el), nil)
			require.Equal(t, want, condition(err), "%s: %v", el, err)
		}
	}
}

// refusedDocument checks a whole document.
func refusedDocument(t *testing.T, want Condition, in string) {
	t.Helper()
	_, err := requireSliced(t, nil, in)
	require.Equal(t, want, condition(err), "%.100q: %v", in, err)
	_, err = itemsSliced(t, defaultLimits(t), false, in)
	require.Equal(t, want, condition(err), "%.100q: %v", in, err)
}

func attackEntities(t *testing.T) {
	var b strings.Builder
	b.WriteString("<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol0 'lol'>")
	for i := range 9 {
		fmt.Fprintf(&b, "<!ENTITY lol%d '%s'>", i+1, strings.Repeat(fmt.Sprintf("&lol%d;", i), 10))
	}
	b.WriteString("]><stream:stream xmlns:stream='" + NSStream + "' to='&lol9;'>")
	refusedDocument(t, RestrictedXML, b.String())
	_, memory, err := readStream(t, nil, b.String(), 4096)
	require.ErrorIs(t, err, RestrictedXML)
	require.Less(t, memory, uint64(64<<10))
	// Without the document type declaration there is no such entity.
	refusedDocument(t, NotWellFormed, "<stream:stream xmlns:stream='"+NSStream+"' to='&lol9;'>")
}

func attackExternalDTD(t *testing.T) {
	// Nothing in this package opens files or sockets; the declaration is
	// refused at its third byte.
	for _, in := range []string{
		"<!DOCTYPE x SYSTEM 'http://127.0.0.1:9/'><x/>",
		"<!DOCTYPE x PUBLIC '-//x' 'file:///etc/passwd'><x/>",
		"<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/'>%p;]><x/>",
		"<!D",
	} {
		refusedDocument(t, RestrictedXML, in)
	}
	refused(RestrictedXML, "<x><!DOCTYPE x SYSTEM 'http://127.0.0.1:9/'></x>", "<!ENTITY % p SYSTEM 'x'>")(t)
}

func attackComments(t *testing.T) {
	refused(RestrictedXML, "<!-- x -->", "<message><!-- x --><body/></message>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><!---->AGE=</auth>", "<auth>AG<!-- x -->E=</auth>")(t)
}

func attackInstructions(t *testing.T) {
	refused(RestrictedXML, "<?pi x?>", "<message><?pi x?></message>", "<message>x<?pi?></message>", "<?XML?>", "<?XML version='1.0'?>", "<? ?>")(t)
	for _, in := range []string{"<?pi x?><a/>", "<?XML version='1.0'?><a/>", "<?xml-x?><a/>", "<a/><?pi?>"} {
		_, err := requireSliced(t, nil, in)
		require.Equal(t, RestrictedXML, condition(err), in)
	}
}

func attackDeclarations(t *testing.T) {
	refused(RestrictedXML, "<message><?xml version='1.0'?></message>")(t)
	refusedDocument(t, RestrictedXML, " <?xml version='1.0'?><a/>")
	refusedDocument(t, RestrictedXML, clientHeader+"<?xml version='1.0'?>")
	refusedDocument(t, RestrictedXML, "<?xml version='1.0'?>"+clientHeader)
	// One before the header of a restarted stream is legal.
	var s scanner
	s.init(defaultLimits(t), false)
	for range 3 {
		got, err := items(&s, clientHeader+"<a/>", 1)
		require.ErrorIs(t, err, errNeedMore)
		require.Len(t, got, 2)
		s.restart()
	}
}

func attackEncodings(t *testing.T) {
	refusedDocument(t, NotWellFormed, "<?xml version='1.1'?><a>")
	for _, label := range []string{"ISO-8859-1", "UTF-16", "US-ASCII", "UTF-7", "x"} {
		refusedDocument(t, UnsupportedEncoding, "<?xml version='1.0' encoding='"+label+"'?><a>")
	}
	for _, bom := range []bool{false, true} {
		for _, big := range []bool{false, true} {
			var b []byte
			text := "<?xml version='1.0' encoding='UTF-16'?><a/>"
			if bom {
				text = "\uFEFF" + text
			}
			for _, r := range text {
				if big {
					b = append(b, byte(r>>8), byte(r))
				} else {
					b = append(b, byte(r), byte(r>>8))
				}
			}
			refusedDocument(t, UnsupportedEncoding, string(b))
		}
	}
	refusedDocument(t, NotWellFormed, "\uFEFF<?xml version='1.0'?><a>")
}

func attackStandalone(t *testing.T) {
	// Ignored, in streams and in frames alike.
	for _, framed := range []bool{false, true} {
		for _, v := range []string{"yes", "no"} {
			got, err := itemsSliced(t, defaultLimits(t), framed, "<?xml version='1.0' standalone='"+v+"'?><a></a>")
			require.ErrorIs(t, err, errNeedMore)
			require.NotEmpty(t, got)
		}
	}
}

func attackReferences(t *testing.T) {
	refused(NotWellFormed, "<x>&foo;</x>", "<x>&amp</x>", "<x>&#X41;</x>", "<x a='&foo;'/>", "<x a='&amp'/>", "<x a='&#X41;'/>",
		"<x>&#xD800;</x>", "<x>&#0;</x>", "<x>&#xFFFE;</x>")(t)
}

func attackSlices(t *testing.T) {
	in := clientHeader + " <message to='a&amp;b' xml:lang='de'\n id = \"1\"><body>Gr\u00fc\u00dfe \U0001F600 &lt;&#x1F600;\r\n<![CDATA[]]]]><![CDATA[>]]></body>" +
		"<p:x xmlns:p='urn:x' p:y='z'/></message> <\u00e9l/></stream:stream>\n"
	got, err := requireSliced(t, nil, in)
	require.NoError(t, err)
	require.Len(t, got, 14)
	got, err = itemsSliced(t, defaultLimits(t), false, in)
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 4)
}

func attackBetween(t *testing.T) {
	for _, in := range []string{"hello<message/>", "\u00a0<message/>", "<![CDATA[ ]]><message/>", "&#x20;<message/>", "\ufeff<message/>", "\u2028"} {
		got, err := itemsSliced(t, defaultLimits(t), false, clientHeader+in)
		require.Equal(t, BadFormat, condition(err), in)
		require.Len(t, got, 1)
		got, err = itemsSliced(t, defaultLimits(t), false, clientHeader+"<presence/>"+in)
		require.Equal(t, BadFormat, condition(err), in)
		require.Len(t, got, 2)
	}
	got, err := itemsSliced(t, defaultLimits(t), false, clientHeader+" \t\r\n<presence/>\n\n<presence/> ")
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 3)
}

func attackHeaderPrefix(t *testing.T) {
	e := elementIn(t, "xmlns='jabber:client' xmlns:evil='urn:evil' xmlns:db='urn:other'", "<message evil:a='1'><evil:x><db:y/></evil:x></message>")
	want := []string{`<{jabber:client}message {urn:evil}a="1">`, "<{urn:evil}x>", "<{urn:other}y>", "</{urn:other}y>", "</{urn:evil}x>", "</{jabber:client}message>"}
	require.Equal(t, want, elementTokens(e))
	out, err := e.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, want, elementTokens(parse(t, string(out))))
	// On the other stream the prefix stands for something else.
	out, err = e.AppendRewritten(nil, NSServer)
	require.NoError(t, err)
	routed := elementIn(t, "xmlns='jabber:server' xmlns:evil='urn:good' xmlns:db='jabber:server:dialback'", string(out))
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], NSClient, NSServer)
	}
	require.Equal(t, want, elementTokens(routed))
}

func attackCDATA(t *testing.T) {
	e := parse(t, "<message><body><![CDATA[</body><iq type='set'/>]]></body></message>")
	body, ok := e.Child(Name{Local: "body"})
	require.True(t, ok)
	require.Empty(t, slices.Collect(body.Children()))
	require.Equal(t, "</body><iq type='set'/>", body.Text())
	require.Equal(t, []string{"<message>", "<body>", `"</body><iq type='set'/>"`, "</body>", "</message>"}, elementTokens(e))
	var w Writer
	w.Start(Name{Local: "body"})
	w.Text(body.Text())
	w.End()
	out, err := w.Bytes()
	require.NoError(t, err)
	require.Equal(t, "<body>&lt;/body&gt;&lt;iq type='set'/&gt;</body>", string(out))
}

func attackReferenceFlood(t *testing.T) {
	flood := "<body>" + strings.Repeat("&amp;", 1<<20/5) + "</body>"
	elements, memory, err := readStream(t, nil, clientHeader+"<message>"+flood+"</message>", 4096)
	require.ErrorIs(t, err, PolicyViolation)
	require.Zero(t, elements)
	require.Less(t, memory, uint64(16*defaultLimits(t).ElementBytes))
	// With room for it, the text comes in one piece, smaller than it was.
	e, err := ParseElement([]byte(flood), &Limits{ElementBytes: 2 << 20})
	require.NoError(t, err)
	n := 0
	for tok := range e.Tokens() {
		if tok.Kind == Text {
			n++
			require.Len(t, tok.Text, 1<<20/5)
		}
	}
	require.Equal(t, 1, n)
	require.Len(t, e.Text(), 1<<20/5)
	// No reference is longer than what it stands for.
	for r := rune(1); r <= 0x10FFFF; r += 0xFF {
		if isChar(r) {
			require.LessOrEqual(t, len(string(r)), len(fmt.Sprintf("&#%d;", r)))
		}
	}
}

func attackWriter(t *testing.T) {
	TestWriterErrors(t)
	var w Writer
	w.Start(Name{Local: "a"})
	w.Attr("b", "\n\t\r")
	w.Text("]]><!-- --><?pi?><!DOCTYPE x>")
	w.End()
	out, err := w.Bytes()
	require.NoError(t, err)
	require.Equal(t, "<a b='&#xA;&#x9;&#xD;'>]]&gt;&lt;!-- --&gt;&lt;?pi?&gt;&lt;!DOCTYPE x&gt;</a>", string(out))
	require.Equal(t, []string{`<a b="\n\t\r">`, `"]]><!-- --><?pi?><!DOCTYPE x>"`, "</a>"}, elementTokens(parse(t, string(out))))
}

func attackRoundTrip(t *testing.T) {
	for _, in := range roundTripSeeds {
		checkRoundTrip(t, in)
	}
}

func attackSlowElement(t *testing.T) {
	var s scanner
	s.init(defaultLimits(t), false)
	got, err := items(&s, clientHeader+"<message><body>hi")
	require.ErrorIs(t, err, errNeedMore)
	require.Len(t, got, 1, "only the header")
	require.True(t, s.pending())
	for _, piece := range []string{"", " ", "there</bo", "dy>", "</message"} {
		got, err = items(&s, piece)
		require.ErrorIs(t, err, errNeedMore)
		require.Empty(t, got)
	}
	got, err = items(&s, ">")
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, []string{`element {jabber:client}message "" [ ] <message><body>hi there</body></message>`}, got)
}

func attackSize(t *testing.T) {
	lim := Limits{ElementBytes: 10_000}
	for _, pad := range []func(n int) string{
		func(n int) string { return "<m>" + strings.Repeat("x", n-7) + "</m>" },
		func(n int) string { return "<m a='" + strings.Repeat("x", n-9) + "'/>" },
		func(n int) string { return "<m" + strings.Repeat(" ", n-4) + "/>" },
		func(n int) string { return "<m></m" + strings.Repeat(" ", n-7) + ">" },
		func(n int) string {
			return "<m>" + strings.Repeat("<b/>", (n-7)/4) + strings.Repeat("x", (n-7)%4) + "</m>"
		},
		func(n int) string { return "<m><![CDATA[" + strings.Repeat("x", n-19) + "]]></m>" },
	} {
		for _, size := range []int{1, 1000, 1 << 20} {
			at := pad(lim.ElementBytes)
			require.Len(t, at, lim.ElementBytes)
			limits := lim
			limits.Elements = 10_000
			elements, _, err := readStream(t, &limits, clientHeader+at+" "+at, size)
			require.ErrorIs(t, err, errNeedMore, "%.20s", at)
			require.Equal(t, 2, elements)
			elements, memory, err := readStream(t, &limits, clientHeader+at+pad(lim.ElementBytes+1), size)
			require.ErrorIs(t, err, PolicyViolation, "%.20s", at)
			require.Equal(t, 1, elements)
			if size < 1<<20 { // else the reader chose to take that much at once
				require.LessOrEqual(t, memory, uint64(16*lim.ElementBytes), "%.20s", at)
			}
		}
	}
	// The header has the same limit, and white space does not count.
	_, _, err := readStream(t, &lim, "<stream:stream a='"+strings.Repeat("x", 20_000), 1000)
	require.ErrorIs(t, err, PolicyViolation)
	_, _, err = readStream(t, &lim, strings.Repeat(" ", 20_000)+"<a>", 1000)
	require.ErrorIs(t, err, PolicyViolation)
	elements, _, err := readStream(t, &lim, clientHeader+strings.Repeat(" ", 50_000)+"<a/>", 1000)
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, 1, elements)
	// What lies beyond the limit does not matter.
	_, err = itemsSliced(t, Limits{ElementBytes: 50, Depth: 9, Attributes: 9, Namespaces: 9, Elements: 9}, false, "<s><m>"+strings.Repeat("x", 60)+"\x01")
	require.ErrorIs(t, err, PolicyViolation)
}

// flood is how much of something is too much. A tenth is, too, and is enough for
// tests that are in a hurry.
func flood(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func attackLongParts(t *testing.T) {
	size := flood(10 << 20)
	long := strings.Repeat("x", size)
	limit := uint64(defaultLimits(t).ElementBytes)
	for _, in := range []string{"<m a='" + long, "<m a='1' " + long, "<" + long, "</" + long, "<" + long + ":m", "<m xmlns='" + long, "<m xmlns:" + long,
		"<m xmlns:p='" + long, "<m>" + long, "<m><![CDATA[" + long, "<m a" + strings.Repeat(" ", size), "<m>&#" + strings.Repeat("0", size), "<m " + strings.Repeat("a", size)} {
		_, memory, err := readStream(t, nil, clientHeader+in, 4096)
		if strings.HasPrefix(in, "</") {
			require.ErrorIs(t, err, NotWellFormed, "%.20s", in)
		} else {
			require.ErrorIs(t, err, PolicyViolation, "%.20s", in)
		}
		require.LessOrEqual(t, memory, 16*limit, "%.20s", in)
	}
	// Names have a limit of their own.
	for _, in := range []string{"<%s/>", "<m %s=''/>", "<m xmlns='%s'/>", "<m xmlns:%s='u'/>", "<m xmlns:p='%s'/>"} {
		_, err := requireSliced(t, nil, fmt.Sprintf(in, long[:longestName-6]))
		require.NoError(t, err, in)
		_, err = requireSliced(t, nil, fmt.Sprintf(in, long[:longestName+1]))
		require.ErrorIs(t, err, PolicyViolation, in)
	}
}

func attackDepth(t *testing.T) {
	lim := defaultLimits(t)
	at := strings.Repeat("<a>", lim.Depth) + strings.Repeat("</a>", lim.Depth)
	elements, _, err := readStream(t, nil, clientHeader+at, 4096)
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, 1, elements)
	for _, depth := range []int{lim.Depth + 1, 10_000, 1_000_000} {
		in := clientHeader + strings.Repeat("<a>", depth)
		_, memory, err := readStream(t, nil, in, 4096)
		require.ErrorIs(t, err, PolicyViolation)
		require.Less(t, memory, uint64(256<<10))
		_, err = tokens(t, nil, []byte(in))
		require.ErrorIs(t, err, PolicyViolation)
		_, err = ParseElement([]byte(strings.Repeat("<a>", depth)), nil)
		require.ErrorIs(t, err, PolicyViolation)
	}
}

// nest is a type for which encoding/xml recurses as deep as the input does.
type nest struct {
	A   *nest  `xml:"a"`
	Any []nest `xml:",any"`
}

func attackDecodeDepth(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20)) // the process dies beyond
	for _, depth := range []int{decodeDepth + 1, 10_000, flood(1_000_000)} {
		for _, name := range []string{"a", "b"} {
			in := strings.Repeat("<"+name+">", depth) + strings.Repeat("</"+name+">", depth)
			e, err := ParseElement([]byte(in), &Limits{ElementBytes: 1 << 24, Depth: 2 << 20, Elements: 2 << 20})
			require.NoError(t, err)
			require.ErrorIs(t, e.Unmarshal(new(nest)), ErrDepth)
			// Nothing of ours recurses.
			require.Empty(t, e.Text())
			_, err = e.Clone().AppendXML(nil)
			require.NoError(t, err)
			_, err = e.AppendRewritten(nil, NSClient)
			require.NoError(t, err)
		}
	}
	in := strings.Repeat("<a>", decodeDepth) + strings.Repeat("</a>", decodeDepth)
	e, err := ParseElement([]byte(in), &Limits{Depth: decodeDepth})
	require.NoError(t, err)
	require.NoError(t, e.Unmarshal(new(nest)))
}

// knownAttributes returns n attributes whose names need no second look.
func knownAttributes(n int) string {
	var b strings.Builder
	for _, q := range wellKnown {
		if q.kind == plain && n > 0 {
			fmt.Fprintf(&b, " %s='123456789012'", q.tag)
			n--
		}
	}
	return b.String()
}

func attackFloods(t *testing.T) {
	n := flood(100_000)
	attrs := manyAttributes(n)
	var spaces, prefixed, scopes strings.Builder
	for i := range n {
		fmt.Fprintf(&spaces, " xmlns:n%d='u%d'", i, i)
		fmt.Fprintf(&prefixed, " p:a%d=''", i)
	}
	for i := range 100 {
		scopes.WriteString("<a")
		for j := range 50 {
			fmt.Fprintf(&scopes, " xmlns:n%d='u'", i*50+j)
		}
		scopes.WriteString(">")
	}
	for _, in := range []string{"<a" + attrs + ">", "<a" + spaces.String() + ">", scopes.String(), strings.Repeat("<a xmlns='u'>", 10_000), "<x>" + strings.Repeat("<a/>", n) + "</x>"} {
		elements, memory, err := readStream(t, nil, clientHeader+in, 4096)
		require.ErrorIs(t, err, PolicyViolation, "%.30s", in)
		require.Zero(t, elements)
		require.LessOrEqual(t, memory, uint64(16*defaultLimits(t).ElementBytes), "%.30s", in)
	}
	// Each limit is exact, and is what stops the flood.
	lim := defaultLimits(t)
	header := 2 // the declarations in it
	for _, c := range []struct {
		limit string
		n     int
		in    func(n int) string
	}{
		{"attributes", lim.Attributes, func(n int) string { return "<a" + manyAttributes(n) + "/>" }},
		{"attributes", lim.Attributes, func(n int) string { return "<a" + strings.ReplaceAll(manyAttributes(n), "'1'", "'&lt;'") + "/>" }},
		{"attributes", lim.Attributes, func(n int) string { return "<a" + strings.ReplaceAll(manyAttributes(n), " a", " xmlns:a") + "/>" }},
		{"attributes", lim.Attributes, func(n int) string { return "<a" + knownAttributes(n) + ">with room behind it</a>" }},
		{"namespace declarations in scope", lim.Namespaces - header, func(n int) string {
			decls := strings.SplitAfter(strings.ReplaceAll(manyAttributes(n), " a", " xmlns:a"), "'1'")
			return "<a" + strings.Join(decls[:60], "") + "><a" + strings.Join(decls[60:120], "") + "><a" + strings.Join(decls[120:], "") + "/></a></a>"
		}},
		{"elements in one", lim.Elements, func(n int) string { return "<x>" + strings.Repeat("<a/>", n-1) + "</x>" }},
		{"elements nested deeper", lim.Depth, func(n int) string { return strings.Repeat("<x>", n) + strings.Repeat("</x>", n) }},
	} {
		for _, size := range []int{1, 4096, 1 << 20} {
			elements, _, err := readStream(t, nil, clientHeader+c.in(c.n)+c.in(c.n), size)
			require.ErrorIs(t, err, errNeedMore, c.limit)
			require.Equal(t, 2, elements, c.limit)
			elements, _, err = readStream(t, nil, clientHeader+c.in(c.n)+c.in(c.n+1), size)
			require.ErrorIs(t, err, PolicyViolation)
			require.ErrorContains(t, err, c.limit)
			require.Equal(t, 1, elements, c.limit)
		}
	}
	// Whoever allows so much gets it in linear time: comparing each with each
	// would take minutes here.
	much := &Limits{ElementBytes: 64 << 20, Attributes: 2 * n, Namespaces: 2 * n, Elements: 2 * n}
	for _, in := range []string{"<a" + attrs + "/>", "<a" + spaces.String() + "/>", "<a xmlns:p='u'" + prefixed.String() + "/>", "<x>" + strings.Repeat("<a/>", n) + "</x>",
		"<a" + spaces.String() + ">" + strings.Repeat("<n0:b/>", 2*n-1) + "</a>"} {
		elements, _, err := readStream(t, much, clientHeader+in, 4096)
		require.ErrorIs(t, err, errNeedMore, "%.30s", in)
		require.Equal(t, 1, elements)
	}
	_, _, err := readStream(t, much, clientHeader+"<a"+attrs+" a0=''/>", 4096)
	require.ErrorIs(t, err, NotWellFormed)
	_, _, err = readStream(t, much, clientHeader+"<a"+spaces.String()+" xmlns:n0='v'/>", 4096)
	require.ErrorIs(t, err, NotWellFormed)
	// One byte at a time is linear too.
	elements, _, err := readStream(t, nil, clientHeader+"<a b='"+strings.Repeat("x", 100_000)+"'>"+strings.Repeat("y", 100_000)+"</a>", 1)
	require.ErrorIs(t, err, errNeedMore)
	require.Equal(t, 1, elements)
}
