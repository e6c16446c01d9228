package xmpp_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/presence"
)

const askArchive = `<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>`

// XEP-0313 §6.1: what the server has refused is in nobody's archive, whatever the
// reason.
func TestModulesArchiveNothingRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) {
			everything(s)
			s.Offline = &presence.MemoryOffline{Quota: 1}
		})
		romeo := enter(t, s, "romeo", "orchard")
		other := enter(t, s, "romeo", "home")
		other.say(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>`)
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo.heard("")
		other.heard("")
		romeo.say(`<message to='juliet@xmpp.test' type='chat' id='1'><body>kept</body></message>`)
		romeo.quiet()
		require.Contains(t, other.heard(""), "kept")
		romeo.say(`<message to='juliet@xmpp.test' type='chat' id='2'><body>too many</body></message>`)
		require.Contains(t, romeo.heard(""), "<resource-constraint")
		require.NotContains(t, other.heard(""), "too many")
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@xmpp.test'/></block></iq>`)
		juliet.heard("")
		romeo.say(`<message to='juliet@xmpp.test' type='chat' id='3'><body>blocked</body></message>`)
		require.Contains(t, romeo.heard(""), "<service-unavailable")
		juliet.say(`<message to='romeo@xmpp.test' type='chat' id='4'><body>blocked</body></message>`)
		require.Contains(t, juliet.heard(""), "<not-acceptable")
		romeo.say(`<message to='nobody@xmpp.test' type='chat' id='5'><body>blocked</body></message>`)
		romeo.heard("")
		for _, p := range []*peer{romeo, juliet} {
			p.say(askArchive)
			archive := p.heard("")
			require.Equal(t, 1, strings.Count(archive, "<body>"), archive)
			require.Contains(t, archive, "<body>kept")
		}
		require.Empty(t, other.heard(""))
	})
}
