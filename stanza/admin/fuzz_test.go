package admin_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stream"
)

// FuzzForms fills in the forms of all commands with whatever comes: one reply, and
// nothing for accounts of other servers.
func FuzzForms(f *testing.F) {
	f.Add(0, "accountjid", "juliet@shakespeare.lit", "R0m30")
	f.Add(1, "accountjids", "juliet@shakespeare.lit\niago@shakespeare.lit", "")
	f.Add(4, "accountjids", "juliet@shakespeare.lit/balcony", "")
	f.Add(6, "accountjid", "iago@shakespeare.lit", "")
	f.Add(10, "max_items", "100", "")
	f.Add(12, "x-after", "iago@shakespeare.lit", "")
	f.Add(13, "announcement", "Attention!\nWe apologize.", "")
	f.Fuzz(func(t *testing.T, which int, name, value, password string) {
		node := nodes[uint(which)%uint(len(nodes))]
		b := start(t, new(admin.Module))
		b.connect("juliet@shakespeare.lit/balcony")
		w := stream.NewWriter(nil)
		for _, fd := range [][2]string{{name, value}, {"password", password}, {"password-verify", password}} {
			w.Start(stream.Name{Space: "jabber:x:data", Local: "field"})
			w.Attr("var", fd[0])
			for line := range strings.Lines(fd[1]) {
				w.Start(stream.Name{Space: "jabber:x:data", Local: "value"})
				w.Text(strings.TrimSuffix(line, "\n"))
				w.End()
			}
			w.End()
		}
		fields, err := w.Bytes()
		begun := b.execute(node)
		if err != nil || !strings.Contains(begun, "executing") {
			return
		}
		require.NotContains(t, b.submit(node, begun, string(fields)), "internal-server-error")
		for j := range b.rows {
			require.Contains(t, []jid.JID{jid.MustParse("shakespeare.lit"), jid.MustParse("globe.lit")}, j.DomainJID())
		}
	})
}
