package stanza

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// ErrBusy is returned to a second consumer: [Conn.All] or [Conn.Serve] is
// running already. It is [stream.ErrBusy].
var ErrBusy = stream.ErrBusy

// Options says how a [Conn] works. The zero value of each field is a safe
// default; nil options are the zero Options.
type Options struct {
	// Parallel is how many handlers [Conn.Serve] runs at the same time, each
	// for another peer. Zero or less means 8; with 1 all stanzas are handled
	// one after the other, in the order in which they came.
	Parallel int

	// Requests is how many calls of [Conn.Do] may wait for their replies at the
	// same time; one more gets [ErrTooManyRequests]. Zero or less means 1024.
	Requests int

	// Router is for a consumer that passes stanzas on to their addressees
	// instead of answering them. With it the consumer also gets results and
	// errors that answer no request of this Conn, and a request that it has not
	// answered is left to it. Without it, such replies are dropped and counted
	// (RFC 6120 §10.3.3 rule 3), and such requests are answered.
	Router bool

	// Report is told what went wrong in a handler: the error that it returned,
	// unless that is what the peer was told, or a *[stream.PanicError]. The
	// stanza is borrowed until Report returns. Report may be called
	// concurrently. Nil means that errors are logged with [log/slog.Default],
	// without the contents of the stanza.
	Report func(ctx context.Context, st Stanza, err error)

	// Supervisor finds another session when one was lost. Nil means that the Conn
	// ends with its session. Programs set Reconnect of the Client of package xmpp
	// rather than this.
	Supervisor Supervisor

	// QueueStanzas and QueueBytes bound what is kept of stanzas that are sent while
	// there is no session; who sends one more waits for room. Zero or less means
	// 1,000 stanzas and 1 MiB. They are of use with a Supervisor only.
	QueueStanzas, QueueBytes int
}

const (
	defaultParallel = 8
	defaultRequests = 1024
)

// Conn is a session seen as stanzas. It matches replies to requests ([Conn.Do])
// and hands everything else to one consumer: the caller's own loop ([Conn.All])
// or handlers ([Conn.Serve]).
//
// A Conn reads all the time, consumer or not, so replies always arrive. What
// nobody has taken yet waits in a queue that is bounded by Limits.InboundBytes
// of the session. When that is full the Conn stops reading and TCP slows the
// peer down. The exception is while a Do waits: its reply may be behind what
// does not fit. Then up to half as much again is queued, and after that the
// waiting calls fail with [ErrOverflow]. Nothing is dropped.
//
// On the receiving side of a client-to-server stream every stanza handed out
// has the address that the client has authenticated and bound as its From,
// whatever the client wrote there (RFC 6120 §8.1.2.1 rule 1). That is RemoteAddr:
// the bare JID or none at all if the profile of the stream asks for no more.
//
// All methods are safe for concurrent use, from within handlers too. A Conn
// lives until its session has ended; end it with [Conn.Close] or [Conn.Abort].
//
// A Conn with a [Supervisor] outlives its sessions. Whoever consumes it notices
// nothing when one takes the place of another: what the earlier one has brought
// comes first. What is sent meanwhile is queued, and a request stays open if its
// session is resumed (XEP-0198 §5), or was not sent yet; otherwise it fails with the
// cause of the loss. Done, Err and the ends of loops are about the Conn then, and
// LocalAddr may be another one on a fresh session.
type Conn struct {
	opts Options
	// link is the session beneath. It is behind a pointer because a Conn may
	// outlive its session: whoever resumes one attaches it here.
	link atomic.Pointer[link]
	done chan struct{} // closed when the Conn has ended

	room  chan struct{} // tells the reader to look again; has room for one
	avail chan struct{} // tells the consumer to look again; has room for one

	mu      sync.Mutex
	queue   queue
	calls   pending
	handled prefix
	open    []*request // requests whose step is running
	stats   Stats

	consuming bool  // there is a consumer
	stalled   bool  // the reader waits for room
	hungry    bool  // the consumer waits for a stanza
	closing   bool  // Close was called
	gap       bool  // a stanza was discarded: nothing more of this session is taken
	clean     bool  // the stream was closed in good order
	err       error // why the Conn has ended; set before done is closed

	// What follows is of use with a Supervisor only, but for up.

	life context.Context // ends when the program ends the Conn, or nobody else
	stop context.CancelCauseFunc
	up   atomic.Bool // the session takes what is sent; set with mu held

	unsent    backlog       // waits for a session
	flow      chan struct{} // closed when senders should look again; nil when none waits
	left      int           // how many stanzas the end has left unsent
	restorers []restorer
	restoring bool          // the restorers have not all been called on this session
	before    uint64        // stanzas up to this one came on earlier sessions
	settled   chan struct{} // closed when those are handled; nil when nobody waits
}

