package streamtest

import (
	"net"
	"net/netip"
	"sync"
)

// listener is a listener of a network.
type listener struct {
	network *Network
	key     string
	addr    *net.TCPAddr
	backlog chan *Conn
	done    chan struct{}
	once    sync.Once
}

// Listen listens on an address, "host:port" with a name that becomes a host of
// the network. The connections that it accepts are of type [*Conn].
func (n *Network) Listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fail := func(err error) (net.Listener, error) { return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err} }
	if n.closed {
		return fail(net.ErrClosed)
	}
	key, host, port, err := n.target(address)
	if err != nil {
		return fail(err)
	}
	if n.listeners[key] != nil {
		return fail(errInUse)
	}
	l := &listener{
		network: n,
		key:     key,
		addr:    net.TCPAddrFromAddrPort(netip.AddrPortFrom(host.addr, port)),
		backlog: make(chan *Conn, n.opts.Backlog),
		done:    make(chan struct{}),
	}
	n.listeners[key] = l
	return l, nil
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done: // first, so that nothing is accepted after Close returned
	default:
		select {
		case c := <-l.backlog:
			return c, nil
		case <-l.done:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}

// Close makes dialling and accepting fail from now on; what waits to be
// accepted is reset, connections that were accepted live on.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, l.key) // nothing more gets into the backlog
		l.network.mu.Unlock()
		close(l.done)
	})
	for {
		select {
		case c := <-l.backlog:
			c.link.refuse()
		default:
			return nil
		}
	}
}

// Addr returns a [*net.TCPAddr].
func (l *listener) Addr() net.Addr { return l.addr }
