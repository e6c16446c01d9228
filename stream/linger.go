package stream

import (
	"io"
	"net"
	"time"
)

// lingerTime bounds how long a closed stream waits for the peer to notice.
const lingerTime = 500 * time.Millisecond

// linger half-closes the connection and waits, for lingerTime at most, until the
// peer has closed its half too. Closing at once with unread input would make
// TCP reset the connection, and the peer would lose the stream error and the
// closing tag that were written last. With TLS the half close is the
// close_notify alert that RFC 6120 §4.4 asks for, and the wait is for the
// peer's.
func linger(conn, raw net.Conn) {
	// Not a deadline set now: a TLS layer sets one of its own for its alert.
	timer := time.AfterFunc(lingerTime, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer timer.Stop()
	// A connection that cannot be half closed, such as one that somebody has
	// wrapped, is drained all the same: the peer has our closing tag to go by.
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	// What the peer still sends is of no interest, but a bound keeps a flood
	// from being read for the whole time.
	io.CopyN(io.Discard, conn, 1<<20)
}
