package presence

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// Resource is one connected resource of an account. It owns the address and
// what is known of its presence; the session beneath it can be replaced. It
// implements [stanza.Resource] and is safe for concurrent use.
type Resource struct {
	addr    jid.JID
	account *account
	// at is the connection that claimed it, or the last one that has meant to resume
	// its session. It is changed with Router.linking held.
	at atomic.Pointer[Connection]
	// lost is when its session was lost, Unix time in nanoseconds, or zero.
	lost atomic.Int64

	// session is nil between the moment the address is reserved and the end of
	// negotiation, and again after the address was given up or the session has
	// ended.
	session atomic.Pointer[stream.Session]
	// orphan is the link of a session that another process has had, until it is
	// resumed here; nil most of the time.
	orphan atomic.Pointer[sm.Link]
	// deaf is set when the session takes nothing any more: it is over, or will be
	// as soon as the client has closed its side. What the client says until then
	// is heard.
	deaf atomic.Bool
	// rank is the priority that it showed last.
	rank atomic.Int32
	// early is what came for the resource before there was a session; nil when
	// that is decided.
	early atomic.Pointer[early]

	// shown is what the resource last broadcast of itself; nil if it is not
	// available (RFC 6121 §4.2, §4.5). It is changed with account.mu held.
	shown atomic.Pointer[shown]
	// since is when rank became what it is, Unix time in milliseconds.
	since atomic.Int64
	// interested: it has asked for the roster (RFC 6121 §2.1.4).
	interested atomic.Bool
	// between is what a module has put before the session.
	between atomic.Pointer[interceptor]

	mu     sync.Mutex
	values map[any]any       // of modules
	kept   map[string][]byte // what is stored with the session; nil if nothing is

	// directed are the addresses that were sent directed presence and have to
	// be told when it does not hold any more (RFC 6121 §4.6.3). Guarded by
	// account.mu.
	directed map[jid.JID]struct{}

	// flight are the stored messages that it was sent and has not acknowledged when
	// its session was lost. Guarded by account.flushing.
	flight []flown

	// cause is the stanza that the reader handles, if the session is stored.
	cause atomic.Pointer[stream.Cause]
	// work is for the reader of the session only, while it handles a stanza.
	work *work
	// gone is done when the resource is retired.
	gone sync.Once
	// ending: its session cannot be resumed any more. Guarded by Router.linking.
	ending bool
}

type interceptor = func(t *stanza.Transit, st stream.Appender, next func(stream.Appender) error) error

// newResource returns a resource whose stream is being negotiated.
func newResource(addr jid.JID, a *account, c *Connection) *Resource {
	r := &Resource{addr: addr, account: a}
	r.at.Store(c)
	r.early.Store(&early{})
	return r
}

// connection returns the connection of the resource.
func (r *Resource) connection() *Connection { return r.at.Load() }

// early keeps stanzas for a resource between the moment the address is reserved,
// of which the client learns at once and may tell others, and the end of
// negotiation. It is bounded by earlyBytes; what does not fit is refused.
type early struct {
	mu      sync.Mutex
	stanzas []encoded
	bytes   int
}

// earlyBytes is less than the smallest budget of a session for its output.
const earlyBytes = 16 << 10

// hold keeps a stanza for the session to come. It reports false, and nothing
// else, when there is a session by now.
func (r *Resource) hold(st stream.Appender) (bool, error) {
	e := r.early.Load()
	if e == nil {
		if r.session.Load() != nil {
			return false, nil
		}
		if l := r.orphan.Load(); l != nil {
			return true, r.pass(l, st)
		}
		return true, errGone
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case r.session.Load() != nil:
		return false, nil
	case r.early.Load() == nil:
		return true, errGone
	}
	b, err := st.AppendXML(nil)
	if err != nil {
		return true, err
	}
	if e.bytes+len(b) > earlyBytes {
		return true, errGone
	}
	e.bytes += len(b)
	e.stanzas = append(e.stanzas, b)
	return true, nil
}

// settle ends the time of hold, with a session or without.
func (r *Resource) settle(session *stream.Session) {
	if e := r.early.Load(); e != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		if session != nil {
			for _, b := range e.stanzas {
				session.TrySend(b) // there is room, or the session is over
			}
		}
		e.stanzas, e.bytes = nil, 0
	}
	// In this order, so that the resource is connected all the time.
	r.session.Store(session)
	r.early.Store(nil)
	r.orphan.Store(nil)
}

// connected reports whether stanzas can be sent to the resource.
func (r *Resource) connected() bool {
	return !r.deaf.Load() && (r.session.Load() != nil || r.early.Load() != nil || r.orphan.Load() != nil)
}

// available reports whether the resource is connected and has sent initial
// presence and no unavailable presence since (RFC 6121 §4.2, §4.5).
func (r *Resource) available() bool { return r.shown.Load() != nil && r.connected() }

// Addr returns the full JID.
func (r *Resource) Addr() jid.JID { return r.addr }

// Session returns the session beneath the resource, or nil if there is none now.
func (r *Resource) Session() *stream.Session { return r.session.Load() }

