package streamtest

import (
	"math"
	"slices"
	"sync"
	"time"
)

// never is a time that does not come. Times are counted from the beginning of
// the network.
const never = time.Duration(math.MaxInt64)

// pipe carries the bytes of one direction. Nothing happens in it by itself:
// when bytes arrive is settled when they are written, and looked at by whoever
// reads. A timer runs only while somebody waits.
type pipe struct {
	cond  sync.Cond // readers and writers wait here; signals every change
	timer *time.Timer
	armed time.Duration // when timer fires, or never

	path   Path
	jitter random
	pieces splitter      // as they are written
	reads  splitter      // the same pieces, as they are read
	delay  time.Duration // jitter of the piece that is being written

	ring        []byte // grows up to the size of the buffer
	start, held int    // unread bytes, beginning at ring[start], wrapping around
	lost        int    // bytes that take up room and never arrive

	written, arrived, read int64 // offsets

	chunks []chunk // bytes on their way, in order
	head   int     // the first that has not arrived
	open   bool    // the last chunk ends within a piece
	lastAt time.Duration

	busyFrom, idleAt time.Duration // bandwidth: since when, until when it is in use
	busyBytes        int64

	faults  []Fault // those to come, in order of After
	stalled time.Duration
	dead    bool // nothing arrives any more
	ended   bool // the same, but the reader knows: a fault of kind End
	finAt   time.Duration

	writing bool // a Write is under way: the bytes of two never mix
}

// chunk is bytes up to an offset that arrive at a time.
type chunk struct {
	end      int64
	sent, at time.Duration
}

func (p *pipe) init(mu *sync.Mutex, path Path, faults []Fault, r random) {
	p.cond.L = mu
	p.path, p.finAt, p.armed = path, never, never
	p.jitter = random(r.next())
	pieces := random(r.next())
	p.pieces, p.reads = newSplitter(path.Split, pieces), newSplitter(path.Split, pieces)
	if path.Jitter > 0 {
		p.delay = time.Duration(p.jitter.below(int64(path.Jitter) + 1))
	}
	p.faults = slices.Clone(faults)
	slices.SortStableFunc(p.faults, func(a, b Fault) int { return int(min(max(a.After-b.After, -1), 1)) })
}

// wait waits for a change, or until a time. The lock is held.
func (p *pipe) wait(now, until time.Duration) {
	if until < p.armed {
		p.armed = until
		if p.timer == nil {
			p.timer = time.AfterFunc(until-now, p.tick)
		} else {
			p.timer.Reset(until - now)
		}
	}
	p.cond.Wait()
}

// tick wakes those who wait. They look what has changed, and set the timer
// again if they wait on.
func (p *pipe) tick() {
	p.cond.L.Lock()
	defer p.cond.L.Unlock()
	p.armed = never
	p.cond.Broadcast()
}

// stop ends the timer.
func (p *pipe) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.armed = never
}

// upcoming returns how many bytes there are until something changes: the next
// fault or the end of a piece.
func (p *pipe) upcoming() int {
	n := math.MaxInt
	if len(p.faults) > 0 {
		n = int(p.faults[0].After - p.written)
	}
	if !p.path.plain() {
		n = min(n, p.pieces.left)
	}
	return n
}

// arrival returns when the next n bytes arrive, at most upcoming ones.
func (p *pipe) arrival(now time.Duration, n int) time.Duration {
	at := now
	if rate := p.path.BytesPerSecond; rate > 0 {
		if now >= p.idleAt {
			p.busyFrom, p.busyBytes = now, 0
		}
		p.busyBytes += int64(n)
		p.idleAt = p.busyFrom + time.Duration(float64(p.busyBytes)/float64(rate)*float64(time.Second))
		at = p.idleAt
	}
	at = max(at+p.path.Latency+p.delay, p.lastAt, p.stalled)
	p.lastAt = at
	return at
}

// send puts bytes on their way.
func (p *pipe) send(b []byte, now time.Duration) {
	at := p.arrival(now, len(b))
	p.put(b)
	p.written += int64(len(b))
	last := len(p.chunks) - 1
	switch {
	case at <= now && p.head > last:
		p.arrived = p.written
	case p.head <= last && (p.path.plain() && p.chunks[last].at == at || p.open && p.chunks[last].sent == now):
		// More of the same piece. As if it had been one write: how often a program writes at one
		// moment is no property of what it says.
		p.chunks[last].end, p.chunks[last].at = p.written, at
	default:
		if p.head > 0 && len(p.chunks) == cap(p.chunks) {
			p.chunks = p.chunks[:copy(p.chunks, p.chunks[p.head:])]
			p.head = 0
		}
		p.chunks = append(p.chunks, chunk{p.written, now, at})
	}
	p.passed(len(b))
}

// passed goes on by n bytes in the pieces.
func (p *pipe) passed(n int) {
	if p.path.plain() {
		return
	}
	p.open = !p.pieces.take(n)
	if !p.open && p.path.Jitter > 0 {
		p.delay = time.Duration(p.jitter.below(int64(p.path.Jitter) + 1))
	}
}

// lose swallows bytes. They take up room, since nobody acknowledges them.
func (p *pipe) lose(n int) {
	p.written += int64(n)
	p.lost += n
	p.passed(n)
}

// advance lets arrive what is due, and returns when the next bytes are.
func (p *pipe) advance(now time.Duration) time.Duration {
	for p.head < len(p.chunks) {
		c := p.chunks[p.head]
		if c.at > now {
			return c.at
		}
		p.arrived = c.end
		p.head++
	}
	p.chunks, p.head = p.chunks[:0], 0
	return never
}

// put copies b, for which there is room, into the ring.
func (p *pipe) put(b []byte) {
	if want := p.held + len(b); want > len(p.ring) {
		size := max(512, len(p.ring))
		for size < want {
			size *= 2
		}
		grown := make([]byte, size)
		held := p.held
		p.copyOut(grown[:held])
		p.ring, p.start, p.held = grown, 0, held
	}
	end := (p.start + p.held) % max(len(p.ring), 1)
	n := copy(p.ring[end:], b)
	copy(p.ring, b[n:])
	p.held += len(b)
}

// copyOut takes len(b) bytes out of the ring.
func (p *pipe) copyOut(b []byte) {
	n := copy(b, p.ring[p.start:min(p.start+p.held, len(p.ring))])
	copy(b[n:], p.ring)
	p.held -= len(b)
	if p.start += len(b); p.start >= len(p.ring) {
		p.start -= len(p.ring)
	}
}

// take reads arrived bytes, of one piece if there are pieces.
func (p *pipe) take(b []byte) int {
	n := int(min(int64(len(b)), p.arrived-p.read))
	if p.path.Split != Whole {
		n = min(n, p.reads.left)
		p.reads.take(n)
	}
	p.copyOut(b[:n])
	p.read += int64(n)
	return n
}

// drop forgets what was not read: nobody will.
func (p *pipe) drop() {
	p.ring, p.start, p.held, p.lost = nil, 0, 0, 0
	p.chunks, p.head = nil, 0
	p.read, p.arrived = p.written, p.written
}

// finish lets the reader see the end behind what is on its way.
func (p *pipe) finish(now time.Duration) {
	if !p.dead && !p.ended && p.finAt == never {
		p.finAt = max(p.lastAt, p.stalled, now+p.path.Latency)
	}
}
