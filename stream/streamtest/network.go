package streamtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options says what a network is like. Nil and the zero value are a network on
// which nothing breaks and nothing takes time.
type Options struct {
	// Seed is where all that looks random comes from.
	Seed uint64

	// Up and Down are what the two directions of each connection are like.
	Up, Down Path

	// Plan says what happens to a connection; it is asked for each attempt to
	// make one. Nil, or a nil Script, leaves it to Chaos. It must not call the
	// network.
	Plan func(ConnID) *Script

	// Chaos breaks connections by chance. Nil breaks none.
	Chaos *Chaos

	// Buffer is how many bytes of one direction may be under way and unread.
	// Zero means 65,536. A Write waits while they are.
	Buffer int

	// Backlog is how many connections may wait for Accept at a listener. Zero
	// means 128. One more is refused.
	Backlog int

	// LogEvents is how many events the log keeps. Zero means 65,536. Later
	// ones are only counted.
	LogEvents int
}

// Network is a virtual network: hosts, listeners, and connections between them
// that break as its options say. It has no goroutines, and does all waiting with
// package time and with condition variables, so one that is made in a bubble of
// testing/synctest follows its clock. It works outside of bubbles too.
//
// All methods are safe for concurrent use.
type Network struct {
	opts  Options
	began time.Time

	mu        sync.Mutex
	hosts     map[string]*Host
	byAddr    map[netip.Addr]*Host
	listeners map[string]*listener // by "name:port"
	attempts  map[ConnID]int       // how many, by From and To
	links     map[*link]struct{}
	closed    bool
	done      chan struct{} // closed with the network
	resolver  Resolver

	logMu    sync.Mutex
	journals []*journal
	kept     int
	lost     int
}

// NewNetwork returns a network. In a bubble it must have been made there.
func NewNetwork(opts *Options) *Network {
	n := &Network{
		began:     time.Now(),
		hosts:     make(map[string]*Host),
		byAddr:    make(map[netip.Addr]*Host),
		listeners: make(map[string]*listener),
		attempts:  make(map[ConnID]int),
		links:     make(map[*link]struct{}),
		done:      make(chan struct{}),
	}
	if opts != nil {
		n.opts = *opts
	}
	n.opts.Buffer = cmp.Or(max(n.opts.Buffer, 0), 65_536)
	n.opts.Backlog = cmp.Or(max(n.opts.Backlog, 0), 128)
	n.opts.LogEvents = cmp.Or(max(n.opts.LogEvents, 0), 65_536)
	n.resolver.network = n
	return n
}

// now is the time since the network began.
func (n *Network) now() time.Duration { return time.Since(n.began) }

// Host is a machine on a network: what dials has one to dial from.
type Host struct {
	network *Network
	name    string
	addr    netip.Addr
	port    uint16 // the last one that an outgoing connection had
}

// Host returns the host of a name, in lower case, which exists from now on and
// has an address of its own in 10.0.0.0/8.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.host(name)
}

func (n *Network) host(name string) *Host {
	name = canonical(name)
	h := n.hosts[name]
	if h == nil {
		i := len(n.hosts) + 1
		h = &Host{network: n, name: name, addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), port: 49_151}
		n.hosts[name] = h
		n.byAddr[h.addr] = h
	}
	return h
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Name returns the name of the host.
func (h *Host) Name() string { return h.name }

// Addr returns the address of the host.
func (h *Host) Addr() netip.Addr { return h.addr }

// DialContext makes a connection from this host. The address is "host:port",
// the host being a name or an address of the network. It takes the time that a
// TCP handshake takes there. It is a ContextDialer of package dial.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.network.dial(ctx, h, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return c, nil
}

// DialContext makes a connection from a host that is named "client"; see
// [Host.DialContext].
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.Host("client").DialContext(ctx, network, address)
}

// target returns what an address means as "name:port", and its host.
func (n *Network) target(address string) (string, *Host, uint16, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", nil, 0, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || name == "" {
		return "", nil, 0, &net.AddrError{Err: "no usable host and port", Addr: address}
	}
	var h *Host
	if ip, err := netip.ParseAddr(name); err == nil {
		if h = n.byAddr[ip.Unmap()]; h == nil {
			return "", nil, 0, os.NewSyscallError("connect", syscall.ENETUNREACH)
		}
	} else {
		h = n.host(name)
	}
	return net.JoinHostPort(h.name, port), h, uint16(number), nil
}

