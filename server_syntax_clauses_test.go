package xmpp_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
)

// RFC 6120 §4.3.6: the address of a client is in canonical form, however the client
// spells its name and its resource.
//
//conformance:proves 6120-4.3.6-7
func TestAddressIsCanonicalRFC6120Section4_3_6(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, allowPlain)
		s.AddAccount(t, "juliet", "secret")
		romeo := join(t, s, "romeo", "orchard")
		w := dialWire(t, s)
		w.starttls()
		w.open("")
		w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` +
			base64.StdEncoding.EncodeToString([]byte("\x00JULIET\x00secret")) + `</auth>`)
		w.until("<success")
		w.until(">")
		w.open("")
		w.bind("e\u0301te\u0301")
		require.Contains(t, w.until("</iq>"), "<jid>juliet@xmpp.test/été</jid>")
		w.say(`<message to='romeo@xmpp.test/orchard' id='1'/>`)
		romeo.hears("message - juliet@xmpp.test/été→romeo@xmpp.test/orchard 1")
	})
}

// RFC 6120 §8.4: a message of which nothing is understood comes back, from the
// server that is meant, and changes nothing else.
//
//conformance:proves 6120-8.4-7 6120-8.4-8 6120-8.4-9
func TestUnknownContentRFC6120Section8_4(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Handler = nil })
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<message to='xmpp.test' id='1'><x xmlns='urn:x'/></message>`)
		romeo.hears("message error xmpp.test→romeo@xmpp.test/orchard 1 service-unavailable")
		romeo.say(`<iq to='xmpp.test' type='set' id='2'><x xmlns='urn:x'/></iq>`)
		romeo.hears("iq error xmpp.test→romeo@xmpp.test/orchard 2 service-unavailable")
		romeo.quiet()
	})
}
