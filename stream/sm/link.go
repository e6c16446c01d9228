package sm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Link is one stream-management session (XEP-0198): the counters and the stanzas
// that the peer has not acknowledged, over one [stream.Session] after the other.
// A [Client] or a [Server] makes it and attaches it to the sessions. It
// implements [stream.Ledger], so it gets to know of every stanza that is sent
// without anybody having to tell it; [Of] finds the link of a session.
//
// A link is attached to a session, or suspended between two of them, or over.
// What is sent while it is suspended is kept and goes out after resumption. All
// methods are safe for concurrent use.
type Link struct {
	policy Policy
	owner  keeper

	mu      sync.Mutex
	state   linkState
	session *stream.Session // the one that it is attached to, or was last
	turn    uint64          // counts those who mean to attach a session
	resumed bool            // the session has taken the place of another one
	id      string          // SM-ID; empty if there is none
	can     bool            // it can be resumed
	max     time.Duration   // how long it may be suspended
	grace   time.Duration   // for how much longer the client tries, see Client.enabled
	who     jid.JID         // full JID of the client
	value   any             // of the host

	out    queue
	dense  bool          // the bound was passed: stanzas are counted and not kept
	asked  bool          // <r/> was sent and not answered
	ask    bool          // <r/> is due
	news   int           // stanzas since the last <r/>
	held   int           // stanzas kept while it was suspended
	room   chan struct{} // closed when there may be room; nil when nobody waits
	timer  *time.Timer   // ends the suspension
	again  *time.Timer   // asks again; nil before that was necessary
	pause  time.Duration // before it does
	later  *time.Timer   // acknowledges what was not handled when asked; nil before that
	delay  time.Duration // before it does
	since  time.Time     // when that began
	reason error         // why it is suspended or over

	counting bool           // what is received is counted
	counter  stream.Counter // of what is received; nil before counting
	start    uint32         // what counter had received when carry was right
	carry    uint32         // received before that
	answer   bool           // <a/> is due
	told     uint32         // the last h that was sent
	over     chan struct{}  // closed when the link is over and settled

	saved savedLink // what a store has of it
}

// linkState is where a link is in its life.
type linkState uint8

const (
	attached linkState = iota
	suspended
	finished
)

// keeper is the side that a link belongs to. Its methods are called without the
// lock of the link.
type keeper interface {
	// lost is told that the link was suspended.
	lost(l *Link, cause error)
	// gone is told that the link is over. It takes what is left in the queue and
	// closes Link.over.
	gone(l *Link, cause error)
}

// ErrUnacked is returned to senders when the stanzas that the peer has not
// acknowledged have reached Policy.QueueBytes, and those that may wait cannot.
var ErrUnacked = errors.New("sm: too much is not acknowledged")

// errWait is ErrUnacked for those who may wait for room.
var errWait = fmt.Errorf("%w: %w", ErrUnacked, stream.ErrFull)

// ErrNotResumed is the reason of receipts whose stanzas were sent on a session
// that could not be resumed.
var ErrNotResumed = errors.New("sm: the session was not resumed")

func newLink(owner keeper, policy Policy) *Link {
	return &Link{policy: policy, owner: owner, over: make(chan struct{})}
}

// Of returns the link of a session, or nil if it has none.
func Of(s *stream.Session) *Link {
	l, _ := s.Ledger().(*Link)
	return l
}

// ID returns the SM-ID by which the link can be resumed, or an empty string if
// it cannot.
func (l *Link) ID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.can {
		return ""
	}
	return l.id
}

// Addr returns the full JID of the client.
func (l *Link) Addr() jid.JID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.who
}

// Session returns the session that the link is attached to. The one that it was
// attached to last is returned, and false, while it is suspended or over.
func (l *Link) Session() (*stream.Session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session, l.state == attached
}

// Resumed reports whether the session of the link has taken the place of an
// earlier one.
func (l *Link) Resumed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resumed
}

// Suspended reports whether the link waits to be resumed.
func (l *Link) Suspended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == suspended
}

// Done is closed when the link is over: the stream was closed, or the link was
// not resumed in time, or was given up. By then all receipts are settled.
func (l *Link) Done() <-chan struct{} { return l.over }

// Err returns nil while the link lives, and then why it is over.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != finished {
		return nil
	}
	return l.reason
}

// Value returns what SetValue has stored.
func (l *Link) Value() any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}

// SetValue stores something of the host's with the link.
func (l *Link) SetValue(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = v
}

// unackedStanza is one that the peer has not acknowledged.
type unackedStanza struct {
	Stanza  Unacked
	Receipt *stream.Receipt
	unsent  bool
}

// Counts returns how many stanzas were sent, how many of them the peer has
// acknowledged, and how many of the peer's have been handled, all modulo 2³².
func (l *Link) Counts() (sent, acked, handled uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, h := l.takenLocked()
	return l.out.sent(), l.out.acked(), h
}

// Left returns for how much longer the link can be resumed: nothing while it is
// not suspended.
func (l *Link) Left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != suspended {
		return 0
	}
	return max(l.max-time.Since(l.since), 0)
}

// Load returns how full the link is: 1 at Policy.QueueBytes.
func (l *Link) Load() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.out.size()+entryCost*l.out.len()) / float64(l.policy.QueueBytes)
}

