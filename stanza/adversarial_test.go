package stanza

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// adversarialRow is a test of one kind of hostile input.
type adversarialRow struct {
	id  string
	run func(t *testing.T)
}

// adversarialRows are all rows. Each file of tests adds its own.
var adversarialRows []adversarialRow

func TestAdversarial(t *testing.T) {
	require.NotEmpty(t, adversarialRows)
	for _, row := range adversarialRows {
		t.Run(row.id, row.run)
	}
}

// bothSides runs a test on what a client gets from a server, and on what a
// server gets from another one: the codec is the same but for the content
// namespace.
func bothSides(f func(t *testing.T, ns string)) func(*testing.T) {
	return func(t *testing.T) {
		t.Run("client", func(t *testing.T) { f(t, stream.NSClient) })
		t.Run("server", func(t *testing.T) { f(t, stream.NSServer) })
	}
}

func init() {
	adversarialRows = append(adversarialRows,
		adversarialRow{"X30", bothSides(adversarialX30)},
		adversarialRow{"X31", bothSides(adversarialX31)},
		adversarialRow{"X32", bothSides(adversarialX32)},
		adversarialRow{"L04", bothSides(adversarialL04)},
		adversarialRow{"L17", bothSides(adversarialL17)},
		adversarialRow{"R18", bothSides(adversarialR18)},
		adversarialRow{"R19", bothSides(adversarialR19)},
		adversarialRow{"R21", bothSides(adversarialR21)},
	)
}

// X30 (RFC 6121 §5.2.3): bodies that are none, too many, or hold elements.
func adversarialX30(t *testing.T, ns string) {
	for xml, want := range map[string]Texts{
		"<body xmlns='urn:evil'>evil</body>":                              nil,
		"<body xmlns=''>evil</body>":                                      nil,
		"<body xmlns='urn:evil'>evil</body><body>good</body>":             Plain("good"),
		"<x xmlns='urn:evil'><body>evil</body></x>":                       nil,
		"<body>first</body><body>second</body>":                           Plain("first"),
		"<body/><body>second</body>":                                      Plain(""),
		"<body xml:lang='en'>1</body><body xml:lang='EN'>2</body>":        {{"en", "1"}},
		"<body><b/></body>":                                               Plain(""),
		"<body>a<b>evil</b>c</body>":                                      Plain("ac"),
		"<body>a<body>evil</body>c</body>":                                Plain("ac"),
		"<Body>evil</Body>":                                               nil,
		"<e:body xmlns:e='" + otherContent(ns) + "'>evil</e:body>":        nil,
		"<subject xmlns='urn:evil'>evil</subject><body>good</body>":       Plain("good"),
		"<body xmlns:l='urn:evil' l:lang='de' lang='fr'>good</body>":      Plain("good"),
		"<body>good</body><thread xmlns='urn:evil'>evil</thread>":         Plain("good"),
		"<error xmlns='urn:evil'><gone/></error><body>good</body>":        Plain("good"),
		"<body>good</body><error type='cancel'><body>evil</body></error>": Plain("good"),
	} {
		st, err := Decode(element(t, ns, "<message>"+xml+"</message>"))
		require.NoError(t, err, "%s", xml)
		m := st.(*Message)
		require.Empty(t, m.Subject, "%s", xml)
		require.Empty(t, m.Thread, "%s", xml)
		require.Nil(t, m.Error, "%s", xml)
		if want == nil {
			require.Empty(t, m.Body, "%s", xml)
		} else {
			require.Equal(t, want, m.Body, "%s", xml)
		}
	}
}

func otherContent(ns string) string {
	if ns == stream.NSClient {
		return stream.NSServer
	}
	return stream.NSClient
}

