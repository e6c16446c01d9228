package roster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Cache keeps the roster of an account between sessions, so that the server only
// has to send what has changed (RFC 6121 §2.6). It holds private data: keep it where
// only the user can read it. A [Client] makes its calls one after the other.
type Cache interface {
	// Load returns what was saved last for the account, and the zero Snapshot if
	// there is nothing.
	Load(ctx context.Context, account jid.JID) (Snapshot, error)
	// Save replaces what is kept for the account, all of it or nothing. It must
	// not change s.
	Save(ctx context.Context, account jid.JID, s Snapshot) error
}

// Snapshot is a roster at one version.
type Snapshot struct {
	// Version is what the server calls it. Empty means that there is none, and
	// that the items are of no use.
	Version string
	// Items are the contacts by address.
	Items []Item
}

// Options says how a [Client] works. Only Account is required.
type Options struct {
	// Account is the user's own address; its resource does not matter. Roster
	// pushes are believed from nobody else.
	Account jid.JID

	// Versioned says that the server is known to have versions of rosters. With
	// false the Client uses them if it has seen the server advertise them, see
	// [Client.StreamFeatures].
	Versioned bool

	// Cache keeps the roster between sessions. Nil: it is known as long as the
	// Client lives. It is of use only with a server that has versions.
	Cache Cache

	// OnChange is told each change of the list, in order and one at a time,
	// after it is visible in the Client; the contacts of the first roster are
	// changes too. It runs in the goroutine of a push or of Sync, and may use the
	// Client and send. Nil: nobody is told.
	OnChange func(ctx context.Context, e Event)

	// Report is told what hinders nothing else: errors of the Cache, and contacts
	// that were left out of a result (see Query.Skipped). Nil means that it is
	// logged with [slog.Default].
	Report func(ctx context.Context, err error)
}

// Client keeps the roster of an account as it is on the server: it asks for it with
// [Client.Sync], follows the pushes, and tells what changes. It is a [stanza.Module]
// to install in the [stanza.Mux] of the connection, before Sync. To change the
// roster call [Set] and [Remove]: the server's push then changes the list.
//
// One Client serves one account, over many connections one after the other: call
// Sync on each. All methods are safe for concurrent use.
type Client struct {
	account jid.JID
	opts    Options

	versioned, preApproval atomic.Bool

	syncing chan struct{} // held by the one Sync that reads the cache or asks
	loaded  bool          // the cache was read; belongs to who holds syncing

	mu         sync.Mutex
	core       follower
	events     []Event // to be told, bounded by maxEvents
	unsaved    bool    // the cache does not have the list
	delivering bool    // somebody is in deliver
}

// maxEvents bounds the changes that wait for a slow OnChange, on top of those of
// one result.
const maxEvents = maxItems

// NewClient returns a Client with an empty list. opts is copied. The error wraps
// [stanza.ErrInvalid] if there is no Account.
func NewClient(opts *Options) (*Client, error) {
	if opts == nil || opts.Account.IsZero() {
		return nil, fmt.Errorf("roster: %w: a client has an account", stanza.ErrInvalid)
	}
	c := &Client{account: opts.Account.Bare(), opts: *opts, syncing: make(chan struct{}, 1)}
	c.versioned.Store(opts.Versioned)
	return c, nil
}

// StreamFeatures returns features for the negotiation of the client's stream, by
// which the Client learns whether the server has versions of rosters (RFC 6121
// §2.6.1) and pre-approval (§3.4). They negotiate nothing.
func (c *Client) StreamFeatures() []stream.Feature {
	return []stream.Feature{
		noticed(versioningName, func(there bool) { c.versioned.Store(there || c.opts.Versioned) }),
		noticed(preApprovalName, c.preApproval.Store),
	}
}

// PreApproval reports whether the server has said that it supports [PreApprove], if
// the stream was negotiated with [Client.StreamFeatures].
func (c *Client) PreApproval() bool { return c.preApproval.Load() }

