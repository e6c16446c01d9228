package ws_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing/iotest"
	"time"

	"stanzakit.dev/xmpp/stream/ws"
)

// pipe returns the two ends of a WebSocket in memory.
func pipe() (a, b *memory) {
	one, two := newQueue(), newQueue()
	return &memory{in: one, out: two}, &memory{in: two, out: one}
}

// message is what goes over the wire at once.
type message struct {
	text    string
	binary  bool
	closing bool // a Close frame
}

// queue is one direction: messages in order, and whether the sender is gone.
type queue struct {
	mu       sync.Mutex
	messages []message
	gone     bool
	wake     chan struct{}
	deadline *time.Timer
	late     bool
}

func newQueue() *queue { return &queue{wake: make(chan struct{})} }

func (q *queue) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	close(q.wake)
	q.wake = make(chan struct{})
}

var errCut = errors.New("memory: connection lost")

func (q *queue) next() (message, error) {
	for {
		q.mu.Lock()
		wake := q.wake
		switch {
		case q.late:
			q.mu.Unlock()
			return message{}, os.ErrDeadlineExceeded
		case len(q.messages) > 0:
			m := q.messages[0]
			q.messages = q.messages[1:]
			q.mu.Unlock()
			return m, nil
		case q.gone:
			q.mu.Unlock()
			return message{}, errCut
		}
		q.mu.Unlock()
		<-wake
	}
}

// memory is one end.
type memory struct {
	in, out *queue
	slow    bool // reads return one byte at a time
	pings   int

	mu     sync.Mutex
	closed bool
	sent   []string // text messages
}

var _ interface {
	ws.MessageConn
	ws.Pinger
} = (*memory)(nil)

func (m *memory) NextMessage() (io.Reader, bool, error) {
	next, err := m.in.next()
	if err != nil || next.closing {
		if next.closing {
			err = io.EOF
		}
		return nil, false, err
	}
	var r io.Reader = strings.NewReader(next.text)
	if m.slow {
		r = iotest.OneByteReader(r)
	}
	return r, !next.binary, nil
}

func (m *memory) WriteMessage(p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	m.sent = append(m.sent, string(p))
	m.push(message{text: string(p)})
	return nil
}

func (m *memory) push(msg message) {
	m.out.change(func() { m.out.messages = append(m.out.messages, msg) })
}

func (m *memory) Ping() { m.pings++ }

func (m *memory) Close(int, string) error {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	m.mu.Unlock()
	if first {
		m.push(message{closing: true})
	}
	for {
		switch next, err := m.in.next(); {
		case err != nil:
			return err
		case next.closing:
			m.in.change(func() { m.in.messages = append(m.in.messages, next) })
			return nil
		}
	}
}

func (m *memory) CloseNow() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.in.change(func() { m.in.gone = true })
	m.out.change(func() { m.out.gone = true })
	return nil
}

func (m *memory) SetReadDeadline(t time.Time) error {
	q := m.in
	q.change(func() {
		if q.deadline != nil {
			q.deadline.Stop()
		}
		if q.late = false; !t.IsZero() {
			q.deadline = time.AfterFunc(time.Until(t), func() { q.change(func() { q.late = true }) })
		}
	})
	return nil
}

func (m *memory) SetWriteDeadline(time.Time) error { return nil }

func (m *memory) LocalAddr() net.Addr  { return address{} }
func (m *memory) RemoteAddr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }
