package mam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
	// LocalAddr returns the address of the client; its bare JID is the account.
	LocalAddr() jid.JID
}

// Errors of a [Client], besides those of [Doer], which hold a *[stanza.Error] if
// the archive has refused: [stanza.ItemNotFound] if it does not have a message
// that the query names.
var (
	// ErrMissing: the archive says that the page ends with a message that did not
	// arrive in time, or the consumer of messages does not run.
	ErrMissing = errors.New("mam: results of a query are missing")
	// ErrAnswer: the archive has answered what cannot be.
	ErrAnswer = errors.New("mam: senseless answer of an archive")
)

// Client asks archives and collects the results, which arrive as messages. The
// zero value is ready. It is safe for concurrent use, and serves any number of
// connections.
//
// It has to see the messages that are received. With [stanza.Conn.Serve] and a
// [stanza.Mux], install it there like any module. In a loop over
// [stanza.Conn.All], give each message to [Client.Take]. Either way, ask from
// another goroutine than the one that handles the messages: results wait behind
// the message that is being handled. (Handlers of Serve do so for one peer; since
// the results of the own archive come from the account, and it sends little else,
// a handler for messages of others may ask. If Parallel is 1, it may not.)
//
// A result is believed only if it answers an open query, by its queryid, and comes
// from the archive that was asked (XEP-0313 §8.2). For the own archive, that is the
// bare JID of the account or no address at all. Everything else that looks like a
// result is ignored.
type Client struct {
	// Wait is how long to wait for results after the archive has said that there
	// are no more: for a consumer that is behind. Zero means 30 seconds.
	Wait time.Duration

	mu   sync.Mutex
	open map[string]*inquiry
}

const defaultWait = 30 * time.Second

// inquiry is a query that waits for its results.
type inquiry struct {
	archive, account jid.JID
	max              int // how many results there may be

	results     []*Result
	first, last string // the ids between which the results are; empty, as none is: not known yet
	excess      bool   // there were more than max
	done        chan struct{}
	closed      bool
}

// from reports whether a result with that sender may answer (XEP-0313 §8.2).
func (q *inquiry) from(from jid.JID) bool {
	if q.archive.IsZero() || q.archive == q.account {
		// RFC 6120 §8.1.2.1 rule 4: no 'from' is the account's.
		return from.IsZero() || from == q.account
	}
	return from == q.archive
}

// add takes a result.
func (q *inquiry) add(r *Result) {
	if q.closed {
		return
	}
	if q.has(r.ID) {
		return // ids are unique (XEP-0313 §6.2): it is repeated
	}
	if len(q.results) >= q.max {
		q.excess = true
		q.close()
		return
	}
	q.results = append(q.results, r)
	q.settle()
}

// settle ends the wait if all results are there: they come in order, or in reverse.
func (q *inquiry) settle() {
	if q.has(q.first) && q.has(q.last) {
		q.close()
	}
}

// has reports whether there is a result with that id.
func (q *inquiry) has(id string) bool {
	return slices.ContainsFunc(q.results, func(r *Result) bool { return r.ID == id })
}

func (q *inquiry) close() {
	if !q.closed {
		q.closed = true
		close(q.done)
	}
}

// Name implements [stanza.Module].
func (c *Client) Name() string { return "mam client" }

// Register implements [stanza.Module].
func (c *Client) Register(m *stanza.Mux) error {
	return m.HandleMessage(stanza.Any, nameResult, func(_ context.Context, _ stanza.Sender, msg *stanza.Message) error {
		c.Take(msg)
		return nil
	})
}

