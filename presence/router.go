package presence

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

// Router is the part of a server that comes after negotiation: it knows who is
// connected, keeps rosters and presence, and decides where stanzas go (RFC 6120
// §10, RFC 6121). It does no I/O of its own: sessions are handed to it, see
// [Router.ServeConn] and [Connection].
//
// Set the fields before the first use and leave them alone afterwards. Hosted and
// Accounts are required. A Router is safe for concurrent use, must not be
// copied, and implements [stanza.Host].
type Router struct {
	// Hosted are the domains served, the main one first: what the server itself
	// sends comes from that.
	Hosted []jid.JID

	// Accounts tells which accounts there are.
	Accounts Accounts

	// Rosters keeps the rosters; nil means a roster.MemoryStore. The router reads a
	// roster once and remembers it for as long as the account has resources: what
	// changes in the store meanwhile, other than by the router, it does not see. A
	// *stanza.Error of the store is what the client is told, so that a store may
	// refuse changes: with stanza.NotAllowed, for example.
	Rosters roster.Store
	// RosterLimits is what a roster set may contain; nil means the defaults.
	RosterLimits *roster.Limits
	// Offline keeps messages for accounts that cannot be reached; nil means a
	// [MemoryOffline]. See also NoOffline.
	Offline OfflineStore
	// NoOffline returns messages to their senders instead of keeping them.
	NoOffline bool
	// LastSeenStore keeps when accounts were last available; nil means a
	// [MemoryLastSeen].
	LastSeenStore LastSeenStore

	// Modules extend the server, in this order.
	Modules []stanza.Module

	// Handler gets stanzas that are addressed to the server itself or to the
	// sender's own account, and that no module has a route for. Nil answers
	// requests and messages with service-unavailable. It runs on the reader of
	// the session that the stanza came from: while it runs that client, and only
	// that one, waits. Its context ends with that session.
	//
	// What it sends is routed, from the server if it says nothing else. Its Do
	// waits for 30 seconds at most if the context has no deadline, and not at all
	// for the client whose stanza is being handled, which is not heard meanwhile.
	Handler stanza.Handler

	// Management says how streams are managed (XEP-0198): what clients acknowledge,
	// and for how long a session may be resumed after its connection was lost. Nil
	// means the defaults of sm.ServerOptions. Its hooks are the router's own.
	Management *sm.ServerOptions
	// NoManagement offers no stream management.
	NoManagement bool

	// Conflict decides what happens when a client asks for a resource that is
	// connected already. Nil means [ReplaceOld].
	Conflict func(ctx context.Context, asked jid.JID) ConflictPolicy

	// MaxResources is how many resources one account may have connected. One
	// more is refused with resource-constraint. Zero means 64.
	MaxResources int

	// NetworkAddr returns where a client connects from, given the context of its
	// negotiation, for modules that count by address. Nil means that it is not
	// known.
	NetworkAddr func(ctx context.Context) netip.Addr

	// Report is told of what went wrong and nobody else was told: a handler that
	// failed, a store that could not be read. It is called by several goroutines,
	// and while the router holds locks: it must neither call the router nor wait.
	// Nil ignores it.
	Report func(what string, err error)

	setup    sync.Once
	setupErr error
	table    table
	pairs    pairs
	requests requests
	removed  removals
	hooks    hooks
	mux      stanza.Mux // for the server and the sender's own account
	public   stanza.Mux // for other accounts
	features []stream.Feature
	streams  *sm.Server // nil without stream management

	background sync.WaitGroup // what is done for resources beside their readers

	// linking puts in order who has to do with a resource whose session was lost: it
	// guards the values of links, Resource.ending, and changes of Resource.at.
	// Nothing but links is locked with it.
	linking sync.Mutex
}

// Accounts is who has an account. Implementations are safe for concurrent use.
type Accounts interface {
	// Exists reports whether there is an account with that bare JID. The server is
	// one that hosts its domain. Accounts that are connected are not asked about.
	Exists(ctx context.Context, account jid.JID) (bool, error)
}

// ErrRouter is wrapped by errors about a Router whose fields cannot be used.
var ErrRouter = errors.New("presence: unusable router")

// hooks are the modules by what they can do.
type hooks struct {
	gates    []stanza.Gate
	before   []stanza.BeforeRouter
	deliver  []stanza.BeforeDeliverer
	after    []stanza.AfterRouter
	sessions []stanza.SessionWatcher
	resumers []stanza.SessionResumer
	keepers  []stanza.ResourceRestorer
	presence []stanza.PresenceWatcher
	accounts []stanza.AccountWatcher
}

// Init checks the fields and attaches the modules, once. Features and ServeConn call
// it; call it first to learn of mistakes before there is a client, and in any case
// before any other method. The error wraps
// [ErrRouter].
func (r *Router) Init() error {
	r.setup.Do(func() {
		if err := r.init(); err != nil {
			r.setupErr = fmt.Errorf("%w: %w", ErrRouter, err)
		}
	})
	return r.setupErr
}

