package private

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Module keeps elements for the accounts of a server: the [stanza.Module] for a
// server. Each account reads and writes its own only (XEP-0049 §4). The zero value
// is ready, with the elements in memory. Its fields are not changed once the
// server has started.
type Module struct {
	// Store keeps the elements. Nil means a new [MemoryStore].
	Store Store

	// Elements is how many elements an account may keep, zero means 128; Bytes how
	// long they may be in all, zero means 256 KiB. A request that would exceed one
	// of them is refused as a whole with policy-violation.
	Elements, Bytes int
}

var (
	_ stanza.Module         = (*Module)(nil)
	_ stanza.Featurer       = (*Module)(nil)
	_ stanza.HostModule     = (*Module)(nil)
	_ stanza.AccountWatcher = (*Module)(nil)
)

// Name implements [stanza.Module].
func (*Module) Name() string { return "private" }

// Features implements [stanza.Featurer].
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
		mux.HandleIQ(stanza.GetIQ, queryName, m.handleGet),
		mux.HandleIQ(stanza.SetIQ, queryName, m.handleSet),
	)
}

// own returns the account whose elements a request is about.
func (m *Module) own(iq *stanza.IQ) (jid.JID, error) {
	account := iq.From.Bare()
	switch {
	case m.Store == nil || account.Local() == "":
		return jid.JID{}, stanza.ServiceUnavailable
	case !iq.To.IsZero() && iq.To != account:
		// XEP-0049 §3: sent to a JID other than that of the sender. Requests to other
		// accounts do not come here; this one is to the server.
		return jid.JID{}, stanza.Forbidden
	}
	return account, nil
}

func (m *Module) handleGet(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, err := m.own(iq)
	if err != nil {
		return nil, err
	}
	var names []stream.Name
	for child := range iq.Element().Children() {
		name := child.Name()
		if err := check(names, name); err != nil {
			return nil, err
		}
		// XEP-0049 §2.3: "A client MUST NOT query for more than one namespace".
		if len(names) > 0 && name.Space != names[0].Space {
			return nil, invalid(stanza.NotAcceptable, "one namespace at a time")
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, nothing()
	}
	var reply query
	for _, name := range names {
		xml, err := m.Store.Get(ctx, account, name)
		if err != nil {
			return nil, fmt.Errorf("private: read: %w", err)
		}
		if xml == nil {
			reply = append(reply, empty(name))
			continue
		}
		// What a store returns goes into a stream: it has to be what it is said to be.
		el, err := stream.ParseElement(xml, limits(len(xml)))
		if err != nil {
			return nil, fmt.Errorf("private: what was stored: %w", err)
		}
		reply = append(reply, el)
	}
	return reply, nil
}

func (m *Module) handleSet(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, err := m.own(iq)
	if err != nil {
		return nil, err
	}
	q := Quota{Elements: m.Elements, Bytes: m.Bytes}
	if q.Elements <= 0 {
		q.Elements = 128
	}
	if q.Bytes <= 0 {
		q.Bytes = 256 << 10
	}
	var names []stream.Name
	var set []Fragment
	for child := range iq.Element().Children() {
		if err := check(names, child.Name()); err != nil {
			return nil, err
		}
		names = append(names, child.Name())
		f := Fragment{Name: child.Name()}
		if !isEmpty(child) {
			if f.XML, err = child.AppendXML(nil); err != nil {
				return nil, fmt.Errorf("private: %w", err)
			}
		}
		set = append(set, f)
	}
	if len(set) == 0 {
		return nil, nothing()
	}
	switch err := m.Store.Put(ctx, account, set, q); {
	case errors.Is(err, ErrFull):
		return nil, &stanza.Error{Condition: stanza.PolicyViolation, Text: "there is no room for it", Cause: err}
	case err != nil:
		return nil, fmt.Errorf("private: store: %w", err)
	}
	return nil, nil
}

// limits are those for an element of that length that was stored: it has met the
// limits of its stream, which may be larger than the default ones.
func limits(n int) *stream.Limits {
	n = max(n, 1<<18)
	return &stream.Limits{ElementBytes: n, Elements: n, Depth: 1024, Attributes: 1024, Namespaces: 1024}
}

// check reports what is wrong with one more child of a request.
func check(names []stream.Name, name stream.Name) error {
	switch {
	case Reserved(name.Space):
		// XEP-0049 §2.3, §3: optional for the reserved namespaces, a MUST for one
		// that is not its own.
		return invalid(stanza.NotAcceptable, "a reserved namespace")
	case slices.Contains(names, name):
		return invalid(stanza.NotAcceptable, "two elements of the same name")
	case len(names) == maxElements:
		return invalid(stanza.PolicyViolation, "too many elements")
	}
	return nil
}

// nothing is the error for a request without a child.
func nothing() error {
	// XEP-0049 §2.3: "At least one child element with a proper namespace MUST be
	// included; otherwise the server MUST respond with a "Not Acceptable" error".
	return invalid(stanza.NotAcceptable, "no element")
}

// isEmpty reports whether an element has no attributes and no content.
func isEmpty(el *stream.Element) bool {
	for range el.Attrs() {
		return false
	}
	return len(el.Inner()) == 0
}

// AccountRemoved implements [stanza.AccountWatcher]: the elements of the account
// go.
func (m *Module) AccountRemoved(ctx context.Context, account jid.JID) error {
	if err := m.Store.Delete(ctx, account.Bare()); err != nil {
		return fmt.Errorf("private: remove: %w", err)
	}
	return nil
}
