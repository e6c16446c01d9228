package xmpp_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// A session that is being closed takes nothing any more, and its client may take
// its time to close its side. What comes for the account meanwhile waits for the
// next one (RFC 6121 §8.5.2.2.1), and goes to others that are there.
func TestMessageForSessionBeingClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, inner := serverOf(t, allowPlain)
		w := dialWire(t, s) // a client that does not close its side
		w.login("juliet", "balcony", "")
		w.say(`<presence><priority>1</priority></presence>`)
		w.until("<presence")
		romeo := join(t, s, "romeo", "orchard")
		ended := make(chan error, 1)
		go func() {
			ended <- inner.Sessions(address("juliet@xmpp.test"))[0].End(t.Context(), &stream.Error{Condition: stream.PolicyViolation})
		}()
		synctest.Wait()
		romeo.say(`<message to='juliet@xmpp.test' type='chat' id='1'><body>one</body></message>`)
		romeo.say(`<message to='juliet@xmpp.test/balcony' type='chat' id='2'><body>two</body></message>`)
		romeo.quiet()
		juliet := join(t, s, "juliet", "chamber")
		juliet.say(`<presence/>`)
		juliet.hears("presence - juliet@xmpp.test/chamber→juliet@xmpp.test -")
		juliet.hears("message chat romeo@xmpp.test/orchard→juliet@xmpp.test 1")
		juliet.hears("message chat romeo@xmpp.test/orchard→juliet@xmpp.test/balcony 2")
		// The one that is going has the higher priority, and takes nothing.
		romeo.say(`<message to='juliet@xmpp.test' type='chat' id='3'><body>three</body></message>`)
		juliet.hears("message chat romeo@xmpp.test/orchard→juliet@xmpp.test 3")
		romeo.quiet()
		<-time.After(10 * time.Second)
		require.Error(t, <-ended)
		juliet.hears("presence unavailable juliet@xmpp.test/balcony→juliet@xmpp.test -")
		juliet.quiet()
	})
}

// The largest presence that a client may send grows on its way, by the sender's
// address: it is presence like any other all the same. These clients take more than
// they may send.
func TestLargestPresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rosters := new(roster.MemoryStore)
		_, err := rosters.Put(t.Context(), address(julietJID), roster.Item{JID: address("romeo@xmpp.test"), State: roster.From})
		require.NoError(t, err)
		s := memoryServer(t, func(s *xmpp.Server) {
			allowPlain(s)
			s.Rosters = rosters
			s.Limits = &stream.Limits{ElementBytes: 256 << 10}
		})
		juliet, romeo := dialWire(t, s), dialWire(t, s)
		juliet.login("juliet", "balcony", "")
		romeo.login("romeo", "orchard", "")
		romeo.say(`<presence/>`)
		romeo.until("/>")
		fill := func(size int, start, end string) string {
			return start + strings.Repeat("x", size-len(start)-len(end)) + end
		}
		const in = " from='juliet@xmpp.test/balcony'"
		for range 2 {
			juliet.say(fill(16<<10, `<presence id='l'><status>`, `</status></presence>`))
			require.Contains(t, romeo.until("</presence>"), in)
			juliet.until("</presence>")
			romeo.say(`<presence type='probe' to='` + full("balcony") + `' id='p1'/>`)
			require.Contains(t, romeo.until("/>"), in)
			romeo.say(`<presence type='probe' to='` + julietJID + `' id='p2'/>`)
			require.Contains(t, romeo.until("</presence>"), in)
			juliet.say(fill(16<<10, `<presence type='unavailable'><status>`, `</status></presence>`))
			require.Contains(t, romeo.until("</presence>"), "type='unavailable'"+in)
			juliet.until("</presence>")
		}
		// The same for a message that is stored, with the time.
		romeo.say(fill(256<<10, `<message to='`+julietJID+`' id='m'><body>`, `</body></message>`))
		romeo.say(`<message to='romeo@xmpp.test/orchard' id='next'/>`)
		require.Contains(t, romeo.until("/>"), "id='next'")
		juliet.say(`<presence/>`)
		juliet.until("<message")
		require.Contains(t, juliet.until("</message>"), "<delay")
	})
}

// late holds stanzas with the id "late" until it is told to go on.
type late struct{ on chan struct{} }

func (late) Name() string               { return "late" }
func (late) Register(*stanza.Mux) error { return nil }
func (l late) BeforeRoute(_ context.Context, t *stanza.Transit) stanza.Verdict {
	if t.Element.Attr("id") == "late" {
		<-l.on
	}
	return stanza.Verdict{}
}

