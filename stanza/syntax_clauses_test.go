package stanza_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// read parses a stanza in a content namespace.
func read(t *testing.T, ns, xml string) stanza.Stanza {
	t.Helper()
	name, rest, _ := strings.Cut(xml, ">")
	name, slash := strings.CutSuffix(name, "/")
	end := ">"
	if slash {
		end = "/>"
	}
	el, err := stream.ParseElement([]byte(name+" xmlns='"+ns+"'"+end+rest), nil)
	require.NoError(t, err, xml)
	st, err := stanza.Decode(el)
	require.NoError(t, err, xml)
	return st
}

// written encodes a stanza and parses what came out of it.
func written(t *testing.T, st stanza.Stanza) (string, *stream.Element) {
	t.Helper()
	b, err := st.AppendXML(nil)
	require.NoError(t, err)
	framed, err := stanza.Qualified(st, stream.NSClient).AppendXML(nil)
	require.NoError(t, err)
	el, err := stream.ParseElement(framed, nil)
	require.NoError(t, err)
	return string(b), el
}

// only returns how many children there are of a name, none of which may have
// elements in it.
func only(t *testing.T, el *stream.Element, local string) (n int) {
	t.Helper()
	for c := range el.Children() {
		if c.Name() == (stream.Name{Space: stream.NSClient, Local: local}) {
			n++
			for range c.Children() {
				t.Errorf("an element in %s", c.Raw())
			}
		}
	}
	return n
}

// RFC 6121 §4.7.2: the children of presence are there once at most, with text and
// nothing else in them. That holds for presence that came from a peer who did not
// keep to it, and is sent on.
//
//conformance:proves 6121-4.7.2.1-1 6121-4.7.2.1-2 6121-4.7.2.2-1 6121-4.7.2.3-2 6121-4.7.2.3-3
func TestPresenceChildren(t *testing.T) {
	markup := stanza.Plain("<b>&amp;</b><show>chat</show>")
	for name, c := range map[string]struct {
		p    stanza.Stanza
		want string
	}{
		"ours": {
			&stanza.Presence{Show: stanza.ShowAway, Status: markup, Priority: -7},
			"<presence><show>away</show><status>&lt;b&gt;&amp;amp;&lt;/b&gt;&lt;show&gt;chat&lt;/show&gt;</status><priority>-7</priority></presence>",
		},
		"twice": {
			read(t, stream.NSClient, "<presence><show>away</show><priority>1</priority><show>dnd</show><priority>2</priority></presence>"),
			"<presence><show>away</show><priority>1</priority></presence>",
		},
		"elements inside": {
			read(t, stream.NSClient, "<presence><show>aw<b>x</b>ay</show><status>a<i xmlns='urn:i'/>b</status><priority>1<b/>2</priority></presence>"),
			"<presence><show>away</show><status>ab</status><priority>12</priority></presence>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wire, el := written(t, c.p)
			require.Equal(t, c.want, wire)
			require.Equal(t, 1, only(t, el, "show"))
			require.Equal(t, 1, only(t, el, "priority"))
			require.LessOrEqual(t, only(t, el, "status"), 1)
		})
	}
}

// RFC 6121 §5.2.5: there is one thread, and it means nothing: it comes back byte for
// byte, and is not taken for another one.
//
//conformance:proves 6121-5.2.5-1 6121-5.2.5-2 6121-5.2.5-4
func TestThread(t *testing.T) {
	for _, thread := range []string{
		"0e3141cd80894871a68e6fe6b1ec56fa", "ABC", "abc", "juliet@example.com/balcony", "%20", "a  b", "<thread/>", "é", "e\u0301", "0", "01",
	} {
		m := &stanza.Message{Type: stanza.ChatMessage, Thread: thread, ThreadParent: "p" + thread}
		_, el := written(t, m)
		require.Equal(t, 1, only(t, el, "thread"))
		var got stanza.Message
		require.NoError(t, got.DecodeElement(el))
		require.Equal(t, thread, got.Thread)
		require.Equal(t, "p"+thread, got.ThreadParent)
		answer := got.Reply("x")
		require.Equal(t, thread, answer.Thread)
		require.Equal(t, "p"+thread, answer.ThreadParent)
		// A thread can become the parent of another one.
		_, el = written(t, &stanza.Message{Thread: "child of " + thread, ThreadParent: got.Thread})
		require.NoError(t, got.DecodeElement(el))
		require.Equal(t, thread, got.ThreadParent)
	}
	// What came with more than one is sent on with one.
	wire, el := written(t, read(t, stream.NSClient, "<message><thread>1</thread><thread parent='p'>2</thread></message>"))
	require.Equal(t, 1, only(t, el, "thread"), wire)
}