// Name implements [stanza.Module].
func (c *Client) Name() string { return "roster" }

// Register implements [stanza.Module].
func (c *Client) Register(m *stanza.Mux) error {
	return m.HandleIQ(stanza.SetIQ, queryName, c.push)
}

// push handles a roster push.
func (c *Client) push(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	// RFC 6121 §2.1.6 rule 2: from the account, by its bare JID or by none. Anybody
	// else is told what an entity says that knows nothing of rosters.
	if !iq.From.IsZero() && iq.From != c.account {
		return nil, stanza.ServiceUnavailable
	}
	var q Query
	if err := q.DecodeElement(iq.Element()); err != nil {
		c.mu.Lock()
		c.core.refused()
		c.mu.Unlock()
		return nil, err
	}
	c.mu.Lock()
	if c.core.phase == current && len(c.events) >= maxEvents {
		c.core.failed() // the list is no longer that of the server
		c.mu.Unlock()
		return nil, stanza.ResourceConstraint
	}
	events, err := c.core.push(&q)
	c.changed(events)
	c.mu.Unlock()
	c.deliver(ctx)
	if errors.Is(err, ErrFull) {
		return nil, stanza.ResourceConstraint
	}
	return nil, err // nil: an empty result (§2.1.6)
}

// changed queues what is to be told and saved. The caller holds mu.
func (c *Client) changed(events []Event) {
	c.events = append(c.events, events...)
	if c.core.phase == current {
		c.unsaved = true
	}
}

// Sync asks the server for the roster, to be done on each new connection before
// initial presence (RFC 6121 §2.2), and makes it the list. From then on pushes are
// applied. With versions the server may send only what has changed, as pushes that
// follow. OnChange has been told of everything when Sync returns, unless somebody
// else is telling it.
//
// If Sync fails, the list stays as it was, and pushes are not applied until a later
// Sync succeeds. The error is that of [Get], [ErrOverflow], wraps [ErrFull], or is a
// [*stanza.Error] with [stanza.BadRequest] for a reply that makes no sense.
// Concurrent calls wait for each other.
//
// On a [stanza.Restorer], such as a [*stanza.Conn] that outlives its sessions, each
// fresh session is synced too. Call Sync before the first presence is sent; then it
// comes before it on those, too.
func (c *Client) Sync(ctx context.Context, d Doer) error {
	if err := c.sync(ctx, d); err != nil {
		return err
	}
	if r, ok := d.(stanza.Restorer); ok {
		r.Restore(restoreKey{c}, func(ctx context.Context, s stanza.Sender) error { return c.sync(ctx, s) })
	}
	return nil
}

// restoreKey finds what Sync leaves with a [stanza.Restorer].
type restoreKey struct{ c *Client }

func (c *Client) sync(ctx context.Context, d Doer) error {
	for _, step := range []func() error{
		func() error { c.load(ctx); return nil },
		func() error { return c.fetch(ctx, d) },
	} {
		err := c.alone(ctx, step)
		c.deliver(ctx) // nothing is held here, so that OnChange may call Sync
		if err != nil {
			return err
		}
	}
	return nil
}

// alone runs one step of a Sync at a time.
func (c *Client) alone(ctx context.Context, step func() error) error {
	select {
	case c.syncing <- struct{}{}:
		defer func() { <-c.syncing }()
		return step()
	case <-ctx.Done():
		return fmt.Errorf("roster: %w", context.Cause(ctx))
	}
}

// fetch asks for the roster and takes the result.
func (c *Client) fetch(ctx context.Context, d Doer) error {
	c.mu.Lock()
	get := c.core.begin(c.versioned.Load())
	c.mu.Unlock()
	result, err := Get(ctx, d, get)
	if result != nil && result.Skipped > 0 {
		c.report(ctx, fmt.Errorf("roster: %d contacts of the server have no valid address and were left out", result.Skipped))
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.core.failed()
		return err
	}
	events, err := c.core.result(result)
	c.changed(events)
	if err != nil {
		return fmt.Errorf("roster: %w", err)
	}
	return nil
}

