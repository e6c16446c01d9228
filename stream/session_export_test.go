package stream

// HeldReceipts returns for how many receipts an outbox has room.
func HeldReceipts(s *Session) int {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return cap(s.out.waiting)
}

// HeldByTrace returns how many bytes the tracer of outgoing XML holds.
func HeldByTrace(s *Session) int { return cap(s.trace.sent.c.t.buf) }

// RaceEnabled reports whether the race detector is on.
const RaceEnabled = raceEnabled

// ExpiryPending reports whether the session waits for a certificate to expire,
// and ends that.
func (s *Session) ExpiryPending() bool { return s.expiry.Load().Stop() }
