package mam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/sid"
	"stanzakit.dev/xmpp/stream"
)

// BeforeDeliver implements [stanza.BeforeDeliverer]: it archives a message for
// its sender and its recipient, once for each account, and once if that is the
// same one (XEP-0313 §6.1.1). The recipient finds the id of its archive in the
// message, other resources of the sender that of the sender's (§3.5). A Transit that
// comes again is archived no second time.
//
// Stanza-ids that were there in the name of one of the accounts are removed, from
// every message.
func (m *Module) BeforeDeliver(ctx context.Context, t *stanza.Transit) {
	if t.Kind != stanza.MessageKind || isArchived(t) {
		return
	}
	sender, recipient := m.account(t.From), m.account(t.To)
	if err := m.strip(t, sender, recipient); err != nil {
		m.report(ctx, recipient, err)
		return
	}
	// §6.1: an archive has only what was accepted for delivery.
	accepted := len(t.Delivered) > 0 || t.Stored
	if t.Refused != nil || !accepted && !recipient.IsZero() || !m.archivable(t) {
		return
	}
	e := Entry{From: t.From, To: t.To, Time: time.Now().UTC().Truncate(time.Millisecond)}
	if e.To.IsZero() {
		e.To = t.From.Bare()
	}
	// XEP-0441 §2.3.2, §2.3.3: outgoing by 'to', incoming by 'from'.
	forSender := !sender.IsZero() && m.wants(ctx, sender, e.To)
	forRecipient := !recipient.IsZero() && recipient != sender && m.wants(ctx, recipient, e.From)
	if !forSender && !forRecipient {
		return
	}
	var err error
	if e.Message, err = m.message(t, &e); err != nil {
		for _, account := range accounts(sender, forSender, recipient, forRecipient) {
			m.report(ctx, account, err)
		}
		return
	}
	var done archived
	if forSender {
		done.in[0] = m.append(ctx, sender, e)
	}
	if forRecipient {
		done.in[1] = m.append(ctx, recipient, e)
	}
	if done == (archived{}) {
		return
	}
	switch mine, theirs := done.in[0], done.in[1]; {
	case theirs.ID != "":
		m.tell(ctx, t, theirs)
	case sender == recipient:
		// A message to oneself has one id; its copies have it from the message.
		m.tell(ctx, t, mine)
		done.told = true
	}
	t.SenderExtra = append(t.SenderExtra, done)
}

// AfterRoute implements [stanza.AfterRouter]: what was to be stored offline, and was
// refused in the end because there is no room, was not accepted (XEP-0313 §6.1). Its
// sender has been told so; of the entries nothing is left but that they were there.
func (m *Module) AfterRoute(ctx context.Context, t *stanza.Transit) {
	if t.Refused == nil || t.Kind != stanza.MessageKind {
		return
	}
	for _, p := range t.SenderExtra {
		a, ok := p.(archived)
		if !ok {
			continue
		}
		for _, id := range a.in {
			if id.ID == "" {
				continue
			}
			// By now the entry may have been removed, for later ones.
			if err := m.Store.Redact(ctx, id.By, id.ID); err != nil && !errors.Is(err, ErrNotFound) {
				m.report(ctx, id.By, fmt.Errorf("mam: taking back a message: %w", err))
			}
		}
	}
}

// archived says into which archives a message went: a server that finds nobody to
// take a message may come again with it, to store it offline, or refuse it. To other
// resources of the sender it is the id in the sender's archive (XEP-0313 §3.5), if
// there is one that the message does not have already.
type archived struct {
	in   [2]sid.StanzaID // of the sender and of the recipient; zero is none
	told bool            // the message has the id for the sender
}

// AppendXML implements [stanza.Payload].
func (a archived) AppendXML(dst []byte) ([]byte, error) {
	if a.told || a.in[0].ID == "" {
		// XEP-0313 §3.5: the id for the recipient is not for the sender.
		return dst, nil
	}
	return a.in[0].AppendXML(dst)
}

// isArchived reports whether t has been here before.
func isArchived(t *stanza.Transit) bool {
	for _, p := range t.SenderExtra {
		if _, ok := p.(archived); ok {
			return true
		}
	}
	return false
}

