// Package tls secures XMPP streams: STARTTLS as a [stream.Feature] for either
// side, the policy for protocol versions, cipher suites and certificates, the
// channel bindings that SASL uses, and a development CA. It is imported as
//
//	import xtls "stanzakit.dev/xmpp/tls"
//
// so that crypto/tls keeps its name beside it.
//
// Covered:
//
//   - RFC 6120 §5 (STARTTLS) for both roles, and §13.7.1.2, §13.7.2.1 as
//     RFC 9525 has since replaced their rules: DNS-ID and IP-ID
//   - RFC 7590 §3.1, §3.4, §3.5: TLS is insisted on, servers are
//     authenticated, the name of the service goes into the Server Name
//     Indication
//   - RFC 9325 §3.1, §3.5, §4.1, §4.2: TLS 1.2 and 1.3, no renegotiation,
//     cipher suites with forward secrecy and authenticated encryption only;
//     of §3.5, clients refuse a server without the extended master secret when
//     that leaves no channel binding at all
//   - RFC 9266 (tls-exporter) and RFC 5929 §3, §4 (tls-unique,
//     tls-server-end-point)
//
// A certificate has to name the domain of the JID and nothing else: where the
// connection goes, an SRV target say, plays no part (RFC 6120 §13.7.2.1,
// RFC 9525 §6.1).
//
// RFC 6120 §5.4.3.1 rule 3 would have servers ask every client for a
// certificate; here they do when [ServerOptions].ClientCAs says what to make of
// one. RFC 7590 §3.1 would have clients ask for TLS also when it is not
// advertised; see [ClientOptions].TryUnadvertised.
//
// Left out: SRV-ID and XmppAddr identifiers, revocation checks, DANE, direct
// TLS with ALPN (XEP-0368), 0-RTT, and session resumption (RFC 9325 §3.4), so
// that every connection is a full handshake with its own check of the peer's
// certificate. RFC 6120 §13.8 lists suites without forward secrecy or
// authenticated encryption as mandatory; RFC 9325 has retired them, and they
// are refused here.
package tls
