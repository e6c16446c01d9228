package stream

import (
	"errors"
	"runtime/debug"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
)

// Serve runs the session's reader in the calling goroutine until the stream is
// over. It hands each stanza to handle: in order, never two at a time, borrowed
// until handle returns. While handle runs nothing is read, so a slow handler
// slows the peer down and nothing piles up.
//
// A handler may send and may close the session. An [*Error] that it returns
// ends the stream with that error; any other error is the cause of an
// internal-server-error or, on a client, an undefined-condition. The error of
// another session that has ended counts as such an other error, whatever it
// wraps. An error that wraps [ErrClosed] is ignored once this session is being
// closed by this side: the handler could not send any more. A handler that
// panics ends this session, and no other, with a [*PanicError].
//
// Serve returns nil after the stream was closed in good order by either side,
// otherwise a [*ClosedError]; the Closed hook has returned by then. A second
// call while one runs returns [ErrBusy]. If Close came first and reads already,
// Serve waits for the end without handing out anything.
func (s *Session) Serve(handle func(*Element) error) error {
	if s.reader.CompareAndSwap(readerNone, readerServe) {
		s.countItself()
		s.read(handle)
	} else if s.Err() == nil && s.reader.Load() == readerServe {
		return ErrBusy
	}
	<-s.done
	s.told.Wait()
	if errors.Is(s.cause, ErrPeerClosed) || errors.Is(s.cause, ErrLocalClosed) {
		return nil
	}
	return s.Err()
}

// errReaderGone is the cause of a session whose handler called runtime.Goexit,
// as a failing test does.
var errReaderGone = errors.New("stream: the reader's goroutine has exited")

// read runs until the session has ended.
func (s *Session) read(handle func(*Element) error) {
	defer s.readerGone()
	for s.readOne(handle) {
	}
}

// readerGone is the end of the reader. After any other end of the session it ends
// nothing.
func (s *Session) readerGone() {
	defer s.sc.release()
	s.end(errReaderGone)
}

// readOne deals with one item of the stream, and reports whether there may be
// more.
func (s *Session) readOne(handle func(*Element) error) bool {
	before := s.consumed()
	kind, el, err := s.next()
	if err != nil {
		s.readFailed(err)
		return false
	}
	return s.item(kind, el, int(before), handle)
}

// item is readOne for what was read. Before it that many bytes were consumed.
func (s *Session) item(kind itemKind, el *Element, before int, handle func(*Element) error) bool {
	switch kind {
	case itemSpace:
		return s.admitSpace(int(s.consumed()) - before)
	case itemElement:
		ok, err := s.admit(el)
		if !ok {
			return false
		}
		if err == nil {
			err = s.element(el, handle)
		}
		if err != nil {
			s.readFailed(err)
		}
		return err == nil
	case itemEnd:
		s.peerClosed()
		return false
	default:
		s.readFailed(newError(BadFormat, "stream header inside a stream"))
		return false
	}
}

// consumed returns how many bytes belong to items that were returned.
func (s *Session) consumed() uint64 { return s.bytesIn.Load() - uint64(s.sc.buffered()) }

// element deals with one first-level element. An error that is not of type
// [*Error] comes from the handler.
func (s *Session) element(el *Element, handle func(*Element) error) error {
	if e := checkContentNS(el, s.prof); e != nil {
		return e
	}
	name := el.Name()
	switch {
	case isStanza(el, s.prof):
		if s.skip > 0 {
			s.skip--
			return nil
		}
		return s.stanza(el, handle)
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
	for i := range s.nonzas {
		if n := &s.nonzas[i]; n.space == name.Space {
			return s.call(el, func(el *Element) error { return n.handle(s, el) })
		}
	}
	// §4.9.3.24: nothing else is known here.
	return newError(UnsupportedStanzaType, "%s", quote.ASCII(name.String(), 128))
}

// call runs a handler. Its panic becomes an error, and an error that is not
// meant for the peer becomes the cause of one that is.
func (s *Session) call(el *Element, handle func(*Element) error) (err error) {
	s.handling.Add(1)
	defer func() {
		s.handling.Add(1)
		if v := recover(); v != nil {
			err = s.internal(&PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	return s.handlerError(handle(el))
}

// handlerError turns what a handler returned into what ends the session.
func (s *Session) handlerError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotTaken):
		return ErrNotTaken
	}
	// The error of another session says what was wrong on that one.
	var other *ClosedError
	var e *Error
	if errors.As(err, &e) && !e.Received && !errors.As(err, &other) {
		return err
	}
	if shut, _ := s.out.lastWords(); shut && errors.Is(err, ErrClosed) {
		return nil
	}
	return s.internal(err)
}

// internal returns the stream error for something that went wrong in here. What
// it was is not the peer's business: the cause stays on this side.
func (s *Session) internal(cause error) *Error {
	cond := InternalServerError
	if s.role == Initiating {
		cond = UndefinedCondition
	}
	return &Error{Condition: cond, Cause: cause}
}

// readFailed ends the session after an error of the reader, telling the peer
// if there is something to tell and a way to.
func (s *Session) readFailed(err error) {
	if reason := s.parting.Load(); reason != nil {
		s.end(reason)
		return
	}
	var e *Error
	if errors.As(err, &e) {
		resumable := e.resumable()
		if e.Received {
			// RFC 6120 §4.9.1.1: whoever receives an error closes the stream.
			e = nil
		}
		s.finishOut(e, resumable)
		s.flushAndLinger(lingerTime)
	}
	s.end(err)
}

// finishOut queues a stream error, if any, and the closing tag. It reports false
// if the closing tag was queued before. Resumable says that a managed session is
// not over with that.
func (s *Session) finishOut(e *Error, resumable bool) bool {
	var last []byte
	if e != nil {
		last, _ = e.AppendXML(nil)
	}
	if !s.out.finish(last, e, resumable) {
		return false
	}
	if e != nil && s.trace.hooks.ErrorSent != nil {
		s.trace.hooks.ErrorSent(e)
	}
	return true
}

// flushAndLinger gives the writer a bounded time to write what is queued, and
// the peer a moment to notice. It reports whether the time sufficed.
func (s *Session) flushAndLinger(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.out.flushed():
		linger(s.conn, s.raw)
	case <-s.done:
	case <-timer.C:
		return false
	}
	return true
}

// peerClosed answers the peer's closing tag, or takes it as the answer to ours
// (RFC 6120 §4.4).
func (s *Session) peerClosed() {
	ours, _ := s.out.lastWords()
	s.finishOut(nil, false)
	flushed := s.flushAndLinger(s.closeTimeout)
	_, reason := s.out.lastWords()
	switch {
	case !flushed:
		s.end(ErrCloseTimeout)
	case !ours:
		s.end(ErrPeerClosed)
	case reason != nil:
		s.end(reason)
	default:
		s.end(ErrLocalClosed)
	}
}
