package last

import (
	"context"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Client is the module by which a client answers how long its user has been idle
// (XEP-0012 §4). Fields are not changed once it is in use; the functions are
// called by several goroutines at once.
type Client struct {
	// Idle returns for how long the user has not done anything. It reports false
	// while the user does not want that to be known: a client has to provide for
	// that (§8). A nil Idle never tells.
	Idle func() (time.Duration, bool)

	// MaySee reports whether viewer, a full or bare JID, may see the presence of
	// the user, and thus may know (§8). Clients of the user's own account always
	// may. Servers see to this too (§4), and those that do not are why it is asked
	// here. Nil means nobody else.
	MaySee func(ctx context.Context, viewer jid.JID) bool
}

// Name implements [stanza.Module].
func (*Client) Name() string { return "last" }

// Features implements [stanza.Featurer].
func (*Client) Features() []string { return []string{NS} }

// Register implements [stanza.Module].
func (c *Client) Register(m *stanza.Mux) error {
	return m.HandleIQ(stanza.GetIQ, name, c.answer)
}

func (c *Client) answer(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	// RFC 6120 §8.1.2.1 rule 4: no 'from' is the user's own account.
	own := iq.From.IsZero() || iq.From.Bare() == iq.To.Bare()
	if !own && (c.MaySee == nil || !c.MaySee(ctx, iq.From)) {
		return nil, stanza.ServiceUnavailable
	}
	if c.Idle == nil {
		return nil, stanza.ServiceUnavailable
	}
	idle, ok := c.Idle()
	if !ok {
		// XEP-0012 §4: MUST, for who does not wish to divulge it.
		return nil, stanza.ServiceUnavailable
	}
	return Last{Seconds: uint64(max(idle, 0) / time.Second)}, nil
}
