package xmpp_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
)

// A client that has authenticated, and not bound yet, when its account is removed gets
// no session: the next owner of the name would share the account with it.
func TestRemovedWhileLoggingIn(t *testing.T) {
	s := memoryServer(t, func(s *xmpp.Server) {
		everything(s)
		allowPlain(s)
	})
	s.AddAccount(t, "eve", "secret of eve")
	late := dialWire(t, s)
	late.starttls()
	late.open("")
	late.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` +
		base64.StdEncoding.EncodeToString([]byte("\x00eve\x00secret of eve")) + `</auth>`)
	late.until("<success")
	late.until(">")
	late.open("")
	eve := join(t, s, "eve", "x")
	eve.say(`<iq type='set' id='1'><query xmlns='jabber:iq:register'><remove/></query></iq>`)
	require.Error(t, eve.ended())
	// removal is over when the name can be had again
	require.Eventually(t, func() bool {
		return s.Accounts.Create(t.Context(), address("eve@xmpp.test"), "secret of the next") == nil
	}, 5*time.Second, time.Millisecond)
	late.say(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>y</resource></bind></iq><presence/>`)
	w := dialWire(t, s)
	w.starttls()
	w.open("")
	w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` +
		base64.StdEncoding.EncodeToString([]byte("\x00eve\x00secret of the next")) + `</auth>`)
	w.until("<success")
	w.until(">")
	w.open("")
	w.bind("z")
	w.until("</iq>")
	w.say(`<message to='eve@xmpp.test'><body>note to self</body></message>`)
	late.say(`<iq type='get' id='m'><query xmlns='jabber:iq:roster'/></iq>`)
	got := late.rest()
	require.False(t, strings.Contains(got, "note to self") || strings.Contains(got, "id='m'"), got)
}
