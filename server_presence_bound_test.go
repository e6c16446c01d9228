package xmpp_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a resource broadcasts is kept to be shown to others, so it is bounded; it is
// refused as a whole, and what was shown before stays.
func TestPresenceIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, other := join(t, s, "romeo", "orchard"), join(t, s, "romeo", "garden")
		romeo.say(`<presence id='1'/>`)
		romeo.hears("presence - romeo@xmpp.test/orchard→romeo@xmpp.test 1")
		romeo.say(`<presence id='2'><status>` + strings.Repeat("x", 16<<10) + `</status></presence>`)
		romeo.hears("presence error -→romeo@xmpp.test/orchard 2 policy-violation")
		other.say(`<presence/>`)
		other.hears("presence - romeo@xmpp.test/garden→romeo@xmpp.test -")
		other.hears("presence - romeo@xmpp.test/orchard→romeo@xmpp.test 1")
		romeo.hears("presence - romeo@xmpp.test/garden→romeo@xmpp.test -")
		romeo.say(`<presence id='3'><status>` + strings.Repeat("x", 15<<10) + `</status></presence>`)
		el := romeo.hears("presence - romeo@xmpp.test/orchard→romeo@xmpp.test 3")
		require.Greater(t, len(el.Raw()), 15<<10)
	})
}
