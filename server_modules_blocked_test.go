package xmpp_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// XEP-0191 §3.3: what a contact had sent before it was blocked, and what waits, does not get to the account.
func TestBlockedRequestDoesNotComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, everything)
		romeo := enter(t, s, "romeo", "orchard")
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo.say(`<presence type='subscribe' to='juliet@xmpp.test'/>`)
		romeo.say(`<message to='juliet@xmpp.test' type='chat'><body>one</body></message>`)
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@xmpp.test'/></block></iq>`)
		juliet.say(`<presence/>`)
		require.NotContains(t, juliet.heard("zzz"), "from='romeo@xmpp.test")
	})
}
