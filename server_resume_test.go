package xmpp_test

import (
	"context"
	"errors"
	"net"
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
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

// roamer is a client that loses its connection now and then and comes back, with
// stream management. The peer is the connection that it has now.
type roamer struct {
	*peer
	s        *xmpptest.Server
	name     string
	resource string
	link     *sm.Client
	flow     *flow  // of the connection that it has now
	breakOn  string // when the connection is lost during resumption: "request", "answer" or never
}

// flow is a connection whose reader can be kept from reading.
type flow struct {
	net.Conn
	mu  sync.Mutex
	may chan struct{} // closed when it may read
}

func (f *flow) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.may = make(chan struct{})
}

func (f *flow) open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.may:
	default:
		close(f.may)
	}
}

func (f *flow) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	f.mu.Lock()
	may := f.may
	f.mu.Unlock()
	<-may
	return n, err
}

// CloseWrite is what the connection beneath can.
func (f *flow) CloseWrite() error { return f.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// feature is stream management that fails when it is to.
func (c *roamer) feature() stream.Feature {
	f := c.link.Feature()
	initiate := f.Initiate
	f.Initiate = func(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
		switch c.breakOn {
		case "request":
			_, _, h := c.link.Link().Counts()
			err := resumeRequest(n, c.link.Link().ID(), h)
			c.flow.Conn.Close()
			return stream.Outcome{}, stream.Abort(errors.Join(errors.New("no network"), err))
		case "answer":
			_, err := initiate(ctx, n, el)
			c.flow.Conn.Close()
			return stream.Outcome{}, stream.Abort(errors.Join(errors.New("no network"), err))
		}
		return initiate(ctx, n, el)
	}
	return f
}

// resumeRequest asks for a session.
func resumeRequest(n *stream.Negotiation, id string, h uint32) error {
	return n.Write(func(w *stream.Writer) {
		w.Start(stream.Name{Space: sm.NS, Local: "resume"})
		w.Attr("previd", id)
		w.Attr("h", strconv.Itoa(int(h)))
		w.End()
	})
}

// usurp resumes the session of c on another connection, and reports whether that
// has worked. Nobody reads that connection.
func (c *roamer) usurp(ctx context.Context) bool {
	nc, err := c.s.Dial(ctx)
	if err != nil {
		return false
	}
	_, _, h := c.link.Link().Counts()
	resume := stream.Feature{
		Name:    stream.Name{Space: sm.NS, Local: "sm"},
		Needs:   stream.Authenticated,
		Forbids: stream.Bound,
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			if err := resumeRequest(n, c.link.Link().ID(), h); err != nil {
				return stream.Outcome{}, err
			}
			el, err := n.Read(ctx)
			if err == nil && el.Name().Local != "resumed" {
				err = errors.New(el.Name().Local)
			}
			return stream.Outcome{Reached: stream.Authenticated | stream.Bound, Resumed: true}, err
		},
	}
	session, err := c.initiate(ctx, nc, resume)
	if err == nil {
		c.t.Cleanup(func() { session.Abort(nil) })
	}
	return err == nil
}

// initiate negotiates.
func (c *roamer) initiate(ctx context.Context, nc net.Conn, more ...stream.Feature) (*stream.Session, error) {
	account := jid.MustParse(c.name + "@" + c.s.Domain.String())
	return stream.Initiate(ctx, nc, &stream.InitiateOptions{
		To: c.s.Domain, From: account, Lang: "en",
		Features: append([]stream.Feature{
			xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: c.s.CA.Pool()}),
			auth.Client(&auth.ClientOptions{Password: "secret of " + c.name, Cache: &derived}),
			heedless,
		}, more...),
	})
}

// roam connects a client with stream management.
func roam(t testing.TB, s *xmpptest.Server, name, resource string) *roamer {
	t.Helper()
	link, err := sm.NewClient(nil)
	require.NoError(t, err)
	c := &roamer{s: s, name: name, resource: resource, link: link}
	c.back(t)
	return c
}

