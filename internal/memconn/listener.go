package memconn

import (
	"context"
	"net"
	"sync"
)

// Listen returns a listener for in-memory connections.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Listener hands connections made by Dial to Accept. It holds no backlog: Dial
// waits until Accept takes its connection, so nothing is left behind when the
// listener closes. Its methods are safe for concurrent use.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Dial connects to the listener. It waits for Accept, for ctx, or for the
// listener to close, which gives an error that wraps [net.ErrClosed].
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", err)
	}
	near, far := Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, opError("dial", net.ErrClosed)
	case <-ctx.Done():
		return nil, opError("dial", ctx.Err())
	}
}

// Accept waits for the next connection. After Close it returns an error that
// wraps [net.ErrClosed].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done: // first, so that nothing is accepted after Close returned
		return nil, opError("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, opError("accept", net.ErrClosed)
	}
}

// Close makes Dial and Accept fail from now on. Connections live on. Closing
// again does nothing.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr returns an address whose network is "mem".
func (l *Listener) Addr() net.Addr { return addr{} }