// X31: a CDATA section is text and nothing else, also after it was written
// again.
func adversarialX31(t *testing.T, ns string) {
	const text = "</body><iq type='set'/>"
	el := element(t, ns, "<message><body><![CDATA["+text+"]]></body></message>")
	for range 2 {
		st, err := Decode(el)
		require.NoError(t, err)
		require.Equal(t, Plain(text), st.(*Message).Body)
		out := encode(t, st)
		require.NotContains(t, out, "<iq")
		el = element(t, ns, out)
	}
}

// X32: a body that is references throughout is decoded as a whole.
func adversarialX32(t *testing.T, ns string) {
	const n = 40_000
	st, err := Decode(element(t, ns, "<message><body>"+strings.Repeat("&amp;", n)+"</body></message>"))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("&", n), st.(*Message).Body.String())
	require.Len(t, encode(t, st), len("<message type='normal'><body></body></message>")+n*len("&amp;"))
}

// L04: a payload nested 10,000 deep, on a stream whose limits would let it in,
// is kept and written, but not decoded into a struct by recursion.
func adversarialL04(t *testing.T, ns string) {
	const depth = 10_000
	xml := "<message><x xmlns='urn:x'>" + strings.Repeat("<x>", depth) + strings.Repeat("</x>", depth) + "</x></message>"
	lim := &stream.Limits{Depth: depth + 10, Elements: depth + 10}
	el, err := stream.ParseElement([]byte(declare(ns, xml)), lim)
	require.NoError(t, err)
	st, err := Decode(el)
	require.NoError(t, err)
	x, ok := st.(*Message).Payload(stream.Name{Space: "urn:x", Local: "x"})
	require.True(t, ok)
	type nested struct {
		X *nested `xml:"x"`
	}
	require.ErrorIs(t, Unmarshal(x, new(nested)), stream.ErrDepth)
	require.Contains(t, encode(t, st), "<x></x></x></x>")
	require.Equal(t, encode(t, st), encode(t, Clone(st)))
}

// L17: what a peer writes into an error does not flood or forge a log.
func adversarialL17(t *testing.T, ns string) {
	for _, c := range []string{"x", "\n", "\r", "\x1b", "\U0010FFFF", "\u202E", "ü", "\"", "\\"} {
		e := &Error{Condition: Condition("gone" + c), Type: ErrorType("wait" + c), Received: true,
			Text: strings.Repeat(c, 1<<20/len(c)), URI: strings.Repeat(c, 1<<20/len(c))}
		e.Cause = &Error{Condition: Condition(strings.Repeat(c, 1<<10)), Text: strings.Repeat(c, 1<<10), Cause: e.Clone()}
		s := e.Error()
		require.LessOrEqual(t, len(s), 1<<10)
		for _, r := range s {
			require.True(t, r >= 0x20 && r < 0x7F || r == '…', "%q", r)
		}
	}
	el := element(t, ns, "<iq id='1' type='error'><error type='cancel'><gone xmlns='"+NSErrors+"'>xmpp:&#xD;&#xA;x</gone>"+
		"<text xmlns='"+NSErrors+"'>"+strings.Repeat("&#xD;&#xA;", 20_000)+"</text></error></iq>")
	st, err := Decode(el)
	require.NoError(t, err)
	s := st.(*IQ).Error.Error()
	require.LessOrEqual(t, len(s), 1<<10)
	require.NotContains(t, s, "\n")
	// The names of elements are the peer's as well.
	el = element(t, ns, "<"+strings.Repeat("x", 1000)+"/>")
	_, err = Decode(el)
	require.LessOrEqual(t, len(err.Error()), 1<<10)
}

// attribute finds the attributes in the samples below.
var attribute = regexp.MustCompile(` [a-z:]+='[^']*'`)

// R18: every attribute removed in turn, and emptied in turn. The result is a
// stanza, or one answer, and nothing else.
func adversarialR18(t *testing.T, ns string) {
	count := 0
	for _, xml := range samples {
		xml = declare(ns, xml)
		for _, at := range attribute.FindAllStringIndex(xml, -1) {
			name, _, _ := strings.Cut(xml[at[0]:at[1]], "=")
			for _, with := range []string{"", name + "=''"} {
				count++
				requireHandled(t, xml[:at[0]]+with+xml[at[1]:])
			}
		}
	}
	require.Greater(t, count, 100)
}

