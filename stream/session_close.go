package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// handlerGrace is how long Close waits when it was probably called by the very
// handler that keeps the reader from seeing the peer's answer.
const handlerGrace = 250 * time.Millisecond

// Close closes the stream in good order (RFC 6120 §4.4): what is queued is
// written, then the closing tag; the peer's last stanzas are still handed to
// the handler; when its closing tag has come, or CloseTimeout has passed, the
// connection is closed. Nothing can be sent any more from the moment Close is
// called. ctx bounds the wait: when it ends the connection is dropped.
//
// Close returns nil when both closing tags went over the wire or the session
// had ended before, otherwise what went wrong. It is idempotent and may be called from
// anywhere. From within the handler of [Session.Serve] it cannot wait, since
// the reader waits for the handler: it returns soon, and the rest happens after
// the handler has returned.
func (s *Session) Close(ctx context.Context) error { return s.CloseError(ctx, nil) }

// CloseError is Close with a stream error as the reason for the peer
// (RFC 6120 §4.9). A nil error means a plain Close.
func (s *Session) CloseError(ctx context.Context, reason *Error) error {
	if s.Err() != nil {
		return nil
	}
	if reason != nil {
		s.closeError.CompareAndSwap(nil, reason)
	}
	if s.finishOut(reason) {
		timer := time.AfterFunc(s.closeTimeout, func() { s.end(ErrCloseTimeout) })
		s.closeTimer.Store(timer)
		if s.Err() != nil { // ended meanwhile: end may have missed the timer
			timer.Stop()
		}
	}
	stop := context.AfterFunc(ctx, func() { s.end(fmt.Errorf("stream: closing: %w", context.Cause(ctx))) })
	defer stop()

	if s.reading.CompareAndSwap(false, true) {
		// Nobody reads: see the peer's closing tag for ourselves.
		s.read(func(*Element) error { return nil })
	}
	if at := s.handling.Load(); at%2 == 1 {
		select {
		case <-s.done:
		case <-time.After(handlerGrace):
			if s.handling.Load() == at {
				return nil
			}
		}
	}
	<-s.done
	var e *Error
	switch {
	case errors.Is(s.cause, ErrLocalClosed), errors.Is(s.cause, ErrPeerClosed):
		return nil
	case reason != nil && errors.As(s.cause, &e) && !e.Received:
		return nil
	}
	return s.Err()
}
