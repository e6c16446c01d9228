package mam

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/rsm"
	"stanzakit.dev/xmpp/stream"
)

// Register implements [stanza.Module].
func (m *Module) Register(mux *stanza.Mux) error {
	for _, r := range []struct {
		typ    stanza.IQType
		name   stream.Name
		answer func(ctx context.Context, account jid.JID, iq *stanza.IQ) (stanza.Payload, error)
	}{
		{stanza.GetIQ, nameQuery, m.getFields},
		{stanza.GetIQ, nameMetadata, m.metadata},
		{stanza.GetIQ, namePrefs, m.getPrefs},
		{stanza.SetIQ, namePrefs, m.setPrefs},
	} {
		if err := mux.HandleIQ(r.typ, r.name, func(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
			account, err := owner(iq)
			if err != nil {
				return nil, err
			}
			return r.answer(ctx, account, iq)
		}); err != nil {
			return err
		}
	}
	return mux.Handle(stanza.IQKind, string(stanza.SetIQ), nameQuery, stanza.HandlerFunc(m.query))
}

// RegisterPublic implements [stanza.PublicModule]: nobody but the account may look
// into its archive.
func (m *Module) RegisterPublic(mux *stanza.Mux) error {
	for _, name := range []stream.Name{nameQuery, nameMetadata, namePrefs} {
		if err := mux.HandleIQ(stanza.Any, name, m.refuse); err != nil {
			return err
		}
	}
	return nil
}

// refuse answers somebody who asks for the archive of an account that is not theirs.
func (m *Module) refuse(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	if may, err := m.host.MaySee(ctx, iq.To.Bare(), iq.From); err != nil || !may {
		// For who may not know about the account it is as if there were none
		// (RFC 6121 §8.5.1, RFC 6120 §13.11).
		return nil, &stanza.Error{Condition: stanza.ServiceUnavailable, Cause: err}
	}
	return nil, stanza.Forbidden // XEP-0313 §8.1: SHOULD be forbidden
}

// owner returns the account whose archive is asked, if it is the one that asks.
func owner(iq *stanza.IQ) (jid.JID, error) {
	account := iq.From.Bare()
	switch {
	case account.Local() == "":
		return jid.JID{}, stanza.Forbidden
	case iq.To.IsZero() || iq.To == account:
		// XEP-0313 §3.3.1: the archive is at the user's bare JID.
		return account, nil
	case iq.To.Local() == "":
		return jid.JID{}, stanza.ServiceUnavailable // the server itself has none
	}
	return jid.JID{}, stanza.Forbidden // §8.1
}

// getFields tells which fields a filter can have (XEP-0313 §4.1.5).
func (m *Module) getFields(context.Context, jid.JID, *stanza.IQ) (stanza.Payload, error) {
	return supported{}, nil
}

// query answers a query: it sends the results, then the reply (XEP-0313 §4). It
// waits for a client that reads slowly.
func (m *Module) query(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
	iq, ok := st.(*stanza.IQ)
	if !ok {
		return nil
	}
	account, err := owner(iq)
	if err != nil {
		return err
	}
	var q Query
	if err := q.DecodeElement(iq.Element()); err != nil {
		return err
	}
	page, err := m.page(ctx, account, &q)
	if err != nil {
		return err
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		if q.Flip { // §4.3.4: only the order in which they are sent
			e = &page.Entries[len(page.Entries)-1-i]
		}
		if err := s.Send(ctx, &stanza.Message{
			ID: stanza.NewID(), From: account, To: iq.From,
			Extra: []stanza.Payload{entryResult{q.ID, e}},
		}); err != nil {
			return fmt.Errorf("mam: sending results: %w", err)
		}
	}
	return s.Send(ctx, iq.Result(fin(page)))
}