// requireHandled decodes a stanza that may be bad.
func requireHandled(t *testing.T, xml string) {
	el, err := stream.ParseElement([]byte(xml), nil)
	if err != nil {
		var e *stream.Error
		require.ErrorAs(t, err, &e) // a prefix without a declaration, say
		return
	}
	st, err := Decode(el)
	if st == nil {
		require.ErrorIs(t, err, ErrNotStanza, "%s", xml)
		require.Zero(t, KindOf(el.Name()))
		return
	}
	if err != nil {
		require.True(t, is(err, BadRequest) || is(err, JIDMalformed), "%s: %v", xml, err)
	} else {
		encode(t, st)
		encode(t, Clone(st))
		err = ServiceUnavailable
	}
	reply := ErrorReply(st, err)
	if typ := el.Attr("type"); typ == "error" || typ == "result" && st.Kind() == IQKind {
		require.Nil(t, reply, "%s", xml)
		return
	}
	require.NotNil(t, reply, "%s", xml)
	again := element(t, stream.NSClient, encode(t, reply))
	got, err := Decode(again)
	require.NoError(t, err)
	require.True(t, got.IsError())
	require.Equal(t, st.Kind(), got.Kind())
	require.Equal(t, el.Attr("id"), got.Head().ID)
	require.Nil(t, ErrorReply(got, BadRequest))
}

func is(err error, c Condition) bool {
	e, ok := err.(*Error)
	return ok && e.Is(c)
}

