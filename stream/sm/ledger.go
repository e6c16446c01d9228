package sm

import (
	"iter"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// This file is the link as a session sees it: what [stream.Ledger] asks for. The
// methods are called with a lock of the session held.

// Keep implements [stream.Ledger].
func (l *Link) Keep(xml []byte, k stream.Kept) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == finished { // given up: the session goes on without
		if k.Receipt != nil {
			k.Receipt.Release()
		}
		l.out.pass()
		return nil
	}
	bound := l.policy.QueueBytes
	if k.Reader {
		bound *= readerShare
	}
	if err := l.pushLocked(xml, k, bound); err != nil {
		return err
	}
	l.news++
	if k.Receipt != nil {
		l.ask = true
	}
	return nil
}

// pushLocked keeps a stanza, if there is room for it in bound bytes.
func (l *Link) pushLocked(xml []byte, k stream.Kept, bound int) error {
	if l.repeatedLocked(k.Cause) {
		return stream.ErrRepeated
	}
	if !l.dense && l.out.len() > 0 && l.out.size()+entryCost*l.out.len()+len(xml)+entryCost > bound {
		if l.policy.Bound != DropResumption && l.news > 0 {
			l.ask = true // whatever Policy.Every says: nothing else makes room
		}
		switch l.policy.Bound {
		case Wait:
			return errWait
		case Refuse:
			return ErrUnacked
		}
		if l.state == suspended {
			// There is no session that could go on without.
			l.finishLocked(ErrUnacked)
			go l.owner.gone(l, ErrUnacked) // ends with the call; apart, since the lock is held
			return &stream.ClosedError{Cause: ErrUnacked}
		}
		l.denseLocked()
	}
	if l.dense {
		if k.Receipt != nil {
			k.Receipt.Release()
		}
		l.out.pass()
		return nil
	}
	at := time.Now().UnixMilli()
	l.out.push(xml, k.Receipt, at)
	l.recordSent(xml, at, k.Cause)
	return nil
}

// denseLocked keeps no stanzas from now on, for want of room.
func (l *Link) denseLocked() {
	l.dense, l.can = true, false
	for e := range l.out.all() {
		if e.receipt != nil {
			e.receipt.Release()
		}
	}
	l.out.forget()
}

// Nonzas implements [stream.Ledger].
func (l *Link) Nonzas(dst []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == suspended {
		return dst
	}
	if l.answer || l.owesLocked() {
		dst = l.answerLocked(dst)
	}
	// While one is not answered there is no other, and the wish for it waits.
	if l.state == attached && l.wantsLocked() && !l.asked {
		dst = appendRequest(dst)
		l.asked, l.ask, l.news = true, false, 0
	}
	return dst
}

// owesLocked reports whether an unrequested acknowledgement is due.
func (l *Link) owesLocked() bool {
	if l.policy.AckEvery <= 0 || !l.counting {
		return false
	}
	_, h := l.takenLocked()
	return distance(l.told, h) >= uint32(l.policy.AckEvery)
}

// wantsLocked reports whether a request is due.
func (l *Link) wantsLocked() bool {
	return l.ask || l.out.len() > 0 && l.news >= l.policy.Every
}

func (l *Link) answerLocked(dst []byte) []byte {
	l.answer = false
	received, handled := l.takenLocked()
	l.told = handled
	l.recordHandled(handled)
	if received != handled && l.state == attached {
		// XEP-0198 §4: the answer is not withheld, but it does not say what the peer
		// wants to know. The rest follows as soon as it can be said.
		l.delay = firstDelay
		l.laterLocked()
	}
	return appendAnswer(dst, handled)
}

// How often it is looked whether more was handled since the peer asked.
const (
	firstDelay = 10 * time.Millisecond
	lastDelay  = 5 * time.Second
)

// laterLocked looks later whether there is more to acknowledge.
func (l *Link) laterLocked() {
	if l.later == nil {
		// Owner: the link. Stopped when the session is lost, and when the link is over.
		l.later = time.AfterFunc(l.delay, l.answerLater)
		return
	}
	l.later.Reset(l.delay)
}

func (l *Link) answerLater() {
	l.mu.Lock()
	s := l.session
	due := false
	if l.state == attached {
		received, handled := l.takenLocked()
		due = handled != l.told
		l.answer = l.answer || due
		if l.delay = min(2*l.delay, lastDelay); !due && handled != received {
			l.laterLocked()
		}
	}
	l.mu.Unlock()
	if due {
		s.Prompt()
	}
}

// How long a peer that has acknowledged less than it was asked about is left in
// peace. It has got the rest, and will not say by itself when that is handled.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
)

// againLocked asks again later.
func (l *Link) againLocked(progress bool) {
	if l.pause = min(2*l.pause, lastPause); progress || l.pause == 0 {
		l.pause = firstPause
	}
	if l.again == nil {
		// Owner: the link. Stopped when nothing is left to ask, when the session is
		// lost, and when the link is over.
		l.again = time.AfterFunc(l.pause, l.askAgain)
		return
	}
	l.again.Reset(l.pause)
}

func (l *Link) askAgain() {
	l.mu.Lock()
	s := l.session
	due := l.state == attached && l.out.len() > 0 && !l.asked
	l.ask = l.ask || due
	l.mu.Unlock()
	if due {
		s.Prompt()
	}
}

// Ask implements [stream.Ledger]: a request that has got no answer does not keep
// this one back.
func (l *Link) Ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ask, l.asked = true, false
}

