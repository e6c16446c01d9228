package forward_test

import (
	"fmt"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/forward"
	"stanzakit.dev/xmpp/stream"
)

// An archive returns a message that it has kept, and a client reads it.
func Example() {
	kept := &stanza.Message{
		From: jid.MustParse("juliet@capulet.lit/orchard"),
		Type: stanza.ChatMessage,
		Body: stanza.Plain("Yet I should kill thee with much cherishing."),
	}
	received := time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC)
	b, err := forward.Forwarded{Delay: &delay.Delay{Stamp: received}, Stanza: kept}.AppendXML(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	el, err := stream.ParseElement(b, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var f forward.Forwarded
	if err := f.DecodeElement(el); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := f.Message()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s: %s\n", f.Delay.Stamp.Format(time.DateTime), msg.From.Local(), msg.Body)
	// Output: 2010-07-10 23:08:25 juliet: Yet I should kill thee with much cherishing.
}