// back connects again, and resumes the session if that is possible.
func (c *roamer) back(t testing.TB) {
	t.Helper()
	require.NoError(t, c.try(t))
}

func (c *roamer) try(t testing.TB) error {
	t.Helper()
	account, err := jid.New(c.name, c.s.Domain.Domain(), "")
	require.NoError(t, err)
	if _, err := c.s.Accounts.Keys(t.Context(), account, sasl.SHA256); err != nil {
		c.s.AddAccount(t, c.name, "secret of "+c.name)
	}
	nc, err := c.s.Dial(t.Context())
	require.NoError(t, err)
	c.flow = &flow{Conn: nc, may: make(chan struct{})}
	c.flow.open()
	session, err := c.initiate(t.Context(), c.flow, c.feature(), bind.Client(&bind.ClientOptions{Resource: c.resource}))
	if err != nil {
		return err
	}
	p := &peer{Session: session, t: t, in: make(chan *stream.Element, 1<<12), over: make(chan error, 1)}
	ended := make(chan struct{})
	go func() { // ends with the session; joined by the cleanup
		defer close(ended)
		p.over <- session.Serve(func(el *stream.Element) error {
			p.in <- el.Clone()
			return nil
		})
	}()
	flow := c.flow
	t.Cleanup(func() {
		session.Abort(errors.New("the test is over"))
		flow.open()
		<-ended
	})
	c.peer = p
	return nil
}

// cut takes the connection away, when everything on it was said and acknowledged.
func (c *roamer) cut() {
	c.t.Helper()
	synctest.Wait()
	c.Abort(errors.New("no network"))
	synctest.Wait()
	require.True(c.t, c.link.Resumable())
}

// bodies returns what has come to a client: the bodies of messages, and how others
// look.
func (p *peer) bodies() []string {
	p.t.Helper()
	synctest.Wait()
	out := []string{}
	for len(p.in) > 0 {
		el := <-p.in
		if b, ok := el.Child(stream.Name{Space: stream.NSClient, Local: "body"}); ok && el.Attr("type") != "error" {
			out = append(out, b.Text())
			continue
		}
		out = append(out, look(el))
	}
	return out
}

// chat sends a chat message.
func (p *peer) chat(to, body string) {
	p.t.Helper()
	p.say(`<message type='chat' to='` + to + `'><body>` + body + `</body></message>`)
}

// known makes accounts contacts of each other.
func known(t testing.TB, a, b string) *roster.MemoryStore {
	t.Helper()
	rosters := new(roster.MemoryStore)
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		_, err := rosters.Put(t.Context(), address(pair[0]), roster.Item{JID: address(pair[1]), State: roster.Both})
		require.NoError(t, err)
	}
	return rosters
}

// routerOf returns the router of a server.
func routerOf(t testing.TB, s *xmpp.Server) *presence.Router {
	t.Helper()
	r, err := s.Router()
	require.NoError(t, err)
	return r
}

// patient has a server wait for clients for ever.
func patient(s *xmpp.Server) { s.Liveness = stream.Liveness{Soft: -1, Hard: -1} }

// diary is a module that notes what happens to sessions, and to what is delivered.
type diary struct {
	lines chan string
}

func newDiary() *diary                                               { return &diary{lines: make(chan string, 1<<12)} }
func (d *diary) Name() string                                        { return "diary" }
func (d *diary) Register(*stanza.Mux) error                          { return nil }
func (d *diary) note(what string, r stanza.Resource)                 { d.lines <- what + " " + r.Addr().Resource() }
func (d *diary) SessionUp(_ context.Context, r stanza.Resource)      { d.note("up", r) }
func (d *diary) SessionGone(_ context.Context, r stanza.Resource)    { d.note("gone", r) }
func (d *diary) SessionResumed(_ context.Context, r stanza.Resource) { d.note("resumed", r) }
func (d *diary) SessionDetached(_ context.Context, r stanza.Resource) {
	d.note("detached", r)
}