// account returns the account whose address j is, or zero if that is none of this
// server's.
func (m *Module) account(j jid.JID) jid.JID {
	if j.Local() == "" || !m.local[j.Domain()] {
		return jid.JID{}
	}
	return j.Bare()
}

// accounts lists those that miss a message.
func accounts(a jid.JID, isA bool, b jid.JID, isB bool) (out []jid.JID) {
	if isA {
		out = append(out, a)
	}
	if isB {
		out = append(out, b)
	}
	return out
}

// strip removes the ids that somebody has given in the name of an account.
func (m *Module) strip(t *stanza.Transit, sender, recipient jid.JID) error {
	// XEP-0359 §3: MUST delete it, even if it does not add its own.
	el, stripped, err := sid.Strip(t.Element, sender, recipient)
	if err != nil {
		return fmt.Errorf("mam: removing a forged id: %w", err)
	}
	if stripped {
		t.Replace(el)
	}
	return nil
}

// archivable asks the program's rule or the one of this package.
func (m *Module) archivable(t *stanza.Transit) bool {
	if m.Archive != nil {
		return m.Archive(t)
	}
	return Archivable(t)
}

// wants reports whether an account archives messages to or from target.
func (m *Module) wants(ctx context.Context, account, target jid.JID) bool {
	policy := m.Default
	p, err := m.Store.Prefs(ctx, account)
	if err != nil {
		// Whoever has asked for silence must not be archived by mistake.
		m.report(ctx, account, fmt.Errorf("mam: preferences: %w", err))
		return false
	}
	if p != nil {
		policy = p.Wants(target)
	}
	if policy != ArchiveRoster {
		return policy == ArchiveAlways
	}
	if target.Bare() == account {
		return true // nobody is in their own roster
	}
	if m.roster == nil {
		return false // the preferences are from a time when there was one
	}
	// XEP-0441 §2.3.1: the comparison MUST use the bare target JID.
	in, err := m.roster(ctx, account, target.Bare())
	if err != nil {
		m.report(ctx, account, fmt.Errorf("mam: roster: %w", err))
		return false
	}
	return in
}

var (
	nameFrom = stream.Name{Local: "from"}
	nameTo   = stream.Name{Local: "to"}
	nameLang = stream.Name{Space: stream.NSXML, Local: "lang"}
)

var errTooLarge = errors.New("mam: message too large for the archive")

// message writes what is archived: the whole stanza (XEP-0313 §3), with the
// addresses that the server knows.
func (m *Module) message(t *stanza.Transit, e *Entry) ([]byte, error) {
	limit := m.MaxMessage
	if limit <= 0 {
		limit = defaultMaxMessage
	}
	b := make([]byte, 0, len(t.Element.Raw())+len(e.From.String())+len(e.To.String())+96)
	set := [3]stream.AttrSet{{Name: nameFrom, Value: e.From.String()}, {Name: nameTo, Value: e.To.String()}}
	n := 2
	if lang := t.Lang(); lang != "" {
		set[n], n = stream.AttrSet{Name: nameLang, Value: lang}, n+1
	}
	b, err := t.Element.AppendFramed(b, stream.NSClient, set[:n]...)
	switch {
	case err != nil:
		return nil, fmt.Errorf("mam: writing a message: %w", err)
	case len(b) > limit:
		return nil, errTooLarge
	}
	return b, nil
}

// append adds a message to an archive under a new id, which is zero if that failed.
func (m *Module) append(ctx context.Context, account jid.JID, e Entry) sid.StanzaID {
	// XEP-0313 §3: unpredictable and unique; XEP-0359 §6: it tells nothing.
	e.ID = stanza.NewID()
	if err := m.Store.Append(ctx, account, &e, m.keep(account)); err != nil {
		m.report(ctx, account, fmt.Errorf("mam: archiving a message: %w", err))
		return sid.StanzaID{}
	}
	return sid.StanzaID{ID: e.ID, By: account}
}

// tell puts the id into the message (XEP-0313 §3.5: MUST).
func (m *Module) tell(ctx context.Context, t *stanza.Transit, id sid.StanzaID) {
	if err := t.Append(id); err != nil {
		m.report(ctx, id.By, fmt.Errorf("mam: adding the id: %w", err))
	}
}
