// Package dial finds where the XMPP service of a domain is and connects to it.
// It returns a [net.Conn] for [stanzakit.dev/xmpp/stream.Initiate].
//
// Covered:
//
//   - RFC 6120 §3.2: SRV lookup for clients, fallback to the addresses of the
//     domain, and the cases in which neither is done
//   - RFC 2782: order by priority and weight, the target "."
//   - XEP-0368: the records for direct TLS, for those who ask for it
//   - RFC 5890: internationalised domains are looked up as A-labels
//
// Where a connection leads is decided by the DNS, that is, by anybody who can
// forge its answers. Whom to expect at the other end is not: the reference
// identity for the certificate is always the domain that the caller asked for,
// never the name of an SRV target (RFC 6120 §13.7.2.1, RFC 9525 §6.1). The
// package stanzakit.dev/xmpp/tls takes it from the stream, so nothing has to be
// carried over from here.
//
// Left out: mixing the two sets of records of XEP-0368 by priority, discovery
// over HTTP (XEP-0156), trying several addresses at a time (RFC 8305),
// _xmpp-server, and DNSSEC.
package dial
