package sm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// wire is a pair of connections of which either direction breaks after a number
// of bytes: at once for both, or quietly, as if a cable had been cut, until
// somebody notices.
type wire struct {
	a, b  net.Conn
	quiet bool
	once  sync.Once
}

// uncut is a number of bytes that is never reached.
const uncut = 1 << 30

func newWire(fromClient, fromServer int, quiet bool) (*wire, net.Conn, net.Conn) {
	w := &wire{quiet: quiet}
	w.a, w.b = memconn.Pipe()
	return w, &half{Conn: w.a, wire: w, left: fromClient}, &half{Conn: w.b, wire: w, left: fromServer}
}

func (w *wire) cut() {
	w.once.Do(func() {
		if w.quiet {
			time.AfterFunc(time.Second, w.close)
		} else {
			w.close()
		}
	})
}

func (w *wire) close() { w.a.Close(); w.b.Close() }

// half is one end. What it writes counts.
type half struct {
	net.Conn
	wire *wire
	mu   sync.Mutex
	left int
	sent int
}

func (h *half) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(len(b), h.left)
	h.left -= n
	if n > 0 {
		if n, err := h.Conn.Write(b[:n]); err != nil {
			return n, err
		}
	}
	h.sent += n
	if n == len(b) {
		return n, nil
	}
	h.wire.cut()
	if h.wire.quiet {
		return len(b), nil
	}
	return n, net.ErrClosed
}

func (h *half) CloseWrite() error { return h.Conn.(*memconn.Conn).CloseWrite() }

// run is one exchange over connections that are cut.
type run struct {
	rng     *rand.Rand
	conn    bool // the client reads through a stanza.Conn with slow handlers
	slow    bool // handlers are slow
	forget  bool // the server forgets sessions that were lost
	restart bool // the client loses all but its State

	client *sm.Client
	server *sm.Server

	toServer, toClient               log
	sentByClient, sentByServer       []string // accepted by Send
	receipts                         map[string]*stream.Receipt
	leftAtClient                     map[string]bool // and whether unsent
	mu                               sync.Mutex
	leftAtServer                     map[string]bool
	current                          *stream.Session // of the client
	currentServer                    *stream.Session
	clientDone                       chan struct{} // of the last session of the client
	sending                          sync.WaitGroup
	resumed, fresh                   int
	clientBytes, serverBytes         int // of the first connection
	wrong                            error
	firstClientCut, firstServerCut   int
	secondClientCut, secondServerCut int
}

const each = 6 // messages in each direction

func (r *run) pause(t *testing.T, rng *rand.Rand) {
	if n := rng.IntN(4); n > 0 {
		<-time.After(time.Duration(n*30) * time.Millisecond)
	}
}

// play runs it all in a bubble.
func (r *run) play(t *testing.T) {
	policy := func() sm.Policy { return sm.Policy{Every: r.rng.IntN(4), AckEvery: r.rng.IntN(4)} }
	r.receipts, r.leftAtClient, r.leftAtServer = map[string]*stream.Receipt{}, map[string]bool{}, map[string]bool{}
	r.server = sm.NewServer(&sm.ServerOptions{Policy: policy(), Max: 10 * time.Minute, Over: func(_ *sm.Link, left []sm.Left, _ error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, u := range left {
			r.leftAtServer[idOf(u.XML)] = u.Unsent
		}
	}})
	clientPolicy := policy()
	r.client = newClient(t, &sm.ClientOptions{Policy: clientPolicy})
	cuts := [][2]int{{r.firstClientCut, r.firstServerCut}, {r.secondClientCut, r.secondServerCut}, {uncut, uncut}}
	next := 0 // the id that the client sends next
	var served []<-chan error
	for i, cut := range cuts {
		w, a, b := newWire(cut[0], cut[1], r.rng.IntN(2) == 0)
		cs, ss, err, serr := try(t, a, b, r.client, r.server)
		if i == len(cuts)-1 {
			require.NoError(t, err)
			require.NoError(t, serr)
		}
		if serr == nil {
			done := make(chan error, 1)
			go func() { done <- ss.Serve(r.atServer) }() // ends with the session
			served = append(served, done)
			r.mu.Lock()
			r.currentServer = ss
			r.mu.Unlock()
		}
		if err != nil {
			w.close()
			synctest.Wait()
			continue
		}
		if l := r.client.Link(); l != nil && l.Resumed() {
			r.resumed++
		} else {
			r.fresh++
		}
		r.collect()
		r.serveClient(t, cs)
		r.sendFromServer(t)
		for range each / len(cuts) {
			r.send(t, cs, fmt.Sprintf("c%02d", next))
			next++
			r.pause(t, r.rng)
		}
		<-time.After(300 * time.Millisecond)
		if i == 0 {
			r.clientBytes, r.serverBytes = a.(*half).count(), b.(*half).count()
		}
		if i == len(cuts)-1 {
			break
		}
		if w.quiet { // whatever was not noticed is now
			<-time.After(time.Second)
		}
		w.close()
		<-cs.Done()
		if serr == nil {
			<-ss.Done()
		}
		if !r.restart { // what is sent meanwhile is kept
			r.send(t, cs, fmt.Sprintf("c%02d", next))
			next++
		}
		if r.forget {
			for _, l := range r.server.Links() {
				l.GiveUp(nil)
			}
		}
		if r.restart {
			<-r.clientDone
			r.client = r.reborn(t, clientPolicy)
		}
	}
	r.sending.Wait()
	<-time.After(time.Minute) // handlers are done, and everything was asked for
	require.NoError(t, r.current.Close(t.Context()))
	<-r.clientDone
	for _, l := range r.server.Links() {
		l.GiveUp(nil)
	}
	for _, done := range served {
		<-done
	}
	<-r.client.Link().Done()
	r.server.Wait()
	synctest.Wait()
	r.collect()
	r.wrong = r.check()
}

