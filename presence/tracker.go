package presence

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// TrackerOptions says how a [Tracker] works. Only Account is required.
type TrackerOptions struct {
	// Account is the user's own address; its resource does not matter.
	Account jid.JID

	// InRoster tells whether a contact, by its bare JID, is in the user's roster:
	// most often by asking a [roster.Client]. Presence is believed from those
	// contacts, from the resources of the own account, and from who was sent
	// directed presence; from anybody else it is ignored (RFC 6121 §4.2.4). Nil
	// believes everybody, for programs that have no roster.
	//
	// A program that sets InRoster passes each change of the roster to
	// [Tracker.Follow]. A roster push comes from the account and presence from the
	// contact, and [stanza.Conn.Serve] handles the two at the same time, so that
	// presence of a new contact may be here first. The Tracker holds it back, bounded
	// and out of sight, until Follow or the contact's next presence finds that
	// InRoster says yes.
	//
	// It is asked without a lock of the Tracker, in Apply and in Follow, by several
	// goroutines at the same time.
	InRoster func(contact jid.JID) bool

	// OnEvent is told what comes of presence, when the Tracker is installed as a
	// module. It runs like a handler: in order for one contact, and for different
	// contacts at the same time. It may send and use the Tracker. Nil: nobody is
	// told.
	OnEvent func(ctx context.Context, s stanza.Sender, e Event)

	// Contacts is how many contacts are known at a time. Zero means 16,384.
	// Who has been gone for the longest time is forgotten for one more; if nobody
	// is gone, the new one is ignored.
	Contacts int

	// Resources is how many available resources of a contact are known; more are
	// ignored. Zero means 64.
	Resources int

	// Occupants is the same for an address that was sent directed presence, such
	// as a room. Zero means 4,096.
	Occupants int
}

// Tracker knows, on a client, who is available and how (RFC 6121 §4), when
// contacts were last available, who wants to subscribe, and to whom the client has
// sent directed presence.
//
// It learns from presence stanzas. It is a [stanza.Module] to install in the
// [stanza.Mux] of the connection: as a [stanza.Filter] it sees all presence, lets it
// pass, and tells OnEvent. A program with a loop of its own over
// [stanza.Conn.All] calls [Tracker.Apply] instead.
//
// A Tracker serves one session at a time. Call [Tracker.Reset] when a new one
// begins, before the first presence is sent; on a [stanza.Conn] that outlives its
// sessions that is done for the program. All methods are safe for concurrent
// use.
type Tracker struct {
	opts TrackerOptions

	mu       sync.Mutex
	view     view
	restored *stanza.Presence // what Available has sent last; nil while not available
}

// The bounds of a Tracker that are no options.
const (
	maxSeen     = 1 << 16 // available resources of all contacts; more are ignored
	maxAsking   = 1024    // pending requests; more are ignored, and come again at the next login
	maxTold     = 256     // addresses with directed presence; one more is an error
	maxStatuses = 8       // languages of a status that are kept; others are dropped
	maxStatus   = 1024    // octets of a status in one language; the rest is dropped
	maxLang     = 128     // octets of the name of a language; a status in a longer one is dropped
)

// NewTracker returns a Tracker that knows nothing yet. opts is copied. The error
// wraps [stanza.ErrInvalid] if there is no Account.
func NewTracker(opts *TrackerOptions) (*Tracker, error) {
	if opts == nil || opts.Account.IsZero() {
		return nil, fmt.Errorf("presence: %w: a tracker has an account", stanza.ErrInvalid)
	}
	t := &Tracker{opts: *opts}
	t.opts.Account = opts.Account.Bare()
	t.view = view{
		account:      t.opts.Account,
		maxContacts:  orDefault(opts.Contacts, 16_384),
		maxResources: orDefault(opts.Resources, 64),
		maxOccupants: orDefault(opts.Occupants, 4096),
	}
	return t, nil
}

// Name implements [stanza.Module].
func (t *Tracker) Name() string { return "presence" }

// Register implements [stanza.Module]. There is nothing to route: see Filter.
func (t *Tracker) Register(*stanza.Mux) error { return nil }

// Filter implements [stanza.Filter]: it applies presence, tells OnEvent what came
// of it, and lets every stanza pass.
func (t *Tracker) Filter(ctx context.Context, s stanza.Sender, st stanza.Stanza) stanza.Verdict {
	if p, ok := st.(*stanza.Presence); ok {
		for _, e := range t.Apply(p) {
			if t.opts.OnEvent != nil {
				t.opts.OnEvent(ctx, s, e)
			}
		}
	}
	return stanza.Pass()
}

