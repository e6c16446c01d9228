package interop

import (
	"context"
	"testing"
)

// Resumer is a client whose connection breaks: slixmpp or @xmpp/client, with their stream management (XEP-0198). It connects again whenever that
// happens, and holds what it is told to say until it has a session. It runs until the test ends and is for one goroutine at a time.
type Resumer struct{ dialogue }

// ResumerEvent is one thing that happened to a Resumer. Which fields are set depends on Event.
type ResumerEvent struct {
	// Event is: hello; session, a fresh one; managed, when it can be resumed; resumed; refused, an attempt to resume; lost, the connection; message;
	// acked, by the server; and disconnected.
	Event string `json:"event"`
	// JID is the own address of a session.
	JID string `json:"jid"`
	// ID is that of a message, heard or acknowledged; From and Body are of one that was heard.
	ID   string `json:"id"`
	From string `json:"from"`
	Body string `json:"body"`
	// Condition is why something was refused.
	Condition string `json:"condition"`
}

// Say tells the client to send a chat message with an id.
func (r *Resumer) Say(to, id, body string) error {
	return r.say(map[string]string{"to": to, "id": id, "body": body})
}

// Appear tells the client to send its presence to somebody.
func (r *Resumer) Appear(to string) error { return r.say(map[string]string{"to": to}) }

// Next returns the next event.
func (r *Resumer) Next(ctx context.Context) (*ResumerEvent, error) {
	e := new(ResumerEvent)
	return e, r.hear(ctx, e)
}

// StartResumer starts a client that logs in and says what it is told.
func (s Slixmpp) StartResumer(t testing.TB, o SlixmppOptions) *Resumer {
	t.Helper()
	return &Resumer{s.run(t, "slixmpp_resumer.py", o)}
}

// StartResumer starts a client that logs in and says what it is told.
func (x XMPPJS) StartResumer(t testing.TB, o XMPPJSOptions) *Resumer {
	t.Helper()
	return &Resumer{x.run(t, "resumer.js", o)}
}
