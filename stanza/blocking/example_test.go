package blocking_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
)

// The list of an account is in force for everything that somebody else sends to
// it, whether it is connected or not.
func Example() {
	juliet, iago := jid.MustParse("juliet@capulet.com"), jid.MustParse("iago@shakespeare.lit/pda")

	store := &blocking.MemoryStore{}
	if err := store.Put(context.Background(), juliet, []jid.JID{jid.MustParse("shakespeare.lit")}); err != nil {
		fmt.Println(err)
		return
	}
	module := &blocking.Module{Store: store} // goes among the modules of a server
	if err := module.Attach(&host{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(module.Gate(iago, juliet, stanza.MessageKind, "chat").Err)
	fmt.Println(blocking.IsBlocked(module.Gate(juliet, iago, stanza.MessageKind, "chat").Err))
	// Output:
	// service-unavailable
	// true
}
