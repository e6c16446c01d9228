package hint_test

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/hint"
	"stanzakit.dev/xmpp/stream"
)

// A client sends a message that nobody is to keep, and an archive notices.
func Example() {
	msg := &stanza.Message{Body: stanza.Plain("psst"), Extra: []stanza.Payload{hint.NoStore}}
	b, err := stanza.Qualified(msg, stream.NSClient).AppendXML(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(b))
	el, err := stream.ParseElement(b, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	may, _ := hint.Of(el).Archive()
	fmt.Println(may)
	// Output:
	// <message xmlns='jabber:client'><body>psst</body><no-store xmlns='urn:xmpp:hints'/></message>
	// false
}
