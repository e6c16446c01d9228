package presence

import (
	"context"

	"stanzakit.dev/xmpp/stream"
)

// pace is for telling a client, on its own reader, about others: they decide how
// much that is, and must not be able to fill its queue, which would be the end of
// its session. A nil pace never waits.
type pace struct {
	to   *Resource
	sent int // bytes since the queue was empty
}

// fits reports whether n bytes more can be sent without a wait.
func (p *pace) fits(n int) bool {
	if p == nil {
		return true
	}
	session := p.to.session.Load()
	if session == nil {
		return true // there is nobody to wait for
	}
	p.sent += n
	// The rest is for what others send meanwhile.
	return p.sent <= session.Limits().OutboundBytes/4
}

// wait waits until all that is queued was written, to send n bytes then. No lock
// is held.
func (p *pace) wait(ctx context.Context, n int) error {
	session := p.to.session.Load()
	if session == nil {
		return errGone
	}
	p.sent = n
	// RFC 6120 §4.6.1: whitespace may stand between any two stanzas.
	receipt, err := session.SendReceipt(ctx, encoded(" "))
	if err != nil {
		return err
	}
	return receipt.Wait(ctx, stream.Written)
}