// load reads the cache, once.
func (c *Client) load(ctx context.Context) {
	if c.loaded || c.opts.Cache == nil {
		return
	}
	c.loaded = true
	s, err := c.opts.Cache.Load(ctx, c.account)
	if err == nil {
		err = s.check()
	}
	if err != nil { // RFC 6121 §2.6.2: the cache is lost or corrupted
		c.report(ctx, fmt.Errorf("roster: the cache cannot be used: %w", err))
		return
	}
	if s.Version == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, c.core.restore(s)...)
}

// check tells whether a cached roster can be one.
func (s Snapshot) check() error {
	if len(s.Items) > maxItems {
		return fmt.Errorf("%w: there are %d contacts", ErrFull, len(s.Items))
	}
	seen := make(map[jid.JID]bool, len(s.Items))
	for _, i := range s.Items {
		if i.JID.IsZero() || seen[i.JID] {
			return fmt.Errorf("%w: the contact %s is there twice, or is none", stanza.ErrInvalid, quote.ASCII(i.JID.String(), 128))
		}
		seen[i.JID] = true
	}
	return nil
}

// deliver tells OnChange what is to be told, and then saves the list. One goroutine
// does so at a time; the others leave it to that one, and so does an OnChange that
// calls Sync.
func (c *Client) deliver(ctx context.Context) {
	c.mu.Lock()
	if c.delivering {
		c.mu.Unlock()
		return
	}
	c.delivering = true
	defer func() { // also when OnChange panics
		c.delivering = false
		c.mu.Unlock()
	}()
	for {
		switch {
		case len(c.events) > 0:
			e := c.events[0]
			c.events = c.events[1:]
			c.unlocked(func() { c.tell(ctx, e) })
		case c.unsaved:
			c.unsaved = false
			s, ok := c.snapshot()
			if ok {
				c.unlocked(func() { c.save(ctx, s) })
			}
		default:
			c.events = nil
			return
		}
	}
}

// unlocked runs fn without the lock that the caller holds.
func (c *Client) unlocked(fn func()) {
	c.mu.Unlock()
	defer c.mu.Lock()
	fn()
}

// snapshot returns the list for the cache, if it is one that can be saved.
func (c *Client) snapshot() (Snapshot, bool) {
	ver, _ := c.core.list.Version()
	if c.opts.Cache == nil || c.core.phase != current || ver == "" {
		return Snapshot{}, false
	}
	return Snapshot{Version: ver, Items: slices.Collect(c.core.list.All())}, true
}

func (c *Client) tell(ctx context.Context, e Event) {
	if c.opts.OnChange != nil {
		c.opts.OnChange(ctx, Event{e.Before.Clone(), e.After.Clone()})
	}
}

func (c *Client) save(ctx context.Context, s Snapshot) {
	if err := c.opts.Cache.Save(ctx, c.account, s); err != nil {
		c.report(ctx, fmt.Errorf("roster: the cache was not saved: %w", err))
	}
}

func (c *Client) report(ctx context.Context, err error) {
	if c.opts.Report != nil {
		c.opts.Report(ctx, err)
		return
	}
	slog.Default().WarnContext(ctx, "roster", "err", err)
}

// List returns a copy of the list as it is now.
func (c *Client) List() *List {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.list.Clone()
}

// All yields the contacts as they are when the loop begins, by address.
func (c *Client) All() iter.Seq[Item] {
	return func(yield func(Item) bool) { c.List().All()(yield) }
}

// Item returns a contact, and whether it is in the list.
func (c *Client) Item(contact jid.JID) (Item, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.list.Item(contact)
}

// Current reports whether the list follows the roster of the server: the last Sync
// has succeeded, and every push since has been applied. It knows nothing of the
// connection: when that ends, the next Sync is what makes the list current again.
func (c *Client) Current() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.phase == current
}
