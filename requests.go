package xmpp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// requests are what the server itself has asked its clients and not been
// answered yet. A reply settles a request only if it comes from the full JID
// that was asked: the server stamps that address on what clients send.
type requests struct {
	limit int

	mu      sync.Mutex
	pending map[requestKey]chan *stanza.IQ
}

type requestKey struct {
	from jid.JID
	id   string
}

// errTooManyRequests is returned when too many requests are pending.
var errTooManyRequests = errors.New("xmpp: too many requests of the server are pending")

// do sends iq and waits. The handler that calls it runs on the reader of the
// client whose stanza it handles: that client's own reply would never be read,
// so asking it is refused.
func (q *requests) do(ctx context.Context, d *serverSender, iq *stanza.IQ) (*stanza.IQ, error) {
	if iq.To == d.conn.resource.addr || iq.To.IsZero() {
		return nil, errors.New("xmpp: a handler cannot wait for the client that waits for it")
	}
	out := *iq
	if out.ID == "" {
		out.ID = stanza.NewID()
	}
	out.From = d.conn.session.LocalAddr()
	key := requestKey{out.To, out.ID}
	reply := make(chan *stanza.IQ, 1)
	if err := q.add(key, reply); err != nil {
		return nil, err
	}
	defer q.remove(key)
	if err := d.Send(ctx, &out); err != nil {
		return nil, err
	}
	select {
	case in := <-reply:
		if in.Type == stanza.ErrorIQ && in.Error != nil {
			return in, in.Error
		}
		return in, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("xmpp: waiting for %s: %w", out.To, context.Cause(ctx))
	}
}

func (q *requests) add(key requestKey, reply chan *stanza.IQ) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch _, taken := q.pending[key]; {
	case taken:
		return fmt.Errorf("xmpp: a request with the id %q to %s is pending", key.id, key.from)
	case len(q.pending) >= q.limit:
		return errTooManyRequests
	}
	if q.pending == nil {
		q.pending = make(map[requestKey]chan *stanza.IQ)
	}
	q.pending[key] = reply
	return nil
}

func (q *requests) remove(key requestKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.pending, key)
}

// settle hands a reply to whoever waits for it; others are dropped (RFC 6120
// §8.2.3).
func (q *requests) settle(iq *stanza.IQ) {
	q.mu.Lock()
	reply := q.pending[requestKey{iq.From, iq.ID}]
	delete(q.pending, requestKey{iq.From, iq.ID})
	q.mu.Unlock()
	if reply != nil {
		reply <- iq.Clone()
	}
}
