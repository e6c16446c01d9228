// Package ping is XMPP Ping (XEP-0199): is there anybody at the other end?
//
// [Ping] asks, and [Responder] is the [stanza.Module] that answers. A ping
// reaches the server of the stream when it has no address, and any other entity
// by its address; the address of a client is a full JID (§4.4, §4.5).
//
// Covered: XEP-0199 2.0.1, all sections. Left out: when to ping, which is up to
// whoever owns the connection (RFC 6120 §4.6.4 asks for five minutes or more
// between checks). The feature of the module is announced by package disco (§5).
package ping
