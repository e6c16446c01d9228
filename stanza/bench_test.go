package stanza

import (
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// chatXML is a chat message as clients send it: with a receipt request
// (XEP-0184) and an origin id (XEP-0359).
const chatXML = `<message from='juliet@im.example.com/balcony' id='de305d54-75b4-431b-adb2-eb6b9e546013'` +
	` to='romeo@example.net' type='chat'><body>Wherefore art thou, Romeo? Deny thy father &amp; refuse thy name.</body>` +
	`<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013'/></message>`

// chatMessage is the same, built by hand.
func chatMessage() *Message {
	return &Message{
		ID: "de305d54-75b4-431b-adb2-eb6b9e546013", Type: ChatMessage,
		From:  jid.MustParse("juliet@im.example.com/balcony"),
		To:    jid.MustParse("romeo@example.net"),
		Body:  Plain("Wherefore art thou, Romeo? Deny thy father & refuse thy name."),
		Extra: []Payload{receiptRequest{}, originID("de305d54-75b4-431b-adb2-eb6b9e546013")},
	}
}

type receiptRequest struct{}

func (receiptRequest) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(stream.Name{Space: "urn:xmpp:receipts", Local: "request"})
	w.End()
	return w.Bytes()
}

type originID string

func (id originID) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(stream.Name{Space: "urn:xmpp:sid:0", Local: "origin-id"})
	w.Attr("id", string(id))
	w.End()
	return w.Bytes()
}

// stdMessage is the message for encoding/xml.
type stdMessage struct {
	XMLName xml.Name `xml:"message"`
	From    string   `xml:"from,attr,omitempty"`
	ID      string   `xml:"id,attr,omitempty"`
	To      string   `xml:"to,attr,omitempty"`
	Type    string   `xml:"type,attr,omitempty"`
	Lang    string   `xml:"http://www.w3.org/XML/1998/namespace lang,attr,omitempty"`
	Body    string   `xml:"body,omitempty"`
	Request *struct {
	} `xml:"urn:xmpp:receipts request"`
	OriginID *stdOriginID `xml:"urn:xmpp:sid:0 origin-id"`
}

type stdOriginID struct {
	ID string `xml:"id,attr"`
}

func BenchmarkDecodeMessage(b *testing.B) {
	wire := []byte(declare(stream.NSClient, chatXML))
	el, err := stream.ParseElement(wire, nil)
	require.NoError(b, err)
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(chatXML)))
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// The element is there: it is how the stream delivers a stanza.
	run("new", func() error { _, err := Decode(el); return err })
	var m Message
	run("reused", func() error { return m.DecodeElement(el) })
	// From the bytes, which is what encoding/xml has to do.
	run("parse", func() error {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return err
		}
		_, err = Decode(el)
		return err
	})
	run("encoding-xml", func() error { return xml.Unmarshal(wire, new(stdMessage)) })
}

func BenchmarkEncodeMessage(b *testing.B) {
	run := func(name string, f func(dst []byte) ([]byte, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(chatXML)))
			buf := make([]byte, 0, 1024)
			for b.Loop() {
				var err error
				if buf, err = f(buf[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	m := chatMessage()
	run("built", m.AppendXML)
	received := decode[*Message](b, chatXML)
	run("received", received.AppendXML)
	std := &stdMessage{
		From: m.From.String(), To: m.To.String(), ID: m.ID, Type: string(m.Type), Body: m.Body.String(),
		Request: &struct{}{}, OriginID: &stdOriginID{m.ID},
	}
	run("encoding-xml", func(dst []byte) ([]byte, error) {
		b, err := xml.Marshal(std)
		return append(dst, b...), err
	})
}
