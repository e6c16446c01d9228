package presence

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/hint"
	"stanzakit.dev/xmpp/stream"
)

// OfflineStore keeps messages for accounts that cannot be reached (XEP-0160).
// Accounts are bare JIDs. Implementations are safe for concurrent use; the router
// makes the calls for one account one after the other.
type OfflineStore interface {
	// Add stores a message behind those that are there. When it has returned, the
	// message is not lost any more. The store has a bound for each account, beyond
	// which the error wraps [ErrQuota]. The bytes are copied.
	Add(ctx context.Context, account jid.JID, message []byte) error

	// Messages returns the oldest messages of an account, at most max of them.
	// They stay in the store.
	Messages(ctx context.Context, account jid.JID, max int) ([]OfflineMessage, error)

	// Remove takes out the messages up to and including the one with that
	// sequence number.
	Remove(ctx context.Context, account jid.JID, upTo uint64) error

	// Count returns how many messages there are.
	Count(ctx context.Context, account jid.JID) (int, error)

	// Delete removes all that is kept of an account that is no more.
	Delete(ctx context.Context, account jid.JID) error
}

// OfflineMessage is a message in an [OfflineStore].
type OfflineMessage struct {
	// Seq orders the messages of an account. A number is never used again for
	// the same account.
	Seq uint64
	// Stanza is the message as XML for a stream in jabber:client, with the time
	// when it was stored (XEP-0203).
	Stanza []byte
}

// ErrQuota is wrapped by the error of an [OfflineStore] that has no room for
// another message of an account.
var ErrQuota = errors.New("presence: too many offline messages")

// keep stores a message until the account is reachable (RFC 6121 §8.5.2.2.1,
// XEP-0160).
func (r *Router) keep(ctx context.Context, res *Resource, q Question, t *stanza.Transit, out *rewritten) error {
	switch may := storable(t.Element); {
	case may == never:
		return nil
	case r.NoOffline:
		return q.refuse(stanza.ServiceUnavailable).err()
	}
	bare := t.To.Bare()
	a := r.table.use(bare)
	defer r.table.done(a)
	// Modules are asked without the lock: they may send something themselves.
	t.Stored = true
	if t.Sent.IsZero() {
		for _, m := range r.hooks.deliver {
			m.BeforeDeliver(ctx, t)
		}
	}
	a.storing.Lock()
	if out.tries++; out.tries <= r.maxResources() && a.standing() == Reachable {
		// Somebody came while this was decided, and has got all that was stored. Of
		// those that do not take it one after the other may be found to be gone; it
		// is stored when they cannot be the reason any more.
		a.storing.Unlock()
		t.Stored = false
		q.Standing, q.To = Reachable, Account
		return r.deliver(ctx, res, a, q, Decide(q), t, out)
	}
	defer a.storing.Unlock()
	var err error
	if t.Sent.IsZero() { // otherwise it has a stamp
		err = t.Append(delay.Delay{From: bare.DomainJID(), Stamp: time.Now(), Reason: "stored offline"})
	}
	if err == nil {
		out.el = t.Element
		var b []byte
		if b, err = out.AppendXML(nil); err == nil {
			err = r.Offline.Add(ctx, bare, b)
		}
	}
	if err == nil {
		if ok, err := r.Exists(ctx, bare); err == nil && !ok {
			// It was removed meanwhile: nothing is to wait for the next owner.
			r.report("deleting offline messages failed", r.Offline.Delete(ctx, bare))
		}
		return nil
	}
	t.Stored = false
	if errors.Is(err, ErrQuota) {
		// RFC 6120 §13.12 rule 5: the program may want to know who floods whom.
		r.report("storing a message failed", fmt.Errorf("for %s from %s: %w", bare, t.From.Bare(), err))
		return stanza.ResourceConstraint
	}
	r.report("storing a message failed", err)
	return stanza.InternalServerError
}

// worth says whether a message is one for the offline store.
type worth uint8

const (
	never worth = iota // nobody needs it later, and nobody needs to be told
	stored
)

// nsChatStates is the namespace of chat states (XEP-0085).
const nsChatStates = "http://jabber.org/protocol/chatstates"

// storable says what XEP-0160 §3 and XEP-0334 §4 do about a message: one with
// nothing in it but chat states is over when it is read.
func storable(el *stream.Element) worth {
	may, must := hint.Of(el).Offline()
	if !may {
		return never
	}
	state := false
	for child := range el.Children() {
		switch n := child.Name(); {
		case n.Space == nsChatStates:
			state = true
		case n.Space == hint.NS:
		case n.Space == stream.NSClient && n.Local == "thread":
		default:
			return stored
		}
	}
	if state && !must {
		return never
	}
	return stored
}

// handOut has the resource flushed. Whoever acknowledges what it gets (XEP-0198)
// has to be read for that, so then it is done beside the reader: what was not
// acknowledged stays in the store. Nobody else waits for a client that was lost: if
// another one comes meanwhile, it gets all of that too.
func (r *Router) handOut(ctx context.Context, res *Resource, now *shown) {
	if session := res.session.Load(); session == nil || !session.Managed() {
		r.flush(ctx, res, now)
		return
	}
	// Owner: the router. Ends when all is acknowledged, or with the connection: what
	// is on its way then is seen to when the session is resumed. Joined through
	// background.
	r.background.Go(func() { r.guard(func() { r.flush(ctx, res, now) }) })
}

// flushBatch is how many offline messages are on their way at a time.
const flushBatch = 64

