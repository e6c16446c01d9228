package sm

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// parsed reads XML in which the namespace of the protocol may be left out.
func parsed(t testing.TB, xml string) *stream.Element {
	t.Helper()
	if !strings.Contains(xml, "xmlns") {
		name, rest, _ := strings.Cut(xml[1:], " ")
		xml = "<" + strings.TrimSuffix(name, "/>") + " xmlns='" + NS + "' " + rest
		if rest == "" {
			xml += "/>"
		}
	}
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err, "%s", xml)
	return el
}

func seconds(n uint32) *uint32 { return &n }

// What is written is what the examples of XEP-0198 show, and is read as it was.
func TestNonzas(t *testing.T) {
	for _, test := range []struct {
		name string
		el   stream.Appender
		xml  string
		read func(*stream.Element) (any, error)
	}{
		{"Example 2", enable{}, "<enable xmlns='urn:xmpp:sm:3'/>", reads(parseEnable)},
		{"Example 7", enable{resume: true}, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>", reads(parseEnable)},
		{"§3 max", enable{max: seconds(300)}, "<enable xmlns='urn:xmpp:sm:3' max='300'/>", reads(parseEnable)},
		{"Example 3", enabled{}, "<enabled xmlns='urn:xmpp:sm:3'/>", reads(parseEnabled)},
		{"Example 8", enabled{id: "some-long-sm-id", resume: true}, "<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id' resume='true'/>", reads(parseEnabled)},
		{"Example 9", enabled{id: "some-long-sm-id"}, "<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id'/>", reads(parseEnabled)},
		{
			"Example 10", enabled{id: "some-long-sm-id", resume: true, max: seconds(1), location: "[2001:41D0:1:A49b::1]:9222"},
			"<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id' resume='true' max='1' location='[2001:41D0:1:A49b::1]:9222'/>", reads(parseEnabled),
		},
		{"Example 11", resume{h: 7, previd: "some-long-sm-id"}, "<resume xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/>", reads(parseResume)},
		{"Example 12", resumed{h: 4294967295, previd: "x"}, "<resumed xmlns='urn:xmpp:sm:3' h='4294967295' previd='x'/>", reads(parseResumed)},
		{
			"Example 13", failed{h: seconds(0), condition: "item-not-found"},
			"<failed xmlns='urn:xmpp:sm:3' h='0'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", reads(parseFailed),
		},
		{
			"Example 5", failed{condition: "unexpected-request", text: "not <bound>"},
			"<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" +
				"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>not &lt;bound&gt;</text></failed>", reads(parseFailed),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := test.el.AppendXML([]byte("before"))
			require.NoError(t, err)
			require.Equal(t, "before"+test.xml, string(b))
			got, err := test.read(parsed(t, test.xml))
			require.NoError(t, err)
			require.Equal(t, test.el, got)
		})
	}
	// Example 6.
	require.Equal(t, "-<r xmlns='urn:xmpp:sm:3'/>", string(appendRequest([]byte("-"))))
	require.NoError(t, parseRequest(parsed(t, "<r/>")))
	require.Equal(t, "-<a xmlns='urn:xmpp:sm:3' h='1'/>", string(appendAnswer([]byte("-"), 1)))
	h, err := parseAnswer(parsed(t, string(appendAnswer(nil, maxCount))))
	require.NoError(t, err)
	require.EqualValues(t, maxCount, h)
}

func reads[T any](parse func(*stream.Element) (T, error)) func(*stream.Element) (any, error) {
	return func(el *stream.Element) (any, error) { return parse(el) }
}

