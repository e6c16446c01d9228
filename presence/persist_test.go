package presence_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// process2 begins a process that the test kills when it likes.
func process2(t *testing.T, store sm.Store, offline presence.OfflineStore) *process {
	t.Helper()
	p := &process{dead: make(chan struct{})}
	p.store = &mortal{Store: store, die: p.cut}
	p.router = &presence.Router{
		Hosted: []jid.JID{hosted}, Accounts: everybody{}, Offline: &mortalOffline{offline, p.store},
		Management: &sm.ServerOptions{Store: p.store, Max: time.Minute},
		Modules:    []stanza.Module{new(carbons.Module)},
	}
	require.NoError(t, p.router.Init())
	return p
}

// mortalOffline is a store that a dead process does not reach.
type mortalOffline struct {
	presence.OfflineStore
	life *mortal
}

func (m *mortalOffline) Add(ctx context.Context, account jid.JID, message []byte) error {
	m.life.mu.Lock()
	defer m.life.mu.Unlock()
	if m.life.dead {
		return errors.New("dead")
	}
	return m.OfflineStore.Add(ctx, account, message)
}

// kill ends a process at once.
func (p *process) kill() {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.dead = true
	p.cut()
}

// listener is a client that writes down all that it hears.
type listener struct {
	*user
	mu   sync.Mutex
	said []string
}

func (l *listener) hear(el *stream.Element) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := el.Attr("from")
	l.said = append(l.said, strings.TrimSpace(el.Name().Local+" "+el.Attr("type")+" "+from+" "+el.Attr("id")))
	return nil
}

// take returns what was heard since the last call.
func (l *listener) take() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	said := l.said
	l.said = nil
	return said
}

// join connects, and reads until the session is over.
func (l *listener) join(t *testing.T, p *process) {
	t.Helper()
	require.True(t, l.connect(t.Context(), p))
	s := l.session
	go s.Serve(l.hear) // ends with the session
}

func (l *listener) say(t *testing.T, x string) {
	t.Helper()
	require.NoError(t, l.session.Send(t.Context(), xml(x)))
	synctest.Wait()
}

func newListener(t *testing.T, name string) *listener {
	t.Helper()
	streams, err := sm.NewClient(nil)
	require.NoError(t, err)
	return &listener{user: &user{name: name, streams: streams}}
}

// What the server knows of a client's presence is there when it was killed and
// started again, and goes on from there: the client does not say it again (XEP-0198
// §5).
func TestResourceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, offline := new(sm.MemoryStore), new(presence.MemoryOffline)
		p := process2(t, store, offline)
		juliet, romeo := newListener(t, "juliet"), newListener(t, "romeo")
		juliet.join(t, p)
		romeo.join(t, p)
		juliet.say(t, "<presence><priority>7</priority><show>away</show></presence>")
		juliet.say(t, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
		juliet.say(t, "<iq type='set' id='copies'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
		juliet.say(t, "<presence to='romeo@example.com/r' id='directed'/>")
		require.Contains(t, romeo.take(), "presence  juliet@example.com/r directed")
		synctest.Wait()
		p.kill()
		juliet.take()

		p = process2(t, store, offline)
		res := p.router.Resource(jid.MustParse("juliet@example.com/r"))
		require.NotNil(t, res)
		require.NotNil(t, res.Presence())
		priority, ok := res.(*presence.Resource).Priority()
		require.True(t, ok)
		require.EqualValues(t, 7, priority)
		require.Equal(t, "away", func() string {
			show, _ := res.Presence().Child(stream.Name{Space: stream.NSClient, Local: "show"})
			return show.Text()
		}())

		// It is there before the client is.
		romeo.join(t, p)
		romeo.say(t, "<message to='juliet@example.com' type='chat' id='bare'><body>x</body></message>")
		juliet.join(t, p)
		require.True(t, juliet.streams.Link().Resumed())
		require.Contains(t, juliet.take(), "message chat romeo@example.com/r bare")

		// It is interested in its roster, and gets copies.
		other := newListener(t, "juliet")
		other.resource = "s"
		other.join(t, p)
		other.say(t, "<presence/>")
		juliet.take()
		other.say(t, "<iq type='set' id='add'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com'/></query></iq>")
		said := strings.Join(juliet.take(), "\n")
		require.Contains(t, said, "iq set", "a push")
		other.say(t, "<message to='romeo@example.com/r' type='chat' id='copied'><body>x</body></message>")
		require.Contains(t, strings.Join(juliet.take(), "\n"), "message chat juliet@example.com", "a copy")

		// Whoever was sent directed presence is told when it is over.
		romeo.take()
		juliet.session.Abort(nil)
		<-time.After(2 * time.Minute)
		require.Contains(t, strings.Join(romeo.take(), "\n"), "presence unavailable juliet@example.com/r")
		stop(p, romeo, other)
	})
}

