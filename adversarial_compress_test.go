package xmpp_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/stream"
)

const compress = `<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>`

// L14: there is no compression. It is not offered, and whoever asks for it
// anyway has lost the stream: XEP-0138 is obsolete, and RFC 6120 §4.9.3.24 says
// what to do with a nonza that nobody negotiated.
//
//conformance:proves 6120-4.8.4-2 6120-4.8.4-3
func adversarialL14(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *wire) string
		want   string
	}{
		"before TLS":            {func(w *wire) string { return w.open("") }, "<not-authorized"},
		"before authentication": {func(w *wire) string { w.starttls(); return w.open("") }, "<not-authorized"},
		"in a session":          {func(w *wire) string { w.login("juliet", "balcony", ""); return "" }, "<unsupported-stanza-type"},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := dialWire(t, memoryServer(t, allowPlain))
				require.NotContains(t, c.before(w), "compress")
				w.say(compress)
				rest := w.rest()
				require.Contains(t, rest, c.want)
				require.NotContains(t, rest, "<compressed")
			})
		})
	}
	t.Run("client", func(t *testing.T) {
		const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.test' id='1' version='1.0'>`
		for _, required := range []string{"", "<required/>"} {
			a, b := memconn.Pipe()
			heard := make(chan string, 1)
			go func() { // ends with the connection
				all, _ := io.ReadAll(b)
				heard <- string(all)
			}()
			_, err := io.WriteString(b, header+`<stream:features><compression xmlns='http://jabber.org/features/compress'><method>zlib</method>`+
				strings.ReplaceAll(required, "<required/>", "<required xmlns='http://jabber.org/features/compress'/>")+
				`</compression></stream:features><compressed xmlns='http://jabber.org/protocol/compress'/>`)
			require.NoError(t, err)
			client := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "secret", InsecureWithoutTLS: true}
			_, err = client.ConnectOn(t.Context(), a)
			require.ErrorIs(t, err, stream.UnsupportedFeature)
			require.NotContains(t, <-heard, "<compress")
		}
	})
}
