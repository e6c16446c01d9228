package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"stanzakit.dev/xmpp/stream/ws"
)

// subprotocol is that of RFC 7395 §5.1.
const subprotocol = "xmpp"

// refusalTime bounds the goodbye to a peer that has violated the protocol.
const refusalTime = 500 * time.Millisecond

// pingTimeout bounds the wait for a Pong.
const pingTimeout = 10 * time.Second

// conn is a WebSocket of the library as a ws.MessageConn. Deadlines are those of
// the connection beneath, so that a call costs neither a goroutine nor a timer.
type conn struct {
	c       *websocket.Conn
	raw     net.Conn // what the handshake was on: TCP or TLS
	guarded *guarded
	pinging atomic.Bool
}

var _ interface {
	ws.MessageConn
	ws.Pinger
} = (*conn)(nil)

// newConn takes over a WebSocket. The limits are those of the stream above and of
// the guard.
func newConn(c *websocket.Conn, g *guarded) *conn {
	c.SetReadLimit(-1)
	return &conn{c: c, raw: g.Conn, guarded: g}
}

// NextMessage waits for the next message.
func (m *conn) NextMessage() (io.Reader, bool, error) {
	kind, r, err := m.c.Reader(context.Background())
	if err != nil {
		return nil, false, m.readFailed(err)
	}
	return content{m, r}, kind == websocket.MessageText, nil
}

// content is the content of a message.
type content struct {
	m *conn
	r io.Reader
}

func (c content) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = c.m.readFailed(err)
	}
	return n, err
}

// readFailed says why nothing more can be read. A peer that is to blame is told.
func (m *conn) readFailed(err error) error {
	if bad := m.guarded.refused.Load(); bad != nil {
		// The guard lets nothing through any more: what is waited for is that the
		// peer has seen the Close frame.
		m.raw.SetDeadline(time.Now().Add(refusalTime))
		m.guarded.leaving.Store(true)
		m.c.Close(websocket.StatusCode(bad.Code), bad.Reason)
		return bad
	}
	switch websocket.CloseStatus(err) {
	case -1:
		return err
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return io.EOF
	}
	var closed websocket.CloseError
	errors.As(err, &closed)
	return &PeerError{Code: int(closed.Code), Reason: closed.Reason}
}

// WriteMessage sends a text message.
func (m *conn) WriteMessage(p []byte) error {
	err := m.c.Write(context.Background(), websocket.MessageText, p)
	if err != nil && errors.Is(err, net.ErrClosed) && m.guarded.refused.Load() != nil {
		return m.guarded.refused.Load()
	}
	return err
}

// Ping sends a Ping frame in the background, unless one is on its way.
func (m *conn) Ping() {
	if !m.pinging.CompareAndSwap(false, true) {
		return
	}
	// Owner: the connection. Ends with it or after pingTimeout, whichever is first;
	// nothing has to wait for it.
	go func() {
		defer m.pinging.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
		defer cancel()
		m.c.Ping(ctx)
	}()
}

// Close closes the WebSocket in good order.
func (m *conn) Close(code int, reason string) error {
	return m.c.Close(websocket.StatusCode(code), reason)
}

// CloseNow drops the connection. TLS is not asked to say goodbye, which would take
// as long as the peer likes.
func (m *conn) CloseNow() error {
	err := beneath(m.raw).Close()
	m.c.CloseNow()
	return err
}

func (m *conn) SetReadDeadline(t time.Time) error  { return m.raw.SetReadDeadline(t) }
func (m *conn) SetWriteDeadline(t time.Time) error { return m.raw.SetWriteDeadline(t) }
func (m *conn) LocalAddr() net.Addr                { return m.raw.LocalAddr() }
func (m *conn) RemoteAddr() net.Addr               { return m.raw.RemoteAddr() }
