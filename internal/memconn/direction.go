package memconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize bounds the bytes in flight in one direction. A writer waits while
// the buffer is full.
const bufferSize = 64 << 10

// firstBufferSize is what a direction takes when the first byte is written, so
// that a test with thousands of connections stays small.
const firstBufferSize = 512

// direction carries bytes one way: one end writes, the other reads.
type direction struct {
	mu   sync.Mutex
	cond sync.Cond // signals every change below

	ring       []byte // capacity doubles from firstBufferSize up to bufferSize
	start, len int    // the unread bytes, beginning at ring[start], wrapping around

	writing bool // a Write is under way: the bytes of two Writes never mix

	writerClosed bool // the writing end called Close
	writeEnded   bool // no more bytes will come: Close or CloseWrite
	readerClosed bool // the reading end called Close

	readDeadline, writeDeadline deadline
}

func (d *direction) init() { d.cond.L = &d.mu }

func (d *direction) read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.readerClosed:
			return 0, net.ErrClosed
		case d.readDeadline.expired:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case d.len > 0:
			n := d.take(p)
			d.cond.Broadcast()
			return n, nil
		case d.writeEnded:
			return 0, io.EOF
		}
		d.cond.Wait()
	}
}

func (d *direction) write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.writing {
		if err := d.writable(); err != nil {
			return 0, err
		}
		d.cond.Wait()
	}
	d.writing = true
	defer func() {
		d.writing = false
		d.cond.Broadcast()
	}()
	for n := 0; ; {
		if err := d.writable(); err != nil {
			return n, err
		}
		n += d.put(p[n:])
		d.cond.Broadcast()
		if n == len(p) {
			return n, nil
		}
		d.cond.Wait()
	}
}

// writable returns why nothing can be written now, or nil.
func (d *direction) writable() error {
	switch {
	case d.writerClosed:
		return net.ErrClosed
	case d.writeEnded, d.readerClosed:
		return io.ErrClosedPipe
	case d.writeDeadline.expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// put copies as much of p into the ring as fits.
func (d *direction) put(p []byte) int {
	if want := d.len + len(p); want > len(d.ring) && len(d.ring) < bufferSize {
		size := max(firstBufferSize, len(d.ring))
		for size < min(want, bufferSize) {
			size *= 2
		}
		grown := make([]byte, size)
		held := d.len
		d.take(grown)
		d.ring, d.start, d.len = grown, 0, held
	}
	total := 0
	for total < len(p) && d.len < len(d.ring) {
		end := (d.start + d.len) % len(d.ring)
		free := d.ring[end:]
		if end < d.start {
			free = d.ring[end:d.start]
		}
		n := copy(free, p[total:])
		total += n
		d.len += n
	}
	return total
}

// take moves unread bytes into p.
func (d *direction) take(p []byte) int {
	total := 0
	for total < len(p) && d.len > 0 {
		n := copy(p[total:], d.ring[d.start:min(d.start+d.len, len(d.ring))])
		total += n
		d.len -= n
		d.start = (d.start + n) % len(d.ring)
	}
	return total
}

// endWriting makes the reader see the end after what is buffered. With closed
// the writing end is gone altogether, after which calling it again is an error.
func (d *direction) endWriting(closed bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writerClosed {
		return net.ErrClosed
	}
	d.writeEnded = true
	if closed {
		d.writerClosed = true
		d.writeDeadline.stop()
	}
	d.cond.Broadcast()
	return nil
}

// endReading discards what is buffered; writers fail from now on.
func (d *direction) endReading() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readerClosed = true
	d.ring, d.start, d.len = nil, 0, 0
	d.readDeadline.stop()
	d.cond.Broadcast()
}

func (d *direction) setReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.readerClosed {
		return net.ErrClosed
	}
	d.readDeadline.set(t, d)
	return nil
}

func (d *direction) setWriteDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writerClosed {
		return net.ErrClosed
	}
	d.writeDeadline.set(t, d)
	return nil
}

// deadline is one read or write deadline; the mutex of its direction guards it.
type deadline struct {
	timer   *time.Timer
	setting int // counts calls of set: a timer that fired too late knows by it
	expired bool
}

func (dl *deadline) set(t time.Time, d *direction) {
	dl.stop()
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait <= 0:
		dl.expired = true
		d.cond.Broadcast()
	default:
		setting := dl.setting
		dl.timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if dl.setting == setting {
				dl.expired = true
				d.cond.Broadcast()
			}
		})
	}
}

func (dl *deadline) stop() {
	if dl.timer != nil {
		dl.timer.Stop()
		dl.timer = nil
	}
	dl.setting++
	dl.expired = false
}
