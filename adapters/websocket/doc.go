// Package websocket opens WebSockets for XMPP (RFC 7395), with
// github.com/coder/websocket beneath: [Dial] as a client, [Handler] as a server. It
// is a module of its own because of that library.
//
// Covered: RFC 7395 §3.1 (the subprotocol xmpp, without which there is no
// connection), §3.9 (wss, unless plaintext is asked for), §4 and §6 as far as
// whose certificate it has to be; RFC 6455 §10.2 (the origin of a page). The rest of
// RFC 7395 is in stream/ws, and RFC 6455 itself in the library, except for
// what it would let pass: see [FrameError].
//
// Left out: compression (RFC 7692), which is never agreed on; HTTP/2 (RFC 8441);
// finding the URL (XEP-0156), which is for package dial.
package websocket