// GiveUp ends the link: it cannot be resumed any more, and the receipts of what
// was not acknowledged are settled for the given reason, which wraps
// [ErrNotResumed]. A session that it is attached to stays, without it. Only the
// first call has an effect.
func (l *Link) GiveUp(cause error) {
	if cause == nil {
		cause = ErrNotResumed
	}
	l.mu.Lock()
	if l.state == finished {
		l.mu.Unlock()
		return
	}
	l.finishLocked(cause)
	l.mu.Unlock()
	l.owner.gone(l, cause)
}

// finishLocked makes the link one that is over. The owner takes what is left in
// the queue.
func (l *Link) finishLocked(cause error) {
	l.state, l.reason = finished, cause
	l.stopLocked()
	l.wakeLocked()
}

// stopLocked stops all timers.
func (l *Link) stopLocked() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.again != nil {
		l.again.Stop()
	}
	if l.later != nil {
		l.later.Stop()
	}
}

func (l *Link) wakeLocked() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// drain removes and returns the stanzas that were not acknowledged, in order.
// Their receipts are not settled.
func (l *Link) drain() []unackedStanza {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []unackedStanza
	unsent := l.out.len() - l.held
	for e := range l.out.all() {
		if e.xml != nil {
			left = append(left, unackedStanza{
				Stanza:  Unacked{append([]byte(nil), e.xml...), time.UnixMilli(e.at)},
				Receipt: e.receipt,
				unsent:  len(left) >= unsent,
			})
		}
	}
	l.out.drop()
	l.held = 0
	return left
}

// takenLocked returns how many stanzas of the peer were received and handled.
func (l *Link) takenLocked() (received, handled uint32) {
	if !l.counting || l.counter == nil {
		return l.carry, l.carry
	}
	r, h := l.counter.Taken()
	received = l.carry + (r - l.start)
	done := h - l.start
	if int32(done) < 0 { // what came before is not finished yet
		return received, l.carry
	}
	if done >= 1<<30 { // so that int32 never tells a lot from less than nothing
		l.carry, l.start = l.carry+done, h
		return received, l.carry
	}
	return received, l.carry + done
}

// stillTime is how long a new session waits for a handler of the lost one.
const stillTime = 2 * time.Second

// still has the reader of the lost session hand out nothing more, so that the
// numbers stay as they are, and waits for what it is handing out just now. It
// reports false if they may change all the same.
func (l *Link) still(ctx context.Context) bool {
	l.mu.Lock()
	s, counter := l.session, l.counter
	l.mu.Unlock()
	if s == nil { // of another process
		return true
	}
	quiet := s.Freeze()
	timer := time.NewTimer(stillTime)
	defer timer.Stop()
	select {
	case <-quiet:
		return true
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	// A handler that takes longer has the stanza, so that is received. Whether
	// somebody else who counts has it is not known.
	_, raw := counter.(*stream.Session)
	return raw
}

// countFrom begins to count what is received, with the next stanza of the
// session. Call it on the session's reader, or before there is one.
func (l *Link) countFrom(s *stream.Session) {
	c := s.Counter()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.countLocked(c)
}

func (l *Link) countLocked(c stream.Counter) {
	l.counting, l.counter = true, c
	l.start, _ = c.Taken()
}

// pending reports whether the client has asked for stream management and has
// had no answer.
func (l *Link) pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.counting && l.state == attached
}

// settleOn makes s the first session of the link. The caller attaches it with
// [stream.Session.Manage].
func (l *Link) settleOn(s *stream.Session, who jid.JID, counting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.who = s, who
	if counting {
		l.countLocked(s)
	}
}

// begin is called by who means to attach a new session. It returns the turn that
// attach wants to be told; a later caller makes it worthless.
func (l *Link) begin() (turn uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != suspended {
		return 0, false
	}
	l.turn++
	return l.turn, true
}

// release lets go of all receipts: nothing is acknowledged on this session.
func (l *Link) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range l.out.all() {
		if e.receipt != nil {
			e.receipt.Release()
		}
	}
	l.out.drop()
	if l.state != finished {
		l.finishLocked(ErrNotResumed)
		close(l.over)
	}
}

// settle empties the queue and gives up what is in it, for the given reason.
func (l *Link) settle(reason error) []unackedStanza {
	left := l.drain()
	for i := range left {
		if r := left[i].Receipt; r != nil {
			left[i].unsent = left[i].unsent || r.State() == stream.Queued
			r.Settle(false, reason)
		}
	}
	return left
}

// Hold implements [stream.Ledger].
func (l *Link) Hold(ctx context.Context, xml []byte, k stream.Kept, wait bool) (*stream.Session, error) {
	for {
		l.mu.Lock()
		switch l.state {
		case attached:
			next := l.session
			l.mu.Unlock()
			return next, nil
		case finished:
			err := l.reason
			l.mu.Unlock()
			return nil, &stream.ClosedError{Cause: err}
		}
		err := l.pushLocked(xml, k, l.policy.QueueBytes)
		if err == nil {
			l.held++
		}
		if err == nil || !wait || !errors.Is(err, stream.ErrFull) {
			l.mu.Unlock()
			return nil, err
		}
		if l.room == nil {
			l.room = make(chan struct{})
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, fmt.Errorf("sm: waiting for room: %w", context.Cause(ctx))
		}
	}
}
