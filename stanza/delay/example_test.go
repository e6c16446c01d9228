package delay_test

import (
	"fmt"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
)

// A server stamps a message that comes out of its offline store.
func Example() {
	received := time.Date(2002, 9, 10, 23, 8, 25, 0, time.UTC)
	msg := &stanza.Message{
		To:    jid.MustParse("juliet@capulet.com"),
		Type:  stanza.ChatMessage,
		Extra: []stanza.Payload{delay.Delay{From: jid.MustParse("capulet.com"), Stamp: received, Reason: "Offline Storage"}},
	}
	b, err := msg.AppendXML(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(b))
	// Output: <message to='juliet@capulet.com' type='chat'><delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>Offline Storage</delay></message>
}