func (d *diary) read() []string {
	synctest.Wait()
	out := []string{}
	for len(d.lines) > 0 {
		out = append(out, <-d.lines)
	}
	return out
}

const (
	juliet  = "juliet@xmpp.test"
	balcony = "juliet@xmpp.test/balcony"
	orchard = "romeo@xmpp.test/orchard"
)

// XEP-0198 §5: while a session can be resumed its resource is there for others, and
// what it was sent arrives once and in order; modules are told what happens in the
// order in which it does.
func TestResumption(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDiary()
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Rosters = known(t, juliet, "romeo@xmpp.test")
			s.Modules = append(s.Modules, d)
			patient(s)
		})
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<presence/>`)
		c := roam(t, s, "juliet", "balcony")
		c.say(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`)
		c.say(`<presence><priority>3</priority></presence>`)
		romeo.bodies()
		c.bodies()
		require.Len(t, srv.Sessions(address(juliet)), 1)
		router := routerOf(t, srv)
		res := router.Connected(address(juliet))[0]
		old := res.Context()

		for round := range 3 {
			c.cut()
			require.Empty(t, romeo.bodies(), "nobody is told")
			require.Error(t, old.Err(), "the context of handlers ends with the connection")
			require.Empty(t, srv.Sessions(address(juliet)))
			require.Len(t, router.Connected(address(juliet)), 1)
			romeo.chat(juliet, "1")
			romeo.chat(balcony, "2")
			romeo.say(`<presence><show>away</show></presence>`)
			romeo.say(`<message to='` + juliet + `'><body>3</body></message>`)
			synctest.Wait() // or what the others do might come before it
			tybalt := join(t, s, "tybalt", "street")
			tybalt.say(`<presence type='probe' to='` + juliet + `'/>`)
			// Somebody of her own account sees her too, and her roster changes.
			nurse := join(t, s, "juliet", "kitchen")
			nurse.say(`<presence><priority>-1</priority></presence>`)
			require.Contains(t, nurse.bodies(), "presence - "+balcony+"→"+juliet+" -")
			nurse.say(`<iq type='set' id='n'><query xmlns='jabber:iq:roster'><item jid='paris@xmpp.test' name='` + strings.Repeat("x", round+1) + `'/></query></iq>`)
			nurse.bodies()
			<-time.After(4 * time.Minute)
			c.back(t)
			require.Equal(t, address(balcony), c.LocalAddr())
			require.True(t, c.link.Link().Resumed())
			got := c.bodies()
			require.Len(t, got, 6, "%v", got)
			require.Equal(t, []string{"1", "2"}, got[:2])
			require.Equal(t, "presence - "+orchard+"→"+juliet+" -", got[2])
			require.Equal(t, "3", got[3])
			require.Equal(t, "presence - juliet@xmpp.test/kitchen→"+juliet+" -", got[4])
			require.Contains(t, got[5], "iq set", "a roster push (RFC 6121 §2.1.6)")
			require.NoError(t, nurse.Close(t.Context()))
			require.Len(t, c.bodies(), 1)
			require.Same(t, res, router.Connected(address(juliet))[0])
			require.NoError(t, res.Context().Err())
			old = res.Context()
			require.Len(t, srv.Sessions(address(juliet)), 1)
			// It goes on in both directions.
			c.chat(orchard, "hi")
			romeo.chat(balcony, "4")
			require.Contains(t, romeo.bodies(), "hi")
			require.Equal(t, []string{"4"}, c.bodies())
			romeo.say(`<presence/>`)
			require.Len(t, c.bodies(), 1)
			romeo.bodies()
		}
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, []string{"presence unavailable " + balcony + "→romeo@xmpp.test -"}, romeo.bodies())
		var about []string
		for _, line := range d.read() {
			if strings.HasSuffix(line, "balcony") {
				about = append(about, strings.Fields(line)[0])
			}
		}
		require.Equal(t, "up detached resumed detached resumed detached resumed gone", strings.Join(about, " "))
	})
}

