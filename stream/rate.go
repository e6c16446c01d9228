package stream

import (
	"math"
	"time"
)

// Rate bounds how much of something may happen: PerSecond in the long run, and
// Burst at once. The zero Rate stands for a default wherever there is one;
// [Unlimited] for no bound.
type Rate struct {
	PerSecond float64
	Burst     float64
}

// Unlimited bounds nothing.
var Unlimited = Rate{math.Inf(1), math.Inf(1)}

// OrDefault returns r, or def if r is zero.
func (r Rate) OrDefault(def Rate) Rate {
	if r == (Rate{}) {
		return def
	}
	return r
}

// A Bucket counts against a [Rate], as a token bucket: it is full in the
// beginning, each use takes something out, and time fills it up again. It does
// not look at a clock. The zero Bucket allows nothing; get one from [NewBucket].
// It is not safe for concurrent use.
type Bucket struct {
	rate  Rate
	level float64
	at    time.Time
}

// NewBucket returns a full bucket.
func NewBucket(r Rate, now time.Time) Bucket {
	return Bucket{rate: r, level: r.Burst, at: now}
}

// fill adds what has accrued since the last time. A clock that runs backwards
// adds nothing.
func (b *Bucket) fill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.level = min(b.rate.Burst, b.level+d.Seconds()*b.rate.PerSecond)
		b.at = now
	}
}

// Allow takes n out if the bucket has as much, and reports whether it had.
func (b *Bucket) Allow(now time.Time, n float64) bool {
	b.fill(now)
	if b.level < n {
		return false
	}
	b.take(n)
	return true
}

// Take takes n out in any case, and returns how long to wait until the bucket is
// out of debt. It is for what has arrived already and can only be slowed down.
func (b *Bucket) Take(now time.Time, n float64) time.Duration {
	b.fill(now)
	b.take(n)
	if b.level >= 0 {
		return 0
	}
	wait := -b.level / b.rate.PerSecond
	if wait >= maxWait.Seconds() || math.IsNaN(wait) {
		return maxWait
	}
	return time.Duration(math.Ceil(wait * float64(time.Second)))
}

func (b *Bucket) take(n float64) {
	if !math.IsInf(b.level, 1) {
		b.level -= n
	}
}

// Full reports whether the bucket is as good as new, and need not be kept.
func (b *Bucket) Full(now time.Time) bool {
	b.fill(now)
	return b.level >= b.rate.Burst
}

// maxWait is how long Take asks for at most.
const maxWait = time.Hour

// Admit decides about a first-level element that a session has received, before
// its handler gets it. It returns how long to wait before this element is
// handed on: meanwhile nothing is read from this peer, so that it is slowed down
// and nothing piles up. An [*Error] ends the stream with that error, any other
// error or a panic like one of a handler. The element is borrowed. White space
// between elements is not shown to it: of that the session takes one KiB per
// second, and 64 at once.
type Admit func(el *Element) (time.Duration, error)

// Throttle returns an [Admit] for one session that slows its peer down to a
// number of first-level elements and of their bytes. It keeps count of that
// session: make one for each.
func Throttle(elements, bytes Rate) Admit {
	now := time.Now()
	count, size := NewBucket(elements, now), NewBucket(bytes, now)
	return func(el *Element) (time.Duration, error) {
		now := time.Now()
		return max(count.Take(now, 1), size.Take(now, float64(len(el.Raw())))), nil
	}
}

// Traffic is how much went over a stream, below it TLS and above it nothing: XML
// in bytes, white space and headers included.
type Traffic struct {
	BytesIn, BytesOut uint64
}

// Traffic returns how much the session has received and sent so far, its
// negotiation included.
func (s *Session) Traffic() Traffic {
	s.out.mu.Lock()
	written := s.out.written
	s.out.mu.Unlock()
	return Traffic{BytesIn: s.bytesIn.Load(), BytesOut: s.bytesOut.Load() + written}
}

// admit asks the Admit hook, and waits as long as it says. It reports false if
// the session has ended meanwhile. The hook is a callback as a handler is one: it
// may close the session, and its panic is nobody else's.
func (s *Session) admit(el *Element) (bool, error) {
	if s.hook == nil {
		return true, nil
	}
	var wait time.Duration
	err := s.call(el, func(el *Element) (err error) {
		wait, err = s.hook(el)
		return err
	})
	if err != nil {
		return true, err
	}
	return s.pause(wait), nil
}

// White space between elements is for keeping connections alive (RFC 6120
// §4.6.1), one character now and then. The hook does not see it, and nobody
// needs much of it.
var whiteSpaceRate = Rate{PerSecond: 1 << 10, Burst: 64 << 10}

// admitSpace slows a peer down that sends nothing but white space, in a session
// whose peer is to be slowed down at all. It reports false if the session has
// ended meanwhile.
func (s *Session) admitSpace(n int) bool {
	if s.hook == nil {
		return true
	}
	now := time.Now()
	if s.blanks == nil {
		b := NewBucket(whiteSpaceRate, now)
		s.blanks = &b
	}
	return s.pause(s.blanks.Take(now, float64(n)))
}

// pause waits, and reports false if the session has ended meanwhile.
func (s *Session) pause(wait time.Duration) bool {
	if wait <= 0 {
		return true
	}
	select {
	case <-time.After(wait):
		return true
	case <-s.done:
		return false
	}
}
