package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// watchedStore is a store of offline messages that calls before with the number of
// the call of Messages.
type watchedStore struct {
	presence.MemoryOffline
	mu     sync.Mutex
	calls  int
	before func(call int) error
}

func (s *watchedStore) Messages(ctx context.Context, account jid.JID, max int) ([]presence.OfflineMessage, error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.mu.Unlock()
	if err := s.before(call); err != nil {
		return nil, err
	}
	return s.MemoryOffline.Messages(ctx, account, max)
}

// fill sends n messages with a body of that length to juliet, who is away.
func fill(t *testing.T, s *xmpptest.Server, n, length int) *peer {
	t.Helper()
	s.AddAccount(t, "juliet", "secret of juliet")
	romeo := join(t, s, "romeo", "orchard")
	for i := range n {
		romeo.say(fmt.Sprintf(`<message to='%s' type='chat' id='%d'><body>%s</body></message>`, julietJID, i, strings.Repeat("x", length)))
	}
	romeo.quiet()
	return romeo
}

// messageIDs returns the ids of the messages that have come.
func (p *peer) messageIDs() []int {
	p.t.Helper()
	synctest.Wait()
	var out []int
	for len(p.in) > 0 {
		if el := <-p.in; stanza.KindOf(el.Name()) == stanza.MessageKind {
			n, err := strconv.Atoi(el.Attr("id"))
			require.NoError(p.t, err)
			out = append(out, n)
		}
	}
	return out
}

func upTo(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// A connection that is lost while messages are delivered: what was not written stays
// and comes to the next resource, in order.
func TestOfflineMessagesSurviveALostConnection(t *testing.T) {
	for _, lost := range []int{1, 2} { // before the first and the second portion
		bubble(t, func(t *testing.T) {
			var juliet *peer
			store := &watchedStore{MemoryOffline: presence.MemoryOffline{Quota: 200}, before: func(call int) error {
				if call == lost {
					<-time.After(time.Second) // until she has read what was sent before
					juliet.Abort(errOver)
				}
				return nil
			}}
			s := memoryServer(t, func(s *xmpp.Server) { s.Offline = store })
			fill(t, s, 200, 10)
			juliet = join(t, s, "juliet", "balcony")
			juliet.say(`<presence/>`)
			<-time.After(time.Minute) // until the server is sure that she is gone
			first := juliet.messageIDs()
			left, err := store.Count(t.Context(), address(julietJID))
			require.NoError(t, err)
			require.Equal(t, 200-len(first), left, "nothing is lost")
			require.Equal(t, upTo(0, len(first)), first)
			if lost == 2 {
				require.NotEmpty(t, first)
				require.Less(t, left, 200)
			}

			// One that cannot be reached by messages takes none.
			low := join(t, s, "juliet", "low")
			low.say(`<presence><priority>-1</priority></presence>`)
			require.Empty(t, low.messageIDs())
			again := join(t, s, "juliet", "again")
			again.say(`<presence/>`)
			require.Equal(t, upTo(200-left, 200), again.messageIDs())
			require.Empty(t, low.messageIDs())
		})
	}
}

// A store that fails loses nothing, and the client is not made to suffer.
func TestOfflineStoreThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		broken := errors.New("the disk is on fire")
		store := &watchedStore{before: func(call int) error {
			if call == 1 {
				return broken
			}
			return nil
		}}
		var log records
		s := memoryServer(t, func(s *xmpp.Server) { s.Offline, s.Logger = store, log.logger() })
		romeo := fill(t, s, 3, 10)
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		require.Empty(t, juliet.messageIDs())
		require.Contains(t, log.String(), "on fire")
		romeo.say(`<message to='juliet@xmpp.test' id='9'/>`)
		require.Equal(t, []int{9}, juliet.messageIDs())
		again := join(t, s, "juliet", "again")
		again.say(`<presence/>`)
		require.Equal(t, upTo(0, 3), again.messageIDs())
	})
}

// Two resources that come at the same moment share the messages between them: each
// is delivered once, and in order.
func TestOfflineMessagesAreDeliveredOnce(t *testing.T) {
	for round := range 5 {
		bubble(t, func(t *testing.T) {
			store := &presence.MemoryOffline{Quota: 300}
			s := memoryServer(t, func(s *xmpp.Server) { s.Offline = store })
			fill(t, s, 300, round*100)
			a, b := join(t, s, "juliet", "a"), join(t, s, "juliet", "b")
			var both sync.WaitGroup
			for _, p := range []*peer{a, b} {
				both.Go(func() { p.Send(t.Context(), raw(`<presence/>`)) })
			}
			both.Wait()
			got := append(a.messageIDs(), b.messageIDs()...)
			require.ElementsMatch(t, upTo(0, 300), got)
			left, err := store.Count(t.Context(), address(julietJID))
			require.NoError(t, err)
			require.Zero(t, left)
		})
	}
}

