package presence_test

import (
	"testing"

	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

// The stores in memory keep what the interfaces say.
func TestMemoryStores(t *testing.T) {
	t.Run("offline", func(t *testing.T) {
		storetest.Offline(t, func(*testing.T) presence.OfflineStore { return new(presence.MemoryOffline) })
	})
	t.Run("last seen", func(t *testing.T) {
		storetest.LastSeen(t, func(*testing.T) presence.LastSeenStore { return new(presence.MemoryLastSeen) })
	})
}
