package bind_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream/bind"
)

// RFC 6120 §4.3.6: the address that the server gives is in canonical form, however
// the client has spelled what it asks for. What has no such form is not given.
//
//conformance:proves 6120-4.3.6-7
func TestBoundAddressIsCanonical(t *testing.T) {
	for asked, want := range map[string]string{
		"balcony":         "balcony",
		"Balcony":         "Balcony", // RFC 7622 §3.4: the resourcepart keeps its case
		"e\u0301te\u0301": "été",     // composed
		"a\u2003b":        "a b",     // every space is the one of ASCII
	} {
		p, done := scriptedClient(t, &bind.ServerOptions{Bind: granting}, true)
		p.send(`<iq id='1' type='set'><bind` + bindNS + `><resource>` + asked + `</resource></bind></iq>`)
		require.Contains(t, p.expect("</iq>"), "<jid>juliet@im.example/"+want+"</jid>")
		r := within(t, done)
		require.NoError(t, r.err)
		require.Equal(t, want, r.session.RemoteAddr().Resource())
		r.session.Abort(nil)
	}
	p, done := scriptedClient(t, &bind.ServerOptions{Bind: granting}, true)
	p.send(`<iq id='1' type='set'><bind` + bindNS + `><resource>a&#x7f;b</resource></bind></iq>`)
	require.Regexp(t, `<jid>juliet@im\.example/[A-Z2-7]{26}</jid>`, p.expect("</iq>"), "one that the server has made up")
	r := within(t, done)
	require.NoError(t, r.err)
	r.session.Abort(nil)
}
