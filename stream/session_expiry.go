package stream

import (
	"context"
	"errors"
	"time"
)

// ErrCertificateExpired is the cause of the reset that ends a session whose
// peer's certificate has expired (RFC 6120 §13.7.2.3).
var ErrCertificateExpired = errors.New("stream: the peer's certificate has expired")

// watchExpiry ends the session with a reset when what the peer proved its
// identity with is valid no longer. It may authenticate anew (RFC 6120
// §4.9.3.16).
func (s *Session) watchExpiry() {
	at := s.sec.Expires
	if at.IsZero() {
		return
	}
	// Owner: the session, whose end stops the timer. The function ends within
	// CloseTimeout.
	timer := time.AfterFunc(time.Until(at), func() {
		s.CloseError(context.Background(), &Error{
			Condition: Reset,
			Text:      "certificate expired",
			Cause:     ErrCertificateExpired,
		})
	})
	s.expiry.Store(timer)
	if s.Err() != nil { // ended meanwhile: end may have missed the timer
		timer.Stop()
	}
}
