package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sort"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/mam"
)

// Query implements mam.Store.
func (s archives) Query(ctx context.Context, account jid.JID, sel *mam.Selection) (page *mam.Page, err error) {
	err = s.db.view(ctx, func(t *txn) error {
		q, err := t.query(ctx, account, sel)
		if err == nil {
			page, err = q.page()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// query is a query while it is answered. Numbers are those of entries; places are
// those in the sequence that the result set is a part of.
type query struct {
	t       *txn
	ctx     context.Context
	account jid.JID
	sel     *mam.Selection
	archive archive

	lo, hi        uint64 // between these numbers is the result set,
	after, before uint64 // and between these the page
	begin, end    uint64 // places of the sequence
	at            func(place uint64) (uint64, error)
	filter        bool // not all of the sequence is in the result set
	searchErr     error
}

// query finds the bounds of a selection. All ids have to exist.
func (t *txn) query(ctx context.Context, account jid.JID, sel *mam.Selection) (*query, error) {
	a, err := t.archive(account)
	if err != nil {
		return nil, err
	}
	q := &query{t: t, ctx: ctx, account: account, sel: sel, archive: a, lo: a.first, hi: a.next, before: a.next}
	named := make([]uint64, 0, len(sel.IDs))
	for _, id := range sel.IDs {
		n, err := t.find(account, id)
		if err != nil {
			return nil, err
		}
		named = append(named, n)
	}
	for _, bound := range []struct {
		id  string
		set func(n uint64)
	}{
		{sel.AfterID, func(n uint64) { q.lo = n + 1 }},
		{sel.BeforeID, func(n uint64) { q.hi = n }},
		{sel.After, func(n uint64) { q.after = n + 1 }},
		{sel.Before, func(n uint64) { q.before = n }},
	} {
		if bound.id == "" {
			continue
		}
		n, err := t.find(account, bound.id)
		if err != nil {
			return nil, err
		}
		bound.set(n)
	}
	if !sel.Start.IsZero() {
		q.lo = max(q.lo, q.search(a.first, a.next, func(n uint64) (bool, error) {
			e, err := t.entry(account, n)
			return !e.at.Before(sel.Start), err
		}))
	}
	if !sel.End.IsZero() {
		q.hi = min(q.hi, q.search(a.first, a.next, func(n uint64) (bool, error) {
			e, err := t.entry(account, n)
			return e.at.After(sel.End), err
		}))
	}
	if err := q.sequence(named); err != nil {
		return nil, err
	}
	return q, q.searchErr
}

// search returns the first number from lo on for which found is true, and hi if
// there is none. It keeps an error for later.
func (q *query) search(lo, hi uint64, found func(n uint64) (bool, error)) uint64 {
	return lo + uint64(sort.Search(int(hi-lo), func(i int) bool {
		ok, err := found(lo + uint64(i))
		if err != nil && q.searchErr == nil {
			q.searchErr = err
		}
		return ok
	}))
}

// sequence chooses where to look: among the entries that are named, in the index of
// the contact, or in the whole archive.
func (q *query) sequence(named []uint64) error {
	switch {
	case q.sel.IDs != nil:
		slices.Sort(named)
		named = slices.Compact(named)
		var err error
		named = slices.DeleteFunc(named, func(n uint64) bool {
			ok, e := q.matches(n)
			err = errors.Join(err, e)
			return !ok
		})
		q.end = uint64(len(named))
		q.at = func(place uint64) (uint64, error) { return named[place], nil }
		return err
	case q.sel.With.IsZero(), q.sel.With.IsFull() && q.sel.With.Bare() == q.account:
		q.begin, q.end = q.archive.first, q.archive.next
		q.at = func(place uint64) (uint64, error) { return place, nil }
	default:
		p := with(q.account, q.sel.With.Bare())
		if k, _ := q.t.last(bucketContacts, p); k != nil {
			first, _ := q.t.Bucket([]byte(bucketContacts)).Cursor().Seek(p)
			begin, _ := number(first)
			last, _ := number(k)
			q.begin, q.end = begin, last+1
		}
		q.at = func(place uint64) (uint64, error) {
			key := binary.BigEndian.AppendUint64(p[:len(p):len(p)], place)
			return decodeNumber(bucketContacts, q.t.get(bucketContacts, key))
		}
	}
	// XEP-0313 §4.1.1: a full JID means that resource.
	q.filter = q.sel.With.IsFull()
	return nil
}

// matches reports whether an entry is with whom the selection says.
func (q *query) matches(n uint64) (bool, error) {
	e, err := q.t.entry(q.account, n)
	if err != nil || q.sel.With.IsZero() {
		return err == nil, err
	}
	return q.fits(&e)
}

// fits is mam.Filter.Matches without the ids.
func (q *query) fits(e *entry) (bool, error) {
	w := q.sel.With
	if w.IsFull() && !e.between(w) {
		return false, nil
	}
	if w.IsFull() && w.Bare() == q.account {
		return true, nil
	}
	contact, err := e.contact(q.account)
	return contact == w.Bare(), err
}

// place returns the first place of the sequence with that number or a later one.
func (q *query) place(n uint64) uint64 {
	return q.search(q.begin, q.end, func(place uint64) (bool, error) {
		at, err := q.at(place)
		return at >= n, err
	})
}

// checkEvery is after how many entries that do not match the context is looked at.
const checkEvery = 512

// page reads the page.
func (q *query) page() (*mam.Page, error) {
	lo := q.place(q.lo)
	hi := max(lo, q.place(q.hi))
	from := max(lo, q.place(q.after))
	to := min(hi, q.place(q.before))
	if q.searchErr != nil {
		return nil, q.searchErr
	}
	if q.filter && q.sel.Index > 0 {
		return nil, mam.ErrIndex
	}
	to = max(to, from)
	from += min(uint64(q.sel.Index), to-from)
	p := &mam.Page{Entries: []mam.Entry{}, Complete: true}
	if err := q.read(p, from, to); err != nil {
		return nil, err
	}
	n := uint64(len(p.Entries))
	switch {
	case q.filter:
		p.Count, p.Index = -1, -1
	case q.sel.Backward:
		p.Count, p.Index = int(hi-lo), int(to-n-min(lo, to-n))
	default:
		p.Count, p.Index = int(hi-lo), int(from-lo)
	}
	if q.sel.Backward {
		slices.Reverse(p.Entries)
	}
	return p, nil
}

// read fills a page from places of the sequence, in the direction of the selection.
func (q *query) read(p *mam.Page, from, to uint64) error {
	bytes := int64(0)
	for k := range to - from {
		if k%checkEvery == checkEvery-1 {
			if err := q.ctx.Err(); err != nil {
				return err
			}
		}
		if !q.filter && len(p.Entries) >= q.sel.Max {
			p.Complete = false
			return nil
		}
		place := from + k
		if q.sel.Backward {
			place = to - 1 - k
		}
		n, err := q.at(place)
		if err != nil {
			return err
		}
		e, err := q.t.entry(q.account, n)
		if err != nil {
			return err
		}
		if q.filter && !e.between(q.sel.With) {
			continue
		}
		size := e.size()
		if len(p.Entries) >= q.sel.Max || len(p.Entries) > 0 && q.sel.Bytes > 0 && bytes+size > int64(q.sel.Bytes) {
			p.Complete = false
			return nil
		}
		bytes += size
		whole, err := e.copy()
		if err != nil {
			return err
		}
		p.Entries = append(p.Entries, whole)
	}
	return nil
}
