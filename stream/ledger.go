package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Ledger keeps account of the stanzas of a session, for a peer that
// acknowledges them (XEP-0198). The package stream/sm has one; everybody else
// uses that.
//
// All methods but Hold are called with a lock of the session held, so that
// what they are told is exactly what goes over the wire, in that order. They
// must not wait and must not call the session.
type Ledger interface {
	// Keep is told of a stanza that is about to be queued, and of its receipt
	// or nil. It copies the bytes. An error keeps the stanza from being sent;
	// with one that matches [ErrFull] a sender that may wait waits until
	// [Session.MakeRoom].
	Keep(xml []byte, r *Receipt) error

	// Nonzas appends what the ledger itself has to say, if anything, behind
	// what the writer is about to write.
	Nonzas(dst []byte) []byte

	// Ask makes the next Nonzas ask the peer for an acknowledgement, since it has
	// been silent.
	Ask()

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
	Hold(ctx context.Context, xml []byte, r *Receipt, wait bool) (*Session, error)

	// Handles is told who counts the stanzas handled, see [Session.CountWith].
	Handles(s *Session)
}

// ErrNotTaken is returned by a handler of [Session.Serve] for a stanza that it
// did not take and nobody will handle. The stanza does not count as received,
// so the peer of a managed session still has it. The session goes on.
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
	switch {
	case o.ledger != nil:
		return errManaged
	case o.err != nil:
		return o.err
	case o.shut:
		return errClosing
	}
	o.ledger = l
	l.Handles(s)
	if len(b) > 0 {
		o.appendLocked(b, nil)
	}
	return nil
}

// Resume is Manage for a session that takes the place of one that was lost: the
// backlog, stanzas with their receipts that l has kept before, is queued before
// anything else. Call it from [Feature.Established].
func (s *Session) Resume(l Ledger, backlog iter.Seq2[[]byte, *Receipt]) error {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.ledger != nil:
		return errManaged
	case o.err != nil:
		return o.err
	}
	o.ledger = l
	l.Handles(s)
	for xml, r := range backlog {
		o.stanzas++
		o.appendLocked(xml, r)
	}
	return nil
}

// Unmanage takes the session back from l, whose peer does not want to
// acknowledge anything. Receipts that l has not settled rest with the session
// again.
func (s *Session) Unmanage(l Ledger, kept iter.Seq[*Receipt]) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ledger == l {
		o.ledger = nil
	}
	for r := range kept {
		r.manage(false)
	}
	o.wakeLocked()
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

// CountWith makes handled the source of [Session.Handled], for somebody who
// queues what the session hands out and handles it later. It is called from any
// goroutine, without waiting.
func (s *Session) CountWith(handled func() uint32) {
	s.handled.Store(&handled)
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.ledger != nil {
		s.out.ledger.Handles(s)
	}
}

// Counter returns what was given to CountWith, or nil.
func (s *Session) Counter() func() uint32 {
	if f := s.handled.Load(); f != nil {
		return *f
	}
	return nil
}

// Received returns how many stanzas the reader has handed on, modulo 2³².
func (s *Session) Received() uint32 { return s.received.Load() }

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