// What nobody has acknowledged in time goes into the offline store, after a crash as
// before, and a stored session that is over is in the store no more.
func TestStoredSessionRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, offline := new(sm.MemoryStore), new(presence.MemoryOffline)
		p := process2(t, store, offline)
		juliet, romeo := newListener(t, "juliet"), newListener(t, "romeo")
		juliet.join(t, p)
		juliet.say(t, "<presence/>")
		romeo.join(t, p)
		synctest.Wait()
		juliet.session.Abort(nil)
		synctest.Wait()
		at := time.Now()
		romeo.say(t, "<message to='juliet@example.com/r' type='chat' id='late'><body>x</body></message>")
		p.kill()
		<-time.After(10 * time.Second)
		p = process2(t, store, offline)
		require.NotNil(t, p.router.Resource(jid.MustParse("juliet@example.com/r")))
		<-time.After(51 * time.Second) // of the minute there were 10 s less
		synctest.Wait()
		require.Nil(t, p.router.Resource(jid.MustParse("juliet@example.com/r")))
		messages, err := offline.Messages(t.Context(), jid.MustParse("juliet@example.com"), 10)
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.Contains(t, string(messages[0].Stanza), at.UTC().Format("2006-01-02T15:04:05"))
		<-time.After(time.Hour)
		synctest.Wait()
		left := 0
		require.NoError(t, store.All(t.Context(), func(string, *sm.State) error { left++; return nil }))
		require.Zero(t, left)
		stop(p)
	})
}

// A server that is shut down hands its sessions to the next one.
func TestShutdownStoresSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, offline := new(sm.MemoryStore), new(presence.MemoryOffline)
		p := process2(t, store, offline)
		juliet, romeo := newListener(t, "juliet"), newListener(t, "romeo")
		juliet.join(t, p)
		juliet.say(t, "<presence/>")
		romeo.join(t, p)
		juliet.session.Abort(nil)
		synctest.Wait()
		romeo.say(t, "<message to='juliet@example.com' type='chat' id='kept'><body>x</body></message>")
		for _, res := range p.router.Connected(jid.JID{}) {
			res.End(t.Context(), &stream.Error{Condition: stream.SystemShutdown})
		}
		synctest.Wait()
		// Nobody is there any more who would have this stored on the way.
		require.NoError(t, p.router.Send(t.Context(), &stanza.Message{
			To: jid.MustParse("juliet@example.com/r"), From: hosted, ID: "last", Body: stanza.Plain("x"), Type: stanza.ChatMessage,
		}))
		require.NoError(t, p.router.Shutdown(t.Context()))
		require.True(t, romeo.streams.Resumable(), "system-shutdown is not the end")
		n, err := offline.Count(t.Context(), jid.MustParse("juliet@example.com"))
		require.NoError(t, err)
		require.Zero(t, n)

		p = process2(t, store, offline)
		juliet.join(t, p)
		romeo.join(t, p)
		said := juliet.take()
		require.Contains(t, said, "message chat romeo@example.com/r kept")
		require.Contains(t, said, "message chat example.com last")
		require.True(t, romeo.streams.Link().Resumed())
		stop(p, juliet, romeo)
	})
}

// A session can be resumed at another server that runs already.
func TestAdopt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, offline := new(sm.MemoryStore), new(presence.MemoryOffline)
		p := process2(t, store, offline)
		juliet, romeo := newListener(t, "juliet"), newListener(t, "romeo")
		juliet.join(t, p)
		juliet.say(t, "<presence/>")
		romeo.join(t, p)
		juliet.session.Abort(nil)
		synctest.Wait()
		romeo.say(t, "<message to='juliet@example.com' type='chat' id='kept'><body>x</body></message>")
		p.kill()

		other := process2(t, new(sm.MemoryStore), offline)
		var states []*sm.State
		require.NoError(t, store.All(t.Context(), func(_ string, st *sm.State) error {
			states = append(states, st)
			return nil
		}))
		require.Len(t, states, 2)
		for _, st := range states {
			require.NoError(t, other.router.Adopt(st))
			require.Error(t, other.router.Adopt(st), "once")
		}
		juliet.join(t, other)
		require.True(t, juliet.streams.Link().Resumed())
		require.Contains(t, juliet.take(), "message chat romeo@example.com/r kept")
		romeo.join(t, other)
		require.True(t, romeo.streams.Link().Resumed())
		stop(other, juliet, romeo)
	})
}

// stop ends what is left of a test.
func stop(p *process, clients ...*listener) {
	for _, c := range clients {
		c.session.Abort(nil)
	}
	p.router.Shutdown(context.Background())
	<-time.After(time.Hour)
	synctest.Wait()
}
