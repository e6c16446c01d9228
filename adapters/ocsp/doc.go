// Package ocsp asks, by the Online Certificate Status Protocol, whether
// certificates have been revoked: a [xtls.RevocationChecker] for
// ClientOptions.Revocation. It is a module of its own because it needs
// golang.org/x/crypto/ocsp.
//
// Covered:
//
//   - RFC 6960 §3.2, §4.2.2.2 (who may sign a response: the issuer, or somebody
//     whom it has appointed with the extended key usage for it), Appendix A.1
//     (requests by POST)
//   - RFC 5019 §2.2.4, §4: responses without nonces, which have to say until
//     when they are valid
//   - RFC 6066 §8: responses that the server has sent along
//
// A response that was sent along costs nothing. To ask for one tells the
// authority, and everybody who can see the request, who is talking to whom, and
// holds the handshake up; [Options].StapledOnly forbids it.
//
// Left out: nonces, requests by GET, signed requests, the multiple responses of
// RFC 6961, and the TLS feature extension (RFC 7633) by which a certificate
// demands that a response is sent along.
package ocsp