// link is a session that a Conn runs on.
type link struct {
	t    transport
	who  parties
	read chan struct{} // closed when the permanent reader has ended

	// Of a session that follows another one:
	cancel  context.CancelFunc // ends opening
	opening sync.WaitGroup
}

// transport is what a Conn needs of a *[stream.Session].
type transport interface {
	LocalAddr() jid.JID
	RemoteAddr() jid.JID
	Role() stream.Role
	Profile() stream.Profile
	Limits() stream.Limits
	Send(ctx context.Context, el stream.Appender) error
	TrySend(el stream.Appender) error
	SendReceipt(ctx context.Context, el stream.Appender) (*stream.Receipt, error)
	Serve(handle func(*stream.Element) error) error
	CountWith(c stream.Counter)
	Done() <-chan struct{}
	Err() error
	Close(ctx context.Context) error
	Abort(cause error)
}

// Stats counts what a [Conn] did not hand to its consumer.
type Stats struct {
	// Unsolicited counts results and errors that answered no request: late
	// ones, repeated ones, and those from somebody who was not asked.
	Unsolicited uint64
	// Malformed counts stanzas that break the rules of RFC 6120 §8. Their
	// senders were told, where that is allowed.
	Malformed uint64
	// Discarded counts stanzas for which there was no room while this side was
	// closing the stream, or before the session ended. They never count as
	// handled.
	Discarded uint64
}

// NewConn returns a Conn on a negotiated session and begins to read. The session
// belongs to the Conn from then on: do not call its Serve, and end it through
// the Conn. opts may be nil; it is copied.
func NewConn(session *stream.Session, opts *Options) *Conn { return newConn(session, opts) }

func newConn(t transport, opts *Options) *Conn {
	c := &Conn{
		done:  make(chan struct{}),
		room:  make(chan struct{}, 1),
		avail: make(chan struct{}, 1),
	}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Parallel <= 0 {
		c.opts.Parallel = defaultParallel
	}
	if c.opts.Requests <= 0 {
		c.opts.Requests = defaultRequests
	}
	c.calls.max = c.opts.Requests
	c.queue.budget = t.Limits().InboundBytes
	// The reserve holds at least one element of any size: Limits has room for
	// two in the budget.
	c.queue.reserve = c.queue.budget/2 + entryCost
	if c.opts.Supervisor != nil {
		c.life, c.stop = context.WithCancelCause(context.Background())
		c.unsent.maxStanzas, c.unsent.maxBytes = c.opts.QueueStanzas, c.opts.QueueBytes
		if c.unsent.maxStanzas <= 0 {
			c.unsent.maxStanzas = defaultQueueStanzas
		}
		if c.unsent.maxBytes <= 0 {
			c.unsent.maxBytes = defaultQueueBytes
		}
	}
	c.attach(t)
	return c
}

// notify wakes whoever waits on ch, now or the next time.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Session returns the session beneath. Use it for what is not about stanzas; do
// not call its Serve.
func (c *Conn) Session() *stream.Session {
	s, _ := c.link.Load().t.(*stream.Session)
	return s
}

// LocalAddr is this side's address: see [stream.Session.LocalAddr].
func (c *Conn) LocalAddr() jid.JID { return c.link.Load().t.LocalAddr() }

// RemoteAddr is the peer's address: see [stream.Session.RemoteAddr].
func (c *Conn) RemoteAddr() jid.JID { return c.link.Load().t.RemoteAddr() }

