// Package dial finds where the XMPP service of a domain is and connects to it.
// It returns a [net.Conn] for [stanzakit.dev/xmpp/stream.Initiate].
//
// Covered:
//
//   - RFC 6120 §3.2: SRV lookup for clients and for servers, fallback to the
//     addresses of the domain, and the cases in which neither is done
//   - RFC 2782: order by priority and weight, the target "."
//   - XEP-0368: the records for direct TLS and those for STARTTLS as one set, or
//     either of them alone
//   - RFC 8305 §3 to §5: IPv6 and IPv4 looked up side by side, attempts to
//     connect a little apart, over all targets
//   - RFC 6120 §4.9.3.19: following see-other-host ([Redirects])
//   - RFC 9110 §9.3.6: proxies with CONNECT ([HTTPProxy]); SOCKS5 is in
//     golang.org/x/net/proxy
//   - RFC 5890: internationalised domains are looked up as A-labels
//
// Where a connection leads is decided by the DNS, that is, by anybody who can
// forge its answers. Whom to expect at the other end is not: the reference
// identity for the certificate is always the domain that the caller asked for,
// never the name of an SRV target or of a redirect (RFC 6120 §13.7.2.1, RFC 9525
// §6.1). The package stanzakit.dev/xmpp/tls takes it from the stream, so nothing
// has to be carried over from here.
//
// # Decisions where the documents leave room
//
//   - A set of records that says "." is switched off, and rules the fallback out
//     for both (XEP-0368 §4). If nothing is known of the other set because its
//     lookup failed, the domain may have a service and the error is not
//     ErrNotAvailable.
//   - The first address of a less preferred priority has to wait four times as
//     long as another address would: a server that is far away can be reached,
//     which is what RFC 2782 asks.
//   - Addresses of each family are in the order of the resolver, which sorts
//     them by RFC 6724; IPv6 comes before IPv4.
//   - A lookup of addresses that takes longer than a second lets the next target
//     have its turn.
//
// Left out: discovery over HTTP (XEP-0156), which is in package hostmeta below
// this one; synthesis of addresses for NAT64 (RFC 8305 §7), which the systems
// that need it do themselves; remembering what worked (§4); and DNSSEC.
package dial
