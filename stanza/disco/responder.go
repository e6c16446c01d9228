package disco

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Responder is the module that answers queries. A client or component needs Self
// alone. A server is one with Account, or one whose modules are attached to it:
//
//	requested address         server                    otherwise
//	(none)                    Account, the requester's  Self
//	domain, domain/resource   Self                      Self
//	local@domain              Account, if MaySee        Self
//	local@domain/resource     service-unavailable       Self
//
// [Responder.For] comes before that table. Fields are not changed after
// registration, and the value is not copied; the functions are called by several
// goroutines at once.
type Responder struct {
	// Self is what is said about the client, the component or the server. Nil
	// means that only For and Account answer.
	Self *Entity

	// Account is what a server says about each account that it hosts (XEP-0030
	// §3.1). The account that is asked about is iq.To, or for the zero JID that
	// of iq.From. Nil means, on a server, what the zero Entity says: that the
	// account is registered. The available resources of an account are among its
	// items (§4.1) when the module is attached; otherwise ItemsFunc adds them.
	Account *Entity

	// MaySee says who is told about an account other than their own: whoever may
	// see its presence, which they may with a subscription from the account of
	// "from" or "both" (XEP-0030 §8), and whom the server trusts otherwise. Both
	// addresses are bare. It reports false for an account that does not exist; an
	// error counts as false. Nil means what the server says that the module is
	// attached to, and nobody if it is not.
	MaySee func(ctx context.Context, account, viewer jid.JID) (bool, error)

	// For returns the entity that an address stands for, if it is one that the
	// table does not know: another domain of this server, say. Nil, with a nil
	// error, means that the table decides; an error is that of a
	// [stanza.Handler]. For what it returns MaySee is not asked. A nil For means
	// the table.
	For func(ctx context.Context, iq *stanza.IQ) (*Entity, error)

	host stanza.Host // nil unless attached
}

// Name implements [stanza.Module].
func (*Responder) Name() string { return "disco" }

// Features implements [stanza.Featurer].
func (*Responder) Features() []string { return []string{NSInfo, NSItems} }

// Attach implements [stanza.HostModule].
func (r *Responder) Attach(h stanza.Host) error {
	r.host = h
	return nil
}

// Register implements [stanza.Module]. The error wraps [ErrEntity] if there is
// nothing to announce, or something that must not be.
func (r *Responder) Register(m *stanza.Mux) error {
	if r.Self == nil && !r.serves() && r.For == nil {
		return fmt.Errorf("%w: none is given", ErrEntity)
	}
	if r.Self != nil {
		if err := r.Self.check(); err != nil {
			return err
		}
	}
	if r.serves() {
		if err := r.account().check(); err != nil {
			return fmt.Errorf("account: %w", err)
		}
	}
	return r.RegisterPublic(m)
}

// serves reports whether this is the module of a server.
func (r *Responder) serves() bool { return r.Account != nil || r.host != nil }

// RegisterPublic implements [stanza.PublicModule]: others may ask about an account
// as far as [Responder.MaySee] has it.
func (r *Responder) RegisterPublic(m *stanza.Mux) error {
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
	if err != nil {
		return nil, err
	}
	items, err := e.answerItems(ctx, iq, node)
	if err != nil {
		return nil, err
	}
	return items, nil
}

// target finds out what a request is about. Whoever may not know that there is an
// account learns nothing from how its node is judged: that comes last.
func (r *Responder) target(ctx context.Context, iq *stanza.IQ) (*Entity, string, error) {
	e, err := r.entity(ctx, iq)
	if err != nil {
		return nil, "", err
	}
	d := decoder{}
	node := d.attr(iq.Element(), "node")
	return e, node, d.err
}

// entity finds what the address of a request stands for.
func (r *Responder) entity(ctx context.Context, iq *stanza.IQ) (*Entity, error) {
	if r.For != nil {
		if e, err := r.For(ctx, iq); e != nil || err != nil {
			return e, err
		}
	}
	e := r.Self
	if r.serves() {
		switch {
		case iq.To.IsZero(): // RFC 6120 §10.3.3: a client asks about its own account
			e = r.account()
		case iq.To.Local() == "": // the server
		case iq.To.IsFull(): // a resource answers for itself, if it is there
			return nil, stanza.ServiceUnavailable
		default:
			// XEP-0030 §8 rule 1: the same answer about an account that does not
			// exist and one that is not to be seen, whatever the reason.
			if ok, err := r.sees(ctx, iq.To, iq.From.Bare()); !ok || err != nil {
				return nil, &stanza.Error{Condition: stanza.ServiceUnavailable, Cause: err}
			}
			e = r.account()
		}
	}
	if e == nil {
		return nil, stanza.ServiceUnavailable
	}
	return e, nil
}

// sees reports whether viewer is told about an account. Both are bare.
func (r *Responder) sees(ctx context.Context, account, viewer jid.JID) (bool, error) {
	switch {
	case viewer.IsZero():
		return false, nil
	case viewer == account:
		return true, nil
	case r.MaySee != nil:
		return r.MaySee(ctx, account, viewer)
	case r.host != nil:
		return r.host.MaySee(ctx, account, viewer)
	}
	return false, nil
}

// account returns Account with what it has by default.
func (r *Responder) account() *Entity {
	var e Entity
	if r.Account != nil {
		e = *r.Account
	}
	if len(e.Identities) == 0 {
		e.Identities = []Identity{{Category: "account", Type: "registered"}} // XEP-0030 §3.1
	}
	if r.host != nil {
		more := e.ItemsFunc
		e.ItemsFunc = func(ctx context.Context, iq *stanza.IQ) ([]Item, error) {
			items := r.resources(iq)
			if more == nil {
				return items, nil
			}
			others, err := more(ctx, iq)
			return append(items, others...), err
		}
	}
	return &e
}

// resources are the available resources of the account that is asked about, as
// its items (XEP-0030 §4.1).
func (r *Responder) resources(iq *stanza.IQ) (items []Item) {
	account := iq.To
	if account.IsZero() {
		account = iq.From.Bare()
	}
	if account.IsZero() { // all accounts, to a Host
		return nil
	}
	for _, res := range r.host.Resources(account) {
		if res.Presence() != nil {
			items = append(items, Item{JID: res.Addr()})
		}
	}
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	return items
}