// What a peer may write differently, and what it may add.
func TestNonzaVariants(t *testing.T) {
	for xml, want := range map[string]enable{
		"<enable resume='1'/>":                             {resume: true},
		"<enable resume='0' max='007'/>":                   {max: seconds(7)},
		"<enable resume='false'/>":                         {},
		"<enable max='99999999999999999999999999999999'/>": {max: seconds(maxCount)},
		"<enable max='4294967295'/>":                       {max: seconds(maxCount)},
		"<enable xmlns='urn:xmpp:sm:3' xmlns:x='urn:x' x:resume='maybe' else='y'><x:y/> </enable>": {},
	} {
		got, err := parseEnable(parsed(t, xml))
		require.NoError(t, err, xml)
		require.Equal(t, want, got, xml)
	}
	got, err := parseEnabled(parsed(t, "<enabled location='"+strings.Repeat("x", maxLocation+1)+"'/>"))
	require.NoError(t, err)
	require.Equal(t, enabled{}, got, "a location that cannot be one is none")

	// XEP-0198 §6: a condition SHOULD be there.
	for xml, want := range map[string]failed{
		"<failed/>": {condition: "undefined-condition"},
		"<failed xmlns='urn:xmpp:sm:3'><item-not-found/></failed>":                                                                                                           {condition: "undefined-condition"},
		"<failed xmlns='urn:xmpp:sm:3'><made-up xmlns='" + nsStanzas + "'/></failed>":                                                                                        {condition: "undefined-condition"},
		"<failed xmlns='urn:xmpp:sm:3'><text xmlns='" + nsStanzas + "'>no</text><gone xmlns='" + nsStanzas + "'>x</gone><conflict xmlns='" + nsStanzas + "'/></failed>":      {condition: "gone", text: "no"},
		"<failed xmlns='urn:xmpp:sm:3' h='3'><x xmlns='urn:x'/><text xmlns='" + nsStanzas + "'>" + strings.Repeat("é", 600) + "</text></failed>":                             {condition: "undefined-condition", h: seconds(3), text: strings.Repeat("é", 512)},
		"<failed xmlns='urn:xmpp:sm:3'><internal-server-error xmlns='" + nsStanzas + "'/><text xmlns='" + nsStanzas + "'/><text xmlns='" + nsStanzas + "'>b</text></failed>": {condition: "internal-server-error", text: "b"},
	} {
		got, err := parseFailed(parsed(t, xml))
		require.NoError(t, err, xml)
		require.Equal(t, want, got, xml)
	}
	b, err := failed{condition: "<made-up>"}.AppendXML(nil)
	require.NoError(t, err)
	require.Contains(t, string(b), "<undefined-condition ")
	for _, c := range []string{"undefined-condition", "policy-violation", "feature-not-implemented"} {
		require.True(t, definedCondition(c))
	}
}

func TestMalformedNonzas(t *testing.T) {
	for _, test := range []struct {
		xml, attr, reason string
		read              func(*stream.Element) (any, error)
	}{
		{"<enable resume='yes'/>", "resume", "not a boolean", reads(parseEnable)},
		{"<enable resume='True'/>", "resume", "not a boolean", reads(parseEnable)},
		{"<enable resume=''/>", "resume", "not a boolean", reads(parseEnable)},
		{"<enable max='0'/>", "max", "not a positive number", reads(parseEnable)},
		{"<enable max='-1'/>", "max", "not a positive number", reads(parseEnable)},
		{"<enable max=''/>", "max", "not a positive number", reads(parseEnable)},
		{"<enabled resume='true' id='x' max='1.5'/>", "max", "not a positive number", reads(parseEnabled)},
		{"<enabled resume='2' id='x'/>", "resume", "not a boolean", reads(parseEnabled)},
		{"<enabled id=''/>", "id", "missing", reads(parseEnabled)},
		{"<resume h='1'/>", "previd", "missing", reads(parseResume)},
		{"<resume h='1' previd=''/>", "previd", "missing", reads(parseResume)},
		{"<resume previd='x'/>", "h", "missing", reads(parseResume)},
		{"<resumed previd='x' h='x'/>", "h", "not a number", reads(parseResumed)},
		{"<resumed h='1'/>", "previd", "missing", reads(parseResumed)},
		{"<failed h='no'/>", "h", "not a number", reads(parseFailed)},
		{"<enabled/>", "", "another element", reads(parseEnable)},
		{"<enable/>", "", "another element", reads(parseEnabled)},
		{"<resume h='1' previd='x'/>", "", "another element", reads(parseResumed)},
		{"<resumed h='1' previd='x'/>", "", "another element", reads(parseResume)},
		{"<a xmlns='urn:xmpp:sm:2' h='1'/>", "", "another element", reads(parseAnswer)},
		{"<r/>", "", "another element", reads(parseFailed)},
	} {
		_, err := test.read(parsed(t, test.xml))
		var e *MalformedError
		require.ErrorAs(t, err, &e, test.xml)
		require.Equal(t, test.attr, e.Attr, test.xml)
		require.Equal(t, test.reason, e.Reason, test.xml)
		require.Contains(t, e.Error(), test.reason)
	}
	require.ErrorAs(t, parseRequest(parsed(t, "<a h='1'/>")), new(*MalformedError))
	_, err := parseAnswer(parsed(t, "<a h='"+strings.Repeat("\u202ex", 300)+"'/>"))
	require.EqualError(t, err, `sm: <a/>: h `+"\""+strings.Repeat(`\u202ex`, 9)+"\"…"+` is not a number`)
	require.Equal(t, strings.Repeat("\u202ex", 16), err.(*MalformedError).Value)
	_, err = parseAnswer(parsed(t, "<a h='x"+strings.Repeat("\u202e", 300)+"'/>"))
	require.Equal(t, "x"+strings.Repeat("\u202e", 21), err.(*MalformedError).Value, "whole characters")
	_, err = parseAnswer(parsed(t, "<a h='xyz"+strings.Repeat("\u202e", 300)+"'/>"))
	require.Equal(t, "xyz"+strings.Repeat("\u202e", 20), err.(*MalformedError).Value, "whole characters")
}

