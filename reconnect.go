package xmpp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"stanzakit.dev/xmpp/stanza"
)

// Reconnect says how a [Client] stays connected. Nil means that it does not: a
// connection that is lost is gone. The zero value is right for most programs.
//
// The delay before each attempt is random, from nothing to a bound: a minute
// after a loss that many clients may have had at the same time, as RFC 6120 §3.3
// recommends, and a few seconds where an earlier session can be resumed
// (XEP-0198 §5). From there the bound doubles with each attempt up to Max. It
// starts again after a session that was Stable; one that was not goes on where
// the last one was, so that a server which accepts everybody and throws everybody
// out is not asked all the time.
//
// Not every loss and failure is followed by another attempt, see Retry. A
// Reconnect belongs to the program; a Client copies it and never changes it.
type Reconnect struct {
	// First bounds the delay before the first attempt. Zero means 60 seconds.
	First time.Duration

	// Resume is First where the session that was lost can be resumed, and the
	// server has not itself ended the stream. One client is then likely to be
	// alone, on a network that it has just left. Zero means five seconds. The
	// delay is in no case more than half of the time that there is to resume.
	Resume time.Duration

	// Base is what doubles: the bound of attempt n, the first one being 1, is
	// Base·2ⁿ⁻¹, but not less than that of the first. Zero means the bound of the
	// first, so that the second has twice that.
	Base time.Duration

	// Max bounds each delay. Zero means five minutes.
	Max time.Duration

	// Stable is how long a session has to last for the delays to start again, as
	// well as MaxAttempts and MaxElapsed. Zero means 30 seconds.
	Stable time.Duration

	// MaxAttempts is how many attempts in a row are made. Zero means that there is
	// no end.
	MaxAttempts int

	// MaxElapsed is how long after a loss an attempt may still begin. Zero means
	// that there is no end.
	MaxElapsed time.Duration

	// QueueStanzas and QueueBytes bound what is kept of stanzas that are sent
	// while there is no connection. Zero means 1,000 stanzas and 1 MiB.
	QueueStanzas, QueueBytes int

	// Credentials is called before each attempt and sets in c, a copy of the
	// Client for this attempt alone, what there is to log in with: Password or
	// Auth, for a token that has expired meanwhile, say. The attempts are counted
	// from 1. Ctx ends with the Client. An error is that of the attempt. Nil
	// means what the Client has; the GetPassword and GetToken of Auth are asked
	// by each attempt in any case.
	Credentials func(ctx context.Context, attempt int, c *Client) error

	// Retry decides whether there is another attempt after err, which ended the
	// session or the last attempt. Otherwise is what would be done without Retry:
	//
	//   - no after what the server says of this client or account, and what would
	//     not be different the next time. These are the stream errors (RFC 6120
	//     §4.9.3) conflict, not-authorized, host-unknown, host-gone,
	//     policy-violation, and those about versions, encodings, namespaces and
	//     features; every failure of authentication (§6.5) but
	//     temporary-auth-failure; not-allowed and bad-request at binding; a domain
	//     whose DNS says that there is no service; options that cannot be used;
	//   - no after a certificate that was revoked or that the program's own policy
	//     has refused, since a person may have been asked and would be again;
	//   - yes after anything else. What a hostile or captive network shows, such as
	//     a wrong certificate or no TLS, is among it: it is no better off for
	//     having been asked twice, and the client moves on.
	//
	// It is not asked about what the program has ended itself. Nil means
	// otherwise.
	Retry func(err error, otherwise bool) bool

	// Resend decides about a stanza that a session has left without an
	// acknowledgement when it could not be resumed: whether it is sent again on the
	// fresh one, with the same id and, if it is a message, with the time at which it
	// was sent first (XEP-0198 §4, XEP-0203). Unsent says that it was certainly not
	// sent before; otherwise the server may have got it, and its recipient gets it
	// twice. It is not asked about requests, whose senders are told by Do. Nil means
	// yes for messages of the types chat, normal and groupchat that nobody has a
	// receipt for: who has one is told by it. What is not sent again is in Connected.
	Resend func(st stanza.Stanza, unsent bool) bool

	// Events is told what happens, in order and never two at a time, on a goroutine
	// of its own: it may use the connection, and close it. If it falls behind by more
	// than 256 events, the oldest of those that tell of failures are dropped. Nil
	// means that nobody is told.
	Events func(Event)
}

