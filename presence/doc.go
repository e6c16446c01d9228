// Package presence is what happens to stanzas once a stream is negotiated: who is
// available and who may know, subscriptions, and where messages, presence and
// requests go (RFC 6121 §3 to §5 and §8, RFC 6120 §10). The server's half is the
// [Router], the client's the [Tracker].
//
// # The server's half
//
// A [Router] is embedded by a program that accepts connections itself. TLS and
// authentication come before it, as features of the stream; it brings resource binding
// and what modules add:
//
//	router := &presence.Router{Hosted: domains, Accounts: users, Modules: modules}
//	if err := router.Init(); err != nil {
//		return err
//	}
//	opts := &stream.AcceptOptions{Domains: domains, Features: append([]stream.Feature{
//		xtls.StartTLSServer(certificates),
//		auth.Server(logins),
//	}, router.Features()...)}
//	…
//	err := router.ServeConn(ctx, conn, opts) // for each connection
//
// These are its parts:
//
//   - A [Connection] is one client's place in the router, from before negotiation to
//     the end. [Router.ServeConn] takes care of it. A program that has to do more in
//     between calls [Router.Connect], [Connection.Serve] and [Connection.Leave].
//   - A [Resource] is what the client has bound: the full JID, what it shows of
//     itself, what modules keep with it. It has a session beneath it, and outlives
//     that; then sending fails. A second client that asks for the same address gets a
//     Resource of its own, and Router.Conflict says what becomes of the first.
//   - [Decide] says what becomes of a stanza. It is a function of a [Question], in
//     which there are no addresses and no sessions: the tables of RFC 6121 §8 as a
//     value, that can be tested cell by cell.
//   - Stores keep what outlives sessions: rosters in a [roster.Store], messages for
//     who is away in an [OfflineStore] (XEP-0160), when somebody was last here in a
//     [LastSeenStore]. Who has an account is for the program to say: [Accounts]. Nil
//     stores are in memory and bounded.
//   - Modules do the rest: each [stanza.Module] takes part where it implements the
//     interfaces for that (stanza.Gate, stanza.BeforeRouter, stanza.PresenceWatcher and
//     so on). To them the Router is a [stanza.Host].
//
// # The way of a stanza
//
// A stanza of a client is looked at on the reader of its session, so that what one
// client sends is handled in the order in which it was sent (RFC 6120 §10.1). The
// sender's address is checked. Then come, in this order: BeforeRoute of each module;
// for presence without an address, the broadcast to those who may see it; Gate of each
// module; Decide; for a message that somebody gets or that is stored, BeforeDeliver
// of each module; the recipients, or the store; AfterRoute of each module. What is for
// the server itself, or for the sender's own account, goes to the routes that modules
// have registered, and last to Router.Handler. The router passes the bytes on that came:
// of a stanza it changes the addresses, the language and what modules change.
//
// What the program itself has to say goes through [Router.Send], and a question to a
// client through [Router.Do]. [Resource.TrySend] is for pushes: no rule looks at them.
//
// # Lifetimes
//
// A Router has no end of its own, and no goroutines but those that end the session of
// a resource whose address was taken over or whose account was removed; the Leave of
// its connection waits for them. The goroutine that called ServeConn is the reader of
// that session, and all handlers of what that client sends run in it. An element, a
// Transit and a stanza are borrowed until the call that hands them out returns; what a
// Resource returns as its presence may be kept.
//
// The router knows an account only while it has resources or somebody works with it,
// and its roster only as long: see Router.Rosters for what that means for a store that
// others write to. When an account is removed, tell the router with [Router.Forget].
//
// # Resumption
//
// With stream management (XEP-0198), which Router.Management adjusts, a client that loses
// its connection can come back on another one. Until then its [Resource] stays where it
// is: available if it was, seen by its contacts, found by modules, and what it is sent is
// kept, up to a bound. Its address can be bound anew, and a resource whose client is away
// makes room for one more than Router.MaxResources; both end the session that could be
// resumed.
//
// When the client does not come back in time, or its stream is closed, or this side ends
// it, the resource goes, once, and what the client has not acknowledged is treated as if
// the resource had not been there (XEP-0198 §4): a message goes to whoever is available,
// or waits with the time at which it was sent, or returns to its sender, as RFC 6121 §8
// has it for that address; a request comes back; presence, and copies for that resource,
// are dropped. A message to the bare JID that another resource, which is there still, has
// got as well is not sent on; when that is doubtful it is, since it is better to get one
// twice than not at all. Stored messages stay in the store until they are acknowledged.
// A message that comes while this is done may be stored ahead of those; the stamps tell.
//
// # Concurrency
//
// Everything here is safe for concurrent use. Nobody waits for a client while holding a
// lock, nobody holds the locks of two accounts, and the lock that keeps a change of a
// subscription in one piece for both accounts is taken before that of either. Stores are
// asked while the lock of an account is held, and so are the Gate and the Intercept of a
// module: they must not call the router. A client that does not read holds up nobody:
// its queue is bounded, and when that is full its session ends (RFC 6120 §4.9.3.17).
//
// # The client's half
//
// A [Tracker] follows the presence that a client receives: who is available, on which
// resources and how, who was last here when, who asks for a subscription. It sends the
// client's own presence, and remembers to whom it was directed. The roster that goes
// with it is a roster.Client. Give the Tracker's Follow to the OnChange of that client,
// so that presence which comes before its roster push is not lost.
//
// # What is covered
//
// RFC 6121 §3 (subscriptions: requests that wait, approvals, pre-approval, cancellation,
// between accounts of this server), §4 (initial and subsequent presence, probes,
// unavailable presence, directed presence, priorities), §5 (delivery of messages), §8
// (server rules, as in its tables); the server's side of §2 (rosters, pushes, versions),
// whose parts are in package roster. RFC 6120 §7.7.2.2 (conflicts), §8.1.2.1 (who sends),
// §10 (routing within this server). XEP-0198 §4 (stanzas that were not acknowledged) and
// §5 (resources of sessions that are resumed). XEP-0160 (offline messages) with the
// hints of XEP-0334 and the time of XEP-0203.
//
// Left out:
//
//   - Other servers. A stanza for a domain that is not hosted, a request for a
//     subscription among them, comes back with remote-server-not-found (RFC 6120 §10.4).
//   - Negotiation, limits on connections and over time, and logging, which are up to the
//     program. The Server of the root package is this package with all of that; the
//     command in examples/embed puts together what it needs itself.
package presence
