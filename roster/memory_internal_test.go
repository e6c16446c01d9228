package roster

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
)

// What is remembered of removed contacts is bounded.
func TestMemoryStoreRemovedBound(t *testing.T) {
	var m MemoryStore
	account := jid.MustParse("juliet@example.com")
	for i := range 600 {
		contact := jid.MustParse(fmt.Sprintf("c%d@example.net", i))
		_, err := m.Put(t.Context(), account, Item{JID: contact, Added: true})
		require.NoError(t, err)
		_, err = m.Remove(t.Context(), account, contact)
		require.NoError(t, err)
		require.LessOrEqual(t, len(m.accounts[account].removed), 256)
	}
}