// What a client said before its address was given to another one is not answered to
// that one, and does not make it interested in a roster; and what is stored on
// behalf of the former is what the latter finds.
func TestLateStanzaOfReplacedSession(t *testing.T) {
	for _, xml := range []string{
		`<iq type='get' id='late'><query xmlns='jabber:iq:roster'/></iq>`,
		`<iq type='set' id='late'><query xmlns='jabber:iq:roster'><item jid='nurse@xmpp.test'/></query></iq>`,
		`<presence type='subscribe' to='tybalt@xmpp.test' id='late'/>`,
		`<presence id='late'/>`,
		`<presence to='tybalt@xmpp.test/street' id='late'/>`,
	} {
		t.Run(xml, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := late{make(chan struct{})}
				s := memoryServer(t, func(s *xmpp.Server) { s.Modules = []stanza.Module{l} })
				tybalt := join(t, s, "tybalt", "street")
				tybalt.say(`<presence/>`)
				tybalt.hear()
				first := join(t, s, "romeo", "orchard")
				first.say(`<presence/>`)
				first.hear()
				first.say(xml)
				synctest.Wait()
				second := join(t, s, "romeo", "orchard")
				second.say(`<presence/>`)
				second.hear()
				require.NoError(t, second.Close(t.Context()))
				third := join(t, s, "romeo", "orchard")
				third.say(`<presence/>`)
				third.hear()
				other := join(t, s, "romeo", "garden")
				other.listed()
				close(l.on)
				synctest.Wait()
				third.quiet()
				tybalt.quiet()
				other.quiet()
				other.say(`<presence type='subscribe' to='tybalt@xmpp.test'/>`)
				require.Equal(t, "tybalt@xmpp.test none ask=subscribe", other.pushed())
				third.quiet()
			})
		})
	}
}

// Whoever gets the name of a removed account finds nothing of it, even if the
// client of the former owner takes its time to go.
func TestForgetLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := late{make(chan struct{})}
		s, inner := serverOf(t, func(s *xmpp.Server) {
			allowPlain(s)
			s.Modules = []stanza.Module{l}
		})
		w := dialWire(t, s) // a client that does not close its side
		w.login("juliet", "balcony", "")
		w.say(`<presence/>`)
		w.until("<presence")
		romeo := join(t, s, "romeo", "orchard")
		romeo.listed()
		romeo.say(`<presence/>`)
		romeo.hear()
		w.say(`<presence type='subscribe' to='romeo@xmpp.test' id='late'/>`)
		synctest.Wait()
		require.NoError(t, s.Accounts.Delete(t.Context(), address(julietJID)))
		require.NoError(t, inner.Forget(t.Context(), address(julietJID)))
		romeo.say(`<message to='juliet@xmpp.test' id='1' type='chat'><body>for the one that was</body></message>`)
		romeo.hears("message error juliet@xmpp.test→romeo@xmpp.test/orchard 1 service-unavailable")
		romeo.say(`<presence type='subscribe' to='juliet@xmpp.test'/>`)
		require.Equal(t, "juliet@xmpp.test none ask=subscribe", romeo.pushed())
		close(l.on)
		romeo.quiet()
		<-timeAfterClosing()
		romeo.quiet()
		again := join(t, s, "juliet", "balcony")
		require.NotContains(t, again.roster(), "romeo")
		again.say(`<presence/>`)
		again.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test -")
		again.quiet()
		romeo.quiet()
	})
}

// The largest stanza that a client may send does not end the session of whoever gets
// it, though it has grown on its way.
func TestLargestStanzaDoesNotEndSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		juliet := join(t, s, "juliet", "balcony")
		romeo := join(t, s, "romeo", strings.Repeat("'", 1023))
		largest := func(start, end string) string {
			return start + strings.Repeat("x", 240<<10-len(start)-len(end)) + end
		}
		romeo.say(largest(`<message to='juliet@xmpp.test' type='chat' id='stored'><body>`, `</body></message>`))
		romeo.say(largest(`<message to='juliet@xmpp.test/balcony' type='chat' id='direct'><body>`, `</body></message>`))
		romeo.say(largest(`<presence to='juliet@xmpp.test/balcony' id='presence'><status>`, `</status></presence>`))
		juliet.said("direct")
		juliet.said("presence")
		juliet.say(`<presence/>`)
		juliet.said("stored")
		require.NoError(t, juliet.Err())
		romeo.quiet()
		romeo.say(largest(`<message to='juliet@xmpp.test'><body>x`, `</body></message>`) + " ")
		romeo.say(largest(`<message to='juliet@xmpp.test'><body>`, `</body></message >`))
		juliet.hear()
		romeo.say(largest(`<message to='juliet@xmpp.test'><body>`, `x</body></message>`)[:1] + largest(`message to='juliet@xmpp.test'><body>x`, `</body></message>`))
		var e *stream.Error
		require.ErrorAs(t, romeo.ended(), &e)
		require.Equal(t, stream.PolicyViolation, e.Condition)
	})
}
