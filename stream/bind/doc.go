// Package bind is resource binding as a stream feature (RFC 6120 §7), for both roles. [Client] and
// [Server] return values for the Features of stream.InitiateOptions and stream.AcceptOptions. Once
// it is done, the stream is for a full JID and stanzas may flow.
//
// The client asks for a resource or leaves the choice to the server, and takes what it gets: the
// address of the stream is what the server says (§7.6.1, §7.7.1), provided that it is a full JID in
// the domain of the stream.
//
// The server makes random resources unless told otherwise. One that keeps track of its sessions
// sets ServerOptions.Bind, which sees every request and decides: grant, override, refuse, or end an
// older session first (§7.7.2.2). The account is always the one that authenticated, whatever the
// request says.
//
// # Sessions of RFC 3921
//
// Clients of RFC 3921's time establish a "session" after binding, which RFC 6121 has no use for.
// ServerOptions.OfferSession advertises it, as optional, and [AnswerSession] makes the answer to
// the request, which is an ordinary stanza by then.
//
// # Bind 2
//
// Inside the authentication of SASL 2 both sides bind by XEP-0386, without a round trip of its own:
// the server makes up the resource, from the client's tag and something that nobody can guess, and
// other features that belong to a session (stream management, carbons) ride along, see
// stream.InBinding. Where the server does not bind there, RFC 6120 §7 follows.
//
// # Specifications
//
// RFC 6120 §7 (all of it), §8.2.3 and §8.3 as far as the exchange needs; RFC 3921 §3 (answered, if
// wanted); XEP-0386 v1.1.0, but for the archive's metadata and clearing offline messages, which are
// for whoever has them.
//
// Left out: unbinding (only in drafts), establishing a session as a client (RFC
// 6121 Appendix E made it superfluous).
package bind
