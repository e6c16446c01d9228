package websocket

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// The status codes of RFC 6455 §7.4.1 that this package sends by itself.
const (
	statusProtocolError = 1002
	statusPolicy        = 1008
	statusTooBig        = 1009
)

// Bounds on what is not part of any element, and so not under the limits of the
// stream.
const (
	// maxFrames is how many frames one message may come in.
	maxFrames = 1024
	// maxFrame is the largest frame, in octets.
	maxFrame = 16 << 20
)

// controlRate is how many control frames a peer may send: each Ping is answered.
var controlRate = stream.Rate{PerSecond: 10, Burst: 100}

// FrameError says how a peer has violated the WebSocket protocol, or one of the
// bounds of this package. The WebSocket has been closed with Code.
type FrameError struct {
	// Code is the status code of RFC 6455 §7.4.1.
	Code int
	// Reason is for people.
	Reason string
}

// Error gives the reason and the code.
func (e *FrameError) Error() string { return fmt.Sprintf("websocket: %s (%d)", e.Reason, e.Code) }

// guard looks at the headers of the frames that come in and refuses what the
// library beneath would accept, or refuse without telling the peer. It sees each
// byte before the library does. Content is not looked at.
type guard struct {
	masked  bool // the peer is a client
	control stream.Bucket

	header [14]byte
	have   int    // bytes of the header
	left   uint64 // octets of the frame's content still to come
	frames int    // of the message so far; zero between messages
	over   bool   // a Close frame has come
}

func newGuard(masked bool, now time.Time) guard {
	return guard{masked: masked, control: stream.NewBucket(controlRate, now)}
}

// check looks at the next bytes. It returns how many may be passed on: all of them
// without an error.
func (g *guard) check(p []byte, now time.Time) (int, *FrameError) {
	for i := 0; i < len(p); {
		if g.over {
			return len(p), nil // RFC 6455 §5.5.1: nothing counts behind it
		}
		if g.left > 0 {
			n := min(g.left, uint64(len(p)-i))
			g.left -= n
			i += int(n)
			continue
		}
		from := i
		for i < len(p) && g.have < g.size() {
			g.header[g.have] = p[i]
			g.have++
			i++
		}
		if g.have < g.size() {
			return len(p), nil
		}
		if err := g.frame(now); err != nil {
			return from, err
		}
		g.have = 0
	}
	return len(p), nil
}

// size returns the size of the header, as far as it can be told.
func (g *guard) size() int {
	if g.have < 2 {
		return 2
	}
	n := 2
	switch g.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if g.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// frame judges a frame by its header (RFC 6455 §5.2).
func (g *guard) frame(now time.Time) *FrameError {
	fin, opcode := g.header[0]&0x80 != 0, g.header[0]&0x0f
	length, least := uint64(g.header[1]&0x7f), uint64(0)
	switch length {
	case 126:
		length, least = bigEndian(g.header[2:4]), 126
	case 127:
		length, least = bigEndian(g.header[2:10]), 1<<16
	}
	control := opcode >= 8
	switch {
	case g.header[0]&0x70 != 0:
		// No extension was agreed on, compression neither (§9.1).
		return violation("a reserved bit is set")
	case opcode > 10 || opcode > 2 && !control:
		return violation("unknown opcode %d", opcode)
	case (g.header[1]&0x80 != 0) != g.masked:
		// §5.1: a client masks its frames, and a server does not.
		return violation("masked: %t", !g.masked)
	case length < least || length>>63 != 0:
		return violation("malformed length")
	case control && (!fin || length > 125):
		// §5.5
		return violation("a control frame that is fragmented or larger than 125 octets")
	case opcode == 0 && g.frames == 0:
		// §5.4
		return violation("a continuation of nothing")
	case !control && opcode != 0 && g.frames > 0:
		return violation("a message inside of a message")
	case length > maxFrame:
		return &FrameError{statusTooBig, fmt.Sprintf("a frame larger than %d octets", maxFrame)}
	case !control && g.frames >= maxFrames:
		return &FrameError{statusTooBig, fmt.Sprintf("a message in more than %d frames", maxFrames)}
	case control && !g.control.Allow(now, 1):
		return &FrameError{statusPolicy, "too many control frames"}
	}
	g.left = length
	g.over = opcode == 8
	if !control {
		if g.frames++; fin {
			g.frames = 0
		}
	}
	return nil
}

func violation(format string, args ...any) *FrameError {
	return &FrameError{statusProtocolError, fmt.Sprintf(format, args...)}
}

func bigEndian(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// guarded is a connection whose incoming frames are guarded.
type guarded struct {
	net.Conn
	body    io.ReadWriteCloser // of the response, on a client: what to read from instead
	early   []byte             // received with the handshake
	guard   guard
	refused atomic.Pointer[FrameError]
	leaving atomic.Bool // a Close frame is being sent, and there is a deadline
}

// Read reads what the guard lets through.
func (c *guarded) Read(p []byte) (n int, err error) {
	if e := c.refused.Load(); e != nil {
		// Whoever still sends would not see our Close frame if the connection were
		// closed with input that nobody has read: TCP would reset it.
		if c.leaving.Load() {
			io.Copy(io.Discard, c.source())
		}
		return 0, e
	}
	if len(c.early) > 0 {
		n = copy(p, c.early)
		c.early = c.early[n:]
	} else {
		n, err = c.source().Read(p)
	}
	good, bad := c.guard.check(p[:max(n, 0)], time.Now())
	if bad != nil {
		c.refused.Store(bad)
		if good == 0 {
			return 0, bad
		}
		return good, nil
	}
	return n, err
}

// source is where bytes come from. HTTP may have read some of them already.
func (c *guarded) source() io.Reader {
	if c.body != nil {
		return c.body
	}
	return c.Conn
}

// Close closes the connection.
func (c *guarded) Close() error {
	if c.body != nil {
		return c.body.Close()
	}
	return c.Conn.Close()
}
