package sid_test

import (
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/sid"
	"stanzakit.dev/xmpp/stream"
)

// A client reads the id that its own archive gave to a message, and nobody else's.
func Example() {
	account := jid.MustParse("juliet@capulet.lit")
	el, err := stream.ParseElement([]byte(`<message xmlns='jabber:client' from='romeo@montague.lit'>
  <body>Wherefore?</body>
  <stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='romeo@montague.lit'/>
  <stanza-id xmlns='urn:xmpp:sid:0' id='28482-98726-73623' by='juliet@capulet.lit'/>
</message>`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sid.Find(el, account))
	// Output: 28482-98726-73623 true
}