// R19 (RFC 6120 §8.2.3, §8.3.1 rule 8): IQs that break the rules get one
// bad-request, with their own ID; errors and results get nothing.
//
//conformance:proves 6120-8.2.3-3 6120-8.3.1-3 6120-8.3.1-5 6120-8.3.1-10
func adversarialR19(t *testing.T, ns string) {
	const x = "<x xmlns='urn:x'/>"
	for _, c := range []struct {
		xml      string
		cond     Condition
		answered bool
	}{
		{"<iq type='get' from='a@b/c'>" + x + "</iq>", BadRequest, true},
		{"<iq type='get' from='a@b/c' id=''>" + x + "</iq>", BadRequest, true},
		{"<iq type='set' from='a@b/c'>" + x + "</iq>", BadRequest, true},
		{"<iq type='foo' from='a@b/c' id='1'>" + x + "</iq>", BadRequest, true},
		{"<iq type='subscribe' from='a@b/c' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", BadRequest, true},
		{"<iq type='Get' from='a@b/c' id='1'>" + x + "</iq>", BadRequest, true},
		{"<iq type='' from='a@b/c' id='1'>" + x + "</iq>", BadRequest, true},
		{"<iq from='a@b/c' id='1'>" + x + "</iq>", BadRequest, true},
		{"<iq/>", BadRequest, true},
		{"<iq type='get' from='a@b/c' id='1'/>", BadRequest, true},
		{"<iq type='get' from='a@b/c' id='1'>text</iq>", BadRequest, true},
		{"<iq type='get' from='a@b/c' id='1'>" + x + x + "</iq>", BadRequest, true},
		{"<iq type='set' from='a@b/c' id='1'>" + x + "<y xmlns='urn:y'/></iq>", BadRequest, true},
		{"<iq type='set' from='a@b/c' id='1'>" + x + "<error type='cancel'/></iq>", BadRequest, true},
		{"<iq type='get' from='a@b/c' id='1'><query/></iq>", BadRequest, true},
		{"<iq type='get' from='a@b/c' id='1'><error type='cancel'/></iq>", BadRequest, true},
		{"<iq type='get' from='a@b/c' to='@' id='1'>" + x + "</iq>", JIDMalformed, true},
		{"<iq type='get' from='a@b@c/d' to='e' id='1'>" + x + "</iq>", JIDMalformed, true},
		{"<iq type='get' from='a@b/c' to='' id='1'>" + x + "</iq>", JIDMalformed, true},
		{"<iq type='result' from='a@b/c' id='1'>" + x + x + "</iq>", BadRequest, false},
		{"<iq type='result' from='a@b/c'/>", BadRequest, false},
		{"<iq type='result' from='a@b/c' id=''/>", BadRequest, false},
		{"<iq type='result' from='@' id='1'/>", JIDMalformed, false},
		{"<iq type='error' from='a@b/c'><error type='cancel'/></iq>", BadRequest, false},
		{"<iq type='error' from='@' id='1'><error type='cancel'/></iq>", JIDMalformed, false},
		{"<message from='a@b/' type='error'/>", JIDMalformed, false},
		{"<message from='a@b/'><body>x</body></message>", JIDMalformed, true},
		{"<message to='ch@r@cters@muc.example.com'/>", JIDMalformed, true},
		{"<presence to='a@b/c' from='" + strings.Repeat("a", 4000) + "'/>", JIDMalformed, true},
		{"<presence type='error' from='@'/>", JIDMalformed, false},
	} {
		el := element(t, ns, c.xml)
		st, err := Decode(el)
		require.True(t, is(err, c.cond), "%s: %v", c.xml, err)
		require.NotNil(t, st, "%s", c.xml)
		if q, ok := st.(*IQ); ok {
			require.Nil(t, q.Payload, "%s", c.xml)
		}
		reply := ErrorReply(st, err)
		if !c.answered {
			require.Nil(t, reply, "%s", c.xml)
			continue
		}
		require.NotNil(t, reply, "%s", c.xml)
		require.Equal(t, st.Kind(), reply.Kind())
		require.True(t, reply.IsError())
		require.Equal(t, el.Attr("id"), reply.Head().ID)
		// §8.3.1 rule 2: the addresses are swapped, but for malformed ones.
		to, _ := el.From()
		from, _ := el.To()
		require.Equal(t, to, reply.Head().To, "%s", c.xml)
		require.Equal(t, from, reply.Head().From, "%s", c.xml)
		require.Contains(t, encode(t, reply), "<"+string(c.cond)+" xmlns=")
		// §8.3.1 rule 8: and that is the end of it.
		require.Nil(t, ErrorReply(reply, err))
	}
}

// R21 (RFC 6121 §4.7.2): priorities and availability that are none.
//
//conformance:proves 6121-4.7.2.3-4
func adversarialR21(t *testing.T, ns string) {
	for text, want := range map[string]int8{
		"-129": 0, "128": 0, "1e2": 0, "0x10": 0, "1.0": 0, "1,0": 0, "--1": 0, "+-1": 0, "-": 0, "+": 0, "": 0, " ": 0,
		"１": 0, "٣": 0, "1 2": 0, "1_0": 0, "NaN": 0, "256": 0, "-1280": 0, "18446744073709551617": 0,
		"-340282366920938463463374607431768211457": 0, strings.Repeat("9", 10_000): 0, "&amp;1": 0,
		// These are in the lexical space of xs:byte, whose white space is
		// collapsed (XML Schema part 2 §3.3.19).
		" 5": 5, "5\n": 5, "\t-5 ": -5, "+5": 5, "-0": 0, "007": 7, "-128": -128, "127": 127,
		strings.Repeat("0", 10_000) + "7": 7,
	} {
		st, err := Decode(element(t, ns, "<presence><priority>"+text+"</priority></presence>"))
		require.NoError(t, err)
		require.Equal(t, want, st.(*Presence).Priority, "%.40q", text)
	}
	for _, xml := range []string{
		"", "<priority/>", "<priority xmlns='urn:evil'>5</priority>", "<priority><x>5</x></priority>",
		"<show>5</show>", "<show/>", "<show>chat5</show>", "<show xmlns='urn:evil'>dnd</show>", "<show><dnd/></show>",
		"<show>" + strings.Repeat("dnd", 10_000) + "</show>",
	} {
		st, err := Decode(element(t, ns, "<presence>"+xml+"</presence>"))
		require.NoError(t, err)
		p := st.(*Presence)
		require.Zero(t, p.Priority)
		require.Equal(t, ShowOnline, p.Show)
		require.Equal(t, AvailablePresence, p.Type)
	}
}

