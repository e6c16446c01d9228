package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Appender is anything that encodes itself as XML: a stanza, an [*Element], a
// nonza. What it appends to dst, which may hold something already, must be whole
// first-level elements; the package stanza and the [Writer] see to that.
type Appender interface {
	AppendXML(dst []byte) ([]byte, error)
}

// Session is a negotiated stream: stanzas flow both ways until either side
// closes it. All methods are safe for concurrent use.
//
// A session needs its reader. Somebody runs [Session.Serve] for as long as the
// session lives (the package stanza does so for its users); without it nothing
// is read. The session is over when Done is closed; whoever got it from
// [Initiate] or [Accept] ends it with Close or Abort.
type Session struct {
	*carrier
	role   Role
	prof   Profile
	limits Limits
	peer   peerLimits

	local, remote jid.JID
	header        Header
	sec           Security
	agent         UserAgent
	hook          Admit
	blanks        *Bucket // of white space; nil until there is some
	nonzas        []nonzaHandler
	closeTimeout  time.Duration

	out      outbox
	taken    atomic.Uint64 // stanzas handled, and flags: see session_handled.go
	skip     uint32        // stanzas that are dropped, since they came before
	gap      bool          // one was not handled, so those behind it do not count
	counter  Counter       // of what is handled, under the outbox's lock; nil for this
	reader   atomic.Int32  // who runs the reader: readerNone and so on
	handling atomic.Uint64 // odd while a handler runs

	promptEvery atomic.Uint32                 // see PromptEvery
	quiet       atomic.Pointer[chan struct{}] // closed when frozen and nothing runs
	parting     atomic.Pointer[Error]         // why this side has given up the session

	endOnce    sync.Once
	done       chan struct{}
	cause      error          // set before done is closed
	told       sync.WaitGroup // done when the trace was told of the end
	closeTimer atomic.Pointer[time.Timer]
	expiry     atomic.Pointer[time.Timer]
	live       liveness
}

// Who runs the reader. It runs once in the life of a session.
const (
	readerNone int32 = iota
	readerServe
	readerClose
)

// ClosedError is the error of everything that is asked of a session that has
// ended. It matches [net.ErrClosed] and whatever its cause matches.
type ClosedError struct {
	// Cause is why the session ended: an [*Error], an error of the connection,
	// [ErrPeerClosed], or what was given to Abort.
	Cause error
}

// Error names the cause.
func (e *ClosedError) Error() string { return "stream: session ended: " + e.Cause.Error() }

// Unwrap returns net.ErrClosed and the cause.
func (e *ClosedError) Unwrap() []error { return []error{net.ErrClosed, e.Cause} }

// Causes of sessions that were closed, rather than broken.
var (
	// ErrPeerClosed: the peer closed the stream with its closing tag.
	ErrPeerClosed = errors.New("stream: closed by the peer")
	// ErrLocalClosed: this side closed the stream and the peer agreed.
	ErrLocalClosed = errors.New("stream: closed by this side")
	// ErrCloseTimeout: one side closed the stream, and the peer did not answer
	// in time (RFC 6120 §4.4 rule 3), or did not read what was left to say.
	// This is no good order.
	ErrCloseTimeout = errors.New("stream: the peer did not close the stream in time")
)

// PanicError is wrapped by the cause of a session whose handler panicked.
type PanicError struct {
	// Value is what was given to panic, Stack the stack at that point.
	Value any
	Stack []byte
}

// Error returns the panic's value; the stack is left out.
func (e *PanicError) Error() string { return fmt.Sprintf("stream: handler panicked: %v", e.Value) }

const (
	defaultWriteTimeout = time.Minute
	defaultCloseTimeout = 5 * time.Second
)

// session makes the session of a completed negotiation.
func (n *Negotiation) session(writeTimeout, closeTimeout time.Duration) *Session {
	if writeTimeout <= 0 {
		writeTimeout = defaultWriteTimeout
	}
	if closeTimeout <= 0 {
		closeTimeout = defaultCloseTimeout
	}
	s := &Session{
		carrier: n.carrier,
		role:    n.role, prof: n.prof, limits: n.limits, peer: n.peer.inForce(n.state),
		local: n.identity, remote: n.domain,
		header: n.remote, sec: n.sec, agent: n.agent, hook: n.admit,
		closeTimeout: closeTimeout,
		done:         make(chan struct{}),
	}
	if n.role == Receiving {
		s.local, s.remote = s.remote, s.local
	}
	s.sc.setLimits(n.limits)
	s.sc.release()
	s.out.init(s, writeTimeout)
	s.told.Add(1)
	for i := range n.offers {
		if f := &n.offers[i]; f.Established != nil {
			f.Established(n, s)
		}
	}
	s.nonzas = n.nonzas
	if n.trace.hooks.Established != nil {
		n.trace.hooks.Established(s)
	}
	s.watchExpiry()
	s.watchPeer(n.liveness)
	return s
}

