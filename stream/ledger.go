package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Ledger keeps account of the stanzas of a session, for a peer that
// acknowledges them (XEP-0198). The package stream/sm has one; everybody else
// uses that.
//
// All methods but Hold are called with a lock of the session held, so that
// what they are told is exactly what goes over the wire, in that order. They
// must not wait and must not call the session.
type Ledger interface {
	// Keep is told of a stanza that is about to be queued. It copies the bytes.
	// An error keeps the stanza from being sent; with one that matches [ErrFull]
	// a sender that may wait waits until [Session.MakeRoom].
	// It returns [ErrRepeated] for what it has kept before.
	Keep(xml []byte, k Kept) error

	// Nonzas appends what the ledger itself has to say, if anything, behind
	// what the writer is about to write.
	Nonzas(dst []byte) []byte

	// Ask makes the next Nonzas ask the peer for an acknowledgement, since it has
	// been silent.
	Ask()

	// Commit is called by the writer, without a lock, before it writes a batch:
	// what the ledger has been told of, and what Nonzas has said, is on the wire
	// when it returns and not before. It may wait.
	Commit()

	// Last appends the last words before the closing tag: XEP-0198 §4
	// recommends an acknowledgement.
	Last(dst []byte) []byte

	// Ended is told once that nothing can be sent on this session any more. Over
	// says that the stream was closed, by either side; otherwise the connection
	// was lost and the session may be resumed on another one (§5).
	Ended(s *Session, over bool, cause error)

	// Hold takes a stanza that was sent after the session had been lost. It
	// keeps it and returns nil, or returns the session that has taken the place
	// of this one, or an error. With wait it may wait for room until ctx ends.
	Hold(ctx context.Context, xml []byte, k Kept, wait bool) (*Session, error)

	// Handles is told who counts the stanzas handled, before the session is read
	// and whenever that changes; see [Session.CountWith].
	Handles(c Counter)
}

// Kept says what is known of a stanza that a [Ledger] keeps.
type Kept struct {
	// Receipt is its receipt, or nil.
	Receipt *Receipt
	// Reader says that the sender may be a handler that runs on the session's
	// reader, and waits for what only that can read if it is refused. A ledger
	// gives it more room than others.
	Reader bool
	// Cause is what it is a consequence of; zero if that is not known.
	Cause Cause
}

// Cause is a stanza of a managed session, by the SM-ID of the session and the
// number of the stanza in it. After a crash the peer sends again what was not
// acknowledged, and what is sent because of it must not be sent again.
type Cause struct {
	ID string
	N  uint32
}

// Caused is an [Appender] that knows what it is a consequence of.
type Caused interface {
	Appender
	Cause() Cause
}

// ErrRepeated is returned by a [Ledger] for a stanza that it has kept before,
// because of the same Cause. Its sender hears of no error.
var ErrRepeated = errors.New("stream: the stanza was sent before")

// ErrNotTaken is returned by a handler of [Session.Serve] for a stanza that it
// did not take and nobody will handle. Neither it nor any stanza behind it counts
// as handled, so the peer of a managed session still has them: acknowledged are
// all up to some number. The session goes on.
var ErrNotTaken = errors.New("stream: the stanza was not taken")

// errManaged is about a second ledger.
var errManaged = errors.New("stream: the session is managed already")

// Manage puts l in charge of the stanzas of the session: from the next one on
// they are kept, and so are those that are sent after the connection was lost.
// The element, a nonza such as <enable/>, goes out in the same step: every
// stanza is either before it and not kept, or after it and kept (XEP-0198 §4).
// A nil element sends nothing.
//
// Receipts of stanzas that a ledger keeps are settled by it, with
// [Receipt.Settle], and not by the end of the session.
func (s *Session) Manage(l Ledger, nonza Appender) error {
	b, err := encodeNonza(nonza)
	if err != nil {
		return err
	}
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.unmanagedLocked(); err != nil {
		return err
	}
	o.ledger = l
	if len(b) > 0 {
		o.appendLocked(b, nil)
	}
	return nil
}

// Resume is Manage for a session that takes the place of one that was lost. Take
// is called once, under the same lock as the methods of l. It returns the
// backlog, stanzas with their receipts that l has kept before and nonzas in between,
// which is queued before anything else, or an error, after which the session is not managed.
// Call Resume from [Feature.Established].
func (s *Session) Resume(l Ledger, take func() (iter.Seq2[[]byte, *Receipt], error)) error {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.unmanagedLocked(); err != nil {
		return err
	}
	backlog, err := take()
	if err != nil {
		return err
	}
	o.ledger = l
	for xml, r := range backlog {
		if hasStanzaName(xml) {
			o.stanzas++
		}
		o.appendLocked(xml, r)
	}
	return nil
}

