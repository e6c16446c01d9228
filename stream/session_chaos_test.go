package stream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// Whatever two sides do to each other, with handlers that are slow, stuck,
// wrong or closing: both sessions end, once and for one cause, no goroutine is
// left behind, what is received is what was sent, whole and in order, and no
// receipt says otherwise. The subtest's name has the seed.
func TestSessionsUnderRandomUse(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	if full() {
		seeds = 5000
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomUse(t, seed) })
		})
	}
}

// chaosSide is one side of a session under random use.
type chaosSide struct {
	s       *stream.Session
	seed    uint64
	other   *chaosSide
	closed  atomic.Int32 // calls of the Closed hook
	cause   error        // what it was told
	dropped atomic.Bool  // some stanza was not handled as it should

	mu       sync.Mutex
	sent     map[string]*stream.Receipt // nil receipts for plain sends
	received map[string]bool
	last     map[int]int // by sending goroutine: the number received last
}

func newChaosSide(seed uint64) *chaosSide {
	return &chaosSide{seed: seed, sent: make(map[string]*stream.Receipt), received: make(map[string]bool), last: make(map[int]int)}
}

func (c *chaosSide) trace() *stream.Trace {
	return &stream.Trace{Closed: func(cause error) {
		c.cause = cause
		c.closed.Add(1)
	}}
}

func randomUse(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	a, b := newChaosSide(2*seed), newChaosSide(2*seed+1)
	a.other, b.other = b, a
	limits := &stream.Limits{ElementBytes: 10_000, OutboundBytes: 1} // the least: 20,000
	seconds := func(n int) time.Duration { return time.Duration(1+rng.IntN(n)) * time.Second }
	a.s, b.s = sessions(t,
		&stream.InitiateOptions{Limits: limits, WriteTimeout: seconds(20), CloseTimeout: seconds(10), Trace: a.trace()},
		&stream.AcceptOptions{Limits: limits, WriteTimeout: seconds(20), CloseTimeout: seconds(10), Trace: b.trace()})

	start := time.Now()
	var users, readers sync.WaitGroup
	for _, c := range []*chaosSide{a, b} {
		readers.Go(func() {
			if err := c.s.Serve(c.handler(t)); errors.Is(err, stream.ErrBusy) {
				t.Error("nobody else serves")
			}
		})
	}
	if rng.IntN(4) > 0 {
		synctest.Wait()
	} else {
		// Close may come before Serve, which then hands out nothing.
		a.dropped.Store(true)
		b.dropped.Store(true)
	}
	for _, c := range []*chaosSide{a, b} {
		for i := range 1 + rng.IntN(5) {
			users.Go(func() { c.use(t, i) })
		}
	}
	users.Wait()
	for _, c := range []*chaosSide{a, b} {
		users.Go(func() { c.s.Close(context.Background()) })
	}
	<-a.s.Done()
	<-b.s.Done()
	users.Wait()
	readers.Wait()
	require.Less(t, time.Since(start), 10*time.Minute)
	for _, c := range []*chaosSide{a, b} {
		c.check(t)
	}
}

// use does random things to the session.
func (c *chaosSide) use(t *testing.T, user int) {
	rng := rand.New(rand.NewPCG(c.seed, uint64(user)+1))
	for n := range 5 + rng.IntN(40) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(4000))*time.Millisecond)
		c.step(t, ctx, rng, user, n)
		cancel()
	}
}

func (c *chaosSide) step(t *testing.T, ctx context.Context, rng *rand.Rand, user, n int) {
	id := fmt.Sprintf("%d-%d", user, n)
	msg := raw(fmt.Sprintf("<message id='%s'><body>%s</body></message>", id, strings.Repeat("x", 1<<rng.IntN(13))))
	sent := func(r *stream.Receipt) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent[id] = r
	}
	var err error
	switch rng.IntN(100) {
	case 0:
		c.dropped.Store(true)
		c.s.Abort(fmt.Errorf("abort %s", id))
		require.Error(t, c.s.Err())
	case 1:
		err = c.s.Close(ctx)
	case 2:
		err = c.s.CloseError(ctx, &stream.Error{Condition: stream.SystemShutdown, Text: id})
	case 3, 4, 5, 6, 7, 8, 9, 10:
		<-time.After(time.Duration(rng.IntN(500)) * time.Millisecond)
	case 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30:
		if err = c.s.TrySend(msg); err == nil {
			sent(nil)
		}
	case 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50:
		var r *stream.Receipt
		if r, err = c.s.SendReceipt(ctx, msg); err == nil {
			sent(r)
			if rng.IntN(3) == 0 {
				err = r.Wait(ctx, stream.Written)
			}
		}
	default:
		if err = c.s.Send(ctx, msg); err == nil {
			sent(nil)
		}
	}
	if err != nil && !errors.Is(err, stream.ErrClosed) && !errors.Is(err, stream.ErrFull) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("unexpected error: %v", err)
	}
}

// handler returns a handler that notes what comes, and misbehaves at times.
func (c *chaosSide) handler(t *testing.T) func(*stream.Element) error {
	rng := rand.New(rand.NewPCG(c.seed, 1000))
	return func(el *stream.Element) error {
		id := el.Attr("id")
		var user, n int
		if _, err := fmt.Sscanf(id, "%d-%d", &user, &n); err != nil {
			t.Errorf("received %.100q", el.Raw())
		}
		c.mu.Lock()
		if last, ok := c.last[user]; ok && last >= n {
			t.Errorf("user %d sent %d before %d", user, last, n)
		}
		c.last[user] = n
		c.received[id] = true
		c.mu.Unlock()
		switch rng.IntN(300) {
		case 0:
			c.dropped.Store(true)
			return errors.New("the handler fails")
		case 1:
			c.dropped.Store(true)
			panic("the handler panics")
		case 2:
			c.s.Close(context.Background())
		case 3:
			c.dropped.Store(true)
			c.s.Abort(errors.New("the handler aborts"))
		case 4:
			<-c.s.Done() // stuck
		case 5:
			c.dropped.Store(true)
			return &stream.Error{Condition: stream.Conflict}
		case 6, 7, 8, 9, 10:
			<-time.After(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		return nil
	}
}

// check looks at a side when both are over.
func (c *chaosSide) check(t *testing.T) {
	require.EqualValues(t, 1, c.closed.Load())
	err := c.s.Err()
	require.ErrorIs(t, err, stream.ErrClosed)
	var over *stream.ClosedError
	require.ErrorAs(t, err, &over)
	require.Equal(t, c.cause, over.Cause, "one cause for all")
	for _, malformed := range []error{stream.NotWellFormed, stream.BadFormat, stream.InvalidXML, stream.UnsupportedStanzaType} {
		require.NotErrorIs(t, err, malformed, "elements were cut or mixed")
	}
	orderly := func(s *stream.Session) bool {
		return errors.Is(s.Err(), stream.ErrLocalClosed) || errors.Is(s.Err(), stream.ErrPeerClosed)
	}
	for id := range c.received {
		require.Contains(t, c.other.sent, id, "what was refused was sent all the same")
	}
	for id, r := range c.sent {
		got := c.other.received[id]
		if orderly(c.s) && orderly(c.other.s) && !c.other.dropped.Load() {
			require.True(t, got, "%s is lost, in good order", id)
		}
		if r == nil {
			continue
		}
		switch r.State() {
		case stream.Failed:
			require.False(t, got, "%s was received, and its receipt says that it never left", id)
		case stream.Unknown:
		default:
			t.Errorf("the receipt of %s is %s when all is over", id, r.State())
		}
	}
}
