// Package jid implements XMPP addresses: parsing, canonical form, comparison.
//
// A [JID] is a value. [Parse] an address once, where it enters the program, and
// pass the JID on: what is canonical is compared with ==, used as a map key, and
// taken apart without allocating. An address in lower-case ASCII, as most are,
// is parsed without allocating as well.
//
// # What is covered
//
//   - RFC 7622, all of §3: the split into parts (§3.2), domainparts by IDNA2008
//     with U-labels as the canonical form (RFC 5890 to 5893, mapped as in RFC
//     5895), localparts by UsernameCaseMapped without the characters of §3.3.1,
//     resourceparts by OpaqueString (RFC 8264 and 8265, which obsolete the 7564
//     and 7613 that RFC 7622 names), the limits in octets.
//   - RFC 7622 §7.3.2, mimicked addresses: [Confusable] and [Skeleton] with the
//     complete data of UTS #39.
//   - XEP-0106, JID Escaping: [Escape] and [Unescape].
//   - [JID.ASCIIDomain] for the DNS, TLS and certificates (RFC 5890 §2.3.2.1).
//
// The unit of error is the part: see [Error]. Enforcement is complete in both
// roles; a client gets the same rules as RFC 7622 §8 demands of a server.
//
// # Decisions where the documents leave room
//
//   - RFC 7622 §3.5 lists <juliet@example.com/ foo>, example 18, among the strings
//     that are not JIDs. The rule it names, OpaqueString, permits a leading space,
//     as Resourceprep did, so that it is accepted here and the space is kept.
//   - Case mapping and normalisation come before the check of the characters (RFC
//     8264 §7), so that a decomposed Hangul syllable and a Kelvin sign are mapped,
//     not refused. RFC 8265 §3.3.2 read by itself would refuse them.
//   - The mapping is reapplied until it is stable, at most three times (RFC 8264
//     §7).
//   - A domainpart may have labels and a length that the DNS does not permit: RFC
//     7622 §3.2 gives it 1023 octets. ASCIIDomain enforces the limits of the DNS.
//     An A-label is never longer than 63 octets.
//   - One dot at the end of a domainpart is dropped, an ideographic one included.
//   - "010.1.1.1" and "256.1.1.1" are refused: four numbers are an IPv4 address or
//     nothing (RFC 1123 §2.1). IPv6 addresses are in brackets and shortened as in
//     RFC 5952. Zone identifiers and IPvFuture are refused.
//   - An underscore in a domainpart is refused: it is in no NR-LDH label.
//
// STRINGPREP.md, beside this file, lists where RFC 3920 and RFC 6122 decide
// differently. The tables of Unicode are those of the Go version in use.
//
// # What is left out
//
// XMPP URIs (RFC 5122), the Nickname profile (RFC 8266), the restriction levels of
// UTS #39 §5 (mixed scripts), and the rules of registries about who may have which
// name.
package jid
