// Package auth is SASL negotiation as a stream feature (RFC 6120 §6), for both roles. [Client] and
// [Server] return values for the Features of stream.InitiateOptions and stream.AcceptOptions; the
// mechanisms themselves are in package sasl, which knows nothing of XML.
//
// # Order and strength
//
// Authentication happens inside TLS. The client neither sends nor prepares anything before the
// stream is secure; the server offers nothing before, and answers a client that tries all the same
// with <encryption-required/> (RFC 6120 §6.5.4) without looking at what it sent. Each side has one
// option that lifts this, called InsecureWithoutTLS.
//
// The client uses the first of its own mechanisms that the server offers (RFC 6120 §6.3.3), with
// channel binding whenever both sides have a type in common (RFC 5802 §6, XEP-0440). It makes one
// attempt for each stream. A wrong password does not become right by trying again, a weaker
// mechanism after a stronger one has failed is what an attacker waits for, and channel-binding data
// serves one exchange only (RFC 9266 §4.1): whoever wants to try again opens a new stream.
//
// PLAIN is off on both sides until AllowPlain is set, and then used inside TLS only; by the client,
// only when the server's certificate was verified too.
//
// # What the server promises
//
// The authenticated identity is a bare JID at the domain that the stream is for. Attempts for each
// stream are bounded (RFC 6120 §6.4.5), and what counts is every <auth/> that does not end in
// success: failed, aborted, abandoned for another, or nonsense. Failures do not tell whether an
// account exists.
//
// # Data
//
// Base64 is checked as RFC 6120 §13.9.1 demands: alphabet, padding and padding bits exact, and no
// line breaks. What the elements of the exchange contain is hidden from the traces of the stream.
//
// # Specifications
//
// RFC 6120 §6.3 (rules; §6.3.7, §6.3.8 identities), §6.4 (process), §6.5 (errors), §13.9.1
// (base64); RFC 9266 §4.1 (one exchange for each channel binding); XEP-0440 (announced
// channel-binding types, sent and read).
//
// Left out: SASL security layers (RFC 6120 §6.3.6): no mechanism of package sasl has one, TLS does
// that work, and a mechanism that negotiates one must not be used here. Falling back to a second
// mechanism in one stream (§6.4.5 permits it). SASL 2 (XEP-0388).
package auth