// Apply takes note of presence that the client has received, and returns what came
// of it: nothing if the sender is not believed, and one event for each resource if
// a contact has become unavailable as a whole. If presence of the contact was held
// back until now, what came of that is first. OnEvent is not called.
func (t *Tracker) Apply(p *stanza.Presence) []Event {
	if p == nil {
		return nil
	}
	contact := t.view.sender(p).Bare()
	listed := t.listed(contact)
	t.mu.Lock()
	events := t.view.apply(p, time.Now(), listed)
	t.mu.Unlock()
	if listed {
		return events
	}
	// The contact may have come into the roster, and Follow may have been called,
	// after InRoster had said no and before p was held.
	return append(events, t.release(contact)...)
}

// listed reports whether a contact is believed as it is in the roster, or the account
// itself. The caller does not hold the lock: the answer may have to wait for somebody
// else's.
func (t *Tracker) listed(contact jid.JID) bool {
	return t.opts.InRoster == nil || contact == t.opts.Account || t.opts.InRoster(contact)
}

// release makes known what is held of a contact, if that is believed by now. The
// caller does not hold the lock.
func (t *Tracker) release(contact jid.JID) []Event {
	t.mu.Lock()
	has := t.view.waiting.has(contact)
	t.mu.Unlock()
	if !has || !t.listed(contact) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view.release(contact)
}

// Follow takes note of a change of the roster, such as [roster.Options.OnChange]
// is told, once InRoster knows of it. It returns what came of it:
//
//   - A contact that InRoster says yes to is available as presence has said that came
//     before. At most 256 resources are held back that way, 16 of one contact; one
//     more takes the place of the oldest. Who has left meanwhile is not among them.
//   - A contact that the account is no longer subscribed to is unavailable from then
//     on as far as anybody can tell (RFC 6121 §3.3.1).
//
// A request that was approved, by this client or another one of the account, is no
// longer pending.
//
// OnEvent is not called. It may be told of newer presence of the contact before the
// caller has looked at the events: [Tracker.Best] says how things are.
func (t *Tracker) Follow(e roster.Event) []Event {
	contact := e.Contact().Bare()
	t.mu.Lock()
	if e.After.State.Has(roster.From) {
		t.view.settle(contact)
	}
	var events []Event
	lost := e.Removed() || e.Before.State.Has(roster.To) && !e.After.State.Has(roster.To)
	if lost && contact != t.opts.Account && !t.view.toldTo(contact) {
		events = t.view.forget(contact)
	}
	t.mu.Unlock()
	if lost {
		return events
	}
	return t.release(contact)
}

// Reset forgets the session that has ended: who is available, presence that is held
// back, pending requests, which the server delivers again (RFC 6121 §3.1.3 rule 4), and
// directed presence.
// When contacts were last available it keeps, but for those who were available
// until now: when they go nobody will tell. There are no events.
func (t *Tracker) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view.lapse()
	t.view.asking = nil
}

// Best returns the resource of a contact that is best to talk to: the one with the
// highest priority, among those the one that is most inclined to talk by its Show,
// and then the one that was heard of last. It reports false for a contact that is
// not available.
//
// A message for the contact goes to its bare JID all the same, where its server
// decides (RFC 6121 §5.1), and never to a resource with a negative priority (§8.5.2.1).
func (t *Tracker) Best(contact jid.JID) (Availability, bool) {
	if all := t.Resources(contact); len(all) > 0 {
		return all[0], true
	}
	return Availability{}, false
}

// Resources returns the available resources of a contact, the best one first. The
// contact may be the own account.
func (t *Tracker) Resources(contact jid.JID) []Availability {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view.resources(contact.Bare())
}

// Contacts returns the bare JIDs of those who are available, by address.
func (t *Tracker) Contacts() []jid.JID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view.available()
}

// Departed returns when and with what words a contact became unavailable. It
// reports false if the contact is available, or that is not known.
func (t *Tracker) Departed(contact jid.JID) (Departure, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.view.contacts[contact.Bare()]
	if c == nil || c.gone == nil {
		return Departure{}, false
	}
	d := c.left
	d.Status = slices.Clone(d.Status)
	return d, true
}

// Requests returns the requests for a subscription that nobody has answered yet,
// the oldest first (RFC 6121 §3.1.3). Each is a copy.
func (t *Tracker) Requests() []*stanza.Presence {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view.requests()
}

// Ignored returns how often presence was ignored because a bound was reached.
func (t *Tracker) Ignored() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view.ignored
}