// While messages are stored, delivered from the store and delivered at once, those
// of each sender stay in order and none is lost or doubled (RFC 6120 §10.1).
//
//conformance:proves 6120-10.1-1 6120-10.1-2
func TestOrderOfMessagesAcrossTheStore(t *testing.T) {
	const senders, each = 6, 120
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Offline = &presence.MemoryOffline{Quota: senders * each} })
		s.AddAccount(t, "juliet", "secret of juliet")
		juliet := join(t, s, "juliet", "balcony")
		var all sync.WaitGroup
		for i := range senders {
			p := join(t, s, fmt.Sprintf("romeo%d", i), "orchard")
			all.Go(func() {
				for n := range each {
					p.Send(t.Context(), raw(fmt.Sprintf(`<message to='%s' type='chat' id='%d'><body>hi</body></message>`,
						[]string{julietJID, full("absent")}[n%2], i*each+n)))
				}
			})
		}
		// In the midst of it she comes, goes, and comes again.
		for _, what := range []string{"", "<priority>-1</priority>", "", "<priority>-5</priority>", ""} {
			juliet.say(`<presence>` + what + `</presence>`)
		}
		all.Wait()
		next := map[int]int{}
		got := juliet.messageIDs()
		for _, id := range got {
			require.Equal(t, next[id/each], id%each, "of sender %d", id/each)
			next[id/each]++
		}
		require.Len(t, got, senders*each)
	})
}

// XEP-0160 §3 and XEP-0334 §4: what is kept, and what is not and is no error either.
func TestWhatIsStoredXEP0160(t *testing.T) {
	const state, body = `<active xmlns='http://jabber.org/protocol/chatstates'/>`, `<body>hi</body>`
	hint := func(name string) string { return `<` + name + ` xmlns='urn:xmpp:hints'/>` }
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo := join(t, s, "romeo", "orchard")
		var want []int
		for i, m := range []struct {
			kept         bool
			typ, payload string
		}{
			{true, "normal", body}, {true, "chat", body}, {true, "", ""}, {true, "chat", ""}, {true, "chat", `<x xmlns='urn:x'/>`},
			{true, "chat", state + body}, {false, "chat", state}, {false, "chat", state + `<thread>1</thread>`},
			{true, "chat", state + `<subject>s</subject>`}, {true, "chat", `<thread>1</thread>`},
			{false, "chat", body + hint("no-store")}, {false, "normal", hint("no-store") + body},
			{true, "chat", body + hint("no-permanent-store")}, {true, "chat", body + hint("no-copy")},
			{true, "chat", state + hint("store")}, {true, "chat", body + hint("store")},
			{true, "chat", body + `<no-store xmlns='urn:other'/>`},
			{true, "chat", `<body><no-store xmlns='urn:xmpp:hints'/></body>`},
			{false, "headline", body + hint("store")}, {false, "error", body + hint("store")},
		} {
			romeo.say(fmt.Sprintf(`<message to='%s' type='%s' id='%d'>%s</message>`, julietJID, m.typ, i, m.payload))
			if m.kept {
				want = append(want, i)
			}
		}
		romeo.quiet()
		juliet := join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		require.Equal(t, want, juliet.messageIDs())
	})
}

// A server that keeps nothing has no time in which a resource that has just come is
// out of reach.
func TestNoOfflineHasNoGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		store := &watchedStore{before: func(call int) error {
			if call == 1 {
				close(entered)
				<-release
			}
			return nil
		}}
		s := memoryServer(t, func(s *xmpp.Server) { s.NoOffline, s.Offline = true, store })
		// Of a time when the server kept messages.
		require.NoError(t, store.Add(t.Context(), address(julietJID), []byte(`<message id='0' to='juliet@xmpp.test'/>`)))
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		<-entered
		romeo.say(`<message to='juliet@xmpp.test' id='1'/>`)
		require.Equal(t, []int{1}, juliet.messageIDs())
		romeo.quiet()
		close(release)
		require.Equal(t, []int{0}, juliet.messageIDs())
	})
}

// Who waits for another resource of the account to take its messages is gone for
// everybody as soon as the server finds that the connection is.
func TestOfflineMessagesDoNotHoldUpAFarewell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		store := &watchedStore{before: func(call int) error {
			if call == 1 {
				close(entered)
				<-release
			}
			return nil
		}}
		s := memoryServer(t, func(s *xmpp.Server) { s.Offline = store })
		romeo := fill(t, s, 3, 10)
		a, b := join(t, s, "juliet", "a"), join(t, s, "juliet", "b")
		a.say(`<presence/>`)
		<-entered
		b.say(`<presence/>`)
		require.Empty(t, b.messageIDs())
		b.Abort(errOver)
		romeo.say(`<message to='` + full("b") + `' type='headline' id='7'/>`) // which cannot be written
		<-time.After(time.Minute)
		var heard []string
		a.roundOf(func(el *stream.Element) { heard = append(heard, look(el)) })
		require.Contains(t, heard, "presence unavailable "+full("b")+"→"+julietJID+" -")
		close(release)
		require.Equal(t, upTo(0, 3), a.messageIDs())
		c := join(t, s, "juliet", "b")
		c.say(`<presence/>`)
		require.Empty(t, c.messageIDs())
	})
}
