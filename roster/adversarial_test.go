package roster_test

import (
	"testing"

	"stanzakit.dev/xmpp/jid"
)

var (
	juliet   = jid.MustParse("juliet@example.com")
	balcony  = jid.MustParse("juliet@example.com/balcony")
	romeo    = jid.MustParse("romeo@example.net")
	nurse    = jid.MustParse("nurse@example.com")
	benvolio = jid.MustParse("benvolio@example.net")
)

// TestAdversarial: the rows of the catalogue of hostile cases.
func TestAdversarial(t *testing.T) {
	t.Run("R01", testR01)
	t.Run("R02", testR02)
	t.Run("R20", testR20)
}
