package xmpp_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

// Passwords that are set over a session are in no trace and in no log: by
// registration (XEP-0077 §3.3), in fields and in forms, and by administrators
// (XEP-0133 §4.1, §4.7), whatever a module offers before the login.
func TestModulesTraceNoPasswords(t *testing.T) {
	for name, m := range map[string]*register.Module{"registration": {}, "only changes": {NoNew: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var mu sync.Mutex
				var seen strings.Builder
				trace := func(b []byte) {
					mu.Lock()
					defer mu.Unlock()
					seen.Write(append(b, '\n'))
				}
				var logged records
				s := memoryServer(t, func(s *xmpp.Server) {
					everything(s)
					for i, was := range s.Modules {
						if _, ok := was.(*register.Module); ok {
							m.Accounts = s.Accounts.(*xmpp.MemoryAccounts)
							s.Modules[i] = m
						}
					}
					s.Trace = func(net.Conn) *stream.Trace { return &stream.Trace{XMLReceived: trace, XMLSent: trace} }
					s.Logger = logged.logger()
				})
				const form = `<x xmlns='jabber:x:data' type='submit'>`
				bard := join(t, s, "bard", "x")
				for _, payload := range []string{
					`<query xmlns='jabber:iq:register'><username>bard</username><password>s3cret</password></query>`,
					`<query xmlns='jabber:iq:register'>` + form + `<field var='FORM_TYPE'><value>jabber:iq:register</value></field>` +
						`<field var='username'><value>bard</value></field><field var='password'><value>s3cret</value></field></x></query>`,
					`<query xmlns='jabber:iq:register'><username>other</username><password>s3cret</password></query>`,
					// Without a session, it is refused: it is a secret all the same.
					`<command xmlns='` + nsCommands + `' node='` + admin.NS + `#add-user' sessionid='1'>` + form + `<field var='password'><value>s3cret</value></field></x></command>`,
				} {
					bard.say(`<iq type='set' id='1'>` + payload + `</iq>`)
					bard.hear()
				}
				for _, node := range []string{"add-user", "change-user-password"} {
					bard.say(`<iq type='set' to='xmpp.test' id='1'><command xmlns='` + nsCommands + `' node='` + admin.NS + `#` + node + `'/></iq>`)
					command, ok := bard.hear().Child(stream.Name{Space: nsCommands, Local: "command"})
					require.True(t, ok)
					bard.say(`<iq type='set' to='xmpp.test' id='1'><command xmlns='` + nsCommands + `' node='` + admin.NS + `#` + node +
						`' sessionid='` + command.Attr("sessionid") + `'>` + form +
						`<field var='accountjid'><value>new@xmpp.test</value></field><field var='password'><value>s3cret</value></field>` +
						`<field var='password-verify'><value>s3cret</value></field></x></command></iq>`)
					require.Equal(t, "result", bard.hear().Attr("type"))
				}
				<-time.After(time.Second)
				mu.Lock()
				defer mu.Unlock()
				require.Contains(t, seen.String(), "[redacted")
				for _, where := range []string{seen.String(), logged.String()} {
					i := strings.Index(where, "s3cret")
					if i >= 0 {
						require.Fail(t, "a password", where[max(0, i-300):i+10])
					}
				}
			})
		})
	}
}

const nsCommands = "http://jabber.org/protocol/commands"
