// Package posh is PKIX over Secure HTTP: a policy for package tls that accepts
// the certificate of a server if the web server of the domain says, by HTTPS,
// that it is the right one. That is how a hosting company serves the domains of
// its customers without having certificates for them. The package stands alone
// so that programs without it need no HTTP client.
//
// Covered:
//
//   - RFC 7711 §3 (fingerprints and reference documents), §3.3, §6 (results are
//     kept as long as the documents say, a day at most), §10 (redirects, to
//     HTTPS only, five at most)
//   - RFC 7712 §5.2: the addresses for clients and for servers, and the ordinary
//     rules when there is no document
//
// The web server's own certificate is checked as package net/http does, against
// the system's roots (RFC 2818), unless [Options].Transport does otherwise. HTTP
// caching plays no part.
//
// RFC 7711 §3.3 would rather have a connection rejected whose certificate is in
// no document, and permits other ways to verify it. Here those come first: for a
// certificate that the ordinary rules accept nothing is fetched.
//
// Left out: RFC 7711 §5 would like the documents to be fetched before the
// connection is made; here it happens during the handshake, and only if there is
// need. Hashes other than SHA-256, SHA-384 and SHA-512 are ignored.
package posh
