package xmpp_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stream"
)

// Many clients do everything at once: for the race detector, and because nobody may
// wait for ever for somebody else.
func TestModulesAllAtOnce(t *testing.T) {
	var logged records
	s := memoryServer(t, func(s *xmpp.Server) {
		everything(s)
		s.Logger = logged.logger()
		s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
	})
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		s.AddAccount(t, name, "secret of "+name)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	var wg sync.WaitGroup
	for i := range 3 * len(names) {
		p := join(t, s, names[i%len(names)], fmt.Sprint(i/len(names)))
		// Both end with ctx or with the session, and are waited for below.
		wg.Go(func() {
			for {
				select {
				case <-p.in:
				case <-p.Done():
					return
				}
			}
		})
		wg.Go(func() {
			defer p.Abort(nil)
			for n := i; ctx.Err() == nil; n++ {
				who := names[n%len(names)] + "@xmpp.test"
				xml := fmt.Sprintf(busy[n%len(busy)], n%50)
				switch r := requests[n%len(requests)]; n % 5 {
				case 1:
					if !strings.Contains(r.payload, "jabber:iq:register") {
						xml = fmt.Sprintf(`<iq type='%s' id='%d' to='%s'>%s</iq>`, r.typ, n, who, r.payload)
					}
				case 2:
					xml = fmt.Sprintf(`<presence to='%s' type='%s'/>`, who, []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "unavailable"}[n%6])
				case 3:
					xml = []string{`<inactive xmlns='urn:xmpp:csi:0'/>`, `<active xmlns='urn:xmpp:csi:0'/>`}[n%2]
				case 4:
					xml = fmt.Sprintf(`<iq type='set' id='%d'><%s xmlns='urn:xmpp:blocking'><item jid='%s'/></%[2]s></iq>`, n, []string{"block", "unblock"}[n/5%2], who)
				}
				if p.Send(ctx, raw(xml)) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	require.NotContains(t, logged.String(), "panic")
	require.NotContains(t, logged.String(), "stack=")
	p := join(t, s, "bard", "x")
	p.say(`<iq type='get' to='xmpp.test' id='end'><ping xmlns='urn:xmpp:ping'/></iq>`)
	p.hears("iq result xmpp.test→bard@xmpp.test/x end")
}

// Of those who register a name at the same time one gets it (XEP-0077 §3.1, example 6).
func TestModulesRegisterAtOnce(t *testing.T) {
	s := memoryServer(t, everything)
	const n = 8
	var wg sync.WaitGroup
	answers := make(chan string, n)
	for i := range n {
		w := dialWire(t, s)
		w.starttls()
		w.open("")
		// Ends with the answer; waited for below.
		wg.Go(func() {
			fmt.Fprintf(w, `<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>%s</username><password>secret %d</password></query></iq>`,
				[]string{"Bill", "bill", "BILL"}[i%3], i)
			b := make([]byte, 4096)
			k, _ := w.Read(b)
			answers <- string(b[:k])
		})
	}
	wg.Wait()
	close(answers)
	made := 0
	for a := range answers {
		if strings.Contains(a, `type='result'`) {
			made++
		} else {
			require.Contains(t, a, "<conflict")
		}
	}
	require.Equal(t, 1, made)
}

// Who is no administrator gets nowhere, at any stage of any command, with the session
// of an administrator neither (XEP-0133 §9, XEP-0050 §6).
func TestModulesCommandsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, everything)
		bard, again, spy := enter(t, s, "bard", "x"), enter(t, s, "bard", "y"), enter(t, s, "spy", "x")
		bard.heard("")
		for _, node := range []string{
			"add-user", "delete-user", "disable-user", "reenable-user", "end-user-session", "change-user-password", "user-stats",
			"get-registered-users-num", "get-disabled-users-num", "get-online-users-num", "get-registered-users-list",
			"get-disabled-users-list", "get-online-users-list", "announce",
		} {
			command := func(session string) string {
				return `<iq type='set' to='xmpp.test' id='1'><command xmlns='` + nsCommands + `' node='` + admin.NS + `#` + node + `'` + session +
					`><x xmlns='jabber:x:data' type='submit'><field var='accountjid'><value>bard@xmpp.test</value></field></x></command></iq>`
			}
			bard.say(command(""))
			answer := bard.hear()
			el, ok := answer.Child(stream.Name{Space: nsCommands, Local: "command"})
			require.True(t, ok, "%s: %s", node, answer.Raw())
			session := ` sessionid='` + el.Attr("sessionid") + `'`
			for _, more := range []string{"", session, session + ` action='complete'`, session + ` action='cancel'`, session + ` action='prev'`} {
				spy.say(command(more))
				spy.hears("iq error xmpp.test→spy@xmpp.test/x 1 forbidden")
				if more != "" {
					again.say(command(more))
					again.hears("iq error xmpp.test→bard@xmpp.test/y 1 bad-request bad-sessionid")
				}
			}
		}
		spy.quiet()
	})
}
