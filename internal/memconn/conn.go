package memconn

import (
	"io"
	"net"
	"time"
)

// Pipe returns the two ends of an in-memory connection. What is written to one
// is read from the other, in both directions independently; each direction
// buffers up to 64 KiB and its writers block while that is full.
//
// Both ends are a [*Conn], so they can be half closed.
func Pipe() (a, b net.Conn) {
	pair := new([2]direction) // one allocation: the ends live and die together
	pair[0].init()
	pair[1].init()
	return &Conn{in: &pair[0], out: &pair[1]}, &Conn{in: &pair[1], out: &pair[0]}
}

// Conn is one end of a connection made by [Pipe] or a [Listener]. All methods
// are safe for concurrent use. Errors other than [io.EOF] are [*net.OpError]
// values, as those of a socket are.
type Conn struct {
	in, out *direction
}

var _ net.Conn = (*Conn)(nil)

// Read reads buffered bytes, waiting for at least one. Bytes sent before the
// other end closed are still delivered; then Read returns [io.EOF]. After this
// end was closed it returns [net.ErrClosed], and past the read deadline
// [os.ErrDeadlineExceeded].
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && err != io.EOF {
		err = opError("read", err)
	}
	return n, err
}

// Write buffers p, waiting for room. When the other end is closed, or this one
// was closed for writing, it returns [io.ErrClosedPipe]; after Close it returns
// [net.ErrClosed] and past the write deadline [os.ErrDeadlineExceeded].
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = opError("write", err)
	}
	return n, err
}

// Close closes this end. Blocked calls return; what was written before can
// still be read at the other end. Closing again does nothing.
func (c *Conn) Close() error {
	// The first error says that this end is closed already.
	_ = c.out.endWriting(true)
	c.in.endReading()
	return nil
}

// CloseWrite ends this direction only: the other end reads [io.EOF] after what
// is buffered, and this one can still read.
func (c *Conn) CloseWrite() error {
	if err := c.out.endWriting(false); err != nil {
		return opError("close", err)
	}
	return nil
}

// LocalAddr returns an address whose network is "mem".
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr returns an address whose network is "mem".
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

// SetDeadline sets both deadlines. Like the other two it affects calls that
// are blocked already; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the time at which calls of Read fail.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.in.setReadDeadline(t); err != nil {
		return opError("set", err)
	}
	return nil
}

// SetWriteDeadline sets the time at which calls of Write fail.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if err := c.out.setWriteDeadline(t); err != nil {
		return opError("set", err)
	}
	return nil
}

func opError(op string, err error) error {
	return &net.OpError{Op: op, Net: addr{}.Network(), Addr: addr{}, Err: err}
}

type addr struct{}

func (addr) Network() string { return "mem" }
func (addr) String() string  { return "mem" }
