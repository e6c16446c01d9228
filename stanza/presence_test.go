package stanza

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// The examples of the specifications, read field by field.
//
//conformance:proves 6120-8-1
func TestPresenceExamples(t *testing.T) {
	romeo := jid.MustParse("romeo@example.net/orchard")
	for _, c := range []struct {
		clause, xml string
		want        Presence
	}{
		{"RFC 6120 §8.1.5", `<presence from='romeo@example.net/orchard'
		                to='juliet@im.example.com'
		                xml:lang='en'>
		        <show>dnd</show>
		        <status>Wooing Juliet</status>
		      </presence>`,
			Presence{From: romeo, To: jid.MustParse("juliet@im.example.com"), Lang: "en", Show: ShowDND, Status: Plain("Wooing Juliet")}},
		{"RFC 6121 §4.7.2.2 available", `<presence from='romeo@example.net/orchard'
		             id='jx62vs97'
		             xml:lang='en'>
		     <show>dnd</show>
		     <status>Wooing Juliet</status>
		     <status xml:lang='cs'>Dvo&#x0159;&#x00ED;m se Julii</status>
		   </presence>`,
			Presence{From: romeo, ID: "jx62vs97", Lang: "en", Show: ShowDND,
				Status: Texts{{"", "Wooing Juliet"}, {"cs", "Dvořím se Julii"}}}},
		{"RFC 6121 §4.7.2.2 unavailable", `<presence from='romeo@example.net/orchard'
		             id='oy6sb241'
		             type='unavailable'
		             xml:lang='en'>
		     <status>Busy IRL</status>
		   </presence>`,
			Presence{From: romeo, ID: "oy6sb241", Type: UnavailablePresence, Lang: "en", Status: Plain("Busy IRL")}},
		{"RFC 6121 §4.7.2.2 subscribe", `<presence from='romeo@example.net'
		             id='uc51xs63'
		             to='nurse@example.com'
		             type='subscribe'>
		     <status>Hi, Juliet told me to add you to my buddy list.</status>
		   </presence>`,
			Presence{From: romeo.Bare(), ID: "uc51xs63", To: jid.MustParse("nurse@example.com"), Type: SubscribePresence,
				Status: Plain("Hi, Juliet told me to add you to my buddy list.")}},
		{"RFC 6121 §4.7.2.3", `<presence xml:lang='en'>
		     <show>dnd</show>
		     <status>Wooing Juliet</status>
		     <status xml:lang='cs'>Dvo&#x0159;&#x00ED;m se Julii</status>
		     <priority>1</priority>
		   </presence>`,
			Presence{Lang: "en", Show: ShowDND, Priority: 1, Status: Texts{{"", "Wooing Juliet"}, {"cs", "Dvořím se Julii"}}}},
	} {
		t.Run(c.clause, func(t *testing.T) {
			got := decode[*Presence](t, c.xml)
			require.Empty(t, slices.Collect(got.Payloads()))
			got.source = nil
			require.Equal(t, c.want, *got)

			again := decode[*Presence](t, encode(t, got))
			again.source = nil
			require.Equal(t, c.want, *again)
		})
	}
}

// RFC 6121 §4.7.3: the example with entity capabilities.
func TestPresencePayloads(t *testing.T) {
	const caps = `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://psi-im.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>`
	p := decode[*Presence](t, "<presence from='romeo@example.net'>"+caps+"<body/><x:show xmlns:x='urn:x'>away</x:show></presence>")
	el, ok := p.Payload(stream.Name{Space: "http://jabber.org/protocol/caps", Local: "c"})
	require.True(t, ok)
	require.Equal(t, "http://psi-im.org", el.Attr("node"))
	require.Equal(t, ShowOnline, p.Show)
	// A body belongs to messages: here it is like any other unknown child.
	_, ok = p.Payload(stream.Name{Space: stream.NSClient, Local: "body"})
	require.True(t, ok)
	require.Contains(t, encode(t, p), caps)
}

// RFC 6121 §4.7.1: the types; there is no default and no "available".
//
//conformance:proves 6121-4.7.1-4
func TestPresenceTypes(t *testing.T) {
	for _, typ := range []PresenceType{
		ErrorPresence, ProbePresence, SubscribePresence, SubscribedPresence,
		UnavailablePresence, UnsubscribePresence, UnsubscribedPresence,
	} {
		p := decode[*Presence](t, "<presence type='"+string(typ)+"'/>")
		require.Equal(t, typ, p.Type)
		require.Equal(t, typ == ErrorPresence, p.IsError())
		require.Contains(t, encode(t, p), "type='"+string(typ)+"'")
	}
	require.Equal(t, AvailablePresence, decode[*Presence](t, "<presence/>").Type)
	require.Equal(t, "<presence/>", encode(t, &Presence{}))
	for _, typ := range []string{"", "available", "Unavailable", "unavailable ", "chat", "invisible"} {
		st, err := Decode(element(t, stream.NSClient, "<presence id='1' from='a@b' type='"+typ+"'/>"))
		require.ErrorIs(t, err, BadRequest, "%s", typ)
		reply := ErrorReply(st, err)
		require.Equal(t, "<presence id='1' to='a@b' type='error'><error type='modify'>"+
			"<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"+
			"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>unknown presence type</text></error></presence>", encode(t, reply))
	}
}

// RFC 6121 §4.7.2.1: the values of show. What is none of them is ignored.
func TestPresenceShow(t *testing.T) {
	for xml, want := range map[string]Show{
		"":                                   ShowOnline,
		"<show>away</show>":                  ShowAway,
		"<show>chat</show>":                  ShowChat,
		"<show>dnd</show>":                   ShowDND,
		"<show>xa</show>":                    ShowXA,
		"<show>\n xa\t</show>":               ShowXA, // an NMTOKEN
		"<show/>":                            ShowOnline,
		"<show>online</show>":                ShowOnline,
		"<show>Away</show>":                  ShowOnline,
		"<show>x a</show>":                   ShowOnline,
		"<show>away</show><show>dnd</show>":  ShowAway,
		"<show>dunno</show><show>dnd</show>": ShowOnline,
		"<show><b>away</b></show>":           ShowOnline,
		"<show>a<b/>way</show>":              ShowAway,
	} {
		require.Equal(t, want, decode[*Presence](t, "<presence>"+xml+"</presence>").Show, "%s", xml)
	}
}

// RFC 6121 §4.7.2.3: all 256 priorities there and back; the default is zero.
//
//conformance:proves 6121-4.7.2.3-1
func TestPresencePriority(t *testing.T) {
	for n := -128; n <= 127; n++ {
		want := int8(n)
		p := decode[*Presence](t, "<presence><priority>"+strconv.Itoa(n)+"</priority></presence>")
		require.Equal(t, want, p.Priority)
		require.Equal(t, want, decode[*Presence](t, encode(t, p)).Priority)
	}
	require.Equal(t, "<presence><priority>-128</priority></presence>", encode(t, &Presence{Priority: -128}))
	require.Equal(t, "<presence/>", encode(t, &Presence{Priority: 0}))
	require.EqualValues(t, 3, decode[*Presence](t, "<presence><priority>3</priority><priority>4</priority></presence>").Priority)
	require.EqualValues(t, 0, decode[*Presence](t, "<presence><priority>x</priority><priority>4</priority></presence>").Priority)
}
