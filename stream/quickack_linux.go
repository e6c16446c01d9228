package stream

import (
	"net"
	"syscall"
)

// quickAcks has the kernel acknowledge at once what the peer sends. A
// negotiation is a dialogue of small pieces, which Linux notices and answers by
// delaying its acknowledgements for up to 40 ms in the hope of data to send
// along with them. A peer that leaves Nagle's algorithm on, as many servers do,
// does not send the second of two pieces before the first is acknowledged: both
// sides wait. The kernel forgets the option when something is written, so it is
// set again after each write; sessions do without, and cost nothing.
//
// The zero quickAcks does nothing.
type quickAcks struct{ conn syscall.RawConn }

// newQuickAcks returns the quickAcks of a connection: zero ones if it has no
// socket beneath that can be told.
func newQuickAcks(conn net.Conn) quickAcks {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return quickAcks{}
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return quickAcks{}
	}
	return quickAcks{raw}
}

// arm sets the option. That it cannot be set, on a socket that is not TCP for
// instance, is no error: it is not tried again.
func (q *quickAcks) arm() {
	if q.conn == nil {
		return
	}
	var refused error
	err := q.conn.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
	if err != nil || refused != nil {
		q.conn = nil
	}
}
