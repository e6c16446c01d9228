package carbons_test

import (
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream"
)

// A client hands every message that it gets to Decode first.
func ExampleDecode() {
	account := jid.MustParse("romeo@montague.example")
	handle := func(msg *stanza.Message) {
		c, err := carbons.Decode(msg, account)
		switch {
		case err == nil && c.Direction == carbons.Sent:
			fmt.Printf("I wrote to %s: %s\n", c.Message.To, c.Message.Body)
		case err == nil:
			fmt.Printf("%s wrote to another client of mine: %s\n", c.Message.From, c.Message.Body)
		case errors.Is(err, carbons.ErrNone):
			fmt.Printf("%s wrote: %s\n", msg.From, msg.Body)
		default:
			fmt.Println("ignored:", err)
		}
	}
	for _, from := range []string{"romeo@montague.example", "tybalt@capulet.example/home"} {
		el, err := stream.ParseElement([]byte(`<message xmlns='jabber:client' from='`+from+`' to='romeo@montague.example/home' type='chat'>
  <received xmlns='urn:xmpp:carbons:2'>
    <forwarded xmlns='urn:xmpp:forward:0'>
      <message xmlns='jabber:client' from='juliet@capulet.example/balcony' to='romeo@montague.example/garden' type='chat'>
        <body>What man art thou?</body>
      </message>
    </forwarded>
  </received>
</message>`), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		msg := new(stanza.Message)
		if err := msg.DecodeElement(el); err != nil {
			fmt.Println(err)
			return
		}
		handle(msg)
	}
	// Output:
	// juliet@capulet.example/balcony wrote to another client of mine: What man art thou?
	// ignored: carbons: not a carbon to be believed: it is not from the account
}