// Characters that XML cannot carry are the mistake of the host, and are not sent.
func TestNonzaCharacters(t *testing.T) {
	b, err := enabled{id: "x\x00"}.AppendXML([]byte("kept"))
	require.ErrorIs(t, err, stream.ErrCharacter)
	require.Equal(t, "kept", string(b))
}

// XEP-0198 §6, Example 17.
func TestHandledCount(t *testing.T) {
	e := (&HandledCountError{H: 10, Sent: 8}).StreamError()
	b, err := e.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>`+
		`<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>You acknowledged 10 stanzas, but I only sent you 8 so far.</text>`+
		`<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/></stream:error>`, string(b))
	var count *HandledCountError
	require.ErrorAs(t, e, &count)
	require.ErrorIs(t, e, stream.UndefinedCondition)
	require.Equal(t, "sm: 10 stanzas were acknowledged and 8 were sent", count.Error())

	got, ok := handledCount(e)
	require.True(t, ok)
	require.Equal(t, &HandledCountError{H: 10, Sent: 8}, got)
	for _, application := range []string{
		"", "<x", "<x/>", "<handled-count-too-high/>", "<handled-count-too-high xmlns='urn:xmpp:sm:3'/>",
		"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1'/>", "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1' send-count='-1'/>",
	} {
		_, ok := handledCount(&stream.Error{Application: []byte(application)})
		require.False(t, ok, application)
	}
	_, ok = handledCount(nil)
	require.False(t, ok)
}

func TestAnswersAllocateNothing(t *testing.T) {
	el, dst := parsed(t, "<a h='4294967295'/>"), make([]byte, 0, 128)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		h, err := parseAnswer(el)
		if err != nil || h != maxCount {
			t.Fatal(h, err)
		}
		dst = appendRequest(appendAnswer(dst[:0], h))
	}))
}

// FuzzNonza: an element is read to what is written and read again to the same, or
// it is a typed error.
func FuzzNonza(f *testing.F) {
	for _, xml := range []string{
		"<enable xmlns='urn:xmpp:sm:3' resume='true' max='300'/>",
		"<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id' location='[2001:41D0:1:A49b::1]:9222' resume='true'/>",
		"<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='1'/>",
		"<resume xmlns='urn:xmpp:sm:3' h='0' previd='&lt;&apos;&quot;'/>", "<resumed xmlns='urn:xmpp:sm:3' h='4294967296' previd='x'/>",
		"<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
		"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/>",
	} {
		f.Add([]byte(xml))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		handledCount(&stream.Error{Application: b})
		if h, err := parseAnswer(el); err == nil {
			again, err := parseAnswer(parsed(t, string(appendAnswer(nil, h))))
			require.NoError(t, err)
			require.Equal(t, h, again)
		}
		for _, read := range []func(*stream.Element) (any, error){
			reads(parseEnable), reads(parseEnabled), reads(parseResume), reads(parseResumed), reads(parseFailed),
		} {
			v, err := read(el)
			if err != nil {
				var e *MalformedError
				require.True(t, errors.As(err, &e))
				require.Less(t, len(err.Error()), 256)
				continue
			}
			b, err := v.(stream.Appender).AppendXML(nil)
			require.NoError(t, err)
			again, err := read(parsed(t, string(bytes.Clone(b))))
			require.NoError(t, err)
			require.Equal(t, v, again)
		}
	})
}