// samples are stanzas with most of what a stanza can have: the seeds of
// FuzzDecode, and what R18 takes apart.
var samples = []string{
	chatXML,
	"<message to='romeo@example.net'><body>Art thou not Romeo, and a Montague?</body></message>",
	`<message from='juliet@example.com/balcony' to='romeo@example.net' type='chat' xml:lang='en'>` +
		`<subject>I implore you!</subject><subject xml:lang='cs'>&#x00DA;p&#x011B;nliv&#x011B; pros&#x00ED;m!</subject>` +
		`<body>Wherefore art thou, Romeo?</body><body xml:lang='cs'>Pro&#x010D;e&#x017E; jsi ty, Romeo?</body>` +
		`<thread parent='e0ffe42b28561960c6b12b944a092794b9683a38'>0e3141cd80894871a68e6fe6b1ec56fa</thread></message>`,
	`<message from='juliet@example.com/balcony' to='romeo@example.net' type='chat' xml:lang='en'><body>Wherefore art thou, Romeo?</body>` +
		`<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>` +
		`<p>Wherefore <span style='font-style: italic'>art</span> thou, <span style='color:red'>Romeo</span>?</p></body></html></message>`,
	`<message from='romeo@example.net' id='sj2b371v' to='juliet@im.example.com/churchyard' type='error'><error by='example.net' type='cancel'>` +
		`<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:romeo@afterlife.example.net</gone></error></message>`,
	`<message from='example.org' id='amp1' to='northumberland@example.net/field' type='error'>` +
		`<amp xmlns='http://jabber.org/protocol/amp' from='kingrichard@example.org' status='error' to='northumberland@example.net/field'>` +
		`<rule action='error' condition='deliver' value='stored'/></amp><error type='modify'>` +
		`<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>x</text>` +
		`<failed-rules xmlns='http://jabber.org/protocol/amp#errors'><rule action='error' condition='deliver' value='stored'/></failed-rules></error></message>`,
	"<presence/>",
	`<presence from='romeo@example.net/orchard' id='jx62vs97' xml:lang='en'><show>dnd</show><status>Wooing Juliet</status>` +
		`<status xml:lang='cs'>Dvo&#x0159;&#x00ED;m se Julii</status><priority>1</priority>` +
		`<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://psi-im.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>`,
	"<presence from='romeo@example.net' id='uc51xs63' to='nurse@example.com' type='subscribe'><status>Hi</status></presence>",
	`<presence from='characters@muc.example.com/JulieC' id='y2bs71v4' to='juliet@im.example.com/balcony' type='error'><error type='auth'>` +
		`<registration-required xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
	"<iq from='juliet@im.example.com/balcony' id='zj3v142b' to='im.example.com' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
	"<iq id='wy2xa82b4' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>",
	"<iq from='im.example.com' id='zj3v142b' to='juliet@im.example.com/balcony' type='result'/>",
	`<iq from='pubsub.example.com' id='o6hsv25z' to='romeo@example.net/foo' type='error'><pubsub xmlns='http://jabber.org/protocol/pubsub'>` +
		`<unsubscribe node='my_musings' jid='romeo@example.net'/></pubsub><error type='modify'>` +
		`<unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><not-subscribed xmlns='http://jabber.org/protocol/pubsub#errors'/></error></iq>`,
	"<message><p:x xmlns:p='urn:p' p:a='1'><p:y/></p:x><body>a<b/>c</body></message>",
}
