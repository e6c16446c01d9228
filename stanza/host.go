package stanza

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// The interfaces of this file are for modules of a server. A [Module] implements
// those that it needs; the server finds them by assertion. On a client they have
// no effect.

// Host is a server, as its modules see it. It is safe for concurrent use. What
// few modules need, a host offers by further methods, which those modules find
// by assertion in Attach.
type Host interface {
	// Send routes a stanza as if its From had sent it, which is the server or one
	// of its accounts: the rules of delivery apply, modules included. It does not
	// wait for who gets it.
	//
	// Do sends a request to the full JID of a client that is connected and waits
	// for the reply. A handler must not ask the client whose stanza it handles.
	Sender

	// Domains returns the domains served, the main one first. Read only.
	Domains() []jid.JID

	// Exists reports whether the server has an account with that bare JID.
	Exists(ctx context.Context, account jid.JID) (bool, error)

	// Resource returns the connected resource with a full JID, or nil. One that
	// is still being bound counts.
	Resource(addr jid.JID) Resource

	// Resources returns the connected resources of an account, or those of all
	// accounts if account is zero; available or not, in no order.
	Resources(account jid.JID) []Resource

	// MaySee reports whether viewer may know about the presence of account: it is
	// the account itself, or has a subscription to it (RFC 6121 §3).
	MaySee(ctx context.Context, account, viewer jid.JID) (bool, error)
}

// Resource is a connected resource of an account on a server. It is safe for
// concurrent use, and outlives its session: then sending fails with an error that
// wraps net.ErrClosed.
type Resource interface {
	// Addr returns the full JID.
	Addr() jid.JID

	// Presence returns the presence that the resource last broadcast, and nil
	// while it is not available (RFC 6121 §4.2, §4.5). It belongs to the
	// resource: it does not change, and may be kept.
	Presence() *stream.Element

	// TrySend queues a stanza for this resource and no other, past the rules of
	// delivery. It does not wait: a client that does not read loses its session.
	TrySend(st stream.Appender) error

	// Intercept puts f between the resource and what is sent to it: f writes with
	// next what it wants to be written, now or at a later call, in that order.
	// The Transit is nil for what was never routed, such as replies and pushes;
	// it and st are borrowed. Calls of f may be concurrent, and they may come while
	// the server holds locks: f must not call the server, nor wait for anybody.
	// Nil takes f away.
	Intercept(f func(t *Transit, st stream.Appender, next func(stream.Appender) error) error)

	// Value returns what SetValue kept under key, or nil. The key should be of an
	// unexported type, as with context.Context.
	Value(key any) any
	// SetValue keeps something for a module as long as the resource lives.
	SetValue(key, value any)

	// End ends the session with a reason that the client is told, or nil. ctx
	// bounds the wait for the end.
	End(ctx context.Context, reason *stream.Error) error
}

// HostModule is a [Module] that works with the server that it is part of.
type HostModule interface {
	// Attach is called once, before there is a client and before Register. An
	// error keeps the server from starting.
	Attach(h Host) error
}

// PublicModule is a [Module] that answers, on behalf of an account, what others
// ask at its bare JID (RFC 6121 §8.5.2.1.3). What is registered with Register is
// asked only by the account itself, or of the server.
//
// The server has asked before that such an account exists; a handler that returns
// [ServiceUnavailable] makes it look as if it did not.
type PublicModule interface {
	// RegisterPublic adds routes for requests of others to the account in their
	// To. It is called once.
	RegisterPublic(m *Mux) error
}

// StreamFeaturer is a [Module] that takes part in the negotiation of streams.
type StreamFeaturer interface {
	// StreamFeatures returns features for every stream of a client. It is called
	// once, after Attach.
	StreamFeatures() []stream.Feature
}

// Gate is a [Module] that keeps addresses apart, such as a list of blocked ones.
type Gate interface {
	// Gate judges whether what from sends may reach to. It is asked for every
	// stanza that clients and accounts send each other, for each contact of a
	// broadcast, and for probes; it has to be fast and must not block. Of the
	// verdicts it may give Pass, Drop and Bounce.
	Gate(from, to jid.JID, kind Kind, typ string) Verdict
}

// BeforeRouter is a [Module] that sees stanzas of clients before they are routed.
type BeforeRouter interface {
	// BeforeRoute judges t, which is borrowed. It may change what will be
	// delivered. Modules are asked in their order; the first verdict other than
	// Pass is the last.
	BeforeRoute(ctx context.Context, t *Transit) Verdict
}

// BeforeDeliverer is a [Module] that sees messages when it is decided what becomes
// of them and they will not come back.
type BeforeDeliverer interface {
	// BeforeDeliver may change t, which is borrowed, before it is written to the
	// resources in t.Delivered or stored offline.
	BeforeDeliver(ctx context.Context, t *Transit)
}

// AfterRouter is a [Module] that learns what became of a stanza.
type AfterRouter interface {
	// AfterRoute is called when t, which is borrowed, was delivered, stored,
	// bounced or dropped.
	AfterRoute(ctx context.Context, t *Transit)
}

// SessionWatcher is a [Module] that learns of sessions. A call for a resource
// comes after the one before it for the same resource has returned.
type SessionWatcher interface {
	// SessionUp is called when a resource is bound and its stream negotiated,
	// before any of its stanzas is handled.
	SessionUp(ctx context.Context, r Resource)
	// SessionGone is called when the resource is gone for good.
	SessionGone(ctx context.Context, r Resource)
}

// SessionResumer is a [SessionWatcher] that wants to know when a resource is
// without its session for a while (XEP-0198 §5). SessionGone comes without a
// SessionResumed if it does not come back.
type SessionResumer interface {
	// SessionDetached is called when the connection was lost and the session may
	// be resumed. What the resource is sent is kept until then.
	SessionDetached(ctx context.Context, r Resource)
	// SessionResumed is called when it was, before any further stanza of the
	// client is handled. All that the module keeps for the resource still holds.
	SessionResumed(ctx context.Context, r Resource)
}

// KeepingResource is a [Resource] whose session may be resumed when the program was
// started anew. Modules find it by assertion.
type KeepingResource interface {
	Resource
	// Keep stores something of a module's with the session; nil removes it. The
	// name begins with that of the module. It costs nothing if sessions are not
	// stored.
	Keep(name string, value []byte)
}

// ResourceRestorer is a [Module] that keeps something with sessions.
type ResourceRestorer interface {
	// RestoreResource is called, before there are clients, for each resource of an
	// earlier process whose session may be resumed. Kept returns what Keep has
	// stored, or nil.
	RestoreResource(r Resource, kept func(name string) []byte)
}

// PresenceWatcher is a [Module] that learns of the availability of resources.
type PresenceWatcher interface {
	// PresenceChanged is called after the resource has broadcast presence, with
	// that presence; or nil if it is not available any more. Initial says that it
	// was not available before.
	PresenceChanged(ctx context.Context, r Resource, p *stream.Element, initial bool)
}

// AccountWatcher is a [Module] that keeps something for accounts.
type AccountWatcher interface {
	// AccountRemoved is called when an account has been removed: whatever is kept
	// for it is to go, lest the next owner of the name finds it.
	AccountRemoved(ctx context.Context, account jid.JID) error
}
