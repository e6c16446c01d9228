// Package tls secures XMPP streams: STARTTLS as a [stream.Feature] for either
// side, direct TLS before the stream, the policy for protocol versions, cipher
// suites and certificates, the channel bindings that SASL uses, and a
// development CA. It is imported as
//
//	import xtls "stanzakit.dev/xmpp/tls"
//
// so that crypto/tls keeps its name beside it.
//
// Covered:
//
//   - RFC 6120 §5 (STARTTLS) for both roles
//   - RFC 6120 §13.7.1.2, §13.7.1.4 and §13.7.2, with RFC 9525 in place of the
//     rules that they refer to: DNS-ID with wildcards, IP-ID, SRV-ID (RFC 4985)
//     and XmppAddr; the three cases of RFC 3920 §14.2 and everything else that
//     can be wrong with a certificate as a [Verdict], for a [VerifyPolicy] to
//     decide about; sessions that end when a certificate expires (§13.7.2.3)
//   - policies for certificates that the ordinary rules do not accept, or not
//     alone: pinned public keys (RFC 6125 §6.6.2, §7.1), trust on first use, DANE
//     (RFC 7673, RFC 6698, RFC 7671), and what they can be combined to; POSH is in
//     package posh below this one
//   - RFC 5280 §5, §6.3: lists of revoked certificates, but for delta lists and
//     indirect ones; OCSP is in a module of its own, adapters/ocsp, and is given
//     the response that comes with a server's certificate (RFC 6066 §8)
//   - RFC 7590 §3.1, §3.4, §3.5: TLS is insisted on, servers are
//     authenticated, the name of the service goes into the Server Name
//     Indication
//   - RFC 9325 §3.1, §3.5, §4.1, §4.2: TLS 1.2 and 1.3, no renegotiation,
//     cipher suites with forward secrecy and authenticated encryption only;
//     of §3.5, clients refuse a server without the extended master secret when
//     that leaves no channel binding at all
//   - XEP-0368 §2 (direct TLS) for both roles, with ALPN (RFC 7301) and the
//     Server Name Indication (RFC 6066 §3)
//   - RFC 9266 (tls-exporter) and RFC 5929 §3, §4 (tls-unique,
//     tls-server-end-point)
//
// A certificate has to name the domain of the JID and nothing else: where the
// connection goes, an SRV target say, plays no part (RFC 6120 §13.7.2.1,
// RFC 9525 §6.1). A Common Name is not a name.
//
// Path validation (RFC 5280 §6) is that of crypto/x509, at the time of the
// handshake, with these additions. A subjectAltName that holds nothing but
// otherNames may be critical. One that is not DER makes the certificate
// unacceptable; a name in it that is encoded well and makes no sense is left
// out. Keys and signatures have to be as strong as RFC 9325 §4.5 asks for, all
// the way up to the root. Name constraints on domains and addresses (RFC 5280
// §4.2.1.10) hold for those in SRV-IDs and XmppAddrs too, although they are names
// of another kind, and constraints on otherNames themselves are not understood:
// the path is refused. An extended key usage of id-on-xmppAddr is as good as one
// for servers (RFC 6120 §13.7.1.4). Where crypto/x509 leaves the system's roots to
// the operating system (Windows, macOS), the verdict on a certificate that is
// refused can be coarser, and a critical subjectAltName is its affair.
//
// RFC 6120 §13.7.1.1 forbids certificates of servers and clients that are those
// of authorities as well, or that have no subject. That is left to those who
// issue them: self-signed certificates are often of the first kind, and the
// public authorities have made the second the rule.
//
// RFC 6120 §5.4.3.1 rule 3 would have servers ask every client for a
// certificate; here they do when [ServerOptions].ClientCAs or ClientPolicy says
// what to make of one. RFC 7590 §3.1 would have clients ask for TLS also when it
// is not advertised; see [ClientOptions].TryUnadvertised.
//
// RFC 3920 §14.7 makes TLS_RSA_WITH_3DES_EDE_CBC_SHA mandatory and RFC 6120
// §13.8.2 TLS_RSA_WITH_AES_128_CBC_SHA. They have no forward secrecy and no
// authenticated encryption, 3DES falls to collisions of its short blocks, and RFC
// 9325 §4.1 has retired them: they are refused here. [ClientOptions].InsecureSuites
// and [ServerOptions].InsecureSuites permit them for TLS 1.2, one by one. As of Go
// 1.26 crypto/tls still speaks both if it is told to so explicitly, which is what
// the option does, whatever the settings tlsrsakex and tls3des of GODEBUG say;
// suites with finite-field Diffie-Hellman it has never had, and versions before
// TLS 1.2 this package does not speak. A server needs an RSA certificate for them.
//
// Left out: asking again about revocation while a session lasts (RFC 6120
// §13.7.2.3 rule 2), 0-RTT, and session resumption (RFC 9325 §3.4), so that every
// connection is a full handshake with its own check of the peer's certificate.
package tls
