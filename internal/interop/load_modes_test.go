package interop_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// traffic runs in the background from when it is made until finish.
type traffic struct {
	received *meter       // units that have come
	sent     atomic.Int64 // units that have to come

	ctx     context.Context // ends early, with the cause, when something fails
	fail    context.CancelCauseFunc
	going   context.Context // ends when no more is to be sent
	halt    context.CancelFunc
	ending  atomic.Bool // the ends of streams are expected
	wires   []*wire
	senders sync.WaitGroup
	readers sync.WaitGroup
}

// newTraffic logs in n accounts with their first presence.
func newTraffic(ctx context.Context, t *target, n int) (*traffic, error) {
	x := &traffic{received: newMeter()}
	x.ctx, x.fail = context.WithCancelCause(ctx)
	x.going, x.halt = context.WithCancel(x.ctx)
	var err error
	if x.wires, err = sessions(ctx, t, n); err != nil {
		x.fail(err)
		return nil, err
	}
	return x, nil
}

// account is the localpart of an account.
func account(i int) string { return "u" + strconv.Itoa(i) }

// sessions opens n sessions, of an account each, that are available.
func sessions(ctx context.Context, t *target, n int) ([]*wire, error) {
	wires := make([]*wire, n)
	err := parallel(n, func(i int) error {
		w, err := login(ctx, t, account(i), "load")
		if err != nil {
			return err
		}
		wires[i] = w
		return w.say("<presence/>")
	})
	if err != nil {
		hangUp(wires)
	}
	return wires, err
}

// hangUp closes connections without a word.
func hangUp(wires []*wire) {
	for _, w := range wires {
		if w != nil {
			w.conn.Close()
		}
	}
}

// workers is how many logins are under way at the same time.
const workers = 16

