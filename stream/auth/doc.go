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
// only when the server's certificate was verified too. EXTERNAL comes first on both sides where there
// is a certificate of the client's that the server has verified; OAUTHBEARER and ANONYMOUS where
// options ask for them; DIGEST-MD5 where it is listed and, on the server, InsecureDigest is set.
//
// A client can demand a strength: [ClientOptions].Floor says one, and a [CredentialStore] remembers what
// the server has shown to have, so that an offer which has lost its better mechanisms, on the way or
// at the server, fails with sasl.ErrDowngrade instead of being taken.
//
// # What the server promises
//
// The authenticated identity is a bare JID at the domain that the stream is for. Attempts for each
// stream are bounded (RFC 6120 §6.4.5), and what counts is every <auth/> that does not end in
// success: failed, aborted, abandoned for another, or nonsense. Failed attempts are bounded over all
// streams too, by account and address together ([AttemptLimiter], [Attempts]). Failures do not tell
// whether an account exists.
//
// A failed attempt with channel binding ends the stream, with the failure and in good order. RFC 9266
// §4.1 forbids a second exchange with tls-exporter on one connection; what is permitted, a retry
// without binding, or with another type, is what somebody in the middle would like to see, so that
// no retry is. Clients that let people try again reconnect.
//
// A client's certificate vouches for the addresses in it (XmppAddr) only if it is anchored and has
// nothing wrong with it, and for accounts at the domain of the stream only (RFC 6120 §13.7.2.2). Any other
// one that the TLS layer has accepted goes to [ServerOptions].MapCertificate. No other name in a
// certificate is looked at.
//
// # Data
//
// Base64 is checked as RFC 6120 §13.9.1 demands: alphabet, padding and padding bits exact, and no
// line breaks. What the elements of the exchange contain is hidden from the traces of the stream.
//
// # Specifications
//
// RFC 6120 §6.3 (rules; §6.3.4 EXTERNAL; §6.3.7, §6.3.8 identities), §6.4 (process), §6.5 (errors),
// §13.7.2.2 (certificates of clients), §13.9.1 (base64); RFC 9266 §4.1 (one exchange for each channel
// binding); XEP-0178 §2 (EXTERNAL for clients); XEP-0205 §2 (whom limits must not lock out); XEP-0440
// version 1.0.0 (announced channel-binding types, sent and read); the lists for XEP-0474 version 0.5.0
// and the version of TLS for XEP-0515 version 0.1.0 (experimental, both sides, off unless
// CheckTLSVersion and TellTLSVersion are set), which package sasl puts into SCRAM. [SASL2Client] and
// [SASL2Server]: XEP-0388, XEP-0480, XEP-0484.
//
// Left out: SASL security layers (RFC 6120 §6.3.6): no mechanism of package sasl has one, TLS does
// that work, and a mechanism that negotiates one must not be used here. Falling back to a second
// mechanism in one stream (§6.4.5 permits it).
package auth
