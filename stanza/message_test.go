package stanza

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// The examples of the specifications, read field by field.
//
//conformance:proves 6120-8-1
func TestMessageExamples(t *testing.T) {
	juliet, romeo := jid.MustParse("juliet@example.com/balcony"), jid.MustParse("romeo@example.net")
	for _, c := range []struct {
		clause, xml string
		want        Message
	}{
		{"RFC 6120 §8.1.1", `<message to='romeo@example.net'>
		     <body>Art thou not Romeo, and a Montague?</body>
		   </message>`,
			Message{To: romeo, Type: NormalMessage, Body: Plain("Art thou not Romeo, and a Montague?")}},
		{"RFC 6121 §5.2.1", `<message
		       from='juliet@example.com/balcony'
		       id='ktx72v49'
		       to='romeo@example.net'
		       type='chat'
		       xml:lang='en'>
		     <body>Art thou not Romeo, and a Montague?</body>
		   </message>`,
			Message{From: juliet, ID: "ktx72v49", To: romeo, Type: ChatMessage, Lang: "en",
				Body: Plain("Art thou not Romeo, and a Montague?")}},
		{"RFC 6121 §5.2.3", `<message
		       from='juliet@example.com/balcony'
		       id='z94nb37h'
		       to='romeo@example.net'
		       type='chat'
		       xml:lang='en'>
		     <body>Wherefore art thou, Romeo?</body>
		     <body xml:lang='cs'>Pro&#x010D;e&#x017D; jsi ty, Romeo?</body>
		   </message>`,
			Message{From: juliet, ID: "z94nb37h", To: romeo, Type: ChatMessage, Lang: "en",
				Body: Texts{{"", "Wherefore art thou, Romeo?"}, {"cs", "PročeŽ jsi ty, Romeo?"}}}},
		{"RFC 6121 §5.2.5", `<message
		       from='juliet@example.com/balcony'
		       to='romeo@example.net'
		       type='chat'
		       xml:lang='en'>
		     <subject>I implore you!</subject>
		     <subject xml:lang='cs'>&#x00DA;p&#x011B;nliv&#x011B; pros&#x00ED;m!</subject>
		     <body>Wherefore art thou, Romeo?</body>
		     <body xml:lang='cs'>Pro&#x010D;e&#x017E; jsi ty, Romeo?</body>
		     <thread parent='e0ffe42b28561960c6b12b944a092794b9683a38'>
		       0e3141cd80894871a68e6fe6b1ec56fa
		     </thread>
		   </message>`,
			Message{From: juliet, To: romeo, Type: ChatMessage, Lang: "en",
				Subject: Texts{{"", "I implore you!"}, {"cs", "Úpěnlivě prosím!"}},
				Body:    Texts{{"", "Wherefore art thou, Romeo?"}, {"cs", "Pročež jsi ty, Romeo?"}},
				Thread:  "0e3141cd80894871a68e6fe6b1ec56fa", ThreadParent: "e0ffe42b28561960c6b12b944a092794b9683a38"}},
	} {
		t.Run(c.clause, func(t *testing.T) {
			got := decode[*Message](t, c.xml)
			require.Empty(t, slices.Collect(got.Payloads()))
			got.source = nil
			require.Equal(t, c.want, *got)

			again := decode[*Message](t, encode(t, got))
			again.source = nil
			require.Equal(t, c.want, *again)
		})
	}
}

// RFC 6121 §5.2.2: the types, and what anything else counts as.
//
//conformance:proves 6121-5.2.2-8 6121-5.2.2-9
func TestMessageTypes(t *testing.T) {
	for typ, want := range map[string]MessageType{
		"":                               NormalMessage,
		" type=''":                       NormalMessage,
		" type='normal'":                 NormalMessage,
		" type='chat'":                   ChatMessage,
		" type='groupchat'":              GroupChatMessage,
		" type='headline'":               HeadlineMessage,
		" type='error'":                  ErrorMessage,
		" type='Chat'":                   NormalMessage,
		" type='chat '":                  NormalMessage,
		" type='subscribe'":              NormalMessage,
		" x:type='chat' xmlns:x='urn:x'": NormalMessage,
	} {
		m := decode[*Message](t, "<message"+typ+"/>")
		require.Equal(t, want, m.Type, "%s", typ)
		require.Equal(t, want == ErrorMessage, m.IsError())
	}
	// "" is written as the absence of the attribute.
	require.Equal(t, "<message/>", encode(t, &Message{}))
	require.Equal(t, "<message type='normal'/>", encode(t, &Message{Type: NormalMessage}))
}

