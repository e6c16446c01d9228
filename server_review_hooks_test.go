package xmpp_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// busybody is a module that uses the whole server in each of its methods that may:
// all but Gate and Intercept.
type busybody struct {
	host  stanza.Host
	mu    sync.Mutex
	calls map[string]int
}

type ownKey struct{}

func (b *busybody) Name() string               { return "busybody" }
func (b *busybody) Register(*stanza.Mux) error { return nil }
func (b *busybody) Attach(h stanza.Host) error {
	b.host, b.calls = h, map[string]int{}
	return nil
}

func (b *busybody) use(ctx context.Context, where string) {
	if ctx.Value(ownKey{}) != nil {
		return // called by itself
	}
	ctx = context.WithValue(ctx, ownKey{}, true)
	b.mu.Lock()
	b.calls[where]++
	b.mu.Unlock()
	r := b.host.(*presence.Router)
	for _, to := range []string{"romeo@xmpp.test", julietJID, "nurse@xmpp.test", full("balcony"), "nobody@xmpp.test"} {
		_ = r.Send(ctx, &stanza.Message{To: address(to), Type: stanza.NormalMessage, ID: where})
		_ = r.Send(ctx, &stanza.Presence{From: address("romeo@xmpp.test/x"), To: address(to)})
		_, _ = r.Exists(ctx, address(to))
		_, _ = r.MaySee(ctx, address(to).Bare(), address("romeo@xmpp.test/orchard"))
		_, _ = r.Viewers(ctx, address(to))
		_, _ = r.Roster(ctx, address(to))
		_, _, _ = r.LastSeen(ctx, address(to))
		r.Show(ctx, address(to), address(julietJID))
		r.Hide(ctx, address(to), address("tybalt@xmpp.test"))
		r.Resources(address(to))
		r.Resource(address(to))
	}
	r.Resources(jid.JID{})
}

func (b *busybody) SessionUp(ctx context.Context, _ stanza.Resource)   { b.use(ctx, "SessionUp") }
func (b *busybody) SessionGone(ctx context.Context, _ stanza.Resource) { b.use(ctx, "SessionGone") }
func (b *busybody) BeforeRoute(ctx context.Context, _ *stanza.Transit) stanza.Verdict {
	b.use(ctx, "BeforeRoute")
	return stanza.Verdict{}
}
func (b *busybody) BeforeDeliver(ctx context.Context, _ *stanza.Transit) { b.use(ctx, "BeforeDeliver") }
func (b *busybody) AfterRoute(ctx context.Context, _ *stanza.Transit)    { b.use(ctx, "AfterRoute") }
func (b *busybody) PresenceChanged(ctx context.Context, _ stanza.Resource, _ *stream.Element, _ bool) {
	b.use(ctx, "PresenceChanged")
}
func (b *busybody) AccountRemoved(ctx context.Context, _ jid.JID) error {
	b.use(ctx, "AccountRemoved")
	return nil
}

// A module may use the server wherever it is not told otherwise.
func TestModuleUsesServerInHooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &busybody{}
		rosters := new(roster.MemoryStore)
		for _, pair := range [][2]string{{"romeo", "juliet"}, {"juliet", "romeo"}} {
			_, err := rosters.Put(t.Context(), address(pair[0]+"@xmpp.test"), roster.Item{JID: address(pair[1] + "@xmpp.test"), State: roster.Both})
			require.NoError(t, err)
		}
		s, inner := serverOf(t, func(s *xmpp.Server) {
			s.Modules = []stanza.Module{b}
			s.Rosters = rosters
		})
		s.AddAccount(t, "nurse", "secret of nurse")
		s.AddAccount(t, "tybalt", "secret of tybalt")
		juliet := join(t, s, "juliet", "balcony")
		romeo := join(t, s, "romeo", "orchard")
		for _, xml := range []string{
			`<presence/>`, `<presence><priority>-1</priority></presence>`, `<presence/>`,
			`<message to='juliet@xmpp.test' type='chat' id='1'><body>hello</body></message>`,
			`<message to='nurse@xmpp.test' type='chat' id='2'><body>hello</body></message>`,
			`<message to='romeo@xmpp.test' type='chat' id='3'><body>hello</body></message>`,
			`<iq type='get' id='4'><query xmlns='jabber:iq:roster'/></iq>`,
			`<presence type='unsubscribe' to='juliet@xmpp.test'/>`,
			`<presence type='subscribe' to='juliet@xmpp.test'/>`,
			`<presence to='nurse@xmpp.test'/>`,
			`<presence type='unavailable'/>`,
		} {
			romeo.say(xml)
			synctest.Wait()
			juliet.say(xml)
			synctest.Wait()
		}
		require.NoError(t, romeo.Close(t.Context()))
		require.NoError(t, s.Accounts.Delete(t.Context(), address(julietJID)))
		require.NoError(t, inner.Forget(t.Context(), address(julietJID)))
		synctest.Wait()
		require.Error(t, juliet.ended())
		synctest.Wait()
		require.Len(t, b.calls, 7, "%v", b.calls)
		require.Zero(t, inner.OpenConnections())
	})
}

// Shutdown ends sessions that are in the midst of getting stored messages, or wait
// for others to get them, of clients that do not read; what they have not got stays.
func TestShutdownWhileOfflineMessagesAreDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		offline := &presence.MemoryOffline{QuotaBytes: 100 << 20, Quota: 1000}
		s, inner := serverOf(t, func(s *xmpp.Server) {
			allowPlain(s)
			s.Offline = offline
		})
		s.AddAccount(t, "juliet", "secret of juliet")
		body := make([]byte, 100<<10)
		for i := range body {
			body[i] = 'x'
		}
		for i := range 100 {
			require.NoError(t, offline.Add(t.Context(), address(julietJID),
				[]byte(fmt.Sprintf(`<message from='romeo@xmpp.test' to='juliet@xmpp.test' id='%d'><body>%s</body></message>`, i, body))))
		}
		deaf := []*wire{dialWire(t, s), dialWire(t, s), dialWire(t, s)}
		for i, w := range deaf {
			w.login("juliet", fmt.Sprint(i), "")
			w.say(`<presence/>`)
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_ = inner.Shutdown(ctx)
		require.LessOrEqual(t, time.Since(start), 11*time.Second)
		synctest.Wait()
		require.Zero(t, inner.OpenConnections())
		n, err := offline.Count(t.Context(), address(julietJID))
		require.NoError(t, err)
		require.Greater(t, n, 30)
		messages, err := offline.Messages(t.Context(), address(julietJID), 1000)
		require.NoError(t, err)
		for i := 1; i < len(messages); i++ {
			require.Equal(t, messages[i-1].Seq+1, messages[i].Seq, "what is left is the end, whole")
		}
	})
}
