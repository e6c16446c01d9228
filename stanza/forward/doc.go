// Package forward is Stanza Forwarding (XEP-0297): one stanza inside another, with
// the time at which it was first received. Message carbons and archives are made
// of it.
//
// [Forwarded] is the payload, for reading and for writing. Reading does not parse
// the stanza inside: it is at hand as an element, borrowed like the one around it,
// and [Forwarded.Decode] makes a stanza of it. Writing takes a stanza or an element
// as it was received.
//
// # Whom to believe
//
// Anybody can write anything into a forwarded stanza (XEP-0297 §7). One that came
// unasked proves nothing, and is never to be processed as if it had been received
// itself (§7.1); which ones to believe is up to the protocol around it. This
// package has no handlers for that reason.
//
// Covered: XEP-0297 1.0 §3, the namespace in §3.2 included. Left out: showing
// forwarded messages, and the discovery of who can (§4).
package forward
