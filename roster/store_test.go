package roster_test

import (
	"testing"

	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Roster(t, func(*testing.T) roster.Store { return new(roster.MemoryStore) })
}
