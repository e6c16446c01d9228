package register_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
)

func TestAdversarial(t *testing.T) {
	t.Run("R18", adversarialR18)
}

// R18: requests with each attribute taken away in turn, and with each one empty:
// an answer that says what is wrong, or one as if it had not been there, and the
// stream goes on.
func adversarialR18(t *testing.T) {
	requests := []string{
		asks,
		fills("bill", "Calliope"),
		`<iq type='set' id='reg2' to='shakespeare.lit' from='x@y/z' xml:lang='en'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>` +
			`<field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>` +
			`<field type='text-single' var='username'><value>bill</value></field>` +
			`<field type='text-private' var='password'><value>Calliope</value></field></x></query></iq>`,
		`<iq type='set' id='unreg1'><query xmlns='jabber:iq:register'><remove/></query></iq>`,
		changes("bill", "newpass"),
		changeAnswer("theglobe"),
	}
	for _, request := range requests {
		for i, mangled := range without(request) {
			t.Run(fmt.Sprintf("%.20s/%d", request, i), func(t *testing.T) {
				// After authentication.
				if !strings.Contains(mangled, "xmlns=''") {
					_, _, ask := loggedIn(t, new(register.Module))
					el := parse(t, mangled)
					if st, err := stanza.Decode(el); err == nil && st.Head().ID != "" && st.(*stanza.IQ).IsRequest() {
						require.Len(t, ask(mangled), 1)
					}
				}
				// Before it: an answer, or the end of a stream that breaks its rules.
				m := new(register.Module)
				attached(t, m)
				c := stranger(t, m, protected(), nil)
				got := c.ask(mangled)
				require.True(t, strings.HasPrefix(got, "<iq ") || strings.Contains(got, "<stream:error>"), got)
				require.NotContains(t, got, "internal-server-error")
				if strings.HasPrefix(got, "<iq ") {
					c.send(`<trust xmlns='urn:example:trust'/>`)
					c.expect("<trust xmlns='urn:example:trust'/>")
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
