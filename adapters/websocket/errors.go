package websocket

import (
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/internal/quote"
)

// How opening a WebSocket fails, beside the ways in which TLS and the network do.
var (
	// ErrURL is wrapped by errors about a URL that Dial does not connect to: one
	// that is not wss, or has a user or a fragment in it.
	ErrURL = errors.New("websocket: unusable URL")
	// ErrSubprotocol: the server does not speak XMPP here (RFC 7395 §3.1).
	ErrSubprotocol = errors.New("websocket: the server did not agree to the subprotocol xmpp")
)

// HandshakeError is an HTTP server that does not open a WebSocket.
type HandshakeError struct {
	// Status is that of the response, such as 404; zero if there was none.
	Status int
	// Err is what the library beneath says about it. Its text may quote the server.
	Err error
}

// Error describes the error in less than 1 KiB.
func (e *HandshakeError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("websocket: handshake: status %d: %s", e.Status, quote.ASCII(e.Err.Error(), 512))
	}
	return "websocket: handshake: " + quote.ASCII(e.Err.Error(), 512)
}

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// PeerError is a WebSocket that the peer has closed because of something that went
// wrong, without closing the stream.
type PeerError struct {
	// Code is one of RFC 6455 §7.4, Reason is for people. Both came from the peer.
	Code   int
	Reason string
}

// Error quotes the reason.
func (e *PeerError) Error() string {
	return fmt.Sprintf("websocket: closed by the peer with %d: %s", e.Code, quote.ASCII(e.Reason, 128))
}
