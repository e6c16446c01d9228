// Package csi is Client State Indication (XEP-0352): a client says that nobody is
// looking at it, and the server holds back what can wait until somebody does.
//
// # Client
//
// [Inactive] and [Active] say so, over the session. A server that does not know
// the protocol would end the stream for it (RFC 6120 §4.9.3.24); [Client] finds
// out during the negotiation, and can begin the session inactive.
//
// # Server
//
// [Module] holds stanzas back. As long as the client is inactive,
//
//   - presence of contacts and rooms waits, of each full JID the latest only; that
//     of occupants of rooms all of it, since it says more than who is there;
//   - messages with nothing but a chat state (XEP-0085) wait, and copies of such
//     messages (XEP-0280);
//   - headlines without a body wait, such as the events of XEP-0163.
//
// Everything else goes out at once, and what waits goes out before it: so the order
// of RFC 6120 §10.1 is kept, and nothing is ever discarded but presence that is out
// of date. IQ stanzas, errors, subscriptions and messages with a body never wait,
// whatever the policy of the program is: see [CanWait]. Nor does what an offline
// store keeps for a client that is away (XEP-0160 §3), so that the end of a session
// loses nothing by what was held back for it. A stanza that has waited for a second
// or more says since when (XEP-0203).
//
// The specification lets a server do with the state what it likes (§3.2), asks that
// it can be configured, and that nobody else learns of it (§6).
//
// # Specifications
//
// XEP-0352 1.0.0, all of it; XEP-0386 1.1.0 §3.2 as far as it is about the state;
// XEP-0203 2.0 §2.
//
// A session that is resumed begins in the active state (§5.2).
//
// Left out: discarding, and changing subscriptions to nodes (§3.2 mentions both).
package csi
