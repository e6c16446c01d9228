package last

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Get asks for the last activity of the entity at address to (XEP-0012 §2). What
// the answer means depends on the address: see the package documentation.
//
// The error wraps a [*stanza.Error]: with [stanza.Forbidden] for somebody whose
// presence one may not see (§3, §4), or with [stanza.ServiceUnavailable] where that
// would tell that there is an account, and for who does not tell (§4); and with [stanza.BadRequest] and without Received for an
// answer that is malformed. ctx should have a deadline.
func Get(ctx context.Context, d Doer, to jid.JID) (Last, error) {
	reply, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: query{}})
	if err != nil {
		return Last{}, fmt.Errorf("last: %w", err)
	}
	el := reply.Element()
	if el == nil {
		return Last{}, malformed("reply without a query")
	}
	var l Last
	if err := l.DecodeElement(el); err != nil {
		return Last{}, err
	}
	return l, nil
}
