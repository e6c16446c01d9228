package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrFull is returned by TrySend when the bytes queued for the peer have
// reached Limits.OutboundBytes.
var ErrFull = errors.New("stream: outbound queue is full")

// outbox is the writing half of a session. Senders append whole elements to a
// buffer; one writer goroutine takes all that is there at once and writes it.
// The goroutine lives only while there is something to write, and the buffers
// go back to a pool when it ends, so an idle session has neither.
//
// The goroutine is owned by the outbox. It ends when the buffer is empty or the
// connection fails; done is closed by then, which is how the session waits for
// it.
type outbox struct {
	conn    net.Conn
	limit   int
	timeout time.Duration
	trace   *tracer
	failed  func(error) // called without mu when a write fails

	mu      sync.Mutex
	buf     *[]byte       // queued; nil when empty
	writing bool          // the writer goroutine exists
	idle    chan struct{} // closed when the goroutine ends; nil without one
	queued  uint64        // bytes ever queued
	written uint64        // bytes ever written
	stanzas uint32        // stanzas ever queued, modulo 2³²
	room    chan struct{} // closed when room is made; nil when nobody waits
	waiting []*Receipt    // receipts to be told of a write, in order
	shut    bool          // the closing tag is queued
	err     error         // why nothing can be sent any more
}

// buffers are pooled across sessions: a session that has just fallen silent
// leaves its buffer to the next one that speaks.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxPooled keeps rare large buffers out of the pool.
const maxPooled = 64 << 10

func takeBuffer() *[]byte { return buffers.Get().(*[]byte) }

func dropBuffer(b *[]byte) {
	if b != nil && cap(*b) <= maxPooled {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// encode returns el's bytes in a buffer of the pool.
func encode(el Appender) (*[]byte, error) {
	b := takeBuffer()
	out, err := el.AppendXML((*b)[:0])
	if err == nil && len(out) == 0 {
		err = errors.New("stream: nothing to send")
	}
	if err != nil {
		dropBuffer(b)
		return nil, err
	}
	*b = out
	return b, nil
}

// send queues whole elements. With wait it waits for room until ctx ends,
// otherwise it returns ErrFull. Nothing is queued when an error is returned.
func (o *outbox) send(ctx context.Context, b []byte, wait bool, r *Receipt) error {
	for {
		o.mu.Lock()
		if o.err != nil || o.shut {
			err := o.err
			o.mu.Unlock()
			if err == nil {
				err = fmt.Errorf("%w: the stream is being closed", ErrClosed)
			}
			return err
		}
		pending := int(o.queued - o.written)
		// An element larger than the whole budget goes when nothing else is
		// waiting; otherwise it could never go.
		if pending == 0 || pending+len(b) <= o.limit {
			if hasStanzaName(b) {
				o.stanzas++
			}
			o.appendLocked(b, r)
			o.mu.Unlock()
			return nil
		}
		if !wait {
			o.mu.Unlock()
			return ErrFull
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// finish queues the last bytes of the stream: a stream error perhaps, and the
// closing tag. It reports false if that was done before.
func (o *outbox) finish(b []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shut || o.err != nil {
		return false
	}
	o.shut = true
	o.appendLocked(b, nil)
	o.wakeLocked()
	return true
}

func (o *outbox) appendLocked(b []byte, r *Receipt) {
	if o.buf == nil {
		o.buf = takeBuffer()
	}
	*o.buf = append(*o.buf, b...)
	o.queued += uint64(len(b))
	if r != nil {
		r.end = o.queued
		o.waiting = append(o.waiting, r)
	}
	if !o.writing {
		o.writing = true
		o.idle = make(chan struct{})
		// Owner: the outbox. Stops when the buffer is empty or a write fails.
		// Joined through o.idle by flushed.
		go o.write()
	}
}

// write is the writer goroutine.
func (o *outbox) write() {
	for {
		o.mu.Lock()
		buf := o.buf
		o.buf = nil
		if buf == nil || o.err != nil {
			o.writing = false
			close(o.idle)
			o.mu.Unlock()
			dropBuffer(buf)
			return
		}
		o.mu.Unlock()

		o.trace.wrote(*buf)
		o.conn.SetWriteDeadline(time.Now().Add(o.timeout))
		n, err := o.conn.Write(*buf)

		o.mu.Lock()
		o.written += uint64(n)
		o.tellLocked()
		o.wakeLocked()
		o.mu.Unlock()
		dropBuffer(buf)
		if err != nil {
			o.failed(fmt.Errorf("stream: write: %w", err))
		}
	}
}

// tellLocked advances the receipts that the last write covered.
func (o *outbox) tellLocked() {
	n := 0
	for n < len(o.waiting) && o.waiting[n].end <= o.written {
		o.waiting[n].advance(Written, nil)
		n++
	}
	o.waiting = append(o.waiting[:0], o.waiting[n:]...)
}

func (o *outbox) wakeLocked() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// stop makes every later and waiting send fail with err.
func (o *outbox) stop(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.err = err
	for _, r := range o.waiting {
		r.advance(Failed, err)
	}
	o.waiting = nil
	o.wakeLocked()
}

// flushed returns a channel that is closed when the writer goroutine has
// ended.
func (o *outbox) flushed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.idle == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return o.idle
}