// Context returns the context of the connection, which ends with it.
func (r *Resource) Context() context.Context { return r.connection().ctx }

// Priority returns the priority of the presence that the resource last
// broadcast, and false while it is not available (RFC 6121 §4.7.2.3).
func (r *Resource) Priority() (int8, bool) {
	if p := r.shown.Load(); p != nil && r.connected() {
		return p.priority, true
	}
	return 0, false
}

// Presence implements [stanza.Resource].
func (r *Resource) Presence() *stream.Element {
	if p := r.shown.Load(); p != nil && r.connected() {
		return p.element()
	}
	return nil
}

// Value implements [stanza.Resource].
func (r *Resource) Value(key any) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values[key]
}

// SetValue implements [stanza.Resource].
func (r *Resource) SetValue(key, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil {
		r.values = make(map[any]any)
	}
	r.values[key] = value
}

// Intercept implements [stanza.Resource].
func (r *Resource) Intercept(f func(t *stanza.Transit, st stream.Appender, next func(stream.Appender) error) error) {
	if f == nil {
		r.between.Store(nil)
		return
	}
	r.between.Store(&f)
}

// TrySend implements [stanza.Resource].
func (r *Resource) TrySend(st stream.Appender) error { return r.offer(nil, st) }

// End implements [stanza.Resource]. A client that has been told its address, and whose
// session is about to begin, is told too.
func (r *Resource) End(ctx context.Context, reason *stream.Error) error {
	if r.early.Load() != nil {
		r.connection().End(ctx, reason) // which Serve finds, if there is no session yet
		select {
		case <-r.connection().ctx.Done():
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	session := r.session.Load()
	if session == nil {
		if l := r.orphan.Load(); l != nil {
			l.GiveUp(reason)
			return nil
		}
		return errGone
	}
	err := session.CloseError(ctx, reason)
	abandon(session, reason)
	return err
}

// errGone is the error of sending to an address that nobody is connected at. A
// handler may return it to whoever asked.
var errGone = fmt.Errorf("presence: nobody is connected there: %w (%w)", stanza.RecipientUnavailable, net.ErrClosed)

// offer queues a stanza for the resource. It does not wait: a client that takes
// nothing any more must not hold up those who write to it. When its queue is
// full its session is ended (RFC 6120 §4.9.3.17).
func (r *Resource) offer(t *stanza.Transit, st stream.Appender) error {
	if f := r.between.Load(); f != nil {
		return r.intercepted(*f, t, st)
	}
	if cause := causeOf(t); cause.ID != "" {
		return r.write(caused{st, cause})
	}
	return r.write(st)
}

// crowded reports whether the queue of the client is so full that what anybody may
// send it has to stay out. The rest is for what must not be lost, such as the end of
// presence and pushes: if that does not fit, the session is over, and nobody should
// be able to bring that about for somebody else.
func (r *Resource) crowded() bool {
	session := r.session.Load()
	if session == nil {
		return false
	}
	if l := sm.Of(session); l != nil && l.Load() > 0.75 && !r.connection().router.dropsResumption() {
		return true
	}
	return session.Queued() > session.Limits().OutboundBytes/4*3
}

// dropsResumption reports whether sessions that are owed too much go on without
// being resumable.
func (r *Router) dropsResumption() bool {
	return r.Management != nil && r.Management.Policy.Bound == sm.DropResumption
}

// intercepted is offer with what a module has put in between. If that panics, it
// is the end of this session, and not of the one that the stanza came from.
func (r *Resource) intercepted(f interceptor, t *stanza.Transit, st stream.Appender) (err error) {
	defer func() {
		if v := recover(); v != nil {
			cause := &stream.PanicError{Value: v, Stack: debug.Stack()}
			r.connection().router.report("intercepting a stanza failed", cause)
			r.deaf.Store(true)
			if session := r.session.Load(); session != nil {
				reason := &stream.Error{Condition: stream.InternalServerError, Cause: cause}
				session.Abort(reason)
				abandon(session, reason) // or it would be resumed, and get nothing
			}
			err = errGone
		}
	}()
	return f(t, st, r.write)
}

// write is offer past what modules have put in between.
func (r *Resource) write(st stream.Appender) error {
	session := r.session.Load()
	if session == nil {
		if held, err := r.hold(st); held {
			return err
		}
		if session = r.session.Load(); session == nil {
			return errGone
		}
	}
	err := session.TrySend(st)
	if errors.Is(err, net.ErrClosed) {
		r.deaf.Store(true)
	}
	if errors.Is(err, stream.ErrFull) && r.session.CompareAndSwap(session, nil) {
		// What it has not acknowledged goes where it would go without the client.
		abandon(session, err)
		session.Abort(&stream.Error{Condition: stream.ResourceConstraint, Text: "the client does not read", Cause: err})
		// The rest of what vacate does is up to the reader of that session, which
		// ends now: the caller may hold the lock of another account.
		r.connection().router.requests.abandon(r)
	}
	return err
}
