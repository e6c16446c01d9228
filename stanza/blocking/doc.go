// Package blocking is the Blocking Command (XEP-0191): a user tells the server
// from whom, and to whom, nothing is to be passed on.
//
// A client calls [List] once it has logged in, changes the list with [Block],
// [Unblock] and [UnblockAll], and learns from [Pushes] what the other clients of
// the account change. [IsBlocked] tells the error for a stanza to a blocked
// contact from others.
//
// A server adds a [Module]. It keeps the lists in a [Store] and all of them in
// memory: it reads them when it is attached, so that the gate never waits for a
// store, accounts that are offline are protected like those that are online, and
// a store that cannot be read keeps the server from starting instead of letting
// everybody through. Only accounts that block somebody take up room, about 50
// bytes for each address. As long as nobody blocks anybody, a stanza costs one
// load of a counter. The server that has the module is the only one that writes
// to its Store.
//
// # What is let through
//
// Nothing keeps apart the resources of an account (§5), or an account and the
// domains of its own server without a localpart: whoever blocks the domain of the
// server blocks its other accounts, but can still ask the server to undo it.
//
// # What a blocked contact sees
//
// Presence is dropped and requests get service-unavailable, as if the account did
// not exist or were offline (§3.3). So do messages, except those of type
// groupchat: they are dropped, because a room may take an error for the sign that
// its occupant is gone (XEP-0045, "Ghost Users"), and would remove the user from
// the room for having blocked one of its occupants. Nothing is stored offline.
//
// When it is blocked it is told that the account has gone offline, and what the
// account's presence is when it is not blocked any more, if it may know (§3.3,
// §3.4). Those at a domain that is blocked as a whole, and those that were sent
// directed presence at a resource, are told if the host can say who they are: by a
// method Viewers(ctx, account) that returns the addresses with a subscription to
// the account or directed presence from it.
//
// An address with a resource blocks that resource only (§6). Presence that the
// user broadcasts goes to the bare address of the contact, and thus still to all
// of its resources unless the server asks the gate for each.
//
// # Covered and left out
//
// Covered: XEP-0191 1.3, all sections but §5 (there are no privacy lists). Left
// out: cancelling subscriptions of blocked contacts, which §4 permits and advises
// against; asking for the presence of a contact that was unblocked, which arrives
// when it changes.
package blocking
