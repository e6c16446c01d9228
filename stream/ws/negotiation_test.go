package ws_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/ws"
)

// W04 before there is a session. RFC 7395 §3.5: "the server MUST send the initial
// open element response, followed by the stream-level error", and the end (§3.6).
func TestNegotiationErrors(t *testing.T) {
	for name, c := range map[string]struct {
		messages []message
		want     stream.Condition
	}{
		"leading space":       {[]message{{text: " " + openMsg}}, stream.BadFormat},
		"empty":               {[]message{{}}, stream.BadFormat},
		"binary":              {[]message{{text: openMsg, binary: true}}, stream.BadFormat},
		"stream header":       {[]message{{text: "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"}}, stream.BadFormat},
		"open, §3.3.2":        {[]message{{text: "<open xmlns='jabber:client' to='im.example' version='1.0'/>"}}, stream.InvalidNamespace},
		"large open":          {[]message{{text: openMsg[:6] + large}}, stream.PolicyViolation},
		"no open":             {[]message{{text: "<message xmlns='jabber:client'/>"}}, stream.BadFormat},
		"two after the open":  {[]message{{text: openMsg}, {text: "<a xmlns='u'/><b xmlns='u'/>"}}, stream.BadFormat},
		"half after the open": {[]message{{text: openMsg}, {text: "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"}}, stream.NotWellFormed},
		"large after open":    {[]message{{text: openMsg}, {text: "<auth xmlns='u'>" + large}}, stream.PolicyViolation},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pipe()
				for _, m := range c.messages {
					a.push(m)
				}
				_, err := stream.Accept(t.Context(), ws.NewConn(b, stream.Receiving, nil), &stream.AcceptOptions{
					Profile: stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated, InsecureGoal: true}, Domains: []jid.JID{domain},
				})
				require.ErrorIs(t, err, c.want, "%v", err)
				sent := b.sent
				require.Regexp(t, `^<open`+framing+` from="im.example" id="\w+" version="1.0" xml:lang="en"/>$`, sent[0])
				require.Regexp(t, `<`+string(c.want)+errorNS, sent[len(sent)-2])
				require.Equal(t, shutMsg, sent[len(sent)-1])
			})
		})
	}
	// A client that is sent elsewhere while it negotiates says goodbye as well.
	t.Run("see-other-uri", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipe()
			b.push(message{text: `<close` + framing + ` see-other-uri="wss://other.example/ws"/>`})
			_, err := stream.Initiate(t.Context(), ws.NewConn(a, stream.Initiating, nil), &stream.InitiateOptions{Profile: bare, To: domain})
			var other *ws.SeeOtherError
			require.ErrorAs(t, err, &other)
			require.Equal(t, "wss://other.example/ws", other.URI)
			require.Equal(t, shutMsg, a.sent[len(a.sent)-1])
		})
	})
}

// large is more than is accepted before authentication.
var large = func() string {
	b := make([]byte, 16<<10)
	for i := range b {
		b[i] = 'A'
	}
	return string(b)
}()
