package stanza

import "context"

// Sender is what a handler gets to talk through: a [*Conn], or whatever stands
// in its place, such as the router of a server.
type Sender interface {
	// Send queues a stanza; see [Conn.Send].
	Send(ctx context.Context, st Stanza) error
	// Do sends a request and waits for the reply; see [Conn.Do].
	Do(ctx context.Context, iq *IQ) (*IQ, error)
}

// Handler handles stanzas that were received.
//
// A handler may send, request and close; nothing deadlocks. The stanza is
// borrowed until HandleStanza returns: [Clone] what is to be kept. Handlers of
// different peers run at the same time: see [Conn.Serve].
//
// A get or set that the handler did not answer is answered when it returns. An
// error that is or wraps a [*Error] or a known [Condition] becomes the reply, any
// other one becomes [InternalServerError] without details, and nil becomes
// [ServiceUnavailable] (RFC 6120 §8.2.3 rule 3). To answer later, Clone the
// request: then nothing is sent for it, whatever is returned.
//
// For a message or presence, an error that this side made ([*Error] or
// [Condition]) is sent back to the sender (§8.3.1 rule 1), and any other one
// goes to Options.Report only. Errors are never answered (rule 8).
type Handler interface {
	HandleStanza(ctx context.Context, s Sender, st Stanza) error
}

// HandlerFunc is a function that is a [Handler].
type HandlerFunc func(ctx context.Context, s Sender, st Stanza) error

// HandleStanza calls f.
func (f HandlerFunc) HandleStanza(ctx context.Context, s Sender, st Stanza) error {
	return f(ctx, s, st)
}