// Done is closed when the Conn has ended. What was received before can still be
// consumed then.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns nil while the Conn lives. Afterwards it returns an error that wraps
// [net.ErrClosed] and the one cause of the end.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Stats returns the counters.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Handled returns how many of the stanzas that were received have been handled
// without a gap, modulo 2³²: the value h of stream management (XEP-0198 §4). A
// stanza is handled when its step has ended, be it by a panic; a reply, when it
// was matched or dropped. A stanza that is still being handled holds the count
// back even if later ones are done.
func (c *Conn) Handled() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint32(c.handled.handled())
}

// Taken implements [stream.Counter]: how many stanzas were received and queued,
// and what Handled returns, both over all sessions of the Conn.
func (c *Conn) Taken() (received, handled uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint32(c.handled.next), uint32(c.handled.handled())
}

// Close closes the stream in good order: what is queued is sent, then the
// closing tag, and the peer gets some time for its own (RFC 6120 §4.4). Replies to
// [Conn.Do] are still taken until then; the consumer gets what arrived, and ends.
// Nothing more can be sent.
// What the peer sends meanwhile and neither the queue nor its reserve has room
// for is counted in [Stats] and not handed out.
//
// While there is no session, Close ends the search for one. What still waited for
// one is lost then, and the error says so.
//
// ctx bounds the wait; when it ends the connection is dropped. Close is
// idempotent and may be called from anywhere, within a handler or a step of
// [Conn.All] too.
func (c *Conn) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closing = true
	c.wakeLocked()
	if c.stop != nil {
		c.stop(errEnding)
	}
	l := c.link.Load()
	c.mu.Unlock()
	notify(c.room)
	err := l.t.Close(ctx)
	select {
	case <-c.done:
	case <-ctx.Done():
		return err
	}
	if c.left > 0 && err == nil {
		return fmt.Errorf("stanza: closing: %d stanzas were not sent: %w", c.left, c.err)
	}
	return err
}

// Abort drops the connection at once, for the given cause. Idempotent; the first
// cause stays. What was received before can still be consumed.
func (c *Conn) Abort(cause error) {
	if c.stop != nil {
		if cause == nil {
			cause = errAborted
		}
		c.mu.Lock()
		c.stop(cause)
		c.wakeLocked()
		c.mu.Unlock()
	}
	c.link.Load().t.Abort(cause)
}

// errAborted is the cause of a Conn that was aborted without one.
var errAborted = errors.New("stanza: aborted by this side")

// Send queues a stanza and returns once it is queued. ctx bounds the wait for
// room, see [stream.Session.Send]; it has no effect afterwards. An error of
// encoding, which wraps [ErrInvalid], costs nothing: nothing was queued.
//
// With a [Supervisor], what is sent while there is no session is queued for the
// next one, within Options.QueueStanzas and QueueBytes.
//
// From is written as it stands: on a client leave it out, since the server puts
// it there (RFC 6120 §8.1.2.1 rule 1).
func (c *Conn) Send(ctx context.Context, st Stanza) error {
	if err := sendable(ctx, st); err != nil {
		return err
	}
	var err error
	if c.opts.Supervisor != nil {
		err = c.transmit(ctx, st, nil)
	} else {
		err = c.link.Load().t.Send(ctx, st)
	}
	if err == nil {
		c.noteReply(st)
	}
	return err
}

// SendReceipt is [Conn.Send] with a handle that tells how far the stanza got: see
// [stream.Receipt]. A receipt belongs to a session and those that resume it. While
// there is none SendReceipt waits for the next one until ctx ends, unless the lost
// one can be resumed and nothing is queued: then the stanza is kept with it, and
// if that session never comes back the receipt says so and the sender may send it
// again.
func (c *Conn) SendReceipt(ctx context.Context, st Stanza) (*stream.Receipt, error) {
	if err := sendable(ctx, st); err != nil {
		return nil, err
	}
	var r *stream.Receipt
	var err error
	if c.opts.Supervisor != nil {
		r, err = c.transmitReceipt(ctx, st)
	} else {
		r, err = c.link.Load().t.SendReceipt(ctx, st)
	}
	if err == nil {
		c.noteReply(st)
	}
	return r, err
}

func sendable(ctx context.Context, st Stanza) error {
	if st == nil {
		return fmt.Errorf("%w: nil", ErrInvalid)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stanza: sending: %w", ctxError(ctx))
	}
	return nil
}

// ctxError returns why ctx has ended: an error that wraps its Err, and its cause
// when there is one.
func ctxError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
