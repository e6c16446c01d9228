package bind_test

import (
	"context"
	"fmt"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

// A server that knows which resources are taken. A client that wants one of them gets another; five
// for each account are enough.
func ExampleServer() {
	var (
		mu    sync.Mutex
		taken = make(map[jid.JID]map[string]bool) // by account
	)
	reserve := func(_ context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error) {
		account := n.Identity()
		mu.Lock()
		defer mu.Unlock()
		if len(taken[account]) >= 5 {
			return jid.JID{}, bind.ResourceConstraint
		}
		if !asked.IsFull() || taken[account][asked.Resource()] {
			var err error
			if asked, err = bind.Generate(account); err != nil {
				return jid.JID{}, err
			}
		}
		if taken[account] == nil {
			taken[account] = make(map[string]bool)
		}
		taken[account][asked.Resource()] = true
		return asked, nil // to be released when stream.Accept fails or the session ends
	}
	// The feature goes behind TLS and authentication.
	feature := bind.Server(&bind.ServerOptions{Bind: reserve})
	fmt.Println(feature.Name)
	fmt.Println("needs:", feature.Needs)
	// Output:
	// {urn:ietf:params:xml:ns:xmpp-bind}bind
	// needs: authenticated
}