// XEP-0198 §4, §5: when nobody has come back, those who knew of the resource are
// told, and what it did not acknowledge is treated as if it had not been there:
// messages wait with the time at which they were sent, requests come back, and
// the archive has everything once.
func TestResumptionThatNeverComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, archive, offline := newDiary(), new(mam.MemoryStore), new(presence.MemoryOffline)
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Rosters = known(t, juliet, "romeo@xmpp.test")
			s.Modules = append(s.Modules, d, &mam.Module{Store: archive}, new(carbons.Module))
			s.Offline = offline
			s.Management = &sm.ServerOptions{Max: 3 * time.Minute}
			patient(s)
		})
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<presence/>`)
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		c.say(`<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>`)
		other := roam(t, s, "juliet", "kitchen") // which is not available
		c.cut()
		romeo.bodies()
		began := time.Now()
		romeo.chat(juliet, "1")
		<-time.After(time.Minute)
		romeo.chat(balcony, "2")
		romeo.say(`<message to='` + juliet + `'><body>3</body></message>`)          // normal, to the account
		romeo.say(`<message id='n' to='` + balcony + `'><body>no</body></message>`) // normal, to the resource: RFC 6121 §8.5.3.2.1
		romeo.say(`<iq type='get' id='q' to='` + balcony + `'><ping xmlns='urn:xmpp:ping'/></iq>`)
		other.chat(orchard, "a copy of this is for the balcony only")
		require.Equal(t, []string{"a copy of this is for the balcony only"}, romeo.bodies())
		<-time.After(2*time.Minute - time.Second)
		require.Empty(t, romeo.bodies())
		n, err := offline.Count(t.Context(), address(juliet))
		require.NoError(t, err)
		require.Zero(t, n)
		<-time.After(2 * time.Second)
		require.Equal(t, []string{
			"presence unavailable " + balcony + "→romeo@xmpp.test -",
			"message error " + balcony + "→" + orchard + " n service-unavailable",
			"iq error " + balcony + "→" + orchard + " q service-unavailable",
		}, romeo.bodies())
		require.Subset(t, d.read(), []string{"detached balcony", "gone balcony"})

		n, err = offline.Count(t.Context(), address(juliet))
		require.NoError(t, err)
		require.Equal(t, 3, n, "without the copy (XEP-0280)")
		c.back(t) // the old session is not found, and a new one begins
		c.say(`<presence/>`)
		synctest.Wait()
		var stamps []time.Duration
		var texts []string
		for len(c.in) > 0 {
			el := <-c.in
			if b, ok := el.Child(stream.Name{Space: stream.NSClient, Local: "body"}); ok {
				texts = append(texts, b.Text())
				late, ok := el.Child(stream.Name{Space: delay.NS, Local: "delay"})
				require.True(t, ok)
				var d delay.Delay
				require.NoError(t, d.DecodeElement(late))
				stamps = append(stamps, d.Stamp.Sub(began).Round(time.Second))
			}
		}
		require.Equal(t, []string{"1", "2", "3"}, texts)
		require.Equal(t, []time.Duration{0, time.Minute, time.Minute}, stamps)
		n, err = offline.Count(t.Context(), address(juliet))
		require.NoError(t, err)
		require.Zero(t, n)
		// Four messages of Romeo's, one of the kitchen's.
		c.say(`<iq type='set' id='m'><query xmlns='urn:xmpp:mam:2'/></iq>`)
		require.Len(t, c.bodies(), 5+1)
	})
}

// deafen has the client read nothing, from its next read on.
func (c *roamer) deafen() {
	synctest.Wait() // what was on its way is there, such as <enabled/>
	c.flow.shut()
}

// hearken is the end of deafen.
func (c *roamer) hearken() { c.flow.open() }
