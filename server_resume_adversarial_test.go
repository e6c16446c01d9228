package xmpp_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stream/sm"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// A client of the wire that is done with authentication.
func authenticated(t *testing.T, s *xmpptest.Server, localpart string) *wire {
	t.Helper()
	w := dialWire(t, s)
	require.NoError(t, w.SetDeadline(time.Time{}))
	s.AddAccount(t, localpart, "secret of "+localpart)
	w.starttls()
	w.open("")
	w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` +
		base64.StdEncoding.EncodeToString([]byte("\x00"+localpart+"\x00secret of "+localpart)) + `</auth>`)
	w.until("<success")
	w.until(">")
	w.open("")
	return w
}

// attr returns the value of an attribute in what was read.
func attr(t *testing.T, xml, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(xml, name+"='")
	if !ok {
		_, rest, ok = strings.Cut(xml, name+`="`)
	}
	require.True(t, ok, "%s in %s", name, xml)
	return rest[:strings.IndexAny(rest, `'"`)]
}

// M05: the client acknowledges j of k while it resumes, and 50 others write to it at
// the same time: exactly the rest comes, in order, before anything new.
func adversarialM05(t *testing.T) {
	const k, senders = 20, 50
	for _, j := range []int{0, 1, 7, k} {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, func(s *xmpp.Server) { allowPlain(s); patient(s) })
			romeo := join(t, s, "romeo", "orchard")
			w := authenticated(t, s, "juliet")
			w.bind("balcony")
			w.until("</iq>")
			w.say(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
			id := attr(t, w.until("/>"), "id")
			for i := range k {
				romeo.chat(balcony, fmt.Sprint("old", i))
			}
			synctest.Wait()
			w.Close()
			synctest.Wait()
			var crowd sync.WaitGroup
			for i := range senders {
				p := join(t, s, fmt.Sprint("p", i), "x")
				crowd.Go(func() { p.chat(balcony, fmt.Sprint("new", i)) })
			}
			w = authenticated(t, s, "juliet")
			w.say(fmt.Sprintf(`<resume xmlns='urn:xmpp:sm:3' previd='%s' h='%d'/>`, id, j))
			require.Equal(t, "0", attr(t, w.until("/>"), "h"))
			crowd.Wait()
			synctest.Wait()
			w.say(`<iq type='get' id='end'><ping xmlns='urn:xmpp:ping'/></iq>`)
			var heard []string
			for _, part := range strings.Split(w.until(`id='end'`), "<body>")[1:] {
				body, _, _ := strings.Cut(part, "<")
				heard = append(heard, body)
			}
			require.Len(t, heard, k-j+senders)
			for i := range k - j {
				require.Equal(t, fmt.Sprint("old", j+i), heard[i])
			}
			for _, h := range heard[k-j:] {
				require.Contains(t, h, "new")
			}
			w.Close()
		})
	}
}

// M09: a client that acknowledges nothing, whatever it is asked, with each of the
// bounds: what is kept for it is bounded, nobody waits for it for ever, and what was
// said to it is not lost but where that was asked for.
func adversarialM09(t *testing.T) {
	for name, bound := range map[string]sm.Bound{"wait": sm.Wait, "refuse": sm.Refuse, "drop resumption": sm.DropResumption} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const total = 300
				offline := &presence.MemoryOffline{Quota: 2 * total}
				s, srv := serverOf(t, func(s *xmpp.Server) {
					s.Offline = offline
					s.Management = &sm.ServerOptions{Policy: sm.Policy{QueueBytes: 32 << 10, Bound: bound}}
					allowPlain(s)
					patient(s)
				})
				romeo := join(t, s, "romeo", "orchard")
				w := authenticated(t, s, "juliet")
				w.bind("balcony")
				w.until("</iq>")
				w.say(`<enable xmlns='urn:xmpp:sm:3' resume='true'/><presence/>`)
				w.until("<presence")
				read := make(chan string, 1)
				go func() { read <- w.rest() }() // reads, and says nothing
				refused := 0
				for i := range total {
					romeo.chat(juliet, fmt.Sprint(i, strings.Repeat("x", 1000)))
					synctest.Wait()
					for len(romeo.in) > 0 {
						require.Contains(t, look(<-romeo.in), "resource-constraint")
						refused++
					}
				}
				// Its own requests are answered, up to a bound, and then it goes.
				for range 1000 {
					if _, err := w.Write([]byte(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`)); err != nil {
						break
					}
				}
				<-time.After(time.Minute)
				w.Close()
				heard := strings.Count(<-read, "<body>")
				<-time.After(10 * time.Minute)
				require.Empty(t, routerOf(t, srv).Connected(address(juliet)))
				n, err := offline.Count(t.Context(), address(juliet))
				require.NoError(t, err)
				if bound == sm.DropResumption {
					require.Equal(t, total, heard)
					return
				}
				require.Equal(t, total, n+refused, "each is in the store, or its sender was told")
				require.Less(t, n, 64)
			})
		})
	}
}

// M10: too late, and at all hours: the time that counts is that of the server, from
// the loss on.
func adversarialM10(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Management = &sm.ServerOptions{Max: 10 * time.Minute}
			patient(s)
		})
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		<-time.After(24 * time.Hour) // a session is not older for having been there
		for range 5 {
			c.cut()
			<-time.After(10*time.Minute - time.Second)
			c.back(t)
			require.True(t, c.link.Link().Resumed())
		}
		c.cut()
		<-time.After(10*time.Minute - time.Second)
		require.Len(t, routerOf(t, srv).Connected(address(juliet)), 1)
		<-time.After(2 * time.Second)
		require.Empty(t, routerOf(t, srv).Connected(address(juliet)))
		c.back(t)
		require.False(t, c.link.Link().Resumed())
	})
}

// M14: requests at times when they mean nothing.
func adversarialM14(t *testing.T) {
	const (
		enable     = `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`
		resume     = `<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>`
		unexpected = `<unexpected-request`
	)
	bubble(t, func(t *testing.T) {
		s, srv := serverOf(t, func(s *xmpp.Server) { allowPlain(s); patient(s) })
		for _, ask := range []string{enable, resume} { // before there is anybody
			w := dialWire(t, s)
			w.starttls()
			w.open("")
			w.say(ask)
			require.Contains(t, w.rest(), "<stream:error")
		}
		w := authenticated(t, s, "juliet")
		w.say(enable) // before binding
		require.Contains(t, w.until("</failed>"), unexpected)
		w.say(resume) // of nothing
		require.Contains(t, w.until("</failed>"), "<item-not-found")
		w.bind("balcony")
		w.until("</iq>")
		w.say(resume) // after binding
		require.Contains(t, w.until("</failed>"), unexpected)
		w.say(enable)
		id := attr(t, w.until("/>"), "id")
		w.say(resume) // and after enabling
		require.Contains(t, w.until("</failed>"), unexpected)

		// Somebody else's SM-ID is nobody's.
		other := authenticated(t, s, "romeo")
		other.say(strings.ReplaceAll(resume, "'x'", "'"+id+"'"))
		require.Contains(t, other.until("</failed>"), "<item-not-found")
		require.Len(t, srv.Sessions(address(juliet)), 1, "which does not cost the session")
		other.Close()

		w.say(enable) // twice
		require.Contains(t, w.rest(), "<policy-violation")
		w.Close()
		synctest.Wait()
		require.Empty(t, routerOf(t, srv).Connected(address(juliet)))
	})
}
