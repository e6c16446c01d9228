package vcard

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Module keeps the profiles of the accounts of a server and shows them to whoever
// asks: the [stanza.Module] for a server. It also announces their pictures for
// clients that do not do so themselves. The zero value is ready, with the profiles
// in memory. Its fields are not changed once the server has started.
type Module struct {
	// Store keeps the profiles. Nil means a new [MemoryStore].
	Store Store

	// Bytes is how long a profile may be. Zero means 128 KiB. A longer one is refused
	// with policy-violation.
	Bytes int

	// Hashes is of how many accounts the hash of the picture is remembered. Zero
	// means 10,000. For others it is computed from the profile when they log in.
	Hashes int

	// Report is told of errors of the Store while presence is handled, which goes on
	// without an announcement then. Nil means that nobody is told. It must not
	// block.
	Report func(error)

	hashes hashes
}

var (
	_ stanza.Module         = (*Module)(nil)
	_ stanza.Featurer       = (*Module)(nil)
	_ stanza.HostModule     = (*Module)(nil)
	_ stanza.PublicModule   = (*Module)(nil)
	_ stanza.BeforeRouter   = (*Module)(nil)
	_ stanza.AccountWatcher = (*Module)(nil)
)

// Name implements [stanza.Module].
func (*Module) Name() string { return "vcard" }

// Features implements [stanza.Featurer] (XEP-0054 §4).
func (*Module) Features() []string { return []string{NS} }

// Attach implements [stanza.HostModule].
func (m *Module) Attach(stanza.Host) error {
	if m.Store == nil {
		m.Store = &MemoryStore{}
	}
	return nil
}

// Register implements [stanza.Module].
func (m *Module) Register(mux *stanza.Mux) error {
	return errors.Join(
		mux.HandleIQ(stanza.GetIQ, cardName, m.handleGet),
		mux.HandleIQ(stanza.SetIQ, cardName, m.handleSet),
	)
}

// RegisterPublic implements [stanza.PublicModule].
func (m *Module) RegisterPublic(mux *stanza.Mux) error {
	return errors.Join(
		mux.HandleIQ(stanza.GetIQ, cardName, m.handlePublicGet),
		mux.HandleIQ(stanza.SetIQ, cardName, m.handlePublicSet),
	)
}

// own returns the account that asks for its profile, or wants to replace it.
func (m *Module) own(iq *stanza.IQ) (jid.JID, bool) {
	account := iq.From.Bare()
	return account, m.Store != nil && account.Local() != "" && (iq.To.IsZero() || iq.To == account)
}

func (m *Module) handleGet(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, ok := m.own(iq)
	if !ok { // that of the server
		return nil, stanza.ServiceUnavailable
	}
	card, err := m.card(ctx, account)
	if err != nil {
		return nil, err
	}
	if card == nil {
		return nil, stanza.ItemNotFound // XEP-0054 §3.1: which an error SHOULD be
	}
	return card, nil
}

func (m *Module) handleSet(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, ok := m.own(iq)
	if !ok {
		// XEP-0054 §3.2: a 'to' that is not the own bare JID.
		return nil, stanza.Forbidden
	}
	limit := m.Bytes
	if limit <= 0 {
		limit = 128 << 10
	}
	el := iq.Element()
	var card []byte
	if !isEmpty(el) { // to publish nothing is to remove what there was
		var err error
		if card, err = el.AppendXML(nil); err != nil {
			return nil, fmt.Errorf("vcard: %w", err)
		}
	}
	if len(card) > limit {
		return nil, &stanza.Error{
			Condition: stanza.PolicyViolation,
			Text:      fmt.Sprintf("a profile has at most %d bytes", limit),
		}
	}
	// Afterwards too: it could have been read in between.
	m.hashes.forget(account)
	defer m.hashes.forget(account)
	switch err := m.Store.Put(ctx, account, card); {
	case errors.Is(err, ErrFull):
		return nil, &stanza.Error{Condition: stanza.ResourceConstraint, Cause: err}
	case err != nil:
		return nil, fmt.Errorf("vcard: store: %w", err)
	}
	return nil, nil
}

