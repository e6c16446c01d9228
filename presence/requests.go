package presence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// requests are what the server itself has asked its clients and not been
// answered yet. A reply settles a request only if it comes from the full JID
// that was asked: the server stamps that address on what clients send.
type requests struct {
	limit int

	mu      sync.Mutex
	pending map[requestKey]*request
}

type requestKey struct {
	from jid.JID
	id   string
}

// request is one that waits. Whoever takes it out of the table settles it.
type request struct {
	asked *Resource
	done  chan outcome // has room for one
}

type outcome struct {
	reply *stanza.IQ
	err   error
}

// requestTimeout bounds the wait of a caller that sets no bound: two clients
// whose handlers ask each other would otherwise wait for ever.
const requestTimeout = 30 * time.Second

// Errors of Do.
var (
	errNoReply  = errors.New("presence: no reply in time")
	errSelfWait = errors.New("presence: a handler cannot wait for the client that waits for it")
)

// do sends a request to a connected client and waits for the reply. The handler
// that calls it runs on the reader of the client whose stanza it handles: that
// client's own reply would never be read, so asking it is refused. When the
// client that is asked goes away, do returns at once.
func (q *requests) do(ctx context.Context, d *sender, iq *stanza.IQ) (*stanza.IQ, error) {
	switch {
	case iq == nil || !iq.IsRequest():
		return nil, fmt.Errorf("%w: Do sends an IQ of type get or set", stanza.ErrInvalid)
	case iq.To.IsZero(), d.resource != nil && iq.To == d.resource.addr:
		return nil, errSelfWait
	}
	out := &stanza.IQ{ID: iq.ID, To: iq.To, From: d.local(), Type: iq.Type, Lang: iq.Lang, Payload: iq.Payload}
	if out.ID == "" {
		out.ID = stanza.NewID()
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, requestTimeout, errNoReply)
		defer cancel()
	}
	asked := d.router.table.resource(out.To)
	if asked == nil {
		return nil, fmt.Errorf("asking %s: %w", out.To, errGone)
	}
	key, r := requestKey{out.To, out.ID}, &request{asked, make(chan outcome, 1)}
	if err := q.add(key, r); err != nil {
		return nil, err
	}
	defer q.remove(key, r)
	// After add: either this fails or vacate finds the request.
	if err := asked.offer(nil, out); err != nil {
		return nil, fmt.Errorf("asking %s: %w", out.To, err)
	}
	select {
	case o := <-r.done:
		switch {
		case o.err != nil:
			return nil, fmt.Errorf("asking %s: %w", out.To, o.err)
		case o.reply.Type == stanza.ErrorIQ && o.reply.Error != nil:
			return o.reply, o.reply.Error
		}
		return o.reply, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("presence: waiting for %s: %w", out.To, context.Cause(ctx))
	}
}

func (q *requests) add(key requestKey, r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch _, taken := q.pending[key]; {
	case taken:
		return fmt.Errorf("presence: asking %s: %w", key.from, stanza.ErrDuplicateID)
	case len(q.pending) >= q.limit:
		return fmt.Errorf("presence: asking %s: %w", key.from, stanza.ErrTooManyRequests)
	}
	if q.pending == nil {
		q.pending = make(map[requestKey]*request)
	}
	q.pending[key] = r
	return nil
}

// remove takes a request out, unless its key belongs to a later one by now.
func (q *requests) remove(key requestKey, r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending[key] == r {
		delete(q.pending, key)
	}
}

// settle hands a reply to whoever waits for it; others are dropped (RFC 6120
// §8.2.3).
func (q *requests) settle(iq *stanza.IQ) {
	key := requestKey{iq.From, iq.ID}
	q.mu.Lock()
	r := q.pending[key]
	delete(q.pending, key)
	q.mu.Unlock()
	if r != nil {
		r.done <- outcome{reply: iq.Clone()}
	}
}

// abandon fails the requests to a resource that will not answer any more.
func (q *requests) abandon(asked *Resource) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, r := range q.pending {
		if r.asked == asked {
			delete(q.pending, key)
			r.done <- outcome{err: errGone}
		}
	}
}
