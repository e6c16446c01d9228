package caps

import (
	"context"

	"stanzakit.dev/xmpp/stream"
)

// Feature returns the stream feature by which a client notes what its server
// announces (XEP-0115 §6.3); [Tracker.Info] then answers for the domain of the
// server. It negotiates nothing and never fails; its place in the list of features does
// not matter.
//
// An announcement counts only with a 'from' in the header of the stream, which
// is the address to ask.
func (t *Tracker) Feature() stream.Feature {
	return stream.Feature{
		Name:  name,
		Needs: stream.Authenticated,
		Initiate: func(_ context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			var c Caps
			if from := n.RemoteHeader().From; !from.IsZero() && from == n.Domain() && c.DecodeElement(offer) == nil {
				t.note(from, c)
			}
			return stream.Outcome{}, stream.ErrSkip
		},
	}
}
