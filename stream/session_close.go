package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// How long Close waits when it was probably called by the very handler that
// keeps the reader from seeing the peer's answer: for what is queued to be
// written, and then for that answer. Together they are less than a second.
const (
	flushGrace   = 500 * time.Millisecond
	handlerGrace = 250 * time.Millisecond
)

// Close closes the stream in good order (RFC 6120 §4.4): what is queued is
// written, then the closing tag; the peer's last stanzas are still handed to
// the handler; when its closing tag has come, or CloseTimeout has passed, the
// connection is closed. Nothing can be sent any more from the moment Close is
// called. ctx bounds the wait: when it ends the connection is dropped.
//
// Close returns nil when both closing tags went over the wire or the session
// had ended before, otherwise what went wrong. It is idempotent and may be
// called from anywhere.
//
// From within the handler of [Session.Serve] it cannot wait for the peer, since
// the reader waits for the handler. Close cannot tell who calls it, so beside a
// handler that keeps running it returns nil in less than a second, and half of
// that is for what is queued to be written. The rest happens after the handler
// has returned: wait for Done to see the end of it.
func (s *Session) Close(ctx context.Context) error { return s.CloseError(ctx, nil) }

// CloseError is Close with a stream error as the reason for the peer
// (RFC 6120 §4.9), which becomes the cause of the session's end. It is not told
// to a peer that was sent the closing tag before. A nil error means a plain
// Close.
func (s *Session) CloseError(ctx context.Context, reason *Error) error {
	if s.Err() != nil {
		return nil
	}
	if s.finishOut(reason, reason != nil && reason.resumable()) {
		timer := time.AfterFunc(s.closeTimeout, func() { s.end(ErrCloseTimeout) })
		s.closeTimer.Store(timer)
		if s.Err() != nil { // ended meanwhile: end may have missed the timer
			timer.Stop()
		}
	}
	stop := context.AfterFunc(ctx, func() { s.end(fmt.Errorf("stream: closing: %w", contextError(ctx))) })
	defer stop()

	if s.reader.CompareAndSwap(readerNone, readerClose) {
		// Nobody reads: see the peer's closing tag for ourselves. Nobody handles
		// what comes before it either.
		s.read(func(*Element) error { return ErrNotTaken })
	}
	if at := s.handling.Load(); at%2 == 1 && s.waitBriefly(at) {
		return nil
	}
	return s.outcome()
}

// waitBriefly waits for the end of the session like somebody who may be the
// handler that was running at the given time. It reports whether that still
// runs.
func (s *Session) waitBriefly(at uint64) bool {
	timer := time.NewTimer(flushGrace)
	defer timer.Stop()
	select {
	case <-s.out.flushed():
	case <-timer.C:
	case <-s.done:
		return false
	}
	timer.Reset(handlerGrace)
	select {
	case <-timer.C:
		return s.handling.Load() == at
	case <-s.done:
		return false
	}
}

// outcome waits for the end of the session and for the trace to have been told
// of it. It returns nil when both closing tags went over the wire.
func (s *Session) outcome() error {
	<-s.done
	s.told.Wait()
	if errors.Is(s.cause, ErrLocalClosed) || errors.Is(s.cause, ErrPeerClosed) {
		return nil
	}
	// The reason that CloseError gave is the cause when the peer has answered.
	if _, reason := s.out.lastWords(); reason != nil && s.cause == error(reason) {
		return nil
	}
	return s.Err()
}

// writeFailed is called by the writer when the transport takes nothing any more.
// The peer may have said why before it went away, with a stream error or its
// closing tag, and that is a better cause: the reader has a moment to come
// across it. A peer that just does not read has said nothing.
func (s *Session) writeFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) || s.reader.Load() == readerNone {
		s.end(err)
		return
	}
	time.AfterFunc(lingerTime, func() { s.end(err) })
}
