package xmpp_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stream"
)

var (
	oneAttribute = regexp.MustCompile(` [a-z]+='[^']*'`)
	firstTag     = regexp.MustCompile(`^<([a-z]+|vCard)( [^>]*?)(/?)>`)
)

// spoilt returns payloads that are like one that is good, and not: attributes taken
// out, without content, with too much of it, inside itself, and of another namespace.
func spoilt(payload string) (out []string) {
	for _, at := range oneAttribute.FindAllStringIndex(payload, -1) {
		if attr := payload[at[0]:at[1]]; !strings.HasPrefix(attr, " xmlns=") {
			out = append(out, payload[:at[0]]+payload[at[1]:])
			name, _, _ := strings.Cut(attr, "=")
			for _, v := range []string{"", "@", "-1", "99999999999999999999", strings.Repeat("x", 5000), "&#x202e;\u0301"} {
				out = append(out, payload[:at[0]]+name+"='"+v+"'"+payload[at[1]:])
			}
		}
	}
	start := firstTag.FindStringSubmatch(payload)
	name, attrs := start[1], start[2]
	end := "</" + name + ">"
	nested := payload
	for range 10 {
		nested = "<" + name + attrs + ">" + nested + end
	}
	return append(out, payload, "<"+name+attrs+"/>", "<"+name+attrs+">x"+end, nested,
		"<"+name+attrs+">"+strings.Repeat(payload, 300)+end,
		"<"+name+attrs+"><x xmlns='jabber:x:data'/>"+end,
		"<"+name+attrs+"><x xmlns='jabber:x:data' type='submit'><field/><field var='FORM_TYPE'><value>x</value><value/></field></x>"+end,
		"<"+name+attrs+"><set xmlns='http://jabber.org/protocol/rsm'><max>-1</max><after/><before/><index>x</index></set>"+end,
		"<"+name+attrs+"><item/><item jid=''/><item jid='@'/><jid/><always/><always/>"+end,
		"<"+name+" xmlns='urn:x'/>", "<"+name+"/>", "<x"+attrs+"/>")
}

// Whatever a client asks all of the modules, it gets an answer, and one only; nothing
// panics; and it goes on (RFC 6120 §8.2.3 rule 3, §8.3.1).
func TestModulesAnswerWhateverIsAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var logged records
		s := memoryServer(t, func(s *xmpp.Server) {
			everything(s)
			s.Logger = logged.logger()
			s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
		})
		enter(t, s, "other", "x")
		bard := enter(t, s, "bard", "x")
		all := requests
		for _, node := range []string{"add-user", "delete-user", "get-online-users-list", "user-stats"} {
			all = append(all, struct{ typ, payload string }{"set", `<command xmlns='` + nsCommands + `' node='` + admin.NS + `#` + node + `' action='complete' sessionid='x'/>`})
		}
		n := 0
		for _, r := range all {
			for _, payload := range spoilt(r.payload) {
				if strings.Contains(payload, "<remove") {
					continue // that is an end of it
				}
				for _, to := range []string{"", " to='bard@xmpp.test'", " to='xmpp.test'", " to='other@xmpp.test'"} {
					for _, typ := range []string{"get", "set"} {
						n++
						bard.say(`<iq id='i' type='` + typ + `'` + to + `>` + payload + `</iq>`)
						synctest.Wait()
						answers := 0
						for len(bard.in) > 0 {
							el := <-bard.in
							if el.Attr("id") == "i" && el.Name().Local == "iq" {
								answers++
								require.Contains(t, []string{"result", "error"}, el.Attr("type"))
								require.NotContains(t, string(el.Raw()), "<internal-server-error", payload)
							}
						}
						require.NoError(t, bard.Err(), payload)
						require.Equal(t, 1, answers, "%s %s: %.300s", typ, to, payload)
					}
				}
			}
		}
		require.Greater(t, n, 2000)
		require.NotContains(t, logged.String(), "panic")
		require.NotContains(t, logged.String(), "stack=")
	})
}
