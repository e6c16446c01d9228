package stream

import "net"

// HeldBytes returns how many bytes of read and write buffers a session holds.
// The caller sees to it that the session is idle.
func HeldBytes(s *Session) int {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	n := cap(s.sc.c.t.buf)
	if s.out.buf != nil {
		n += cap(*s.out.buf)
	}
	if s.out.spare != nil {
		n += cap(*s.out.spare)
	}
	return n
}

// RawConn returns the connection beneath a session.
func RawConn(s *Session) net.Conn { return s.conn }

// NewStreamID is newStreamID.
func NewStreamID() string { return newStreamID() }

// QueuedBytes returns how many bytes of buffers the writing half of a session
// holds.
func QueuedBytes(s *Session) int {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.buf == nil {
		return 0
	}
	return cap(*s.out.buf)
}