// reborn is the client after a restart.
func (r *run) reborn(t *testing.T, p sm.Policy) *sm.Client {
	st, err := r.client.State()
	if err != nil { // there is nothing to resume
		if l := r.client.Link(); l != nil {
			l.GiveUp(nil)
		}
		r.collect()
		return newClient(t, &sm.ClientOptions{Policy: p})
	}
	b, err := st.MarshalBinary()
	require.NoError(t, err)
	r.client.Link().GiveUp(nil) // as if it had never been
	r.client.TakeLeft()
	clear(r.receipts)
	got := new(sm.State)
	require.NoError(t, got.UnmarshalBinary(b))
	return newClient(t, &sm.ClientOptions{Policy: p, State: got})
}

func (r *run) collect() {
	for _, l := range r.client.TakeLeft() {
		r.leftAtClient[idOf(l.XML)] = l.Unsent
	}
}

func idOf(xml []byte) string {
	_, id, _ := strings.Cut(string(xml), "id='")
	id, _, _ = strings.Cut(id, "'")
	return id
}

func (r *run) send(t *testing.T, s *stream.Session, id string) {
	receipt, err := s.SendReceipt(t.Context(), message0Text(id))
	if err == nil {
		r.sentByClient = append(r.sentByClient, id)
		r.receipts[id] = receipt
	}
}

// sendFromServer sends a few messages on the session that the server has now.
func (r *run) sendFromServer(t *testing.T) {
	seed := r.rng.Uint64()
	r.sending.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 1))
		for range each / 2 {
			r.mu.Lock()
			s := r.currentServer
			n := len(r.sentByServer)
			ok := s != nil && sm.Of(s) != nil
			if ok && s.Send(t.Context(), message0Text(fmt.Sprintf("s%02d", n))) == nil {
				r.sentByServer = append(r.sentByServer, fmt.Sprintf("s%02d", n))
			}
			r.mu.Unlock()
			r.pause(t, rng)
		}
	})
}

func (r *run) atServer(el *stream.Element) error {
	if r.slow {
		<-time.After(20 * time.Millisecond)
	}
	return r.toServer.handle(el)
}

// serveClient reads a session of the client, when the last one has been read.
func (r *run) serveClient(t *testing.T, s *stream.Session) {
	before, done := r.clientDone, make(chan struct{})
	r.current, r.clientDone = s, done
	if !r.conn {
		go func() { // ends with the session
			defer close(done)
			s.Serve(func(el *stream.Element) error {
				if r.slow {
					<-time.After(50 * time.Millisecond)
				}
				return r.toClient.handle(el)
			})
		}()
		return
	}
	conn := stanza.NewConn(s, &stanza.Options{Parallel: 1})
	go func() { // ends when all is handled that the session has received
		defer close(done)
		if before != nil {
			<-before
		}
		conn.Serve(context.WithoutCancel(t.Context()), stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
			<-time.After(70 * time.Millisecond)
			r.toClient.mu.Lock()
			defer r.toClient.mu.Unlock()
			r.toClient.ids = append(r.toClient.ids, st.Head().ID)
			return nil
		}))
	}()
}

