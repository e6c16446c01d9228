package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// X36: white space between <authenticate> and <success> ends the stream on the server (XEP-0388 §2.4),
// and before <authenticate> it is a keepalive (RFC 6120 §4.6.1).
func TestWhiteSpaceDuringSASL2(t *testing.T) {
	accounts := store(t)
	begin := begin2("SCRAM-SHA-256", "n,,n=juliet,r=abcdefghijkl", "")
	for name, space := range map[string]string{"a space": " ", "a line end": "\n", "both of them": "\r\n\t "} {
		t.Run("server/"+name, func(t *testing.T) {
			p, done := connect2(t, &auth.ServerOptions{Store: accounts})
			p.send(begin)
			p.expect("</challenge>")
			p.send(space)
			out, err := p.end(done)
			require.Contains(t, out, "<bad-format")
			require.ErrorIs(t, err, stream.BadFormat)
		})
		t.Run("server/in one piece with the element/"+name, func(t *testing.T) {
			p, done := connect2(t, &auth.ServerOptions{Store: accounts})
			p.send(begin + space)
			p.expect("</challenge>")
			out, err := p.end(done)
			require.Contains(t, out, "<bad-format")
			require.ErrorIs(t, err, stream.BadFormat)
		})
		t.Run("server/before/"+name, func(t *testing.T) {
			p, _ := connect2(t, &auth.ServerOptions{Store: accounts, AllowPlain: true})
			p.send(space + good2)
			p.expect("</success>")
		})
	}
	t.Run("server/during a task", func(t *testing.T) {
		p, done := connect2(t, &auth.ServerOptions{
			Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tasks: []auth.Task{codeTask("TOTP-EXAMPLE", "1")}},
		})
		p.send(good2)
		p.expect("</continue>")
		p.send(" ")
		out, err := p.end(done)
		require.Contains(t, out, "<bad-format")
		require.ErrorIs(t, err, stream.BadFormat)
	})
}
