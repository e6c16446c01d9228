package presence_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

// mortal is a store of a process that is killed: at a certain call, before or
// after that has had its effect. What the process does from then on reaches
// neither the store nor anybody else.
type mortal struct {
	sm.Store
	mu    sync.Mutex
	calls int  // until death
	after bool // the call has its effect
	dead  bool
	die   func()
}

func (m *mortal) call(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errors.New("dead")
	}
	m.calls--
	if m.calls == 0 {
		var err error
		if m.after {
			err = do()
		}
		m.dead = true
		m.die()
		return err
	}
	return do()
}

func (m *mortal) Put(ctx context.Context, st *sm.State) error {
	return m.call(func() error { return m.Store.Put(ctx, st) })
}

func (m *mortal) Append(ctx context.Context, id string, j sm.Journal) error {
	return m.call(func() error { return m.Store.Append(ctx, id, j) })
}

func (m *mortal) Delete(ctx context.Context, id string) error {
	return m.call(func() error { return m.Store.Delete(ctx, id) })
}

// everybody exists.
type everybody struct{}

func (everybody) Exists(context.Context, jid.JID) (bool, error) { return true, nil }

var hosted = jid.MustParse("example.com")

// process is a server that can be killed.
type process struct {
	router *presence.Router
	store  *mortal

	mu    sync.Mutex
	conns []net.Conn
	dead  chan struct{}
}

// start begins a process on a store. It is killed at a certain call of that; 0
// means never.
func start(t *testing.T, store sm.Store, calls int, after bool) *process {
	p := &process{dead: make(chan struct{})}
	p.store = &mortal{Store: store, calls: calls, after: after, die: p.cut}
	p.router = &presence.Router{
		Hosted: []jid.JID{hosted}, Accounts: everybody{},
		Management: &sm.ServerOptions{Store: p.store},
	}
	require.NoError(t, p.router.Init())
	return p
}

// cut takes all connections away at once.
func (p *process) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	close(p.dead)
}

// dial returns a connection to the process, or nil when it is dead.
func (p *process) dial(ctx context.Context) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.dead:
		return nil
	default:
	}
	a, b := memconn.Pipe()
	p.conns = append(p.conns, b)
	go p.router.ServeConn(ctx, b, &stream.AcceptOptions{ // ends with the connection
		Profile: stream.InsecureC2S(), Domains: []jid.JID{hosted},
		Features: append([]stream.Feature{trusting()}, p.router.Features()...),
	})
	return a
}

// trusting is an authentication that takes everybody for who he says he is.
func trusting() stream.Feature {
	name := stream.Name{Space: "urn:example:trust", Local: "trust"}
	done := stream.Outcome{Reached: stream.Authenticated, Restart: true}
	return stream.Feature{
		Name: name, Forbids: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(name)
			w.End()
			return nil
		},
		Accept: func(_ context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			who, err := jid.Parse(el.Attr("who"))
			n.SetIdentity(who)
			return done, errors.Join(err, n.Write(func(w *stream.Writer) { w.Start(name); w.End() }))
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			err := n.Write(func(w *stream.Writer) {
				w.Start(name)
				w.Attr("who", n.Identity().Bare().String())
				w.End()
			})
			if err == nil {
				_, err = n.Read(ctx)
			}
			return done, err
		},
	}
}

// user is a client that comes back.
type user struct {
	name     string
	resource string // "r" if empty
	streams  *sm.Client

	mu      sync.Mutex
	session *stream.Session
	heard   []string
	fresh   int // sessions that were not resumed
}

func (u *user) hear(el *stream.Element) error {
	if el.Name().Local == "message" {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.heard = append(u.heard, el.Attr("id"))
	}
	return nil
}

