package streamtest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// link is a connection: two ends, and a pipe each way. End 0 is the one that
// dialled; end i writes into pipe i and reads from the other one.
type link struct {
	mu      sync.Mutex
	network *Network
	id      ConnID
	pipes   [2]pipe // by Direction
	ends    [2]end
	journal *journal
}

// end is what one end knows.
type end struct {
	closed                      bool
	wroteEnd                    bool          // it has said that it will write no more
	resetAt                     time.Duration // when it learns of a reset
	readDeadline, writeDeadline time.Duration
}

func newLink(n *Network, id ConnID, s *Script) *link {
	l := &link{network: n, id: id, journal: n.newJournal()}
	up, down := n.opts.Up, n.opts.Down
	if s.UpPath != nil {
		up = *s.UpPath
	}
	if s.DownPath != nil {
		down = *s.DownPath
	}
	l.pipes[Up].init(&l.mu, up, s.Up, derive(n.opts.Seed, "up", id))
	l.pipes[Down].init(&l.mu, down, s.Down, derive(n.opts.Seed, "down", id))
	for i := range l.ends {
		l.ends[i] = end{resetAt: never, readDeadline: never, writeDeadline: never}
	}
	return l
}

// begin lets happen what happens before the first byte.
func (l *link) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.network.now()
	l.due(0, now)
	l.due(1, now)
}

// readable returns why end r cannot read whatever comes, or nil.
func (l *link) readable(r int, now time.Duration) error {
	e := &l.ends[r]
	switch {
	case e.closed:
		return net.ErrClosed
	case now >= e.readDeadline:
		return os.ErrDeadlineExceeded
	case now >= e.resetAt:
		return os.NewSyscallError("read", syscall.ECONNRESET)
	}
	return nil
}

func (l *link) read(r int, b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, e := &l.pipes[1-r], &l.ends[r]
	for {
		now := l.network.now()
		if err := l.readable(r, now); err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return 0, nil
		}
		next := p.advance(now)
		if p.arrived > p.read {
			n := p.take(b)
			l.note(Event{At: now, Dir: Direction(1 - r), Kind: Read, Offset: p.read - int64(n), N: n})
			p.cond.Broadcast() // there is room
			return n, nil
		}
		if now >= p.finAt {
			return 0, io.EOF
		}
		p.wait(now, min(next, p.finAt, e.resetAt, e.readDeadline))
	}
}

