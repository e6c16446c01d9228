package stream

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Serve runs the session's reader in the calling goroutine until the stream is
// over. It hands each stanza to handle: in order, never two at a time, borrowed
// until handle returns. While handle runs nothing is read, so a slow handler
// slows the peer down and nothing piles up.
//
// A handler may send and may close the session. An [*Error] that it returns
// ends the stream with that error; any other error is the cause of an
// internal-server-error or, on a client, an undefined-condition. A handler that
// panics ends this session, and no other, with a [*PanicError].
//
// Serve returns nil after the stream was closed in good order by either side,
// otherwise a [*ClosedError]. A second call while one runs returns [ErrBusy].
func (s *Session) Serve(handle func(*Element) error) error {
	if !s.reading.CompareAndSwap(false, true) {
		if err := s.Err(); err != nil {
			return err
		}
		return ErrBusy
	}
	s.read(handle)
	<-s.done
	if errors.Is(s.cause, ErrPeerClosed) || errors.Is(s.cause, ErrLocalClosed) {
		return nil
	}
	return s.Err()
}

// read runs until the session has ended.
func (s *Session) read(handle func(*Element) error) {
	defer s.sc.release()
	for {
		kind, el, err := s.next()
		if err == nil {
			switch kind {
			case itemElement:
				err = s.element(el, handle)
			case itemEnd:
				s.peerClosed()
				return
			case itemHeader:
				err = newError(BadFormat, "stream header inside a stream")
			}
		}
		if err != nil {
			s.readFailed(err)
			return
		}
	}
}

// element deals with one first-level element.
func (s *Session) element(el *Element, handle func(*Element) error) error {
	if e := checkContentNS(el, s.prof); e != nil {
		return e
	}
	name := el.Name()
	switch {
	case isStanza(el, s.prof):
		// RFC 6120 §8 with XEP-0198 §4: a stanza counts when it is handled.
		err := s.call(el, handle)
		s.received.Add(1)
		return err
	case isStreamError(el):
		e := decodeError(el)
		if s.trace.hooks.ErrorReceived != nil {
			s.trace.hooks.ErrorReceived(e)
		}
		return e
	case name == Name{NSStream, "features"} && s.role == Initiating:
		// RFC 6120 §4.3.5: an empty one may follow at the end; there is
		// nothing to do about any.
		return nil
	}
	if fn, ok := s.nonzas[name.Space]; ok {
		return s.call(el, func(el *Element) error { return fn(s, el) })
	}
	// §4.9.3.24: nothing else is known here.
	return newError(UnsupportedStanzaType, "%s", quoteCapped(name.String(), 128))
}

// call runs a handler and turns its panic into an error.
func (s *Session) call(el *Element, handle func(*Element) error) (err error) {
	s.handling.Add(1)
	defer func() {
		s.handling.Add(1)
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return handle(el)
}

// readFailed ends the session after an error of the reader, telling the peer
// if there is something to tell and a way to.
func (s *Session) readFailed(err error) {
	var e *Error
	if errors.As(err, &e) {
		if e.Received {
			// RFC 6120 §4.9.1.1: whoever receives an error closes the stream.
			s.sayLast(nil)
		} else {
			s.sayLast(e)
		}
		s.end(err)
		return
	}
	var panicked *PanicError
	if s.fromHandler(err, &panicked) {
		cond := InternalServerError
		if s.role == Initiating {
			cond = UndefinedCondition
		}
		// What went wrong in here is not the peer's business: the cause stays
		// on this side.
		s.sayLast(&Error{Condition: cond, Cause: err})
	}
	s.end(err)
}

// fromHandler reports whether err is an error that a handler returned, rather
// than one of the connection.
func (s *Session) fromHandler(err error, panicked **PanicError) bool {
	if errors.As(err, panicked) {
		return true
	}
	return s.readErr == nil
}

// sayLast queues the last words of the stream, waits for them to be written and
// for the peer to notice.
func (s *Session) sayLast(e *Error) {
	if s.finishOut(e) {
		s.flushAndLinger(lingerTime)
	}
}

// finishOut queues a stream error, if any, and the closing tag.
func (s *Session) finishOut(e *Error) bool {
	var last []byte
	if e != nil {
		last, _ = e.AppendXML(nil)
		if s.trace.hooks.ErrorSent != nil {
			s.trace.hooks.ErrorSent(e)
		}
	}
	return s.out.finish(append(last, closingTag...))
}

// flushAndLinger gives the writer a bounded time to write what is queued, and
// the peer a moment to notice.
func (s *Session) flushAndLinger(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.out.flushed():
		linger(s.conn, s.raw)
	case <-s.done:
	case <-timer.C:
	}
}

// peerClosed answers the peer's closing tag, or takes it as the answer to ours
// (RFC 6120 §4.4).
func (s *Session) peerClosed() {
	cause := error(ErrLocalClosed)
	if s.finishOut(nil) {
		cause = ErrPeerClosed
	}
	s.flushAndLinger(s.closeTimeout)
	if e := s.closeError.Load(); e != nil {
		s.end(fmt.Errorf("%w", e))
		return
	}
	s.end(cause)
}
