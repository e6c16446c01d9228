// Package ws is XMPP over WebSocket (RFC 7395), for both roles: it cuts a stream
// into messages and puts messages together to a stream, above any WebSocket that
// is a [MessageConn]. It opens none itself; the module adapters/websocket does, and
// is what most programs want.
//
// [NewConn] makes a net.Conn for stream.Initiate and stream.Accept. All that comes
// after the first byte, negotiation, restarts, stream management and the end, is as
// on a TCP connection. There is no STARTTLS: TLS is beneath the WebSocket, and what
// is known about it goes into the Security of the stream, channel bindings
// included.
//
// # Specifications
//
// RFC 7395 §3.2 to §3.9. Covered: text messages only (§3.2); one complete element
// to a message, with its own namespace declarations (§3.3.3), and errors for all
// else; <open/> and <close/> (§3.3.1, §3.3.2, §3.4, §3.6), also when the stream is
// restarted (§3.7); see-other-uri, which leads to wss or nowhere (§3.6.1); no
// white space, which becomes Ping frames (§3.8); <starttls/> is neither sent by a
// server nor seen by a client (§3.9). XML declarations are accepted and not sent.
//
// Left out: the handshake of HTTP (§3.1), which is for whoever opens the WebSocket;
// finding out where to connect (§4), which is for package dial. Elements are sent
// without an xml:lang of their own: the one of <open/> holds, as it does on a TCP
// connection.
package ws
