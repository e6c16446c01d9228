package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza/admin"
)

func TestAdversarial(t *testing.T) {
	t.Run("R18", adversarialR18)
}

// R18: commands with each attribute of the payload taken away in turn, and with
// each one empty. Whatever comes back, nobody else's account is touched, and
// nothing breaks.
func adversarialR18(t *testing.T) {
	const first = `<command xmlns='http://jabber.org/protocol/commands' action='execute' node='http://jabber.org/protocol/admin#disable-user'/>`
	const second = `<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#disable-user' sessionid='ID' action='complete'>` +
		`<x xmlns='jabber:x:data' type='submit'><field type='hidden' var='FORM_TYPE'><value>http://jabber.org/protocol/admin</value></field>` +
		`<field type='jid-multi' var='accountjids'><value>juliet@shakespeare.lit</value></field></x></command>`
	for _, payload := range []string{first, second} {
		for i, mangled := range without(payload) {
			t.Run(fmt.Sprint(len(payload), "/", i), func(t *testing.T) {
				b := start(t, new(admin.Module))
				id := sessionID.FindStringSubmatch(b.execute("disable-user"))[1]
				reply := b.ask(bard.String(), `<iq id='1' `+to+`>`+strings.Replace(mangled, "ID", id, 1)+`</iq>`)
				require.NotContains(t, reply, "internal-server-error")
				if log := b.noted(); len(log) > 0 {
					require.Equal(t, []string{"disable juliet"}, log)
					require.True(t, completed(reply), reply)
				}
			})
		}
	}
}

// without returns the XML with each attribute taken away, and with each one empty.
func without(xml string) (out []string) {
	for i := 0; ; {
		j := strings.Index(xml[i:], "='")
		if j < 0 {
			return out
		}
		j += i
		start := strings.LastIndexByte(xml[:j], ' ')
		end := j + 2 + strings.IndexByte(xml[j+2:], '\'')
		out = append(out, xml[:start]+xml[end+1:], xml[:j+2]+xml[end:])
		i = end
	}
}
