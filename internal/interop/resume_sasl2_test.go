package interop_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream/sm"
)

// TestProsodyResumeSASL2: with SASL 2 and Bind 2 stream management is enabled, and a session resumed, in the round trips of the login (XEP-0198 §9).
func TestProsodyResumeSASL2(t *testing.T) {
	t.Parallel()
	ctx := patient(t)
	p := startProsodyWith(t, interop.ProsodyOptions{SASL2: true, Resumption: 5 * time.Minute})
	s := managedServer{&p.foreignServer, tls.VersionTLS13, false}
	b := startBreaker(t, s.addr)
	bob := s.bob(ctx, t)
	m, err := sm.NewClient(nil)
	require.NoError(t, err)
	alice, w := s.managed(ctx, t, b.addr.String(), m, true)
	_, _, flow := w.seen()
	require.NotEmpty(t, m.Link().ID())
	for _, element := range []string{"<enable ", "<iq "} {
		require.False(t, flow.has(sent, element), "it rode in <authenticate/>")
	}
	require.NoError(t, alice.Send(ctx, &stanza.Presence{}))
	address, count := alice.who(), 0
	// mod_sasl2 of Debian's prosody-modules leaves the limit for elements as it is before the login on Prosody 0.12: 10,000 bytes.
	brief := func() (toAlice, toBob []said) {
		for range 4 {
			count++
			toBob = append(toBob, said{fmt.Sprintf("a%d", count), "good night"})
			alice.say(ctx, t, bob.who(), toBob[len(toBob)-1])
			toAlice = append(toAlice, said{fmt.Sprintf("b%d", count), "good night"})
			bob.say(ctx, t, alice.who(), toAlice[len(toAlice)-1])
		}
		return toAlice, toBob
	}
	conversation := func() {
		toAlice, toBob := brief()
		heardBy(ctx, t, bob, toBob)
		heardBy(ctx, t, alice, toAlice)
		alice.settled(ctx, t)
	}
	conversation()
	for range 3 {
		b.deafen(t, toClient)
		toAlice, toBob := brief()
		heardBy(ctx, t, bob, toBob)
		bob.settled(ctx, t)
		b.cut(t)
		suspends(ctx, t, alice, m)
		receipts := alice.receipts
		alice, w = s.managed(ctx, t, b.addr.String(), m, true)
		alice.receipts = receipts
		require.Equal(t, address, alice.who())
		require.True(t, m.Link().Resumed())
		_, _, flow = w.seen()
		require.False(t, flow.has(sent, "<resume "))
		heardBy(ctx, t, alice, toAlice)
		conversation()
	}
	_, err = ping.Ping(ctx, alice, jid.JID{})
	require.NoError(t, err)
	// mod_sasl2 sends the features once more, behind what it resends, although the stream has been negotiated (XEP-0198 §9.2).
	_, _, flow = w.seen()
	again := flow.index(received, "<message ")
	require.GreaterOrEqual(t, again, 0)
	require.True(t, flow[again:].has(received, "<stream:features"))
}
