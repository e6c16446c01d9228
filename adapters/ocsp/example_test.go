package ocsp_test

import (
	"fmt"

	"stanzakit.dev/xmpp/adapters/ocsp"
	xtls "stanzakit.dev/xmpp/tls"
)

// A client that goes by the response that a server sends along, or asks the
// authority, and will not talk to a server about which it can find out nothing.
func Example() {
	opts := &xtls.ClientOptions{
		Revocation: ocsp.Checker(nil),
		Policy:     xtls.AllOf(xtls.Default(), xtls.RevocationKnown()),
	}
	fmt.Println(opts.Validate())
	// Output: <nil>
}