// flush gives a resource what was stored for its account, in order, before
// anything newer: until that is done the resource gets no messages to the bare JID
// (XEP-0160 §2). What was not written to the connection stays in the store. It
// waits for the client, and so does whatever else the client wants.
func (r *Router) flush(ctx context.Context, res *Resource, now *shown) {
	a := res.account
	// For one resource at a time, or each message would go to several.
	if a.flushing.take(ctx) != nil {
		return // the session is over
	}
	defer a.flushing.leave()
	for res.shown.Load() == now {
		messages, err := r.Offline.Messages(ctx, a.addr, flushBatch)
		switch {
		case len(res.flight) > 0:
			err = r.land(ctx, res)
		case err == nil && len(messages) > 0:
			err = r.flushSome(ctx, res, messages)
		case err == nil:
			done := false
			if done, err = r.flushed(ctx, a, now); done {
				return
			}
		}
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			// It waits for ever: the session is over. Who comes next gets the rest.
			return
		default:
			// What comes now is not held up for that. The next presence tries again.
			now.missed.Store(true)
			now.since.Store(time.Now().UnixMilli())
			now.waits.Store(false)
			r.report("delivering offline messages failed", err)
			return
		}
	}
}

// turn is a lock for those who wait for a client while they hold it: who waits for
// the lock can give up. The zero value is free.
type turn struct {
	mu   sync.Mutex
	held chan struct{} // nil when free, closed when it is not held any more
}

// take waits for the turn, or for the end of ctx.
func (t *turn) take(ctx context.Context) error {
	for {
		t.mu.Lock()
		held := t.held
		if held == nil {
			t.held = make(chan struct{})
		}
		t.mu.Unlock()
		if held == nil {
			return nil
		}
		select {
		case <-held:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave is the end of take.
func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.held)
	t.held = nil
}

// come makes a resource reachable by messages, at a moment when nobody can put
// something into the store, and reports whether there is something for it to get
// first. The caller holds the lock of the account.
func (r *Router) come(ctx context.Context, res *Resource, now *shown) bool {
	a := res.account
	a.storing.Lock()
	defer a.storing.Unlock()
	n, err := r.Offline.Count(ctx, a.addr)
	waiting := err != nil || n > 0
	// Without a store, what comes meanwhile could not be kept.
	now.waits.Store(waiting && !r.NoOffline)
	res.shown.Store(now)
	return waiting
}

// flushed ends the time of flush if there is nothing more in the store, at a
// moment when nobody can put something there.
func (r *Router) flushed(ctx context.Context, a *account, now *shown) (bool, error) {
	a.storing.Lock()
	defer a.storing.Unlock()
	n, err := r.Offline.Count(ctx, a.addr)
	if err != nil || n > 0 {
		return false, err
	}
	now.since.Store(time.Now().UnixMilli())
	now.waits.Store(false)
	return true, nil
}

// flushSome sends messages to a resource, waits until they are written, or
// acknowledged, and takes them out of the store. The caller has the turn.
func (r *Router) flushSome(ctx context.Context, res *Resource, messages []OfflineMessage) error {
	session := res.session.Load()
	if session == nil {
		return errGone
	}
	far := stream.Written
	if session.Managed() {
		far = stream.Acked
	}
	var err error
	for _, m := range messages {
		var receipt *stream.Receipt
		if !r.unwanted(res, m) {
			if receipt, err = session.SendReceipt(ctx, encoded(m.Stanza)); err != nil {
				break
			}
		}
		res.flight = append(res.flight, flown{m.Seq, receipt, far})
	}
	return errors.Join(r.land(ctx, res), err)
}

// flown is a stored message that was sent to a resource.
type flown struct {
	seq     uint64
	receipt *stream.Receipt // nil for an unwanted one
	far     stream.ReceiptState
}

// land waits until what was sent to a resource has got as far as it must, and takes
// that out of the store. When ctx ends first, and with it the connection, the rest
// stays for the next call; what will get no further is sent again.
func (r *Router) land(ctx context.Context, res *Resource) error {
	var err error
	landed := 0
	for _, f := range res.flight {
		if f.receipt != nil {
			if err = f.receipt.Wait(ctx, f.far); err != nil {
				break
			}
		}
		landed++
	}
	var upTo uint64
	if landed > 0 {
		upTo = res.flight[landed-1].seq
	}
	if res.flight = res.flight[landed:]; len(res.flight) == 0 || !pending(res.flight[0].receipt) {
		res.flight = nil
	}
	if landed == 0 {
		return err
	}
	// They have been delivered, and the session may be over by now.
	ctx = context.WithoutCancel(ctx)
	return errors.Join(err, r.Offline.Remove(ctx, res.account.addr, upTo))
}

// pending reports whether a receipt may still change.
func pending(r *stream.Receipt) bool { return r.State() < stream.Acked }

// unwanted reports whether a stored message must not get to a resource any more: its
// sender has been blocked since, say (XEP-0191 §3.3).
func (r *Router) unwanted(res *Resource, m OfflineMessage) bool {
	if len(r.hooks.gates) == 0 {
		return false
	}
	el, err := letterOf(m.Stanza).element()
	if err != nil {
		return false
	}
	t := stanza.Transit{Element: el}
	if describe(&t) != nil {
		return false
	}
	if t.From, err = el.From(); err != nil {
		return false
	}
	return r.apart(&t, res.addr)
}

// storeError is what a client is told when a store fails.
func storeError(err error) error {
	if errors.Is(err, roster.ErrFull) {
		// RFC 6120 §8.3.3.18.
		return &stanza.Error{Condition: stanza.ResourceConstraint, Cause: err}
	}
	return fmt.Errorf("presence: store: %w", err)
}