// connect makes one attempt.
func (u *user) connect(ctx context.Context, p *process) bool {
	nc := p.dial(ctx)
	if nc == nil {
		return false
	}
	s, err := stream.Initiate(ctx, nc, &stream.InitiateOptions{
		Profile: stream.InsecureC2S(), To: hosted, From: jid.MustParse(u.name + "@example.com"),
		Features: []stream.Feature{trusting(), u.streams.Feature(), bind.Client(&bind.ClientOptions{Resource: u.at()})},
	})
	if err != nil {
		return false
	}
	if l := sm.Of(s); l == nil || !l.Resumed() {
		u.fresh++
	}
	u.mu.Lock()
	u.session = s
	u.mu.Unlock()
	return true
}

type xml string

func (x xml) AppendXML(dst []byte) ([]byte, error) { return append(dst, x...), nil }

// A server is killed while clients write to each other, at every call of its store in
// turn, and started again with what the store has: each stanza arrives once and in
// order (XEP-0198 §5).
func TestKilledServer(t *testing.T) {
	seeds := uint64(300)
	if os.Getenv("STANZAKIT_ADVERSARIAL_FULL") != "" {
		seeds = 5000
	}
	if v, err := strconv.ParseUint(os.Getenv("STANZAKIT_SEEDS"), 10, 64); err == nil {
		seeds = v
	}
	for seed := range seeds {
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { killed(t, rand.New(rand.NewPCG(seed, 1))) })
		}) {
			break
		}
	}
	t.Logf("seeds 0 to %d", seeds-1)
}

func killed(t *testing.T, random *rand.Rand) {
	const each = 20
	ctx, stop := context.WithCancel(t.Context())
	store := new(sm.MemoryStore)
	// Not before both have begun.
	current := start(t, store, 3+random.IntN(40), random.IntN(2) == 0)
	users := make([]*user, 2)
	for i, name := range []string{"juliet", "romeo"} {
		streams, err := sm.NewClient(nil)
		require.NoError(t, err)
		users[i] = &user{name: name, streams: streams}
	}
	var done sync.WaitGroup
	var mu sync.Mutex // of current
	now := func() *process {
		mu.Lock()
		defer mu.Unlock()
		return current
	}
	for i, u := range users {
		other := users[1-i].name
		require.True(t, u.connect(ctx, current))
		pause := make([]time.Duration, each)
		for i := range pause {
			pause[i] = time.Duration(random.IntN(3)) * time.Millisecond
		}
		done.Go(func() { // reads and comes back
			for ctx.Err() == nil {
				u.session.Serve(u.hear)
				for ctx.Err() == nil && !u.connect(ctx, now()) {
					<-time.After(time.Duration(1+len(u.name)) * time.Millisecond)
				}
			}
		})
		done.Go(func() { // writes
			<-time.After(time.Millisecond)
			for n := range each {
				<-time.After(pause[n])
				u.mu.Lock()
				s := u.session
				u.mu.Unlock()
				err := s.Send(ctx, xml(fmt.Sprintf("<message to='%s@example.com/r' type='chat' id='%d'><body>x</body></message>", other, n)))
				if ctx.Err() == nil {
					require.NoError(t, err)
				}
			}
		})
	}
	lives := 1
	for range 200 {
		select {
		case <-now().dead:
			synctest.Wait()
			next := start(t, store, random.IntN(60), random.IntN(2) == 0)
			mu.Lock()
			current = next
			mu.Unlock()
			lives++
		case <-time.After(time.Millisecond):
		}
	}
	<-time.After(time.Minute) // a login that was cut takes its timeout
	synctest.Wait()
	var want []string
	for n := range each {
		want = append(want, strconv.Itoa(n))
	}
	for _, u := range users {
		u.mu.Lock()
		require.Equal(t, 1, u.fresh, "%s, after %d lives: every session is resumed", u.name, lives)
		require.Equal(t, want, u.heard, "%s, after %d lives", u.name, lives)
		u.mu.Unlock()
	}
	stop()
	for _, u := range users {
		u.session.Abort(nil)
	}
	now().router.Shutdown(context.Background())
	done.Wait()
	synctest.Wait()
	<-time.After(time.Hour)
}

// at returns the resource that the client asks for.
func (u *user) at() string {
	if u.resource == "" {
		return "r"
	}
	return u.resource
}
