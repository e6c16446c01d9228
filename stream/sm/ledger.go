package sm

import (
	"iter"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// This file is the link as a session sees it: what [stream.Ledger] asks for. The
// methods are called with a lock of the session held.

// Keep implements [stream.Ledger].
func (l *Link) Keep(xml []byte, r *stream.Receipt, reader bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	bound := l.policy.QueueBytes
	if reader {
		bound *= readerShare
	}
	if err := l.pushLocked(xml, r, bound); err != nil {
		return err
	}
	l.news++
	if r != nil {
		l.ask = true
	}
	return nil
}

// pushLocked keeps a stanza, if there is room for it in bound bytes.
func (l *Link) pushLocked(xml []byte, r *stream.Receipt, bound int) error {
	if !l.dense && l.out.len() > 0 && l.out.size()+entryCost*l.out.len()+len(xml)+entryCost > bound {
		switch l.policy.Bound {
		case Wait:
			return errWait
		case Refuse:
			return ErrUnacked
		}
		l.denseLocked()
	}
	if l.dense {
		if r != nil {
			r.Release()
		}
		l.out.pass()
		return nil
	}
	l.out.push(xml, r, time.Now().UnixMilli())
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
	if l.state != attached {
		return dst
	}
	if l.answer {
		dst = l.answerLocked(dst)
	}
	if l.out.len() > 0 && !l.asked && l.news >= l.policy.Every {
		l.ask = true
	}
	if l.ask && !l.asked {
		dst = appendRequest(dst)
		l.asked, l.news = true, 0
	}
	l.ask = false
	return dst
}

func (l *Link) answerLocked(dst []byte) []byte {
	l.answer = false
	_, l.told = l.takenLocked()
	return appendAnswer(dst, l.told)
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
	if l.state != attached || !l.counting {
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
	if _, raw := c.(*stream.Session); raw && l.counter != nil {
		if _, was := l.counter.(*stream.Session); !was {
			// The session of somebody who counts for himself: he will say so.
			return
		}
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
	l.asked, l.ask, l.answer, l.news = false, false, false, 0
	if !over && l.can {
		l.state, l.reason = suspended, cause
		l.suspendLocked(l.max)
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

func (l *Link) acknowledgeLocked(h uint32) error {
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
		err = l.acknowledgeLocked(h)
		more := l.out.len() > 0 && l.news > 0
		l.mu.Unlock()
		if err != nil {
			return true, streamError(err)
		}
		s.MakeRoom()
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
		l.wakeLocked()
		return l.backlog(), nil
	})
}

// backlog iterates over what was not acknowledged. Nothing is while the lock of
// the session is held that the link was just attached to.
func (l *Link) backlog() iter.Seq2[[]byte, *stream.Receipt] {
	return func(yield func([]byte, *stream.Receipt) bool) {
		for e := range l.out.all() {
			if !yield(e.xml, e.receipt) {
				return
			}
		}
	}
}