// ErrGaveUp is wrapped by the cause of a [Closed] after MaxAttempts or MaxElapsed
// of [Reconnect], beside the last error.
var ErrGaveUp = errors.New("xmpp: no more attempts to connect")

// The defaults of Reconnect.
const (
	defaultFirst        = time.Minute // RFC 6120 §3.3
	defaultResume       = 5 * time.Second
	defaultMaxDelay     = 5 * time.Minute
	defaultStable       = 30 * time.Second
	defaultQueueStanzas = 1000
	defaultQueueBytes   = 1 << 20
)

// complete returns a copy with the defaults in place of zeros. Base and those
// that are no end if they are zero stay.
func (r *Reconnect) complete() (Reconnect, error) {
	out := *r
	for _, f := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"First", &out.First, defaultFirst},
		{"Resume", &out.Resume, defaultResume},
		{"Base", &out.Base, 0},
		{"Max", &out.Max, defaultMaxDelay},
		{"Stable", &out.Stable, defaultStable},
		{"MaxElapsed", &out.MaxElapsed, 0},
	} {
		if *f.v < 0 {
			return Reconnect{}, fmt.Errorf("%w: Reconnect.%s is %s", ErrClient, f.name, *f.v)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	for _, f := range []struct {
		name string
		v    *int
		def  int
	}{
		{"MaxAttempts", &out.MaxAttempts, 0},
		{"QueueStanzas", &out.QueueStanzas, defaultQueueStanzas},
		{"QueueBytes", &out.QueueBytes, defaultQueueBytes},
	} {
		if *f.v < 0 {
			return Reconnect{}, fmt.Errorf("%w: Reconnect.%s is %d", ErrClient, f.name, *f.v)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	return out, nil
}

// unpredictable returns a number from 0 up to but not including 1. RFC 6120 §3.3
// asks for one that nobody can predict.
func unpredictable() float64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}

// reconnectPhase is where a client stands.
type reconnectPhase uint8

const (
	phaseIdle    reconnectPhase = iota // not connected yet
	phaseUp                            // there is a session
	phaseWaiting                       // there will be an attempt
	phaseTrying                        // there is one
	phaseOver
)

// reconnectState is all that a client remembers of its connections. The zero
// value is the beginning.
type reconnectState struct {
	phase   reconnectPhase
	attempt int           // since the last stable session
	first   time.Duration // bound of the first delay of these attempts
	up      time.Duration // when the session began
	lost    time.Duration // when the last session was lost
	down    time.Duration // when the last stable session was lost
	fell    bool          // down is set
	taken   bool          // somebody else has the resource
}

// reconnectKind tells the inputs apart.
type reconnectKind uint8

const (
	inConnected reconnectKind = iota // Connect or an attempt has led to a session
	inLost                           // the session has ended
	inDue                            // the delay has passed
	inFailed                         // the attempt has failed
	inClosed                         // the program has ended it: Close, or its context
)

// reconnectInput is what has happened.
type reconnectInput struct {
	kind reconnectKind
	// at is the time on a clock that does not go backwards, from any beginning.
	at time.Duration
	// err is why, for inLost and inFailed.
	err error
	// resumed tells how, for inConnected.
	resumed bool
	// resumable is for how long the lost session can be resumed, for inLost; zero
	// if it cannot.
	resumable time.Duration
}

// reconnectDo is what there is to do.
type reconnectDo uint8

const (
	doNothing reconnectDo = iota
	doWait                // for the delay, and then report inDue
	doTry                 // make an attempt and report inConnected or inFailed
	doEnd                 // give up what was suspended
)

// reconnectAction is the answer to an input: what to do, after telling the event
// if there is one.
type reconnectAction struct {
	do    reconnectDo
	delay time.Duration
	event Event
	// otherResource tells doTry not to ask for the resource of the JID, nor for
	// that of before.
	otherResource bool
}

// next takes one step. R is complete; random returns numbers from 0 up to 1. An
// input that does not belong to the phase changes nothing, so what comes too late
// does no harm.
func (r *Reconnect) next(s reconnectState, in reconnectInput, random func() float64) (reconnectState, reconnectAction) {
	switch {
	case s.phase == phaseOver:
		return s, reconnectAction{}
	case in.kind == inClosed:
		return s.end(nil)
	case in.kind == inConnected && (s.phase == phaseIdle || s.phase == phaseTrying):
		e := Connected{Resumed: in.resumed, Attempt: s.attempt}
		if s.phase == phaseTrying {
			e.Down = max(0, in.at-s.lost)
		}
		s.phase, s.up = phaseUp, in.at
		return s, reconnectAction{event: e}
	case in.kind == inDue && s.phase == phaseWaiting:
		s.phase = phaseTrying
		// RFC 6120 §4.9.3.3, §7.7.2.2: not the same resource again after a conflict.
		return s, reconnectAction{do: doTry, otherResource: s.taken}
	case in.kind == inLost && s.phase == phaseUp:
		return r.afterLoss(s, in, random)
	case in.kind == inFailed && s.phase == phaseTrying:
		v := r.verdict(in.err)
		if !v.again() {
			return s.end(v.cause(in.err))
		}
		failed := s.attempt
		s.taken = s.taken || conflicting(in.err)
		s, delay, more := r.plan(s, in.at, random)
		if !more {
			return s.end(gaveUp(failed, in.err))
		}
		return s, reconnectAction{do: doWait, delay: delay, event: Failed{Err: in.err, Attempt: failed, Delay: delay}}
	}
	return s, reconnectAction{}
}

// afterLoss decides what follows the end of a session.
func (r *Reconnect) afterLoss(s reconnectState, in reconnectInput, random func() float64) (reconnectState, reconnectAction) {
	v := r.verdict(in.err)
	if !v.again() {
		return s.end(v.cause(in.err))
	}
	first := r.First
	if in.resumable > 0 && v != verdictCrowd {
		// XEP-0198 §5: to resume is worth being quick. The half leaves time to
		// connect.
		first = max(1, min(r.Resume, in.resumable/2))
	}
	s.lost = in.at
	if !s.fell || in.at-s.up >= r.Stable {
		s.attempt, s.first, s.down, s.fell, s.taken = 0, first, in.at, true, false
	}
	s.first, s.taken = max(s.first, first), s.taken || conflicting(in.err)
	tried := s.attempt
	s, delay, more := r.plan(s, in.at, random)
	if !more {
		return s.end(gaveUp(tried, in.err))
	}
	return s, reconnectAction{do: doWait, delay: delay, event: Suspended{
		Cause: in.err, Resumable: in.resumable > 0, Delay: delay,
	}}
}

// plan settles when the next attempt is, if there is one.
func (r *Reconnect) plan(s reconnectState, at time.Duration, random func() float64) (reconnectState, time.Duration, bool) {
	if r.MaxAttempts > 0 && s.attempt >= r.MaxAttempts {
		return s, 0, false
	}
	if s.attempt < math.MaxInt {
		s.attempt++
	}
	delay := scale(random(), r.bound(s))
	if r.MaxElapsed > 0 && delay > r.MaxElapsed-max(0, at-s.down) {
		return s, 0, false
	}
	s.phase = phaseWaiting
	return s, delay, true
}

// bound returns the bound of the delay before the attempt of s: truncated binary
// exponential back-off (RFC 6120 §3.3).
func (r *Reconnect) bound(s reconnectState) time.Duration {
	base := r.Base
	if base == 0 {
		base = s.first
	}
	b := s.first
	if n := s.attempt - 1; n > 0 {
		if base > r.Max>>n { // nothing is left of Max after 63 shifts
			return r.Max
		}
		b = max(b, base<<n)
	}
	return min(b, r.Max)
}

// scale returns a duration from 0 up to but not including bound.
func scale(x float64, bound time.Duration) time.Duration {
	d := time.Duration(x * float64(bound))
	return max(0, min(d, bound-1)) // rounding, for bounds of more than 2⁵³
}

// end is the last step.
func (s reconnectState) end(cause error) (reconnectState, reconnectAction) {
	s.phase = phaseOver
	return s, reconnectAction{do: doEnd, event: Closed{Cause: cause}}
}

// gaveUp is the cause of an end after too many attempts or too long a time.
func gaveUp(attempts int, last error) error {
	return fmt.Errorf("%w (%d made): %w", ErrGaveUp, attempts, last)
}
