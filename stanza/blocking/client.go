package blocking

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// List asks the server for the addresses that the account blocks (XEP-0191 §3.2).
// From then on the server pushes changes: see [Pushes].
//
// The error is that of Do, or says that the reply is malformed.
func List(ctx context.Context, d Doer) ([]jid.JID, error) {
	reply, err := d.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, Payload: Blocklist{}})
	if err != nil {
		return nil, fmt.Errorf("blocking: list: %w", err)
	}
	el := reply.Element()
	if el == nil {
		return nil, fmt.Errorf("blocking: list: %w", invalid(stanza.BadRequest, "the reply has no list"))
	}
	var list Blocklist
	if err := list.DecodeElement(el); err != nil {
		return nil, fmt.Errorf("blocking: list: %w", err)
	}
	return list.Items, nil
}

// Block adds addresses to the list of the account (XEP-0191 §3.3): a full or bare
// address, or a domain with everybody in it (§6). The contact sees the account go
// offline. To block nobody is an error.
func Block(ctx context.Context, d Doer, addrs ...jid.JID) error {
	if len(addrs) == 0 {
		return fmt.Errorf("blocking: block: %w: nobody to block", stanza.ErrInvalid)
	}
	return set(ctx, d, "block", Blocked{addrs})
}

// Unblock takes addresses off the list of the account (XEP-0191 §3.4), in the
// form in which they are there. To unblock nobody is an error: on the wire it
// would stand for [UnblockAll].
func Unblock(ctx context.Context, d Doer, addrs ...jid.JID) error {
	if len(addrs) == 0 {
		return fmt.Errorf("blocking: unblock: %w: nobody to unblock", stanza.ErrInvalid)
	}
	return set(ctx, d, "unblock", Unblocked{addrs})
}

// UnblockAll makes the list of the account empty (XEP-0191 §3.5).
func UnblockAll(ctx context.Context, d Doer) error {
	return set(ctx, d, "unblock all", Unblocked{})
}

func set(ctx context.Context, d Doer, what string, p stanza.Payload) error {
	if _, err := d.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: p}); err != nil {
		return fmt.Errorf("blocking: %s: %w", what, err)
	}
	return nil
}

// IsBlocked reports whether err is what the own server says about a stanza to
// somebody whom the account itself blocks (XEP-0191 §3.3). Somebody else may send
// such an error too: then it means nothing, and does no harm.
func IsBlocked(err error) bool {
	var e *stanza.Error
	if !errors.As(err, &e) || e == nil {
		return false
	}
	if _, own := e.Application.(condition); own {
		return true
	}
	_, found := e.Payload(blockedName)
	return found
}

// Pushes is a [stanza.Module] for a client that wants to know what the list of
// its account becomes. The server sends pushes once [List] was called, for
// changes by this client too.
//
// A push is believed if it comes from the own account: without an address, or
// with its bare one. Others are told service-unavailable, as if there were no
// such module.
type Pushes struct {
	// Account is the own bare JID; its resource, if any, is ignored. Zero means
	// that only pushes without an address are believed.
	Account jid.JID

	// Blocked and Unblocked are told which addresses came to the list and which
	// left it; Unblocked gets nil when all of them did. Some may have been there, or
	// not been there, before. Nil functions are not called. The slice is theirs.
	Blocked   func(ctx context.Context, addrs []jid.JID)
	Unblocked func(ctx context.Context, addrs []jid.JID)
}

// Name implements [stanza.Module].
func (*Pushes) Name() string { return "blocking" }

// Register implements [stanza.Module].
func (p *Pushes) Register(m *stanza.Mux) error {
	err := m.HandleIQ(stanza.SetIQ, blockName, func(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
		var b Blocked
		if err := p.decode(iq, &b); err != nil {
			return nil, err
		}
		if p.Blocked != nil {
			p.Blocked(ctx, b.Items)
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	return m.HandleIQ(stanza.SetIQ, unblockName, func(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
		var u Unblocked
		if err := p.decode(iq, &u); err != nil {
			return nil, err
		}
		if p.Unblocked != nil {
			p.Unblocked(ctx, u.Items)
		}
		return nil, nil
	})
}

// decode reads a push, if it may be one.
func (p *Pushes) decode(iq *stanza.IQ, v stanza.Decoder) error {
	// RFC 6120 §8.1.2.1: without 'from' a stanza is from the own account.
	if !iq.From.IsZero() && (p.Account.IsZero() || iq.From != p.Account.Bare()) {
		return stanza.ServiceUnavailable
	}
	return v.DecodeElement(iq.Element())
}
