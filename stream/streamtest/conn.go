package streamtest

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// Conn is one end of a connection of a [Network]. It behaves as a TCP
// connection does: Write returns once its bytes are in a buffer and waits while
// that is full; closing with bytes unread resets the connection; writing to a
// side that has closed leads to a reset. Errors other than [io.EOF] are
// [*net.OpError] values. All methods are safe for concurrent use.
type Conn struct {
	link          *link
	side          int
	local, remote *net.TCPAddr
}

var _ net.Conn = (*Conn)(nil)

// ID names the connection; both ends have the same.
func (c *Conn) ID() ConnID { return c.link.id }

// Read reads what has arrived, waiting for at least one byte.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.link.read(c.side, p)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

// Write buffers p, waiting for room.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.link.write(c.side, p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close closes this end. Blocked calls return. Closing again does nothing.
func (c *Conn) Close() error {
	c.link.close(c.side)
	return nil
}

// CloseWrite ends this direction only: the other end reads [io.EOF] behind what
// is on its way, and this one can still read.
func (c *Conn) CloseWrite() error {
	if err := c.link.closeWrite(c.side); err != nil {
		return c.opError("close", err)
	}
	return nil
}

// LocalAddr returns a [*net.TCPAddr].
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns a [*net.TCPAddr].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines. Like the other two it affects calls that
// are blocked already; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, true, true) }

// SetReadDeadline sets the time at which calls of Read fail.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, true, false) }

// SetWriteDeadline sets the time at which calls of Write fail.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, false, true) }

func (c *Conn) setDeadlines(t time.Time, reading, writing bool) error {
	if err := c.link.setDeadlines(c.side, t, reading, writing); err != nil {
		return c.opError("set", err)
	}
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// isReset reports whether an error says that the connection was reset.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
