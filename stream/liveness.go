package stream

import (
	"errors"
	"sync"
	"time"
)

// Liveness says how a session finds out that its peer is gone. A connection can
// be dead for hours before TCP notices, and if this side has nothing to send it
// never does. The zero value watches nothing.
type Liveness struct {
	// Soft is the silence after which the peer is asked for a sign of life: a
	// request for acknowledgement if the session is managed (XEP-0198 §4),
	// otherwise whatever Probe does. Zero asks nothing.
	Soft time.Duration

	// Hard is the silence after which the peer is given up for lost. A managed
	// session is dropped without a word, so that it can be resumed; any other
	// ends with connection-timeout (RFC 6120 §4.9.3.4). The cause is
	// [ErrSilent]. Zero never gives up. What it is longer than Soft is the time that
	// the peer has to answer: ten seconds at least, or as long as Soft if that is
	// less.
	Hard time.Duration

	// UserTimeout is how long what was sent may stay without an acknowledgement of
	// TCP before the kernel gives the connection up (RFC 5482), where it has such an
	// option: on Linux. It finds a dead connection soon when there is something
	// to say, which Soft and Hard need not then. Zero means as long as Hard.
	UserTimeout time.Duration

	// Keepalive is the time without anything sent after which this side sends a
	// space (RFC 6120 §4.6.1), which keeps address translators from forgetting
	// the connection. Zero sends none.
	Keepalive time.Duration

	// Probe asks the peer of a session that is not managed for a sign of life,
	// with a ping for instance (XEP-0199). It must not wait. Any byte that
	// comes back is an answer, an error too. Nil sends a space, in the hope that
	// TCP finds out.
	Probe func(*Session)
}

// ErrSilent is the cause of a session whose peer has not been heard of for
// Liveness.Hard.
var ErrSilent = errors.New("stream: the peer has fallen silent")

// normal returns l with what does not fit together put right.
func (l Liveness) normal() Liveness {
	if l.Hard > 0 && l.Soft > 0 {
		l.Hard = max(l.Hard, l.Soft+min(l.Soft, 10*time.Second))
	}
	if l.UserTimeout <= 0 {
		l.UserTimeout = l.Hard
	}
	return l
}

// watches reports whether there is anything to do.
func (l *Liveness) watches() bool { return l.Soft > 0 || l.Hard > 0 || l.Keepalive > 0 }

// liveness is what a session keeps to watch its peer. One timer serves all of
// it, set for whatever is due first.
type liveness struct {
	mu    sync.Mutex
	opts  Liveness // UserTimeout is the kernel's business
	timer *time.Timer
	over  bool
	heard int64 // of the peer, as far as was noticed; see ticks
	asked int64 // when the peer was last asked for a sign of life
}

// epoch is what ticks counts from.
var epoch = time.Now()

// ticks is the time in nanoseconds by a clock that nobody can set: when the
// computer finds out how late it is, no peer has been silent for that.
func ticks() int64 { return int64(time.Since(epoch)) }

// stop ends the watch. It may be called before it has begun.
func (l *liveness) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// watchPeer begins the watch.
func (s *Session) watchPeer(opts Liveness) {
	opts = opts.normal()
	if opts.UserTimeout > 0 {
		setUserTimeout(s.raw, opts.UserTimeout)
	}
	if !opts.watches() {
		return
	}
	if idle := s.peer.idle / 2; idle > 0 && (opts.Keepalive == 0 || idle < opts.Keepalive) {
		opts.Keepalive = idle // XEP-0478 §3: more silence than that and it ends the stream
	}
	l := &s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	now := ticks()
	l.opts, l.heard, l.asked = opts, now, now
	s.lastRead.Store(now)
	s.out.lastWrite.Store(now)
	// Owner: the session, whose end stops the timer.
	l.timer = time.AfterFunc(l.next(now, now), s.lookAtPeer)
}

// probed reports whether the peer was asked since it was last heard of.
func (l *liveness) probed() bool { return l.asked > l.heard }

// next returns the time until something may be due, given when this side last
// sent something.
func (l *liveness) next(now, spoke int64) time.Duration {
	wait := time.Duration(1<<63 - 1)
	due := func(since int64, after time.Duration) {
		if after > 0 {
			wait = min(wait, after-time.Duration(now-since))
		}
	}
	if l.probed() {
		due(now, l.opts.Soft) // to see whether there was an answer
	} else {
		due(l.heard, l.opts.Soft)
	}
	due(l.heard, l.opts.Hard)
	due(spoke, l.opts.Keepalive)
	return max(wait, time.Millisecond)
}

// lookAtPeer runs when something may be due.
func (s *Session) lookAtPeer() {
	l := &s.live
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	now := ticks()
	if s.handling.Load()%2 == 1 || s.reader.Load() == readerNone {
		// Who keeps the reader busy keeps it from hearing the peer. That is no
		// silence of the peer's.
		l.heard = now
	} else {
		l.heard = max(l.heard, s.lastRead.Load())
	}
	spoke := s.out.lastWrite.Load()
	silence := time.Duration(now - l.heard)
	dead := l.opts.Hard > 0 && silence >= l.opts.Hard
	probe := !dead && l.opts.Soft > 0 && silence >= l.opts.Soft && !l.probed()
	space := !dead && l.opts.Keepalive > 0 && time.Duration(now-spoke) >= l.opts.Keepalive
	if probe {
		l.asked = now
	}
	if space || probe {
		spoke = now
		s.out.lastWrite.Store(now)
	}
	if !dead {
		l.timer.Reset(l.next(now, spoke))
	}
	ask := l.opts.Probe
	l.mu.Unlock()

	switch {
	case dead:
		s.givePeerUp()
	case probe && s.out.probe():
	case probe && ask != nil:
		ask(s)
	case probe || space:
		s.out.space()
	}
}

// givePeerUp ends a session whose peer is silent.
func (s *Session) givePeerUp() {
	if s.Managed() {
		s.Abort(ErrSilent)
		return
	}
	// RFC 6120 §4.9.3.4. There is probably nobody to read it, so the wait for
	// that is short. Owner: this goroutine of the timer, which ends with it.
	reason := &Error{Condition: ConnectionTimeout, Cause: ErrSilent}
	s.parting.CompareAndSwap(nil, reason)
	s.finishOut(reason, true)
	s.part(reason, lingerTime)
}