// RFC 6120 §4.8.3: what came in another content namespace is in that of the stream
// that it is sent over, with what belongs to it.
//
//conformance:proves 6120-4.8.3-4 6120-4.8.3-6
func TestContentNamespaceOfWhatIsSentOn(t *testing.T) {
	for _, xml := range []string{
		"<message from='a@b' id='1' type='chat'><body>b</body><subject>s</subject><thread>t</thread><x xmlns='urn:x'/><other/></message>",
		"<message type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
		"<presence from='a@b'><show>away</show><status>s</status><priority>1</priority><x xmlns='urn:x'/><other/></presence>",
		"<iq id='1' type='get'><x xmlns='urn:x'/></iq>",
		"<iq id='1' type='result'/>",
	} {
		wire, _ := written(t, read(t, stream.NSServer, xml))
		require.NotContains(t, wire, stream.NSServer)
		again, _ := written(t, read(t, stream.NSClient, wire))
		require.Equal(t, again, wire, "it is the same stanza")
	}
}

// RFC 6120 §8.3.2: what an error says in words does not matter, whatever it says.
//
//conformance:proves 6120-8.3.2-9
func TestTextOfAnErrorIsNotInterpreted(t *testing.T) {
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
	for _, text := range []string{"", "gone", "item-not-found", "<gone" + ns + "/>", "type='wait'"} {
		e := &stanza.Error{Condition: stanza.NotAllowed, Text: text}
		_, el := written(t, &stanza.Message{Type: stanza.ErrorMessage, Error: e})
		var got stanza.Message
		require.NoError(t, got.DecodeElement(el))
		require.Equal(t, stanza.NotAllowed, got.Error.Condition)
		require.Equal(t, stanza.CancelError, got.Error.Type)
		require.Empty(t, got.Error.URI)
		require.Nil(t, got.Error.Application)
		require.NotErrorIs(t, got.Error, stanza.Gone)
	}
	m := read(t, stream.NSClient, "<message type='error'><error><text"+ns+">gone</text></error></message>").(*stanza.Message)
	require.Equal(t, stanza.UndefinedCondition, m.Error.Condition)
}

// RFC 6120 §8.4: stanzas of ours have the attributes of RFC 6120 §8.1 and no others,
// nor have their own children. What a peer wrote stays.
//
//conformance:proves 6120-8.4-3
func TestNoForeignAttributes(t *testing.T) {
	to, from := jid.MustParse("juliet@example.com/balcony"), jid.MustParse("romeo@example.net/orchard")
	failed := &stanza.Error{Condition: stanza.Gone, Text: "t", Lang: "en", By: from, URI: "xmpp:x"}
	texts := stanza.Texts{{Value: "a"}, {Lang: "de", Value: "b"}}
	known := map[string]bool{
		"id": true, "to": true, "from": true, "type": true, "lang": true, // of stanzas
		"parent": true, "by": true, // of thread and error
	}
	for _, st := range []stanza.Stanza{
		&stanza.Message{ID: "1", To: to, From: from, Type: stanza.ErrorMessage, Lang: "en", Subject: texts, Body: texts, Thread: "t", ThreadParent: "p", Error: failed},
		&stanza.Presence{ID: "1", To: to, From: from, Type: stanza.ErrorPresence, Lang: "en", Show: stanza.ShowXA, Status: texts, Priority: 1, Error: failed},
		&stanza.IQ{ID: "1", To: to, From: from, Type: stanza.ErrorIQ, Lang: "en", Error: failed},
	} {
		_, el := written(t, st)
		check := func(el *stream.Element) {
			for a := range el.Attrs() {
				require.True(t, known[a.Name.Local], "%s of %s", a.Name, el.Raw())
				require.True(t, a.Name.Space == "" || a.Name == stream.Name{Space: stream.NSXML, Local: "lang"}, "%s of %s", a.Name, el.Raw())
			}
		}
		check(el)
		for c := range el.Children() {
			check(c)
		}
	}
}
