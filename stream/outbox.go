package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
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
// connection fails; flushed is how the session waits for it.
type outbox struct {
	conn    net.Conn
	limit   int
	timeout time.Duration
	trace   *tracer
	failed  func(error) // called without mu when a write fails
	writer  func()      // write, as a value: "go o.write()" would allocate one

	lastWrite atomic.Int64 // when something was written last; see ticks

	mu      sync.Mutex
	buf     *[]byte       // queued; nil when empty
	spare   *[]byte       // written, for what is queued next; nil when idle
	writing bool          // the writer goroutine exists
	idle    chan struct{} // closed when the goroutine ends; nil when nobody waits
	queued  uint64        // bytes ever queued
	taken   uint64        // bytes ever taken by the writer
	written uint64        // bytes ever written
	stanzas uint32        // stanzas ever queued, modulo 2³²
	room    chan struct{} // closed when room is made; nil when nobody waits
	waiting []*Receipt    // receipts to be told of a write, in order
	shut    bool          // the closing tag is queued
	reason  *Error        // the stream error queued before it, or nil
	err     error         // why nothing can be sent any more
	broken  bool          // a write failed: the writer drops what is queued

	session  *Session
	ledger   Ledger // in charge of the stanzas; nil when nobody is
	prompted bool   // the ledger has something to say
	settled  bool   // the ledger was told of the end
	lost     bool   // and that the session can be resumed
}

// buffers are pooled across sessions: a session that has just fallen silent
// leaves its buffer to the next one that speaks.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxPooled keeps rare large buffers out of the pool.
const maxPooled = 64 << 10

// writeChunk is how much is written under one deadline. A peer on a slow link
// has the whole of the write timeout for each, rather than for a full queue.
const writeChunk = 64 << 10

func takeBuffer() *[]byte { return buffers.Get().(*[]byte) }

