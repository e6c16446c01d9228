// Package sasl implements SASL mechanisms for both sides of a connection: bytes in, bytes out, no
// sockets, no clock, no goroutine and no knowledge of the protocol that carries the messages. XMPP
// is one user; IMAP, SMTP or a protocol of your own work the same way.
//
// # Shape
//
// A [Mechanism] is a value. A program holds the mechanisms it is ready to use in a slice, most
// preferred first; [Default] is a good start. There is no registry. On the client, [Select] picks
// one from what the server offered; its NewClient starts one exchange, a [Client]. On the server,
// NewServer starts a [Server]. Both have one method that moves the exchange on:
//
//	out, done, err := exchange.Next(ctx, in)
//
// RFC 4422 tells "no data" from "data of length zero", and so does this package: a nil slice is no
// data, a non-nil empty slice is empty data (what XMPP writes as "=").
//
// Everything known about the connection is handed in as plain data: channel bindings ([Binding]),
// the mechanism names that were offered, whether the channel is confidential.
//
// # Mechanisms
//
//   - SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512 and their -PLUS variants: [Scram], [ScramPlus].
//   - PLAIN: [Plain]. Never in [Default], and refused on a channel that is not
//     [ClientConfig.Secure].
//
// None of them negotiates a SASL security layer (RFC 4422 §3.7). SCRAM and PLAIN define none (RFC
// 5802 §5.2, RFC 4616 §2), so there is nothing to turn on: confidentiality is the business of TLS
// below.
//
// # Passwords and names
//
// Passwords are prepared with the PRECIS OpaqueString profile (RFC 8265 §4.2), which replaces the
// SASLprep that RFC 5802 and RFC 4616 name. The two agree on ASCII. OpaqueString normalises to NFC
// where SASLprep used NFKC, so a password that holds compatibility characters, such as a ligature,
// yields other keys than under SASLprep.
//
// User names must be valid UTF-8. They are not changed, because what makes two names equal is a
// matter of the application: a client passes the name in the form it wants to send, a server sets
// [ServerConfig.Normalize] (XMPP: the localpart preparation of RFC 7622).
//
// # What a server stores
//
// Derived keys ([Keys]), never passwords: they verify a login by SCRAM or PLAIN, but are of no use
// for logging in elsewhere. [KeyStore] is the interface to accounts and [MemoryStore] one that is
// ready to use. Exchanges for names without an account run like the others, with stable salts that
// are made up, and end with the same error as a wrong password.
//
// # Errors
//
// Each error of an exchange, and of [Select], is an [*Error] with one of the conditions of RFC 6120
// §6.5, so errors.Is(err, sasl.NotAuthorized) works; a cause such as [ErrServerSignature] or
// [ErrIterations] can be asked for the same way. No error text, and no way of printing or logging a
// value of this package, shows a password or a key.
//
// # Specifications
//
// RFC 4422 (SASL) §3, §5; RFC 5802 (SCRAM) §2–§7 and RFC 7677 (SHA-256); RFC 4616 (PLAIN); RFC
// 5056, RFC 5929 and RFC 9266 (channel bindings, as data: computing them is the TLS layer's work);
// RFC 5803 (the idea of the text form of stored keys); RFC 8265 §4.2 (OpaqueString); RFC 6120 §6.5
// (conditions); XEP-0438 (password storage); XEP-0440 (announced channel-binding types), as rules
// of [Select].
//
// Left out: security layers, GSS-API framing (RFC 5802 §8), the "e=" message from a server (RFC
// 5802 §5.1 makes it optional: the carrying protocol reports the failure), and DIGEST-MD5, which
// RFC 6331 made historic.
package sasl
