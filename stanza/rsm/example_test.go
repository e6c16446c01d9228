package rsm_test

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza/rsm"
)

// A service answers the request for the second page of a list in memory.
func Example() {
	users := []string{"benvolio", "juliet", "mercutio", "romeo", "tybalt"}
	page, res, err := rsm.Page(users, func(s string) string { return s }, rsm.Forward(2, "juliet"), 0)
	if err != nil {
		fmt.Println(err) // stanza.ItemNotFound: the answer to the request
		return
	}
	b, err := res.AppendXML(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(page)
	fmt.Println(string(b))
	// Output:
	// [mercutio romeo]
	// <set xmlns='http://jabber.org/protocol/rsm'><first index='2'>mercutio</first><last>romeo</last><count>5</count></set>
}
