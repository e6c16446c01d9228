package posh_test

import (
	"fmt"

	"stanzakit.dev/xmpp/jid"
	xtls "stanzakit.dev/xmpp/tls"
	"stanzakit.dev/xmpp/tls/posh"
)

// A client that accepts, beside certificates that name the domain, those that a
// document on the domain's web server lists, and the one key of a server that
// has neither.
func Example() {
	pin, err := xtls.ParsePin("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
	if err != nil {
		fmt.Println(err)
		return
	}
	opts := &xtls.ClientOptions{Policy: xtls.AnyOf(
		posh.Policy(nil),
		xtls.Pin(jid.MustParse("im.internal.example"), pin),
	)}
	fmt.Println(opts.Validate())
	// Output: <nil>
}
