package blocking

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Module lets the accounts of a server block others: the [stanza.Module] for a
// server, where it is a [stanza.Gate]. The zero value is ready, with the lists in
// memory. Its fields are not changed once the server has started.
type Module struct {
	// Store keeps the lists. Nil means a new [MemoryStore].
	Store Store

	// Items is how many addresses an account may block. Zero means 1,000. As XML they
	// take 128 KiB at most, since a client has to read the list in one piece. The
	// command that would exceed either is refused as a whole with policy-violation.
	Items int

	host      stanza.Host
	presences presences
	lists     *table
}

var (
	_ stanza.Module         = (*Module)(nil)
	_ stanza.Featurer       = (*Module)(nil)
	_ stanza.HostModule     = (*Module)(nil)
	_ stanza.Gate           = (*Module)(nil)
	_ stanza.AccountWatcher = (*Module)(nil)
)

// presences is what the module needs of its host besides what every host has.
type presences interface {
	// Show sends a contact the current presence of the available resources of an
	// account, if it is subscribed to that. It does not ask the gate.
	Show(ctx context.Context, account, contact jid.JID)
	// Hide sends a contact unavailable presence from them, if it is subscribed or was
	// sent directed presence. It does not ask the gate.
	Hide(ctx context.Context, account, contact jid.JID)
}

// viewers is what a host has besides that knows its rosters. Without it, those are
// not told who are at a domain that is blocked as a whole, or were sent directed
// presence at one of their resources.
type viewers interface {
	// Viewers returns the addresses that have a subscription to the presence of an
	// account, or were sent directed presence, in no order.
	Viewers(ctx context.Context, account jid.JID) ([]jid.JID, error)
}

// maxBytes bounds the list of an account, as XML.
const maxBytes = 128 << 10

// interested is the key under which a resource remembers that it has asked for the
// list.
type interested struct{}

// Name implements [stanza.Module].
func (*Module) Name() string { return "blocking" }

// Features implements [stanza.Featurer] (XEP-0191 §3.1).
func (*Module) Features() []string { return []string{NS} }

// Attach implements [stanza.HostModule]: it reads all lists.
func (m *Module) Attach(h stanza.Host) error {
	p, ok := h.(presences)
	if !ok {
		return errors.New("blocking: the host lacks the methods Show and Hide")
	}
	if m.Store == nil {
		m.Store = &MemoryStore{}
	}
	lists := newTable()
	err := m.Store.All(context.Background(), func(account jid.JID, blocked []jid.JID) error {
		lists.load(account.Bare(), newList(blocked))
		return nil
	})
	if err != nil {
		return fmt.Errorf("blocking: read the lists: %w", err)
	}
	m.host, m.presences, m.lists = h, p, lists
	return nil
}

// Register implements [stanza.Module].
func (m *Module) Register(mux *stanza.Mux) error {
	return errors.Join(
		mux.HandleIQ(stanza.GetIQ, listName, m.handleList),
		mux.HandleIQ(stanza.SetIQ, blockName, m.handleBlock),
		mux.HandleIQ(stanza.SetIQ, unblockName, m.handleUnblock),
	)
}

// own returns the account whose list a request is about.
func (m *Module) own(iq *stanza.IQ) (jid.JID, error) {
	account := iq.From.Bare()
	// XEP-0191 §3.2 to §3.5: "with no 'to' address", which stands for the own
	// account (RFC 6120 §10.3.3).
	if m.lists == nil || account.Local() == "" || !iq.To.IsZero() && iq.To != account {
		return jid.JID{}, stanza.ServiceUnavailable
	}
	return account, nil
}

func (m *Module) handleList(_ context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, err := m.own(iq)
	if err != nil {
		return nil, err
	}
	// Before the list is read: what changes after that is pushed.
	if r := m.host.Resource(iq.From); r != nil {
		r.SetValue(interested{}, true)
	}
	return Blocklist{m.lists.of(account).addresses()}, nil
}