func (r *Router) init() error {
	switch {
	case len(r.Hosted) == 0:
		return errors.New("no domain")
	case r.Accounts == nil:
		return errors.New("no accounts")
	}
	for _, d := range r.Hosted {
		if d.IsZero() || d != d.DomainJID() {
			return fmt.Errorf("%q is not a domain", d)
		}
	}
	if r.Rosters == nil {
		r.Rosters = new(roster.MemoryStore)
	}
	if r.Offline == nil {
		r.Offline = new(MemoryOffline)
	}
	if r.LastSeenStore == nil {
		r.LastSeenStore = new(MemoryLastSeen)
	}
	r.requests.limit = 1024
	handler := r.Handler
	if handler == nil {
		handler = stanza.HandlerFunc(nobodyHome)
	}
	r.mux.Fallback(handler)
	for _, m := range r.Modules {
		if err := r.attach(m); err != nil {
			return fmt.Errorf("module %s: %w", m.Name(), err)
		}
	}
	if err := r.registerRoster(&r.mux); err != nil {
		return err
	}
	if err := stanza.Install(&r.mux, r.Modules...); err != nil {
		return err
	}
	if !r.NoManagement {
		// In front of binding: a session that was resumed is bound already.
		r.streams = r.management()
		if err := r.streams.Load(context.Background(), r.adopt); err != nil {
			return fmt.Errorf("reading stored sessions: %w", err)
		}
		r.features = append(r.features, r.streams.Feature())
	}
	r.features = append(r.features, bind.Server(&bind.ServerOptions{Bind: r.Bind, OfferSession: true}))
	r.features = append(r.features, roster.Versioning(), roster.PreApproval())
	for _, m := range r.Modules {
		if f, ok := m.(stanza.StreamFeaturer); ok {
			r.features = append(r.features, f.StreamFeatures()...)
		}
	}
	return nil
}

// attach finds out what a module can do.
func (r *Router) attach(m stanza.Module) error {
	if h, ok := m.(stanza.HostModule); ok {
		if err := h.Attach(r); err != nil {
			return err
		}
	}
	if p, ok := m.(stanza.PublicModule); ok {
		if err := p.RegisterPublic(&r.public); err != nil {
			return err
		}
	}
	add(&r.hooks.gates, m)
	add(&r.hooks.before, m)
	add(&r.hooks.deliver, m)
	add(&r.hooks.after, m)
	add(&r.hooks.sessions, m)
	add(&r.hooks.resumers, m)
	add(&r.hooks.keepers, m)
	add(&r.hooks.presence, m)
	add(&r.hooks.accounts, m)
	return nil
}

// add appends m to the list of those that can do T, if it can.
func add[T any](list *[]T, m stanza.Module) {
	if v, ok := m.(T); ok {
		*list = append(*list, v)
	}
}

// Features returns the features of streams that the router has part in: resource
// binding, what it says about rosters, and those of modules. They go behind the
// features for TLS and authentication; those of modules that come before
// authentication see to their place by Needs and Forbids. It is nil if Init
// fails.
func (r *Router) Features() []stream.Feature {
	if r.Init() != nil {
		return nil
	}
	return slices.Clone(r.features)
}

// Domains implements [stanza.Host].
func (r *Router) Domains() []jid.JID { return r.Hosted }

// Address returns where the client whose stream is being negotiated connects
// from, or the zero Addr.
func (r *Router) Address(ctx context.Context) netip.Addr {
	if r.NetworkAddr == nil {
		return netip.Addr{}
	}
	return r.NetworkAddr(ctx)
}

// hosted reports whether the server serves a domain.
func (r *Router) hosted(domain jid.JID) bool { return slices.Contains(r.Hosted, domain) }

func (r *Router) maxResources() int {
	if r.MaxResources <= 0 {
		return 64
	}
	return r.MaxResources
}

// report tells the program of an error, if there is one.
func (r *Router) report(what string, err error) {
	if err != nil && r.Report != nil {
		r.Report(what, err)
	}
}

// Exists implements [stanza.Host]. An account that is connected exists, whatever
// Accounts says: it may be one that was made up for a guest.
func (r *Router) Exists(ctx context.Context, bare jid.JID) (bool, error) {
	if a := r.table.find(bare); a != nil && len(a.connected()) > 0 {
		return true, nil
	}
	if bare.Local() == "" || !r.hosted(bare.DomainJID()) {
		return false, nil
	}
	return r.Accounts.Exists(ctx, bare)
}

// Resource implements [stanza.Host].
func (r *Router) Resource(addr jid.JID) stanza.Resource {
	if res := r.table.resource(addr); res != nil {
		return res
	}
	return nil
}

// Resources implements [stanza.Host].
func (r *Router) Resources(bare jid.JID) []stanza.Resource {
	var out []stanza.Resource
	for _, res := range r.Connected(bare) {
		out = append(out, res)
	}
	return out
}

// Connected returns the connected resources of an account, or those of all accounts
// if bare is zero; available or not, in no order. It is Resources for those who want
// to know more than a module. The slice is the caller's own.
func (r *Router) Connected(bare jid.JID) []*Resource {
	if !bare.IsZero() {
		if a := r.table.find(bare.Bare()); a != nil {
			return slices.Clone(a.connected())
		}
		return nil
	}
	var out []*Resource
	for _, a := range r.table.all() {
		out = append(out, a.connected()...)
	}
	return out
}
