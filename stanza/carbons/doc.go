// Package carbons is Message Carbons (XEP-0280): every client of an account sees
// both sides of its conversations, whichever client takes part in them.
//
// # Client
//
// [Enable] and [Disable] ask the server for copies and for no more of them;
// [Client] asks while the resource is bound, so that nothing is missed between.
// [Decode] tells whether a message is a copy and takes it apart. It believes a copy
// only from the account itself (§11): hand it every message, before anything else
// looks at it, and drop those for which it returns [ErrForged].
//
// # Server
//
// [Module] sends the copies. It makes them of the bytes of the message, which are
// neither parsed nor escaped again, and once for all clients of an account.
//
// What is copied (§6.1): messages of type chat; of type normal with a body; with a
// delivery receipt (XEP-0184), a chat state (XEP-0085) or a chat marker (XEP-0333);
// invitations to rooms, direct (XEP-0249) and mediated (XEP-0045 §7.8.2); private
// messages to an occupant of a room; and errors about one of these. What is not:
// messages with <private/> or with the hint <no-copy/>, those of rooms and, for who
// receives them, of occupants of rooms.
//
// Beyond the specification: a message that itself holds a <sent/> or <received/>
// of this protocol is never copied. Nobody has a reason to send one, but to deceive.
//
// Nobody gets more than one: a client that gets the message itself gets no copy of
// it, and a message to the own account is copied as sent only. A message that the
// sender is told was refused counts as not sent. One that went to the offline store
// is copied to clients that are connected without being available, as §7 wants
// it; a client that becomes available afterwards may find it in the store again.
//
// # Specifications
//
// XEP-0280 1.0.1, all of it; XEP-0386 1.1.0 §3.2 as far as it is about carbons;
// XEP-0334 §4.3 (no-copy).
//
// Left out: telling which clients share a nickname in a room, to which §6.1 would
// have copies of private messages to its occupants limited (those clients ignore
// what they cannot use); forbidding somebody to have copies, for which there are
// filters (§4.1); the error of §4.1 for requests at the address of another account,
// which get service-unavailable as if nobody were there.
package carbons