// Take looks at a message that was received and reports whether it is for the
// Client: a result, to be believed or not. Then it means nothing else. The message
// is borrowed.
func (c *Client) Take(msg *stanza.Message) bool {
	el, ok := msg.Payload(nameResult)
	if !ok {
		return false
	}
	id, ok := el.AttrBytes("queryid")
	if !ok || msg.IsError() {
		return true
	}
	c.mu.Lock()
	q := c.open[string(id)]
	c.mu.Unlock()
	if q == nil || !q.from(msg.From) {
		return true // XEP-0313 §8.2: MUST be ignored
	}
	r := new(Result)
	if err := r.DecodeElement(el); err != nil {
		// One message that cannot be read does not make the others useless.
		r.ID, r.QueryID, r.Err = el.Attr("id"), string(id), err
		if r.ID == "" || len(r.ID) > maxID {
			return true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	q.add(r)
	return true
}

// begin enters an inquiry before its request is sent.
func (c *Client) begin(id string, q *inquiry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[string]*inquiry)
	}
	c.open[id] = q
}

// end forgets an inquiry.
func (c *Client) end(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.open[id]; q != nil {
		q.close()
	}
	delete(c.open, id)
}

// DefaultPage is how many results a page has when nothing else is said, and
// MaxPage how many at most.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// Ask asks an archive for one page and returns its results, in the order in which
// they were sent, and what the archive said about the page. The zero archive is
// that of the account. The ID of q is ignored; nil is the zero Query. Without a
// number of results [DefaultPage] are asked for, and no more than [MaxPage]; what a
// server sends beyond that is an error.
//
// ctx should have a deadline. Besides those of [Doer], the errors are [ErrMissing]
// and [ErrAnswer].
func (c *Client) Ask(ctx context.Context, d Doer, archive jid.JID, q *Query) ([]*Result, *Fin, error) {
	var ask Query
	if q != nil {
		ask = *q
	}
	ask.ID = stanza.NewID() // §8.2: hard to guess, and different for each query
	limit := DefaultPage
	if ask.Page.Max != nil {
		limit = min(*ask.Page.Max, MaxPage)
	}
	ask.Page.Max = &limit
	wait := &inquiry{
		archive: archive, account: d.LocalAddr().Bare(),
		max: limit, done: make(chan struct{}),
	}
	c.begin(ask.ID, wait)
	defer c.end(ask.ID)
	f, err := c.ask(ctx, d, &ask, wait)
	if err != nil {
		return nil, nil, fmt.Errorf("mam: query: %w", err)
	}
	return wait.results, f, nil
}

// ask sends the query and waits for its end.
func (c *Client) ask(ctx context.Context, d Doer, q *Query, wait *inquiry) (*Fin, error) {
	reply, err := d.Do(ctx, &stanza.IQ{To: wait.archive, Type: stanza.SetIQ, Payload: q})
	if err != nil {
		return nil, err
	}
	f := new(Fin)
	if err := decode(reply, f); err != nil {
		return nil, err
	}
	if f.Page.First == "" { // no results
		c.mu.Lock()
		defer c.mu.Unlock()
		wait.close()
		if len(wait.results) > 0 || wait.excess {
			return nil, fmt.Errorf("%w: results that do not exist", ErrAnswer)
		}
		return f, nil
	}
	// The reply may be ahead of the results, which wait for the consumer.
	c.mu.Lock()
	wait.first, wait.last = f.Page.First, f.Page.Last
	wait.settle()
	c.mu.Unlock()
	if err := c.await(ctx, wait); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait.excess {
		return nil, fmt.Errorf("%w: more results than asked for", ErrAnswer)
	}
	if q.Flip && wait.results[0].ID == f.Page.First {
		slices.Reverse(wait.results) // the archive does not know flipped pages
	}
	return f, nil
}

// await waits until the last result has arrived. What was received before a session
// ended is still handed out, so its end does not end the wait.
func (c *Client) await(ctx context.Context, wait *inquiry) error {
	limit := c.Wait
	if limit <= 0 {
		limit = defaultWait
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-wait.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return ErrMissing
	}
}

// decode reads the payload of a reply.
func decode(reply *stanza.IQ, into stanza.Decoder) error {
	el := reply.Element()
	if el == nil {
		return fmt.Errorf("%w: an empty reply", ErrAnswer)
	}
	if err := into.DecodeElement(el); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}