// check returns what is wrong with the outcome.
func (r *run) check() error {
	var errs []error
	one := func(who string, sent, got []string, left map[string]bool) {
		if !slices.IsSorted(got) {
			errs = append(errs, fmt.Errorf("%s: order %v", who, got))
		}
		for i, id := range got {
			if i > 0 && got[i-1] == id {
				errs = append(errs, fmt.Errorf("%s: %s was handled twice: %v", who, id, got))
			}
			if left[id] {
				errs = append(errs, fmt.Errorf("%s: %s was handled, and reported as not sent", who, id))
			}
			if !slices.Contains(sent, id) {
				errs = append(errs, fmt.Errorf("%s: nobody has sent %s", who, id))
			}
		}
		for _, id := range sent {
			_, reported := left[id]
			if handled := slices.Contains(got, id); !handled && !reported {
				errs = append(errs, fmt.Errorf("%s: %s was lost, and nobody was told; handled %v, left %v", who, id, got, left))
			}
		}
		if r.fresh == 1 && (len(left) > 0 || len(sent) != len(got)) {
			errs = append(errs, fmt.Errorf("%s: always resumed, and yet sent %v, handled %v, left %v", who, sent, got, left))
		}
	}
	one("server", r.sentByClient, r.toServer.all(), r.leftAtClient)
	one("client", r.sentByServer, r.toClient.all(), r.leftAtServer)
	for id, receipt := range r.receipts {
		_, left := r.leftAtClient[id]
		handled := slices.Contains(r.toServer.all(), id)
		switch state := receipt.State(); {
		case state == stream.Acked && (left || !handled),
			state == stream.Failed && (!left || handled),
			state < stream.Acked,
			state == stream.Unknown && !left:
			errs = append(errs, fmt.Errorf("the receipt of %s is %s; left %t, handled %t", id, state, left, handled))
		}
	}
	return errors.Join(errs...)
}

// seeds returns how many random runs there are, and the first seed.
func seeds(t *testing.T, n int) (int, uint64) {
	base := uint64(20_261_123)
	if s := os.Getenv("SM_CUT_SEEDS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	if s := os.Getenv("SM_CUT_BASE"); s != "" {
		var err error
		base, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	return n, base
}

// modes are the ways to run it.
var modes = []struct {
	name string
	set  func(r *run)
}{
	{"raw", func(*run) {}},
	{"slow", func(r *run) { r.slow = true }},
	{"conn", func(r *run) { r.conn = true }},
	{"forgotten", func(r *run) { r.forget = true }},
	{"restarted", func(r *run) { r.restart = true }},
	{"restarted, slow", func(r *run) { r.restart, r.slow = true, true }},
	{"forgotten, conn", func(r *run) { r.forget, r.conn = true, true }},
}

func cutRun(t *testing.T, seed uint64, set func(r *run), place func(r *run)) *run {
	t.Helper()
	r := &run{
		rng:            rand.New(rand.NewPCG(seed, 7)),
		firstClientCut: uncut, firstServerCut: uncut, secondClientCut: uncut, secondServerCut: uncut,
	}
	set(r)
	place(r)
	synctest.Test(t, r.play)
	return r
}

// M08: the connection is cut after every single byte in either direction, and
// again at random: nothing is handled twice or out of order; nothing is lost if
// the session could be resumed, and everything that may be is reported if not.
// SM_CUT_SEEDS says how many random runs there are, SM_CUT_BASE which is the
// first.
func adversarialM08(t *testing.T) {
	count, base := seeds(t, 8000)
	step := 1
	if sm.RaceEnabled || testing.Short() {
		step, count = 17, min(count, 150)
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			whole := cutRun(t, base, mode.set, func(*run) {})
			require.NoError(t, whole.wrong)
			require.Greater(t, min(whole.clientBytes, whole.serverBytes), 500)
			runs, resumed := 0, 0
			try := func(name string, seed uint64, place func(r *run)) {
				r := cutRun(t, seed, mode.set, place)
				require.NoError(t, r.wrong, "%s, seed %d", name, seed)
				runs, resumed = runs+1, resumed+r.resumed
			}
			every := step
			if mode.name != "raw" {
				every = step * 7 // other offsets in each mode
			}
			for n := len(mode.name) % every; n <= whole.clientBytes+50; n += every {
				try(fmt.Sprintf("the client's direction cut at %d", n), base, func(r *run) { r.firstClientCut = n })
			}
			for n := len(mode.name) % every; n <= whole.serverBytes+50; n += every {
				try(fmt.Sprintf("the server's direction cut at %d", n), base, func(r *run) { r.firstServerCut = n })
			}
			for i := range uint64(count / len(modes)) {
				try("random", base+i, func(r *run) {
					r.firstClientCut, r.firstServerCut = r.rng.IntN(whole.clientBytes+200), r.rng.IntN(whole.serverBytes+200)
					r.secondClientCut, r.secondServerCut = r.rng.IntN(whole.clientBytes+200), r.rng.IntN(whole.serverBytes+200)
				})
			}
			t.Logf("%d runs, %d random from seed %d, %d sessions resumed", runs, count/len(modes), base, resumed)
			if !strings.HasPrefix(mode.name, "forgotten") {
				require.Greater(t, resumed, runs/8)
			}
		})
	}
}

// count returns how many bytes went out.
func (h *half) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}