// handlePublicGet answers on behalf of an account (XEP-0054 §3.3).
func (m *Module) handlePublicGet(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	card, err := m.card(ctx, iq.To.Bare())
	if err != nil {
		return nil, err
	}
	if card == nil {
		// XEP-0054 §3.3: "<service-unavailable/> MUST be used in both cases", so that
		// nobody learns by it whether there is the account.
		return nil, stanza.ServiceUnavailable
	}
	return card, nil
}

// handlePublicSet refuses to change the profile of somebody else.
func (m *Module) handlePublicSet(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	card, err := m.card(ctx, iq.To.Bare())
	if err != nil {
		return nil, err
	}
	if card == nil {
		// As for a get: forbidden would say that there is such an account.
		return nil, stanza.ServiceUnavailable
	}
	return nil, stanza.Forbidden // XEP-0054 §3.2
}

// card returns the profile of an account, or nil.
func (m *Module) card(ctx context.Context, account jid.JID) (*stream.Element, error) {
	if m.Store == nil {
		return nil, stanza.ServiceUnavailable
	}
	xml, err := m.Store.Get(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("vcard: read: %w", err)
	}
	if xml == nil {
		return nil, nil
	}
	// What a store returns goes into a stream: it has to be what it is said to be.
	el, err := stream.ParseElement(xml, limits(len(xml)))
	if err != nil {
		return nil, fmt.Errorf("vcard: what was stored: %w", err)
	}
	if el.Name() != cardName {
		return nil, fmt.Errorf("vcard: what was stored is no vCard")
	}
	return el, nil
}

// limits are those for a profile of that length that was stored: it has met the
// limits of its stream, which may be larger than the default ones.
func limits(n int) *stream.Limits {
	n = max(n, 1<<18)
	return &stream.Limits{ElementBytes: n, Elements: n, Depth: 1024, Attributes: 1024, Namespaces: 1024}
}

// isEmpty reports whether an element has no children.
func isEmpty(el *stream.Element) bool {
	for range el.Children() {
		return false
	}
	return true
}

// BeforeRoute implements [stanza.BeforeRouter]: it completes available presence,
// broadcast and directed, as XEP-0398 §4 says.
func (m *Module) BeforeRoute(ctx context.Context, t *stanza.Transit) stanza.Verdict {
	if t.Kind != stanza.PresenceKind || t.Type != string(stanza.AvailablePresence) || t.Sender == nil || m.Store == nil {
		return stanza.Pass()
	}
	announced, replace := t.Element.Child(updateName)
	if replace {
		if _, says := announced.Child(updatePhotoName); says {
			// XEP-0398 §4: an empty photo stays. One that is not empty MAY be overwritten:
			// the clients of an account settle that between them (XEP-0153 §4.3).
			return stanza.Pass()
		}
	}
	hash, err := m.hash(ctx, t.From.Bare())
	if err == nil && hash != "" {
		if replace {
			err = t.Remove(func(child *stream.Element) bool { return child.Name() == updateName })
		}
		if err == nil {
			err = t.Append(Update{Known: true, Hash: hash})
		}
	}
	if err != nil && m.Report != nil {
		m.Report(fmt.Errorf("vcard: announce the picture: %w", err))
	}
	return stanza.Pass()
}

// hash returns the hash of the picture of an account, or "".
func (m *Module) hash(ctx context.Context, account jid.JID) (string, error) {
	hash, ok, changes := m.hashes.get(account)
	if ok {
		return hash, nil
	}
	card, err := m.card(ctx, account)
	if err != nil {
		return "", err
	}
	if card != nil {
		if el, ok := card.Child(stream.Name{Space: NS, Local: "PHOTO"}); ok {
			if p, ok := readPhoto(el); ok {
				hash = p.Hash()
			}
		}
	}
	limit := m.Hashes
	if limit <= 0 {
		limit = 10_000
	}
	m.hashes.put(account, hash, limit, changes)
	return hash, nil
}

// AccountRemoved implements [stanza.AccountWatcher]: the profile of the account
// goes.
func (m *Module) AccountRemoved(ctx context.Context, account jid.JID) error {
	account = account.Bare()
	m.hashes.forget(account)
	defer m.hashes.forget(account)
	if err := m.Store.Put(ctx, account, nil); err != nil {
		return fmt.Errorf("vcard: remove: %w", err)
	}
	return nil
}