func dropBuffer(b *[]byte) {
	if b != nil && cap(*b) <= maxPooled {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// How an Appender can fail without saying so.
var (
	errNothing     = errors.New("stream: nothing to send")
	errNotAppended = errors.New("stream: AppendXML did not append to the slice that it was given")
)

// mark is what stands in a buffer before an element is appended. XML cannot hold
// it, so it tells a slice that is ours from one that an Appender has kept
// somewhere and that must not get into the pool.
const mark = 0

// encode returns el's bytes in a buffer of the pool, behind a mark.
func encode(el Appender) (*[]byte, error) {
	b := takeBuffer()
	out, err := el.AppendXML(append((*b)[:0], mark))
	switch {
	case err != nil:
	case len(out) == 0 || out[0] != mark:
		err = errNotAppended
	case len(out) == 1:
		err = errNothing
	}
	if err != nil {
		dropBuffer(b)
		return nil, err
	}
	*b = out
	return b, nil
}

// init makes o ready for use.
func (o *outbox) init(s *Session, timeout time.Duration) {
	o.session = s
	o.conn, o.limit, o.timeout, o.trace, o.failed = s.conn, s.limits.OutboundBytes, timeout, s.trace, s.writeFailed
	o.writer = o.write
}

// errClosing is what a sender hears after the closing tag was queued.
var errClosing = fmt.Errorf("%w: the stream is being closed", ErrClosed)

// send queues whole elements. With wait it waits for room until ctx ends,
// otherwise it returns ErrFull. Nothing is queued when an error is returned.
func (o *outbox) send(ctx context.Context, b []byte, wait bool, k Kept) error {
	stanza := hasStanzaName(b)
	for {
		o.mu.Lock()
		if o.err != nil || o.shut {
			err, lost := o.err, o.lost
			o.mu.Unlock()
			if lost && stanza {
				return o.hold(ctx, b, wait, k)
			}
			if err == nil {
				err = errClosing
			}
			return err
		}
		k.Reader = wait && o.session.handling.Load()%2 == 1
		err := o.queueLocked(b, stanza, k)
		if err == nil || !wait || !errors.Is(err, ErrFull) {
			o.mu.Unlock()
			return err
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		if err := o.await(ctx, room, err); err != nil {
			return err
		}
	}
}

// queueLocked queues whole elements, if there is room for them.
func (o *outbox) queueLocked(b []byte, stanza bool, k Kept) error {
	r := k.Receipt
	pending := int(o.queued - o.written)
	// An element larger than the whole budget goes when nothing else is
	// waiting; otherwise it could never go.
	if pending > 0 && pending+len(b) > o.limit {
		return ErrFull
	}
	if stanza {
		if o.ledger != nil {
			if r != nil {
				r.manage(true)
			}
			if err := o.ledger.Keep(b, k); errors.Is(err, ErrRepeated) {
				k.Receipt.repeated()
				return nil
			} else if err != nil {
				// It may want to ask the peer for what makes room.
				o.prompted = true
				o.startLocked()
				return err
			}
		}
		o.stanzas++
	}
	o.appendLocked(b, r)
	return nil
}

// finish queues the last bytes of the stream: b, which encodes reason if that
// is not nil, and the closing tag. It reports false if that was done before.
// Resumable says that a managed session is not over with that.
func (o *outbox) finish(b []byte, reason *Error, resumable bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shut || o.err != nil {
		return false
	}
	if o.ledger != nil {
		// XEP-0198 §4: an acknowledgement right before the end, and none behind it.
		b = append(o.ledger.Last(nil), b...)
	}
	o.shut, o.reason = true, reason
	o.appendLocked(append(b, closingTag...), nil)
	if resumable {
		o.settleLocked(false, reason, o.queued)
	}
	o.wakeLocked()
	return true
}

// lastWords returns whether the closing tag was queued, and the stream error
// that went before it, if any.
func (o *outbox) lastWords() (shut bool, reason *Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shut, o.reason
}

func (o *outbox) appendLocked(b []byte, r *Receipt) {
	if o.buf == nil {
		if o.buf, o.spare = o.spare, nil; o.buf == nil {
			o.buf = takeBuffer()
		}
	}
	*o.buf = append(*o.buf, b...)
	o.queued += uint64(len(b))
	if r != nil {
		r.end = o.queued
		o.waiting = append(o.waiting, r)
	}
	o.startLocked()
}

// startLocked sees to it that the writer runs.
func (o *outbox) startLocked() {
	if !o.writing {
		o.writing = true
		// Owner: the outbox. Stops when the buffer is empty or a write fails.
		// Joined through flushed.
		go o.writer()
	}
}

// write is the writer goroutine.
func (o *outbox) write() {
	var written *[]byte // the buffer that was written last
	for {
		o.mu.Lock()
		o.consultLocked()
		buf, unused := o.buf, o.spare
		over := buf == nil || o.err != nil || o.broken
		o.buf, o.spare = nil, written
		if over {
			o.spare = nil
			o.writing = false
			if o.idle != nil {
				close(o.idle)
				o.idle = nil
			}
		} else {
			o.taken = o.queued
		}
		ledger := o.ledger
		o.mu.Unlock()
		dropBuffer(unused)
		if over {
			dropBuffer(buf)
			dropBuffer(written)
			return
		}

		if ledger != nil {
			ledger.Commit()
		}
		o.trace.wrote(*buf)
		err := o.transmit(*buf)
		*buf, written = (*buf)[:0], buf
		if err != nil {
			o.mu.Lock()
			o.broken = true
			o.mu.Unlock()
			o.failed(fmt.Errorf("stream: write: %w", err))
		}
	}
}

// transmit hands b to the connection, piece by piece.
func (o *outbox) transmit(b []byte) error {
	for {
		piece := b[:min(len(b), writeChunk)]
		now := time.Now()
		o.lastWrite.Store(ticks())
		o.conn.SetWriteDeadline(now.Add(o.timeout))
		n, err := o.conn.Write(piece)
		n = min(max(n, 0), len(piece))
		if n < len(piece) && err == nil {
			err = io.ErrShortWrite
		}
		b = b[n:]
		if len(b) == 0 && err == nil {
			// A deadline left behind would in time break what a TLS layer
			// writes of its own accord: the answer to a key update.
			o.conn.SetWriteDeadline(time.Time{})
		}
		o.progress(n, len(b) == 0 || err != nil)
		if err != nil || len(b) == 0 {
			return err
		}
	}
}

// progress accounts for n bytes that the connection has taken. Over means that
// nothing more will be written of what the writer holds.
func (o *outbox) progress(n int, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written += uint64(n)
	if over {
		o.taken = o.written
	}
	told := 0
	for told < len(o.waiting) && o.waiting[told].end <= o.written {
		o.waiting[told].advance(Written, nil)
		told++
	}
	o.forgetLocked(0, told)
	if o.err != nil {
		o.failLocked()
	}
	o.wakeLocked()
}

// forgetLocked removes receipts that have been told.
func (o *outbox) forgetLocked(from, to int) {
	if o.waiting = slices.Delete(o.waiting, from, to); len(o.waiting) == 0 {
		o.waiting = nil
	}
}

// failLocked tells the receipts of what will never be written. Those of what
// the writer holds right now are told when its write has returned: until then
// nobody knows.
func (o *outbox) failLocked() {
	i := len(o.waiting)
	for i > 0 && o.waiting[i-1].end > o.taken {
		i--
		o.waiting[i].advance(Failed, o.err)
	}
	o.forgetLocked(i, len(o.waiting))
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
	o.settleLocked(o.shut, err, o.taken)
	o.failLocked()
	o.wakeLocked()
}

// closedChan is for waits that are over before they begin.
var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// flushed returns a channel that is closed when the writer goroutine has
// ended.
func (o *outbox) flushed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing {
		return closedChan
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	return o.idle
}