// parallel calls do with 0 to n-1, and returns the first errors.
func parallel(n int, do func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, min(n, workers))
	var all sync.WaitGroup
	for k := range errs {
		all.Go(func() { // ends with the work, which is bounded by patience; joined below
			for i := int(next.Add(1)) - 1; i < n && errs[k] == nil; i = int(next.Add(1)) - 1 {
				errs[k] = do(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// send runs a loop that sends until it returns.
func (x *traffic) send(loop func() error) {
	x.senders.Go(func() { // ends after halt; joined by finish
		if err := loop(); err != nil && x.going.Err() == nil {
			x.fail(err)
		}
	})
}

// read reads what comes for a session until its stream ends.
func (x *traffic) read(w *wire, token string, found func(n int)) {
	x.readers.Go(func() { // ends with the stream, which finish brings about; joined there
		err := scan(w.conn, w.buf, token, found)
		if !x.ending.Load() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errRefused) {
			x.fail(fmt.Errorf("session of %s: %w", w.jid, err))
		}
	})
}

// finish stops sending, waits until all that has been sent has come, closes the streams, and compares once more: nothing may have come twice.
func (x *traffic) finish() error {
	x.halt()
	x.senders.Wait()
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	err := x.received.wait(ctx, x.sent.Load())
	x.ending.Store(true)
	for _, w := range x.wires {
		if err == nil {
			err = errors.Join(w.conn.SetDeadline(time.Now().Add(patience)), w.say("</stream:stream>"))
		}
	}
	if err != nil {
		hangUp(x.wires)
	}
	x.readers.Wait()
	hangUp(x.wires)
	if got, want := x.received.n.Load(), x.sent.Load(); err == nil && got != want {
		err = fmt.Errorf("%d came of %d", got, want)
	}
	if err == nil {
		err = context.Cause(x.ctx)
	}
	x.fail(nil)
	return err
}

// messages has pairs of accounts, one of which sends chat messages to the other. A pair has up to window of them under way. A unit is a message
// that was read by its receiver.
func messages(ctx context.Context, t *target, pairs, window int) (*traffic, error) {
	x, err := newTraffic(ctx, t, 2*pairs)
	if err != nil {
		return nil, err
	}
	body := strings.Repeat("sphinx of black quartz, judge my vow ", 3)[:100]
	for p := range pairs {
		from, to := x.wires[2*p], x.wires[2*p+1]
		came := newMeter()
		x.read(from, "</message>", func(int) { x.fail(errors.New("a message for a sender")) })
		x.read(to, "</message>", func(n int) {
			came.add(n)
			x.received.add(n)
		})
		x.send(func() error {
			head := "<message type='chat' to='" + to.jid + "' id='"
			var buf []byte
			for n := int64(0); ; n++ {
				if err := came.wait(x.going, n-int64(window)+1); err != nil || x.going.Err() != nil {
					return err
				}
				buf = append(strconv.AppendInt(append(buf[:0], head...), n, 10), "'><body>"...)
				buf = append(append(buf, body...), "</body></message>"...)
				x.sent.Add(1)
				if _, err := from.conn.Write(buf); err != nil {
					return err
				}
			}
		})
	}
	return x, nil
}

// fanout has an account with n contacts that are subscribed to its presence, which changes again and again. Up to window changes are under way. A
// unit is a change that was read by one contact.
func fanout(ctx context.Context, t *target, n, window int) (*traffic, error) {
	x, err := newTraffic(ctx, t, n+1)
	if err != nil {
		return nil, err
	}
	owner, contacts := x.wires[0], x.wires[1:]
	for _, w := range contacts {
		if err := subscribe(w, owner); err != nil {
			x.fail(err)
			hangUp(x.wires)
			return nil, err
		}
	}
	x.read(owner, "</status>", func(int) {}) // what it is told of itself does not count
	came := newMeter()                       // one for whoever waits
	for _, w := range contacts {
		x.read(w, "</status>", func(n int) {
			came.add(n)
			x.received.add(n)
		})
	}
	x.send(func() error {
		for k := 0; ; k++ {
			if err := came.wait(x.going, int64((k-window+1)*n)); err != nil || x.going.Err() != nil {
				return err
			}
			x.sent.Add(int64(n))
			show := [...]string{"away", "dnd"}[k%2]
			if err := owner.say("<presence><show>" + show + "</show><status>" + strconv.Itoa(k) + "</status></presence>"); err != nil {
				return err
			}
		}
	})
	return x, nil
}

// subscribe subscribes w to the presence of owner (RFC 6121 §3.1). Nobody reads from them meanwhile.
func subscribe(w, owner *wire) error {
	bare := func(w *wire) string { return w.jid[:strings.IndexByte(w.jid, '/')] }
	for _, step := range []struct {
		says, hears *wire
		kind, to    string
	}{
		{w, owner, "subscribe", bare(owner)},
		{owner, w, "subscribed", bare(w)},
	} {
		deadline := time.Now().Add(patience)
		if err := errors.Join(step.says.conn.SetDeadline(deadline), step.hears.conn.SetDeadline(deadline)); err != nil {
			return err
		}
		if err := step.says.say("<presence type='" + step.kind + "' to='" + step.to + "'/>"); err != nil {
			return err
		}
		if _, _, err := step.hears.until(step.kind); err != nil {
			return err
		}
	}
	return errors.Join(w.conn.SetDeadline(time.Time{}), owner.conn.SetDeadline(time.Time{}))
}

// logins has accounts that log in and leave, each again and again. A unit is the whole of it: connection, TLS if wanted, authentication,
// binding, roster, presence, and the end of the stream.
func logins(ctx context.Context, t *target, accounts int) (*traffic, error) {
	x, err := newTraffic(ctx, t, 0)
	if err != nil {
		return nil, err
	}
	for i := range accounts {
		x.send(func() error {
			for x.going.Err() == nil {
				x.sent.Add(1)
				w, err := login(ctx, t, account(i), "load")
				if err == nil {
					err = errors.Join(w.say("<presence/>"), w.leave())
				}
				if err != nil {
					return fmt.Errorf("after %d: %w", x.received.n.Load(), err)
				}
				x.received.add(1)
			}
			return nil
		})
	}
	return x, nil
}