// What is to be there once at most, and is there more often: RFC 6121 §5.2.3 to
// §5.2.5 say MUST NOT and leave the rest to the recipient.
func TestMessageDuplicates(t *testing.T) {
	for _, c := range []struct {
		name, attrs, inside string
		want                Message
	}{
		{"body", "", "<body>1</body><body>2</body>", Message{Body: Plain("1")}},
		{"body inherited language", " xml:lang='en'", "<body xml:lang='en'>1</body><body>2</body>",
			Message{Lang: "en", Body: Texts{{"en", "1"}}}},
		{"body inherited language other order", " xml:lang='en'", "<body>1</body><body xml:lang='EN'>2</body>",
			Message{Lang: "en", Body: Plain("1")}},
		{"body empty", "", "<body/><body>2</body>", Message{Body: Plain("")}},
		{"subject", "", "<subject>1</subject><body>b</body><subject>2</subject><subject xml:lang='cs'>3</subject><subject xml:lang='cs'>4</subject>",
			Message{Subject: Texts{{"", "1"}, {"cs", "3"}}, Body: Plain("b")}},
		{"thread", "", "<thread>1</thread><thread parent='p'>2</thread>", Message{Thread: "1"}},
		{"thread empty", "", "<thread parent='p'/><thread> </thread><thread>2</thread>", Message{Thread: "2"}},
		{"parent without thread", "", "<thread parent='p'/>", Message{}},
		{"thread is its parent", "", "<thread parent='1'>1</thread>", Message{Thread: "1"}},
		{"empty language", " xml:lang=''", "<body xml:lang=''>1</body>", Message{Body: Plain("1")}},
		{"error in another type", "", "<error type='cancel'/>", Message{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decode[*Message](t, "<message"+c.attrs+">"+c.inside+"</message>")
			require.Empty(t, slices.Collect(got.Payloads()))
			got.source = nil
			c.want.Type = NormalMessage
			require.Equal(t, c.want, *got)
		})
	}
}

func TestMessageLanguagesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("<message>")
	for i := range 1000 {
		b.WriteString("<body xml:lang='x-" + strconv.Itoa(i) + "'>b</body>")
	}
	b.WriteString("</message>")
	m := decode[*Message](t, b.String())
	require.Len(t, m.Body, 64)
	require.Equal(t, Text{"x-63", "b"}, m.Body[63])
}

//conformance:proves 6120-8.4-5 6120-8.4-13
func TestMessagePayloads(t *testing.T) {
	const wire = `<message id='1'><x xmlns='urn:x' a="&quot;1&quot;" ><y>&#65;</y></x><body>b</body>` +
		`<p:z xmlns:p='urn:z'><p:q/></p:z><unknown/><n xmlns=''/><x xmlns='urn:x'>second</x></message>`
	m := decode[*Message](t, wire)
	var names []string
	for el := range m.Payloads() {
		names = append(names, el.Name().String())
	}
	require.Equal(t, []string{"{urn:x}x", "{urn:z}z", "{jabber:client}unknown", "n", "{urn:x}x"}, names)

	el, ok := m.Payload(stream.Name{Space: "urn:x", Local: "x"})
	require.True(t, ok)
	require.Equal(t, `"1"`, el.Attr("a"))
	_, ok = m.Payload(stream.Name{Space: "urn:other", Local: "x"})
	require.False(t, ok)
	// The body is no payload, nor is what looks like one of the others.
	_, ok = m.Payload(stream.Name{Space: stream.NSClient, Local: "body"})
	require.False(t, ok)

	// What is not understood is written as it was.
	m.Extra = []Payload{originID("o")}
	out := encode(t, m)
	require.Contains(t, out, `<x xmlns='urn:x' a="&quot;1&quot;" ><y>&#65;</y></x>`)
	require.Contains(t, out, `<p:z xmlns:p='urn:z'><p:q/></p:z>`)
	require.Contains(t, out, `<unknown/><n xmlns=''/>`)
	require.Contains(t, out, `<origin-id xmlns='urn:xmpp:sid:0' id='o'/></message>`)

	var none Message
	_, ok = none.Payload(stream.Name{Space: "urn:x", Local: "x"})
	require.False(t, ok)
	require.Empty(t, slices.Collect(none.Payloads()))
}

//conformance:proves 6121-5.1-2 6121-5.1-4 6121-5.1-7 6121-5.2.1-2
func TestMessageReply(t *testing.T) {
	m := decode[*Message](t, `<message from='room@muc.example.org/nick' to='me@example.org/r' id='1' type='groupchat'>
		<body>hi</body><thread parent='p'>t</thread></message>`)
	require.Equal(t, &Message{
		To: jid.MustParse("room@muc.example.org"), From: jid.MustParse("me@example.org/r"), Type: GroupChatMessage,
		Body: Plain("ho"), Thread: "t", ThreadParent: "p",
	}, m.Reply("ho"))

	m = decode[*Message](t, `<message from='you@example.org/r' to='me@example.org' id='1' type='chat'/>`)
	require.Equal(t, &Message{
		To: jid.MustParse("you@example.org/r"), From: jid.MustParse("me@example.org"), Type: ChatMessage, Body: Plain("ho"),
	}, m.Reply("ho"))

	m = decode[*Message](t, `<message from='you@example.org/r' type='error'/>`)
	require.Nil(t, m.Reply("ho"))
	requireRefused(t, m.Reply("ho"), ErrInvalid)
}
