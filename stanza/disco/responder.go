package disco

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Responder is the module that answers queries. A client or component needs Self
// alone; a server also sets Account:
//
//	requested address         with Account              without
//	(none)                    Account, the requester's  Self
//	domain, domain/resource   Self                      Self
//	local@domain              Account, if MaySee        Self
//	local@domain/resource     service-unavailable       Self
//
// [Responder.For] comes before that table. Fields are not changed after
// registration; the functions are called by several goroutines at once.
type Responder struct {
	// Self is what is said about the client, the component or the server. Nil
	// means that only For and Account answer.
	Self *Entity

	// Account is what a server says about each account that it hosts (XEP-0030
	// §3.1): its features, and with ItemsFunc its available resources, which are
	// those of iq.To, or for the zero JID those of iq.From. Nil means that this
	// is no server, and that nobody is asked about but Self.
	Account *Entity

	// MaySee says who is told about an account other than their own: whoever may
	// see its presence, which they may with a subscription from the account of
	// "from" or "both" (XEP-0030 §8), and whom the server trusts otherwise. Both
	// addresses are bare. It reports false for an account that does not exist.
	// Nil means nobody.
	MaySee func(ctx context.Context, account, viewer jid.JID) bool

	// EmptyItems answers a query for the items of an account that the requester
	// may not see with an empty list (XEP-0030 §8 rule 2). False means
	// [stanza.ServiceUnavailable], as for information (rule 1) and as RFC 6121
	// §8.5.1 has it for accounts that do not exist. Set it only where queries
	// for accounts that do not exist reach this module: otherwise the empty list
	// proves that the account exists.
	EmptyItems bool

	// For returns the entity that an address stands for, if it is one that the
	// table does not know: another domain of this server, say. Nil, with a nil
	// error, means that the table decides; an error is that of a
	// [stanza.Handler]. For what it returns MaySee is not asked. A nil For means
	// the table.
	For func(ctx context.Context, iq *stanza.IQ) (*Entity, error)
}

// Name implements [stanza.Module].
func (*Responder) Name() string { return "disco" }

// Features implements [stanza.Featurer].
func (*Responder) Features() []string { return []string{NSInfo, NSItems} }

// Register implements [stanza.Module]. The error wraps [ErrEntity] if there is
// nothing to announce, or something that must not be.
func (r *Responder) Register(m *stanza.Mux) error {
	if r.Self == nil && r.Account == nil && r.For == nil {
		return fmt.Errorf("%w: none is given", ErrEntity)
	}
	if r.Self != nil {
		if err := r.Self.check(); err != nil {
			return err
		}
	}
	if r.Account != nil {
		if err := r.account().check(); err != nil {
			return fmt.Errorf("account: %w", err)
		}
	}
	if err := m.HandleIQ(stanza.GetIQ, infoName, r.info); err != nil {
		return err
	}
	return m.HandleIQ(stanza.GetIQ, itemsName, r.items)
}

// info answers a query for information.
func (r *Responder) info(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	e, node, err := r.target(ctx, iq)
	if err != nil {
		return nil, err
	}
	info, err := e.answerInfo(ctx, iq, node)
	if err != nil {
		return nil, err
	}
	return info, nil
}

// items answers a query for items.
func (r *Responder) items(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	e, node, err := r.target(ctx, iq)
	if err == errHidden && r.EmptyItems {
		return &Items{Node: node}, nil // XEP-0030 §8 rule 2
	}
	if err != nil {
		return nil, err
	}
	items, err := e.answerItems(ctx, iq, node)
	if err != nil {
		return nil, err
	}
	return items, nil
}

// errHidden is the answer about an account that exists, or does not, or is not
// to be seen. It says the same of all three (XEP-0030 §8 rule 1).
var errHidden error = &stanza.Error{Condition: stanza.ServiceUnavailable}

// target finds out what a request is about.
func (r *Responder) target(ctx context.Context, iq *stanza.IQ) (*Entity, string, error) {
	d := decoder{}
	node := d.attr(iq.Element(), "node")
	if d.err != nil {
		return nil, "", d.err
	}
	if r.For != nil {
		if e, err := r.For(ctx, iq); e != nil || err != nil {
			return e, node, err
		}
	}
	e := r.Self
	if r.Account != nil {
		switch {
		case iq.To.IsZero(): // RFC 6120 §10.3.3: a client asks about its own account
			e = r.account()
		case iq.To.Local() == "": // the server
		case iq.To.IsFull(): // a resource answers for itself, if it is there
			return nil, node, stanza.ServiceUnavailable
		case !r.sees(ctx, iq.To, iq.From.Bare()):
			return nil, node, errHidden
		default:
			e = r.account()
		}
	}
	if e == nil {
		return nil, node, stanza.ServiceUnavailable
	}
	return e, node, nil
}

// sees reports whether viewer is told about an account. Both are bare.
func (r *Responder) sees(ctx context.Context, account, viewer jid.JID) bool {
	switch {
	case viewer.IsZero():
		return false
	case viewer == account:
		return true
	}
	return r.MaySee != nil && r.MaySee(ctx, account, viewer)
}

// account returns Account with the identity that it has by default.
func (r *Responder) account() *Entity {
	if len(r.Account.Identities) > 0 {
		return r.Account
	}
	e := *r.Account
	e.Identities = []Identity{{Category: "account", Type: "registered"}} // XEP-0030 §3.1
	return &e
}
