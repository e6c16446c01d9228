package stanza_test

import (
	"encoding/xml"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Request asks for a delivery receipt (XEP-0184). It shows what a payload with
// code of its own looks like: one method to write it, one to read it.
type Request struct{}

func (Request) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(stream.Name{Space: "urn:xmpp:receipts", Local: "request"})
	w.End()
	return w.Bytes()
}

func (*Request) DecodeElement(*stream.Element) error { return nil }

// Delay says when a message was sent (XEP-0203). It is an encoding/xml struct.
type Delay struct {
	XMLName xml.Name `xml:"urn:xmpp:delay delay"`
	Stamp   string   `xml:"stamp,attr"`
}

// On a session, elements come from the stream; here one is parsed.
func ExampleDecode() {
	el, err := stream.ParseElement([]byte(`<message xmlns='jabber:client' type='chat' from='juliet@example.com/balcony'>
		<body>Art thou not Romeo, and a Montague?</body>
		<body xml:lang='de'>Bist du nicht Romeo und ein Montague?</body>
		<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>
	</message>`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	st, err := stanza.Decode(el)
	if err != nil {
		fmt.Println(err) // and send stanza.ErrorReply(st, err), if not nil
		return
	}
	switch st := st.(type) {
	case *stanza.Message:
		fmt.Println(st.Type, "from", st.From.Bare())
		fmt.Println(st.Body)
		german, _ := st.Body.In("de-AT")
		fmt.Println(german)
		if p, ok := st.Payload(stream.Name{Space: "urn:xmpp:delay", Local: "delay"}); ok {
			var d Delay
			if err := stanza.Unmarshal(p, &d); err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println("sent", d.Stamp)
		}
	case *stanza.Presence, *stanza.IQ:
		// not today
	}
	// Output:
	// chat from juliet@example.com
	// Art thou not Romeo, and a Montague?
	// Bist du nicht Romeo und ein Montague?
	// sent 2002-09-10T23:08:25Z
}

func ExampleMessage_AppendXML() {
	m := &stanza.Message{
		ID:   "ktx72v49",
		To:   jid.MustParse("romeo@example.net"),
		Type: stanza.ChatMessage,
		Body: stanza.Plain("Wherefore art thou, <Romeo>?"),
		Extra: []stanza.Payload{
			Request{},
			stanza.XML(Delay{Stamp: "2002-09-10T23:08:25Z"}),
		},
	}
	b, err := m.AppendXML(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(b))
	// Output:
	// <message id='ktx72v49' to='romeo@example.net' type='chat'><body>Wherefore art thou, &lt;Romeo&gt;?</body><request xmlns='urn:xmpp:receipts'/><delay xmlns="urn:xmpp:delay" stamp="2002-09-10T23:08:25Z"></delay></message>
}

func ExampleErrorReply() {
	el, err := stream.ParseElement([]byte(`<iq xmlns='jabber:client' id='zj3v142b' from='juliet@im.example.com/balcony'
		to='im.example.com' type='subscribe'><ping xmlns='urn:xmpp:ping'/></iq>`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	st, err := stanza.Decode(el)
	fmt.Println(errors.Is(err, stanza.BadRequest))
	if reply := stanza.ErrorReply(st, err); reply != nil {
		b, err := reply.AppendXML(nil)
		fmt.Println(string(b), err)
	}
	// Output:
	// true
	// <iq id='zj3v142b' from='im.example.com' to='juliet@im.example.com/balcony' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>missing or unknown iq type</text></error></iq> <nil>
}