// Last implements [stream.Ledger].
func (l *Link) Last(dst []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == suspended || !l.counting {
		return dst
	}
	return l.answerLocked(dst)
}

// Handles implements [stream.Ledger].
func (l *Link) Handles(c stream.Counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.counting || c == l.counter {
		return
	}
	// Whatever the other one has received is as good as handled: it has it.
	l.carry, _ = l.takenLocked()
	l.countLocked(c)
}

// Ended implements [stream.Ledger].
func (l *Link) Ended(s *stream.Session, over bool, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != s || l.state != attached {
		return
	}
	l.stopLocked()
	l.asked, l.ask, l.answer, l.news = false, false, false, 0
	if !over && l.can {
		l.state, l.reason = suspended, cause
		l.suspendLocked(l.max + l.grace)
		// Owner: the link. The goroutine ends with the call.
		go l.owner.lost(l, cause)
		return
	}
	l.finishLocked(cause)
	// Owner: the link. The goroutine ends with the call. Apart, since the owner
	// may want to know something of the session, whose lock is held.
	go l.owner.gone(l, cause)
}

// suspendLocked gives the link that long to be resumed.
func (l *Link) suspendLocked(max time.Duration) {
	l.stopLocked()
	l.since = time.Now()
	// Owner: the link. Stopped when it is resumed or over.
	l.timer = time.AfterFunc(max, func() { l.expire() })
}

// expire ends a suspension that has lasted too long.
func (l *Link) expire() {
	l.mu.Lock()
	if l.state != suspended {
		l.mu.Unlock()
		return
	}
	l.finishLocked(ErrNotResumed)
	l.mu.Unlock()
	l.owner.gone(l, ErrNotResumed)
}

// acknowledge takes an h of the peer's. It reports what was wrong with it.
func (l *Link) acknowledge(h uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acknowledgeLocked(h)
}

// acknowledgeIn takes the h of a client that wants to resume. It does nothing and
// reports false if the client has come back once more meanwhile: while this one
// waited for the end of the lost session, its h has become an old one.
func (l *Link) acknowledgeIn(turn uint64, h uint32) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn != turn || l.state != suspended {
		return false, nil
	}
	return true, l.acknowledgeLocked(h)
}

func (l *Link) acknowledgeLocked(h uint32) error {
	if l.held > 0 && distance(l.out.acked(), h) > uint32(l.out.len()-l.held) {
		// What is held for the next session was not sent to anybody.
		return &HandledCountError{H: h, Sent: l.out.sent() - uint32(l.held)}
	}
	before := l.out.len()
	for e, err := range l.out.ack(h) {
		if err != nil {
			return err
		}
		if e.receipt != nil {
			e.receipt.Settle(true, nil)
		}
	}
	if l.out.len() < before {
		l.wakeLocked()
		l.recordAcked(h)
	}
	if l.out.len() == 0 && l.again != nil {
		l.again.Stop()
	}
	return nil
}

// received is the handler of <r/> and <a/> on both sides. It reports whether it
// was one of them.
func (l *Link) received(s *stream.Session, el *stream.Element) (bool, error) {
	switch el.Name() {
	case nameRequest:
		l.mu.Lock()
		l.answer = true
		l.mu.Unlock()
		s.Prompt()
		return true, nil
	case nameAnswer:
		h, err := parseAnswer(el)
		if err != nil {
			return true, streamError(err)
		}
		l.mu.Lock()
		if l.session != s {
			l.mu.Unlock()
			return true, nil
		}
		l.asked = false
		before := l.out.acked()
		err = l.acknowledgeLocked(h)
		progress := before != l.out.acked()
		more := l.wantsLocked()
		if err == nil && !more && l.state == attached && l.out.len() > l.news {
			l.againLocked(progress)
		}
		l.mu.Unlock()
		if err != nil {
			return true, streamError(err)
		}
		if progress {
			s.MakeRoom()
		}
		if more {
			s.Prompt()
		}
		return true, nil
	}
	return false, nil
}

// attach puts the link onto a session that takes the place of the last one,
// unless somebody has come in between. The stanzas that were not acknowledged
// are sent again before anything else (XEP-0198 §5).
func (l *Link) attach(s *stream.Session, turn uint64) error {
	return s.Resume(l, func() (iter.Seq2[[]byte, *stream.Receipt], error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.turn != turn || l.state != suspended {
			return nil, errTaken
		}
		l.stopLocked()
		l.state, l.session, l.resumed, l.reason = attached, s, true, nil
		l.asked, l.answer, l.news, l.held = false, false, l.out.len(), 0
		l.ask = l.out.len() > 0 // there may be receipts among them
		l.wakeLocked()
		return l.backlog(), nil
	})
}

// backlog iterates over what was not acknowledged.
func (l *Link) backlog() iter.Seq2[[]byte, *stream.Receipt] {
	return func(yield func([]byte, *stream.Receipt) bool) {
		// Others may acknowledge, or give up, at any time.
		l.mu.Lock()
		defer l.mu.Unlock()
		sent := 0
		for e := range l.out.all() {
			if !yield(e.xml, e.receipt) {
				return
			}
			// The connection may be lost again before all of it is through. What the
			// peer has got by then need not be sent a third time.
			if sent++; sent%askBacklog == 0 && sent < l.out.len() && !yield(appendRequest(nil), nil) {
				return
			}
		}
	}
}

// askBacklog is after how many stanzas of a backlog the peer is asked to
// acknowledge them.
const askBacklog = 64
