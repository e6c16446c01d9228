package main

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// cutter cuts connections at random moments, in random ways.
type cutter struct {
	mean time.Duration // how long most of the connections last
	calm atomic.Bool   // no more cuts
	cuts [ways]atomic.Int64

	ghosts sync.WaitGroup // connections whose other end has not noticed
}

// The ways in which a connection is cut.
const (
	closed   = iota // by the operating system of the client, in good order
	reset           // at once
	midWrite        // the last thing written is a part of what was to be
	midRead         // the last thing read is a part of what had come
	ghost           // for the client alone: the server notices a second later
	ways
)

// total returns how often a connection was cut.
func (c *cutter) total() (n int64) {
	for i := range c.cuts {
		n += c.cuts[i].Load()
	}
	return n
}

// errCut is what the client gets to see.
var errCut = errors.New("the connection was cut")

// wrap returns a connection that will be cut. A sixth of them may not even live to
// the end of the negotiation.
func (c *cutter) wrap(nc net.Conn, random *rand.Rand) net.Conn {
	span := 2 * c.mean
	if random.IntN(6) == 0 {
		span = 20 * time.Millisecond
	}
	f := &frail{Conn: nc, cutter: c, way: random.IntN(ways), share: random.Float64()}
	f.timer = time.AfterFunc(time.Duration(random.Int64N(int64(span))), f.expire)
	return f
}

// frail is a connection that will be cut.
type frail struct {
	net.Conn
	cutter *cutter
	way    int
	share  float64 // how much of the last bytes gets through
	timer  *time.Timer

	mu    sync.Mutex
	armed bool // the next Write, or Read, is the last
	gone  bool
}

// expire is called when the time has come.
func (f *frail) expire() {
	if f.cutter.calm.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.way {
	case midWrite, midRead:
		f.armed = true
	default:
		f.cutLocked()
	}
}

// cutLocked cuts the connection.
func (f *frail) cutLocked() {
	if f.gone {
		return
	}
	f.gone = true
	f.cutter.cuts[f.way].Add(1)
	if f.way == ghost {
		f.Conn.SetReadDeadline(time.Unix(1, 0)) // whoever reads now
		// Owner: the cutter. Ends after a second. Joined by the test, through ghosts.
		f.cutter.ghosts.Add(1)
		time.AfterFunc(time.Second, func() {
			defer f.cutter.ghosts.Done()
			f.Conn.Close()
		})
		return
	}
	if tc, ok := f.Conn.(*net.TCPConn); ok && (f.way == reset || f.share < 0.5) {
		tc.SetLinger(0)
	}
	f.Conn.Close()
}

// last reports whether this is the last Write or Read.
func (f *frail) last(way int) (last, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.armed && f.way == way, f.gone
}

func (f *frail) Write(b []byte) (int, error) {
	last, gone := f.last(midWrite)
	switch {
	case gone:
		return 0, errCut
	case !last:
		return f.Conn.Write(b)
	}
	n, _ := f.Conn.Write(b[:int(f.share*float64(len(b)))])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutLocked()
	return n, errCut
}

func (f *frail) Read(b []byte) (int, error) {
	if _, gone := f.last(midRead); gone {
		return 0, errCut
	}
	n, err := f.Conn.Read(b)
	last, gone := f.last(midRead)
	switch {
	case gone && f.way == ghost:
		return 0, errCut
	case !last:
		return n, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutLocked()
	return int(f.share * float64(n)), errCut
}

func (f *frail) Close() error {
	f.timer.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil // or will be
	}
	f.gone = true
	return f.Conn.Close()
}

func (f *frail) SetReadDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil
	}
	return f.Conn.SetReadDeadline(t)
}

func (f *frail) SetDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return nil
	}
	return f.Conn.SetDeadline(t)
}
