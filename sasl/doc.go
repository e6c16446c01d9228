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
//   - SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512, SCRAM-SHA3-512 and their -PLUS variants: [Scram],
//     [ScramPlus]. Those with SHA-3 are not in [Default].
//   - HT-SHA-256 with each channel binding and without, for tokens that a server issued for fast logins:
//     [HT], [FastMechanisms]. They are offered in a list of their own (XEP-0484).
//   - EXTERNAL: [External], for clients with a certificate. What the certificate says is for
//     [ServerConfig.External] to read.
//   - OAUTHBEARER: [OAuthBearer]. Refused on a channel that is not [ClientConfig.Secure].
//   - ANONYMOUS: [Anonymous]. The client says nothing about itself.
//   - PLAIN: [Plain]. Never in [Default], and refused on a channel that is not
//     [ClientConfig.Secure].
//   - DIGEST-MD5: [InsecureDigestMD5], for peers that are too old for SCRAM. Like PLAIN.
//
// None of them negotiates a SASL security layer (RFC 4422 §3.7). Of all, only DIGEST-MD5 defines some,
// and this package does not have them: confidentiality is the business of TLS below.
//
// # Downgrades
//
// Who is between the two sides may take the better mechanisms and channel-binding types out of the
// offer. Four things answer that. The flag of SCRAM says whether the client could have bound the
// channel (RFC 5802 §6). [Select] refuses offers that contradict themselves (XEP-0440). SCRAM servers
// that are told what they offered prove it, and clients compare (XEP-0474; the version of TLS as well,
// XEP-0515). And a client remembers how strong its logins were ([Mechanism.Pin]) and asks for no less
// ([Policy.Floor]), which is what remains where the offer has PLAIN only.
//
// # Passwords and names
//
// Passwords are prepared with the PRECIS OpaqueString profile (RFC 8265 §4.2), which replaces the
// SASLprep that RFC 5802 and RFC 4616 name. The two agree on ASCII. OpaqueString normalises to NFC
// where SASLprep used NFKC, so a password that holds compatibility characters, such as a ligature,
// yields other keys than under SASLprep; and it refuses what cannot be seen, which SASLprep removes.
// PASSWORDS.md has the table.
//
// User names must be valid UTF-8. They are not changed, because what makes two names equal is a
// matter of the application: a client passes the name in the form it wants to send, a server sets
// [ServerConfig.Normalize] (XMPP: the localpart preparation of RFC 7622).
//
// # What a server stores
//
// Derived keys ([Keys]), never passwords: they verify a login by SCRAM or PLAIN, but are of no use
// for logging in elsewhere. [Keys.MarshalText] writes them as a line of text; those of other servers
// can be taken over field by field, as the example of Keys does for Prosody (PASSWORDS.md has both
// formats). [KeyStore] is the interface to accounts and [MemoryStore] one that is
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
// RFC 4422 (SASL) §3, §5 and appendix A (EXTERNAL), with XEP-0178 1.2; RFC 5802 (SCRAM) §2–§7 and RFC
// 7677 (SHA-256); RFC 4616 (PLAIN); RFC 4505 (ANONYMOUS), with XEP-0175 1.2; RFC 7628 (OAUTHBEARER) §3
// and RFC 6750 §2.1 (bearer tokens); RFC 2831 (DIGEST-MD5) §2.1, §7, as RFC 6331 leaves it; RFC 5056, RFC 5929 and RFC 9266 (channel bindings, as data: computing them is the TLS layer's work);
// RFC 5803 (the idea of the text form of stored keys); RFC 8265 §4.2 (OpaqueString); RFC 6120 §6.5
// (conditions); XEP-0438 (password storage); XEP-0440 1.0.0 §3 (announced channel-binding types), as
// rules of [Select]; XEP-0474 0.5.0 §6, §7 and XEP-0515 0.1.0 §4 (downgrade protection);
// draft-schmaus-kitten-sasl-ht-09 (HT), without TLS early data; XEP-0484 as far as it is about
// mechanisms.
//
// Left out: security layers, GSS-API framing (RFC 5802 §8), the "e=" message from a server (RFC
// 5802 §5.1 makes it optional: the carrying protocol reports the failure); OAuth 1.0a (RFC 7628 §4.2);
// and of DIGEST-MD5 the qualities of protection beyond "auth", subsequent authentication (RFC 2831
// §2.2–§2.4) and ISO 8859-1 on the wire.
package sasl