// page gets what q asks for.
func (m *Module) page(ctx context.Context, account jid.JID, q *Query) (*Page, error) {
	if err := m.trim(ctx, account); err != nil {
		return nil, err
	}
	page, err := m.Store.Query(ctx, account, m.selection(q))
	switch {
	case errors.Is(err, ErrNotFound):
		// §4.1.3, §4.3.2: MUST return item-not-found.
		return nil, &stanza.Error{Condition: stanza.ItemNotFound, Cause: err}
	case errors.Is(err, ErrIndex):
		return nil, &stanza.Error{Condition: stanza.FeatureNotImplemented, Cause: err} // XEP-0059 §2.6
	case err != nil:
		return nil, fmt.Errorf("mam: query: %w", err)
	}
	return page, nil
}

// trim removes what is too old by now, lest it is shown.
func (m *Module) trim(ctx context.Context, account jid.JID) error {
	if _, err := m.Store.Trim(ctx, account, m.keep(account)); err != nil {
		return fmt.Errorf("mam: removing old messages: %w", err)
	}
	return nil
}

// selection returns what q asks the store for.
func (m *Module) selection(q *Query) *Selection {
	s := &Selection{Filter: q.Filter, After: q.Page.After, Max: m.MaxPage, Bytes: m.PageBytes}
	if s.Max <= 0 {
		s.Max = defaultMaxPage
	}
	if s.Bytes <= 0 {
		s.Bytes = defaultPageBytes
	}
	if q.Page.Max != nil {
		s.Max = min(s.Max, *q.Page.Max) // XEP-0313 §4.3.1
	}
	if q.Page.Before != nil {
		s.Backward, s.Before = true, *q.Page.Before // §4.3.3: empty is the end
	}
	if q.Page.Index != nil {
		s.Index = *q.Page.Index
	}
	return s
}

// fin describes a page that was sent.
func fin(p *Page) *Fin {
	// XEP-0313 §4.3.2: complete says that it was not limited. Stable is left out:
	// an archive only grows at its end.
	f := &Fin{Complete: p.Complete, Page: rsm.Result{}}
	if n := len(p.Entries); n > 0 {
		f.Page.First, f.Page.Last = p.Entries[0].ID, p.Entries[n-1].ID
		if p.Index >= 0 {
			f.Page.Index = &p.Index
		}
	}
	if p.Count >= 0 {
		f.Page.Count = &p.Count
	}
	return f
}

// metadata answers a query for the state of the archive (XEP-0313 §5).
func (m *Module) metadata(ctx context.Context, account jid.JID, _ *stanza.IQ) (stanza.Payload, error) {
	if err := m.trim(ctx, account); err != nil {
		return nil, err
	}
	first, last, err := m.Store.Metadata(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("mam: metadata: %w", err)
	}
	if first == nil || last == nil {
		return &Metadata{}, nil
	}
	return &Metadata{Start: &Mark{first.ID, first.Time}, End: &Mark{last.ID, last.Time}}, nil
}

// getPrefs answers with the preferences, or with what holds without them.
func (m *Module) getPrefs(ctx context.Context, account jid.JID, _ *stanza.IQ) (stanza.Payload, error) {
	p, err := m.Store.Prefs(ctx, account)
	switch {
	case err != nil:
		return nil, fmt.Errorf("mam: preferences: %w", err)
	case p == nil:
		return &Prefs{Default: m.Default}, nil
	}
	return p, nil
}

// setPrefs changes the preferences (XEP-0441 §2.1).
func (m *Module) setPrefs(ctx context.Context, account jid.JID, iq *stanza.IQ) (stanza.Payload, error) {
	p := new(Prefs)
	if err := p.DecodeElement(iq.Element()); err != nil {
		return nil, err
	}
	if p.Default == ArchiveRoster && m.roster == nil {
		return nil, &stanza.Error{Condition: stanza.FeatureNotImplemented, Text: "there are no rosters here"}
	}
	err := m.Store.SetPrefs(ctx, account, p)
	switch {
	case errors.Is(err, ErrFull):
		return nil, &stanza.Error{Condition: stanza.ResourceConstraint, Cause: err}
	case err != nil:
		return nil, fmt.Errorf("mam: preferences: %w", err)
	}
	return p, nil // §2.1: the server replies with the applied preferences
}
