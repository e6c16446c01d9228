package stream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// carrier is the connection beneath a stream together with what reads it. The
// negotiation uses it first and the session inherits it. Its methods belong to
// one goroutine: the negotiating one, later the session's reader. Only close
// methods of the connection itself may be called from elsewhere.
type carrier struct {
	// raw is what carries the bytes and can be dropped at once, conn what the
	// stream runs on: raw itself, or a TLS layer above it.
	raw, conn net.Conn

	sc    scanner
	trace *tracer

	// first takes the first bytes after a silence, so that a session that
	// waits for its peer holds no read buffer.
	first [248]byte // with the rest of a carrier it fills a size class of the allocator

	// bytesIn counts what was received, bytesOut what the negotiation sent.
	bytesIn, bytesOut atomic.Uint64

	// lastRead is when something was received; see ticks.
	lastRead atomic.Int64

	// readErr is an error that came together with data.
	readErr error

	// broken: a read or a write of the connection has failed, so there is
	// nobody left to talk to.
	broken bool
}

// beneath returns the connection that a TLS layer runs on, or conn itself.
// Closing the layer means to say goodbye first, which takes as long as the peer
// likes, and to a peer whose session could be resumed it would look like an end
// in good order.
func beneath(conn net.Conn) net.Conn {
	if layer, ok := conn.(*tls.Conn); ok {
		return layer.NetConn()
	}
	return conn
}

// readChunk is how much is asked of the connection at once when more input is
// at hand or an element is incomplete.
const readChunk = 4 << 10

// next returns the next item of the stream. Element and header are borrowed
// until the following call.
func (c *carrier) next() (itemKind, *Element, error) {
	for {
		kind, el, err := c.sc.next()
		if err == nil {
			c.trace.received(kind, el)
			return kind, el, nil
		}
		if err != errNeedMore {
			c.trace.unreadable(c.sc.buffered())
			return itemNone, nil, err
		}
		if err = c.fill(); err != nil {
			c.failed(err)
			return itemNone, nil, err
		}
	}
}

// failed takes note of an error of the connection. One that knows what is wrong
// with what came (stream/ws) has somebody to tell.
func (c *carrier) failed(err error) {
	var e *Error
	c.broken = !errors.As(err, &e)
}

// fill reads once from the connection. The stack of an idle session ends here and
// in what it calls: less than 1,200 bytes of it are in use then, or it takes
// twice the memory. Let the frames on the way down stay small.
func (c *carrier) fill() error {
	if c.readErr != nil {
		return c.readErr
	}
	// A reader that keeps returning nothing and no error would otherwise spin
	// here (see io.ErrNoProgress).
	for range 100 {
		n, err := c.read()
		if err != nil {
			c.readErr = truncated(err)
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return c.readErr
		}
	}
	c.readErr = io.ErrNoProgress
	return c.readErr
}

// truncated names the end of a connection that nobody has announced.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrTruncated, io.ErrUnexpectedEOF)
	}
	return err
}

func (c *carrier) read() (n int, err error) {
	if c.sc.pending() || c.sc.buffered() > 0 {
		return c.readMore()
	}
	c.sc.release()
	n, err = c.conn.Read(c.first[:])
	if n > 0 {
		c.keepFirst(n)
	}
	return n, err
}

// readMore reads what belongs to something that is there already.
func (c *carrier) readMore() (int, error) {
	n, err := c.conn.Read(c.sc.space(readChunk))
	c.sc.filled(max(n, 0))
	c.took(n)
	return n, err
}

// keepFirst keeps what was read after a silence.
//
//go:noinline
func (c *carrier) keepFirst(n int) {
	copy(c.sc.space(n), c.first[:n])
	c.sc.filled(n)
	c.took(n)
	clear(c.first[:n]) // there may be a password in it
}

// took takes note of n bytes that have come in.
func (c *carrier) took(n int) {
	if n > 0 {
		c.bytesIn.Add(uint64(n))
		c.lastRead.Store(ticks())
	}
}
