// Package hostmeta finds the WebSocket endpoints of a domain by HTTPS: the
// document "host-meta" on the domain's web server names them. It stands apart
// from package dial so that programs without it need no HTTP client.
//
// Covered:
//
//   - XEP-0156, RFC 7395 §4: links urn:xmpp:alt-connections:websocket, in XRD
//     and, for web servers that have no usable XRD, in JRD
//   - RFC 6415 §2, §3, Appendix A: where the documents are and how they look
//
// RFC 6120 §3.2 comes first: these documents are a fallback, or are for programs
// that cannot do anything but WebSocket (XEP-0156, "Business Rules").
//
// # Who has to be at the other end
//
// What a document says is as good as the connection that it came by. So it is
// fetched by HTTPS only, the web server's certificate has to name the domain
// itself, and a redirect stays on the same host and port. Documents that came in
// another way, and TXT records in the DNS, which an earlier version of XEP-0156
// had, are not looked at: whoever can forge them could send clients to a server
// of their own, with a certificate that is perfectly good for that server.
//
// With such a document the domain has delegated its service, in a way that a
// forged DNS cannot. Therefore XEP-0156 wants a certificate at the endpoint that
// names the endpoint's host or the domain, and RFC 7395 §6 the former: see
// [Endpoint].Names. That makes the domain's web server an authority on its XMPP
// service. It is one already, since who controls it can get a certificate for the
// domain from any authority that looks for a file there. Who would rather not
// have it so accepts the domain alone, which is the rule for what the DNS finds
// (RFC 6120 §13.7.2.1). An endpoint from any other source has no other name to go
// by either.
//
// Left out: the links for BOSH, HTTP caching, the templates and per-resource
// documents of RFC 6415, plain HTTP, which RFC 6415 would permit and XEP-0156
// forbids, and XML comments, as everywhere in XMPP: a document with comments
// counts as unusable, and the JRD is looked at.
package hostmeta