// unmanagedLocked returns why no ledger can be put in charge.
func (o *outbox) unmanagedLocked() error {
	switch {
	case o.ledger != nil:
		return errManaged
	case o.err != nil:
		return o.err
	case o.shut:
		return errClosing
	}
	return nil
}

// Unmanage takes the session back from its ledger, whose peer does not want to
// acknowledge anything. The ledger releases the receipts that it keeps.
func (s *Session) Unmanage() {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.ledger = nil
	s.out.wakeLocked()
}

// Managed reports whether a [Ledger] is in charge of the session.
func (s *Session) Managed() bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.ledger != nil
}

// MakeRoom lets senders that wait for room try again.
func (s *Session) MakeRoom() {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.wakeLocked()
}

// Prompt has the writer ask the ledger for its nonzas, at once if there is
// nothing else to write.
func (s *Session) Prompt() {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ledger == nil || o.err != nil || o.shut {
		return
	}
	o.prompted = true
	o.startLocked()
}

// Counter counts stanzas on behalf of a session, for somebody who queues what the
// session hands out and handles it later. It is called from any goroutine, must
// not wait, and must be comparable.
type Counter interface {
	// Taken returns how many stanzas were received, and how many of them have
	// been handled without a gap, both modulo 2³². The first number includes
	// the sessions that the counter has served before.
	Taken() (received, handled uint32)
}

// CountWith makes c the one who says how many stanzas have been handled, until
// another one does. Without a Counter a stanza is handled when the handler of
// [Session.Serve] has returned.
func (s *Session) CountWith(c Counter) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.counter = c
	s.handlesLocked(c)
}

// handlesLocked tells the ledger who counts. If the session was lost before
// anybody did, nobody knows of what it would hand out now: it comes again.
func (s *Session) handlesLocked(c Counter) {
	switch {
	case s.out.ledger == nil:
	case !s.out.settled:
		s.out.ledger.Handles(c)
	case s.out.lost:
		s.Freeze()
	}
}

// Counter returns who says how many stanzas have been handled: the one that
// CountWith was given, or the session itself.
func (s *Session) Counter() Counter {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.countedBy()
}

// countItself tells the ledger who counts, if nobody else has done so.
func (s *Session) countItself() {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.counter == nil {
		s.handlesLocked(s)
	}
}

// countedBy is Counter for callers that hold the lock of the outbox.
func (s *Session) countedBy() Counter {
	if s.counter != nil {
		return s.counter
	}
	return s
}

// Ledger returns what was given to Manage or Resume, or nil. It stays when the
// session has ended.
func (s *Session) Ledger() Ledger {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.ledger
}

// Supersede ends a session whose place another one takes: the peer is told why
// if that is possible at once (XEP-0198 §5), and what this side sends is kept for
// the other one. It does not wait.
func (s *Session) Supersede(reason *Error) {
	if s.Err() != nil || !s.parting.CompareAndSwap(nil, reason) {
		return
	}
	s.finishOut(reason, true)
	// Owner: the session. Ends within twice briefly. Joined through done. Most of the
	// time the other end has been gone for long, and somebody waits for this one.
	go s.part(reason, briefly)
}

// briefly is how long a session lingers whose place another one takes.
const briefly = 50 * time.Millisecond

// part ends the session when what is queued was written and the peer has noticed,
// or after so long for each. The reader, if there is one, goes on reading
// meanwhile, so it is not for this goroutine to do so.
func (s *Session) part(reason *Error, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.out.flushed():
		timer.Reset(patience)
		expire := time.AfterFunc(patience, func() { s.raw.SetDeadline(time.Unix(1, 0)) })
		defer expire.Stop()
		if half, ok := s.conn.(interface{ CloseWrite() error }); ok && s.reader.Load() != readerNone && half.CloseWrite() == nil {
			select {
			case <-s.done:
			case <-timer.C:
			}
		}
	case <-s.done:
	case <-timer.C:
	}
	s.end(reason)
}

// SkipReceived makes the reader drop the next n stanzas: the peer of a resumed
// session sends again what this side has received and not handled yet. Call it
// before the session is read, from [Feature.Established].
func (s *Session) SkipReceived(n uint32) { s.skip = n }

// encodeNonza returns the bytes of an element that is no stanza.
func encodeNonza(el Appender) ([]byte, error) {
	if el == nil {
		return nil, nil
	}
	b, err := el.AppendXML(nil)
	if err == nil && hasStanzaName(b) {
		err = fmt.Errorf("stream: %w: a stanza is no nonza", ErrOptions)
	}
	return b, err
}
