package hostmeta_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial/hostmeta"
)

// Finding the WebSocket endpoint of a domain. Without a Transport the web server
// of the domain is asked; here the answer is made up.
func ExampleLookup() {
	answers := &web{pages: map[string]string{xmlURL: example1}}

	endpoints, err := hostmeta.Lookup(context.Background(), jid.MustParse("im.example"), &hostmeta.Options{Transport: answers})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range endpoints {
		fmt.Println(e.URL, e.Names)
	}
	// Output: wss://web.example.com:443/ws [web.example.com im.example]
}
