package blocking_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza/blocking"
)

// Few addresses can be a lot, which the account keeps in memory and its clients have to
// read in one piece: they are refused before that.
func TestLongAddresses(t *testing.T) {
	s := newServer(t, new(blocking.Module))
	long := strings.Repeat("x", 1000)
	added := 0
	for i := range 200 {
		answer := s.ask(chamber, command("block", fmt.Sprintf("%s%d@montague.net/%s", long, i, long)))
		if strings.Contains(answer, "policy-violation") {
			break
		}
		added++
	}
	require.InDelta(t, 64, added, 3)
	require.Less(t, len(s.ask(chamber, list)), 128<<10+200)
	// What is there can go, and make room.
	require.Contains(t, s.ask(chamber, command("unblock", long+"0@montague.net/"+long)), "type='result'")
	require.Contains(t, s.ask(chamber, command("block", "romeo@montague.net")), "type='result'")
}
