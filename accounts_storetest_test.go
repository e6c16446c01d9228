package xmpp_test

import (
	"testing"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

// MemoryAccounts is what any other user table has to be.
func TestMemoryAccountsStore(t *testing.T) {
	storetest.Accounts(t, func(*testing.T) storetest.AccountStore {
		return &xmpp.MemoryAccounts{Iterations: sasl.MinIterations}
	})
}