// writable returns why end w cannot write, or nil.
func (l *link) writable(w int, now time.Duration) error {
	e := &l.ends[w]
	switch {
	case e.closed:
		return net.ErrClosed
	case e.wroteEnd:
		return os.NewSyscallError("write", syscall.EPIPE)
	case now >= e.resetAt:
		return os.NewSyscallError("write", syscall.ECONNRESET)
	case now >= e.writeDeadline:
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (l *link) write(w int, b []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, e := &l.pipes[w], &l.ends[w]
	for p.writing {
		now := l.network.now()
		if err := l.writable(w, now); err != nil {
			return 0, err
		}
		p.wait(now, min(e.resetAt, e.writeDeadline))
	}
	p.writing = true
	defer func() {
		p.writing = false
		p.cond.Broadcast()
	}()
	for {
		now := l.network.now()
		if err := l.writable(w, now); err != nil {
			return n, err
		}
		k := min(l.network.opts.Buffer-p.held-p.lost, len(b)-n)
		if k > 0 {
			l.note(Event{At: now, Dir: Direction(w), Kind: Write, Offset: p.written, N: k})
			l.carry(w, b[n:n+k], now)
			p.cond.Broadcast()
			n += k
		}
		if n == len(b) {
			return n, nil
		}
		p.wait(now, min(e.resetAt, e.writeDeadline))
	}
}

// carry puts bytes of end w on their way, through the faults that they meet.
func (l *link) carry(w int, b []byte, now time.Duration) {
	p := &l.pipes[w]
	for len(b) > 0 {
		part := b[:min(len(b), p.upcoming())]
		b = b[len(part):]
		gone := l.ends[1-w].closed // nobody is there, so a reset comes back
		switch {
		case p.dead || p.ended && !gone:
			p.lose(len(part))
		case gone:
			at := p.arrival(now, len(part))
			p.written += int64(len(part))
			p.passed(len(part))
			l.reset(w, at+l.pipes[1-w].path.Latency)
		default:
			p.send(part, now)
		}
		l.due(w, now)
	}
}

// due lets the faults happen that direction d has got to.
func (l *link) due(d int, now time.Duration) {
	p := &l.pipes[d]
	for len(p.faults) > 0 && p.faults[0].After <= p.written {
		f := p.faults[0]
		p.faults = p.faults[1:]
		l.strike(d, f, now)
	}
}

// strike lets a fault happen in direction d.
func (l *link) strike(d int, f Fault, now time.Duration) {
	p, q := &l.pipes[d], &l.pipes[1-d]
	l.note(Event{At: now, Dir: Direction(d), Kind: Struck, Offset: p.written, Fault: f.Kind})
	switch f.Kind {
	case Reset:
		l.reset(1-d, max(p.lastAt, now+p.path.Latency))
		l.reset(d, now+q.path.Latency)
		p.dead, q.dead = true, true
	case End:
		p.finish(now)
		p.ended = true
	case Vanish:
		p.dead = true
	case Stall:
		if f.For <= 0 {
			p.dead = true
		} else {
			// A stall of both directions does not end in both at one moment: which
			// side goes on first would be up to the scheduler of Go.
			p.stalled = max(p.stalled, now+f.For+time.Duration(d))
		}
	}
	p.cond.Broadcast()
	if f.Both && f.Kind != Reset && f.Kind != 0 {
		f.Both = false
		l.strike(1-d, f, now)
	}
}

// reset tells end i of a reset just behind what arrives at a time, unless
// nothing gets there any more.
func (l *link) reset(i int, at time.Duration) {
	in := &l.pipes[1-i]
	if in.dead {
		return
	}
	at = max(at, in.stalled) + 1
	l.ends[i].resetAt = min(l.ends[i].resetAt, at)
	l.pipes[0].cond.Broadcast()
	l.pipes[1].cond.Broadcast()
}

func (l *link) close(i int) {
	if l.closeEnd(i) {
		l.network.forget(l)
	}
}

// closeEnd closes an end and reports whether that was the last one.
func (l *link) closeEnd(i int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, in, out := &l.ends[i], &l.pipes[1-i], &l.pipes[i]
	if e.closed {
		return false
	}
	now := l.network.now()
	l.note(Event{At: now, Dir: Direction(i), Kind: Closed, Offset: out.written})
	next := in.advance(now)
	switch unread := in.arrived > in.read; {
	case now >= e.resetAt: // the other side knows
	case unread || in.ended && in.lost > 0:
		// TCP answers bytes that nobody will read with a reset (RFC 2525
		// §2.17), and what the other side has not read is lost with it.
		l.reset(1-i, max(out.lastAt, now+out.path.Latency))
		out.dead = true
	default:
		if !e.wroteEnd {
			out.finish(now)
		}
		if next != never { // bytes on their way get the same answer
			l.reset(1-i, next+out.path.Latency)
		}
	}
	e.closed, e.wroteEnd = true, true
	if !in.dead {
		in.drop()
	}
	in.cond.Broadcast()
	out.cond.Broadcast()
	if !l.ends[1-i].closed {
		return false
	}
	in.drop()
	out.drop()
	in.stop()
	out.stop()
	return true
}

// refuse resets a connection that was never accepted.
func (l *link) refuse() {
	l.mu.Lock()
	now := l.network.now()
	l.reset(0, now+l.pipes[Down].path.Latency)
	l.pipes[Down].dead = true
	l.mu.Unlock()
	l.close(1)
}

func (l *link) closeWrite(i int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.network.now()
	e, out := &l.ends[i], &l.pipes[i]
	if e.closed {
		return net.ErrClosed
	}
	if !e.wroteEnd {
		l.note(Event{At: now, Dir: Direction(i), Kind: Ended, Offset: out.written})
		e.wroteEnd = true
		out.finish(now)
		out.cond.Broadcast()
	}
	return nil
}

// setDeadlines sets one or both deadlines of end i.
func (l *link) setDeadlines(i int, t time.Time, reading, writing bool) error {
	at := never
	if !t.IsZero() {
		now := l.network.now()
		at = now + min(time.Until(t), never-now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &l.ends[i]
	if e.closed {
		return net.ErrClosed
	}
	if reading {
		e.readDeadline = at
		l.pipes[1-i].cond.Broadcast()
	}
	if writing {
		e.writeDeadline = at
		l.pipes[i].cond.Broadcast()
	}
	return nil
}