func (n *Network) dial(ctx context.Context, from *Host, address string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	to, host, port, err := n.target(address)
	if err != nil {
		n.mu.Unlock()
		return nil, err
	}
	id := ConnID{From: from.name, To: to}
	n.attempts[id]++
	id.N = n.attempts[ConnID{From: from.name, To: to}]
	if from.port++; from.port < 49_152 {
		from.port = 49_152
	}
	near := net.TCPAddrFromAddrPort(netip.AddrPortFrom(from.addr, from.port))
	far := net.TCPAddrFromAddrPort(netip.AddrPortFrom(host.addr, port))
	n.mu.Unlock()

	s := n.script(id)
	l := newLink(n, id, s)
	if s.Dial == Unanswered {
		l.note(Event{At: n.now(), Kind: Ignored})
		return nil, n.pass(ctx, never)
	}
	// The packet with SYN goes there, and the answer back.
	if err := n.pass(ctx, l.pipes[Up].path.Latency); err != nil {
		return nil, err
	}
	n.mu.Lock()
	listening := n.listeners[to]
	refused := s.Dial == Refused || n.closed || listening == nil || len(listening.backlog) == cap(listening.backlog)
	if !refused {
		n.links[l] = struct{}{}
		l.note(Event{At: n.now(), Kind: Dialled})
		l.begin()
		listening.backlog <- &Conn{link: l, side: 1, local: far, remote: near} // there is room, and n.mu is held
	}
	n.mu.Unlock()
	if refused {
		l.note(Event{At: n.now(), Kind: NotConnected})
	}
	err = n.pass(ctx, l.pipes[Down].path.Latency)
	switch {
	case refused && err == nil:
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	case refused:
		return nil, err
	case err != nil:
		l.close(0)
		return nil, err
	}
	return &Conn{link: l, side: 0, local: near, remote: far}, nil
}

// script returns what happens to a connection.
func (n *Network) script(id ConnID) *Script {
	n.mu.Lock()
	plan := n.opts.Plan
	n.mu.Unlock()
	if plan != nil {
		if s := plan(id); s != nil {
			return s
		}
	}
	if n.opts.Chaos != nil {
		return n.opts.Chaos.script(derive(n.opts.Seed, "chaos", id))
	}
	return new(Script)
}

// SetPlan replaces [Options].Plan for connections that are made from now on: for
// an experiment whose plan depends on its seed.
func (n *Network) SetPlan(plan func(ConnID) *Script) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opts.Plan = plan
}

// pass waits for a time to pass.
func (n *Network) pass(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	var over <-chan time.Time
	if d != never {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.done:
		return net.ErrClosed
	}
}

// forget removes a connection both ends of which have been closed.
func (n *Network) forget(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
}

// Break lets a fault happen now in direction d of the open connections that
// match; After is not looked at. A nil match means all of them.
func (n *Network) Break(d Direction, f Fault, match func(ConnID) bool) {
	for _, l := range n.open() {
		if match == nil || match(l.id) {
			l.mu.Lock()
			l.strike(int(d&1), f, n.now())
			l.mu.Unlock()
		}
	}
}

// open returns the links with an end that was not closed, in order.
func (n *Network) open() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*link
	for l := range n.links {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *link) int { return a.id.compare(b.id) })
	return out
}

func (c ConnID) compare(o ConnID) int {
	return cmp.Or(strings.Compare(c.From, o.From), strings.Compare(c.To, o.To), cmp.Compare(c.N, o.N))
}

// Open returns the connections of which an end was not closed, each with the
// side that has to close it, as "client→server:5222#1 (client)". It is empty
// when a program has tidied up.
func (n *Network) Open() []string {
	var out []string
	for _, l := range n.open() {
		l.mu.Lock()
		for i, who := range []string{l.id.From, l.id.To} {
			if !l.ends[i].closed {
				out = append(out, fmt.Sprintf("%s (%s)", l.id, who))
			}
		}
		l.mu.Unlock()
	}
	return out
}

// Close takes the network down: listeners and connections are closed at both
// ends, attempts to connect fail. It is idempotent and returns nil.
func (n *Network) Close() error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.done)
	}
	var listening []*listener
	for _, l := range n.listeners {
		listening = append(listening, l)
	}
	n.mu.Unlock()
	for _, l := range listening {
		l.Close()
	}
	for _, l := range n.open() {
		l.close(0)
		l.close(1)
	}
	return nil
}

// errInUse is why a second listener on one address fails.
var errInUse = errors.New("streamtest: address in use")