func (m *Module) handleBlock(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, err := m.own(iq)
	if err != nil {
		return nil, err
	}
	var b Blocked
	if err := b.DecodeElement(iq.Element()); err != nil {
		return nil, err
	}
	return nil, m.change(ctx, account, b, b.Items, func(old *list) *list { return old.with(b.Items) })
}

func (m *Module) handleUnblock(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, err := m.own(iq)
	if err != nil {
		return nil, err
	}
	var u Unblocked
	if err := u.DecodeElement(iq.Element()); err != nil {
		return nil, err
	}
	return nil, m.change(ctx, account, u, u.Items, func(old *list) *list {
		if len(u.Items) == 0 { // XEP-0191 §3.5
			return nil
		}
		return old.without(u.Items)
	})
}

// change replaces the list of an account, tells its resources with push, and tells
// the contacts that items are about; no items stands for the whole list.
func (m *Module) change(ctx context.Context, account jid.JID, push stanza.Payload, items []jid.JID, with func(*list) *list) error {
	// Whatever can fail comes first: then either all is done or nothing.
	var viewing []jid.JID
	if v, ok := m.host.(viewers); ok {
		var err error
		if viewing, err = v.Viewers(ctx, account); err != nil {
			return fmt.Errorf("blocking: who sees the presence: %w", err)
		}
	}
	s := m.lists.shard(account)
	// All of it under the lock, so that contacts and resources hear of changes in
	// the order in which they are made. Nothing below waits for a client.
	s.mu.Lock()
	defer s.mu.Unlock()
	before := m.lists.of(account)
	after := with(before)
	limit := m.Items
	if limit <= 0 {
		limit = 1000
	}
	if n := len(after.addresses()); n > limit && n > len(before.addresses()) {
		return invalid(stanza.PolicyViolation, fmt.Sprintf("at most %d addresses can be blocked", limit))
	}
	if n := after.size(); n > maxBytes && n > before.size() {
		return invalid(stanza.PolicyViolation, "the list is too long")
	}
	if !slices.Equal(before.addresses(), after.addresses()) {
		if err := m.Store.Put(ctx, account, after.addresses()); errors.Is(err, ErrFull) {
			return &stanza.Error{Condition: stanza.ResourceConstraint, Cause: err}
		} else if err != nil {
			return fmt.Errorf("blocking: store the list: %w", err)
		}
		m.lists.set(s, account, after)
	}
	if len(items) == 0 {
		items = before.addresses()
	}
	for _, contact := range affected(items, viewing) {
		switch was, is := before.blocks(contact), after.blocks(contact); {
		case m.exempt(account, contact):
		case m.lists.of(contact.Bare()).blocks(account):
			// §3.3: the contact blocks the account too, and is to get nothing from it.
		case is && !was:
			// XEP-0191 §3.3: unavailable presence to the contact, after the list has
			// closed the gate to presence that might follow.
			m.presences.Hide(ctx, account, contact)
		case was && !is:
			// §3.4: the current presence.
			m.presences.Show(ctx, account, contact)
		}
	}
	m.push(account, push)
	return nil
}

// push tells the resources of an account that have asked for the list (XEP-0191
// §3.3 to §3.5). One that does not read its stream loses its session.
func (m *Module) push(account jid.JID, p stanza.Payload) {
	for _, r := range m.host.Resources(account) {
		if r.Value(interested{}) == nil {
			continue
		}
		// The error is that of a session that has ended: its client will ask again.
		_ = r.TrySend(&stanza.IQ{ID: stanza.NewID(), To: r.Addr(), Type: stanza.SetIQ, Payload: p})
	}
}

// AccountRemoved implements [stanza.AccountWatcher]: the list of the account goes.
// Others still block its address.
func (m *Module) AccountRemoved(ctx context.Context, account jid.JID) error {
	account = account.Bare()
	s := m.lists.shard(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := m.Store.Put(ctx, account, nil); err != nil {
		return fmt.Errorf("blocking: remove the list: %w", err)
	}
	m.lists.set(s, account, nil)
	return nil
}