// Role says which side of the stream this is.
func (s *Session) Role() Role { return s.role }

// Profile returns the kind of stream.
func (s *Session) Profile() Profile { return s.prof }

// Limits returns the limits in force.
func (s *Session) Limits() Limits { return s.limits }

// Security describes what protects the stream.
func (s *Session) Security() Security { return s.sec }

// LocalAddr is this side's address: a client's full JID as the server bound
// it, or the domain that a server serves.
func (s *Session) LocalAddr() jid.JID { return s.local }

// RemoteAddr is the peer's address: the server's domain, or the full JID of
// the client.
func (s *Session) RemoteAddr() jid.JID { return s.remote }

// Header returns the peer's last stream header. Its Lang is the default
// language of stanzas that the peer sends without one (RFC 6120 §4.7.4).
func (s *Session) Header() Header { return s.header }

// Counts returns how many stanzas have been handled and how many were
// queued for sending, both modulo 2³² (the counters of XEP-0198 §4 start from
// these). What one [Appender] appends counts as one stanza if it begins with
// the start tag of one.
func (s *Session) Counts() (in, out uint32) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return uint32(s.taken.Load()), s.out.stanzas
}

// Queued returns how many bytes are queued for the peer and not written yet; see
// Limits.OutboundBytes.
func (s *Session) Queued() int {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return int(s.out.queued - s.out.written)
}

// Send encodes el and queues it, and returns once it is queued. ctx bounds the
// wait for room when Limits.OutboundBytes are queued already; cancelling it
// later has no effect, and an element is never cut in two. An error of encoding
// is returned as it is and costs nothing: nothing was queued. So is the
// [*TooLargeError] for an element that the peer has announced not to accept.
func (s *Session) Send(ctx context.Context, el Appender) error {
	return s.send(ctx, el, true, nil)
}

// TrySend is Send for callers that must not wait: without room it returns
// [ErrFull].
func (s *Session) TrySend(el Appender) error {
	return s.send(context.Background(), el, false, nil)
}

// SendReceipt is Send with a handle that tells how far the element got.
func (s *Session) SendReceipt(ctx context.Context, el Appender) (*Receipt, error) {
	r := &Receipt{session: s}
	if err := s.send(ctx, el, true, r); err != nil {
		return nil, err
	}
	return r, nil
}

func (s *Session) send(ctx context.Context, el Appender, wait bool, r *Receipt) error {
	b, err := encode(el)
	if err != nil {
		return err
	}
	if err = s.fits((*b)[1:]); err == nil {
		k := Kept{Receipt: r}
		if c, ok := el.(Caused); ok {
			k.Cause = c.Cause()
		}
		err = s.out.send(ctx, (*b)[1:], wait, k)
	}
	dropBuffer(b)
	return err
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns nil while the session lives, and then a [*ClosedError] with the
// one cause of its end.
func (s *Session) Err() error {
	select {
	case <-s.done:
		return &ClosedError{s.cause}
	default:
		return nil
	}
}

// end drops the connection and settles the cause, once. It may be called from
// any goroutine, with no lock held.
func (s *Session) end(cause error) {
	first := false
	s.endOnce.Do(func() {
		first = true
		// The transport's own goodbye (a TLS alert) was sent by linger if the
		// stream ended in good order; here nothing may block.
		s.raw.Close()
		s.conn.Close()
		if t := s.closeTimer.Load(); t != nil {
			t.Stop()
		}
		if t := s.expiry.Load(); t != nil {
			t.Stop()
		}
		s.live.stop()
		s.cause = cause
		s.out.stop(&ClosedError{cause})
		close(s.done)
	})
	if !first {
		return
	}
	// Outside of the once, where a hook that ends the session again would wait
	// for itself.
	defer s.told.Done()
	if s.trace.hooks.Closed != nil {
		s.trace.hooks.Closed(cause)
	}
}

// Abort drops the connection at once, without a closing tag: to the peer it
// looks like a lost connection, from which a session can be resumed. The cause
// is what every pending and later call reports. Idempotent; the first cause
// stays.
func (s *Session) Abort(cause error) {
	if cause == nil {
		cause = errors.New("stream: aborted by this side")
	}
	s.end(cause)
}
