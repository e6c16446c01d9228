package ws

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// MessageConn is a WebSocket connection, on which the subprotocol xmpp was agreed
// (RFC 7395 §3.1), as far as this package needs one. Package adapters/websocket
// has one.
//
// NextMessage and the readers that it returns are used by one goroutine at a time,
// WriteMessage by one at a time, everything else by any. Errors of reading and
// writing are final. It is for the implementation to bound what is not seen here:
// frames without content, control frames, compression.
type MessageConn interface {
	// NextMessage waits for the next message and returns its content, to be read
	// until io.EOF before the next call, and whether it is text. It answers pings.
	// The error is io.EOF when the peer has closed the WebSocket in good order.
	NextMessage() (content io.Reader, text bool, err error)
	// WriteMessage sends a text message. It does not keep p.
	WriteMessage(p []byte) error
	// Close closes the WebSocket in good order: it sends a Close frame (RFC 6455
	// §7.1.2) with a status code of §7.4, drops what still comes and waits for the
	// peer's, for as long as the read deadline permits and for a few seconds at most.
	Close(code int, reason string) error
	// CloseNow drops the connection, without waiting for anything. It ends all calls.
	CloseNow() error
	// Deadlines are as for a net.Conn, except that the connection is of no use any
	// more once one of them has passed during a call.
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// Pinger is what a [MessageConn] may be able to do, too.
type Pinger interface {
	// Ping sends a Ping frame, soon, and does not wait for anything.
	Ping()
}

// statusNormal is the code of a WebSocket that has done what it was for (RFC 6455
// §7.4.1).
const statusNormal = 1000

// Options adjusts a [Conn]. Nil and the zero value are right for most.
type Options struct {
	// Limits are those of the stream, of which PreAuthElementBytes counts here: an
	// <open/>, a <close/> and, on a client, the features are not larger. Everything
	// else is passed on as it comes, to where the limits of the stream are enforced.
	// Nil means the defaults.
	Limits *stream.Limits
}

// Conn is a WebSocket connection as the connection that a stream runs on: the
// stream that is written is cut into messages, and those that come are put
// together (RFC 7395 §3.3). [stream.Initiate] and [stream.Accept] take it like any
// other; what TLS there is beneath belongs into their Security.
//
// A message that is not what RFC 7395 asks for makes Read fail with a
// [*stream.Error], which is what the stream ends with.
//
// White space between elements becomes a Ping frame if the MessageConn is a
// [Pinger], and nothing otherwise (§3.8).
//
// It is safe for concurrent use as far as a net.Conn is. Whoever has it closes it;
// the stream does.
type Conn struct {
	mc MessageConn

	readMu  sync.Mutex
	in      decoder
	content io.Reader // of the message that is being read; nil between messages
	box     *[]byte   // what in.out is in, from the pool
	read    int       // how much of in.out was returned
	readErr error

	writeMu sync.Mutex
	out     encoder
}

var _ net.Conn = (*Conn)(nil)

// defaultLimit is that of stream.Limits.PreAuthElementBytes.
const defaultLimit = 8 << 10

// NewConn returns a connection for a stream in which this side has the given role.
func NewConn(mc MessageConn, role stream.Role, opts *Options) *Conn {
	c := &Conn{mc: mc}
	c.in.client, c.in.limit = role == stream.Initiating, defaultLimit
	c.out.server = role == stream.Receiving
	if opts != nil && opts.Limits != nil && opts.Limits.PreAuthElementBytes > 0 {
		c.in.limit = opts.Limits.PreAuthElementBytes
	}
	return c
}

// Read reads bytes of the stream: a header for <open/>, the closing tag for
// <close/>, elements as they are. Behind <close/> it returns io.EOF. An error of
// type *stream.Error says what is wrong with the messages, or that the server wants
// the client elsewhere, with a cause that is a [*SeeOtherError] or wraps
// [ErrSeeOtherInsecure].
func (c *Conn) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	// Empty frames are up to the MessageConn; this is against readers that return
	// nothing and no error (see io.ErrNoProgress).
	for idle := 0; idle < 100; {
		if n := copy(p, c.in.out[c.read:]); n > 0 || len(p) == 0 {
			c.read += n
			c.recycle()
			return n, nil
		}
		if c.readErr != nil {
			return 0, c.readErr
		}
		var got int
		if got, c.readErr = c.advance(p); got > 0 {
			idle = 0
		} else {
			idle++
		}
	}
	return 0, io.ErrNoProgress
}

// recycle gives the buffer back once everything in it was returned.
func (c *Conn) recycle() {
	if c.read < len(c.in.out) {
		return
	}
	c.read = 0
	if c.content == nil && c.box != nil {
		// There may be a password in it.
		clear(c.in.out)
		*c.box = c.in.out[:0]
		dropBuffer(c.box)
		c.box, c.in.out = nil, nil
		return
	}
	c.in.out = c.in.out[:0]
}

// advance reads from the connection once, into p, and returns how much that was.
func (c *Conn) advance(p []byte) (int, error) {
	if c.content == nil {
		if c.in.closed {
			return 0, io.EOF
		}
		content, text, err := c.mc.NextMessage()
		if err != nil {
			return 0, err
		}
		if !text {
			// RFC 7395 §3.2: "MUST be of the text type".
			return 0, fail(stream.BadFormat, "a binary message")
		}
		c.box = takeBuffer()
		c.content, c.in.out, c.read = content, (*c.box)[:0], 0
		c.in.begin()
	}
	n, err := c.content.Read(p)
	n = min(max(n, 0), len(p))
	bad := c.in.write(p[:n])
	clear(p[:n])
	switch {
	case bad != nil:
		return n, bad
	case err == io.EOF:
		c.content = nil
		return n, c.in.end()
	case err != nil:
		return n, err
	}
	return n, nil
}

// Write writes bytes of a stream, which become messages as soon as each is
// complete. The rest waits, and counts as written.
func (c *Conn) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	sent := false
	n, space, err := c.out.write(p, func(message []byte) error {
		sent = true
		return c.mc.WriteMessage(message)
	})
	if err != nil {
		return n, fmt.Errorf("stream/ws: %w", err)
	}
	if pinger, ok := c.mc.(Pinger); ok && space && !sent {
		// RFC 7395 §3.8: white space MUST NOT be sent.
		pinger.Ping()
	}
	return n, nil
}

// CloseWrite ends the connection in good order, behind the end of the stream: the
// closing handshake of the WebSocket (RFC 7395 §3.6), bounded by the read deadline.
func (c *Conn) CloseWrite() error { return c.mc.Close(statusNormal, "") }

// Close drops the connection at once. To the peer it looks lost, unless the stream
// was closed before.
func (c *Conn) Close() error { return c.mc.CloseNow() }

// LocalAddr returns the address of this side.
func (c *Conn) LocalAddr() net.Addr { return c.mc.LocalAddr() }

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.mc.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.mc.SetReadDeadline(t); err != nil {
		return err
	}
	return c.mc.SetWriteDeadline(t)
}

// SetReadDeadline bounds Read. The connection is of no use behind it.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.mc.SetReadDeadline(t) }

// SetWriteDeadline bounds Write. The connection is of no use behind it.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.mc.SetWriteDeadline(t) }

// buffers are for messages on their way, so that an idle connection has none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxPooled keeps rare large buffers out of the pool.
const maxPooled = 64 << 10

func takeBuffer() *[]byte { return buffers.Get().(*[]byte) }

func dropBuffer(b *[]byte) {
	if cap(*b) <= maxPooled {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}
