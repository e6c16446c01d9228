package mam

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// MemoryStore is a [Store] that keeps archives as long as the program runs. The
// zero value is ready. It is safe for concurrent use.
type MemoryStore struct {
	// MaxBytes bounds the entries of all archives together, by [Entry.Size], and
	// their preferences. Zero means 256 MiB. At the bound nothing more is
	// stored: [ErrFull].
	MaxBytes int64

	mu       sync.RWMutex
	archives map[jid.JID]*archive
	bytes    int64
}

const defaultMemory = 256 << 20

// archive is what is kept for an account.
type archive struct {
	entries []Entry
	// gone counts the entries that were removed from the beginning: the number
	// of an entry is gone plus its place in entries.
	gone    int
	numbers map[string]int // of entries, by id
	bytes   int64
	prefs   *Prefs
}

// Append implements [Store].
func (s *MemoryStore) Append(_ context.Context, account jid.JID, e *Entry, keep Keep) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.archives[account]
	if a != nil {
		if _, ok := a.numbers[e.ID]; ok {
			return fmt.Errorf("%w: %.64q", ErrExists, e.ID)
		}
	}
	size := int64(e.Size())
	free := int64(0) // what makes room for e by itself
	if a != nil {
		_, free = a.unwanted(keep, 1, size)
	}
	if s.bytes-free+size > s.max() {
		return ErrFull
	}
	a = s.open(account)
	a.entries = append(a.entries, *e)
	if n := len(a.entries); n > 1 && a.entries[n-1].Time.Before(a.entries[n-2].Time) {
		a.entries[n-1].Time = a.entries[n-2].Time
	}
	a.numbers[e.ID] = a.gone + len(a.entries) - 1
	a.bytes += size
	s.bytes += size
	s.trim(a, keep)
	return nil
}

// max returns the bound of the whole store.
func (s *MemoryStore) max() int64 {
	if s.MaxBytes > 0 {
		return s.MaxBytes
	}
	return defaultMemory
}

// open returns the archive of an account, which it makes if there is none.
func (s *MemoryStore) open(account jid.JID) *archive {
	if a := s.archives[account]; a != nil {
		return a
	}
	if s.archives == nil {
		s.archives = make(map[jid.JID]*archive)
	}
	a := &archive{numbers: make(map[string]int)}
	s.archives[account] = a
	return a
}

// unwanted returns how many entries at the beginning keep does not want, if
// there were extra more of that size at the end, and how large they are.
func (a *archive) unwanted(keep Keep, extra int, size int64) (n int, bytes int64) {
	for n < len(a.entries) {
		e := &a.entries[n]
		over := keep.Messages > 0 && len(a.entries)+extra-n > keep.Messages ||
			keep.Bytes > 0 && a.bytes+size-bytes > keep.Bytes ||
			e.Time.Before(keep.Since)
		if !over {
			break
		}
		bytes += int64(e.Size())
		n++
	}
	return n, bytes
}

// trim removes what keep does not want.
func (s *MemoryStore) trim(a *archive, keep Keep) int {
	n, bytes := a.unwanted(keep, 0, 0)
	for i := range a.entries[:n] {
		delete(a.numbers, a.entries[i].ID)
	}
	clear(a.entries[:n]) // the slice keeps its memory for a while
	a.entries = a.entries[n:]
	a.gone += n
	a.bytes -= bytes
	s.bytes -= bytes
	return n
}

// Trim implements [Store].
func (s *MemoryStore) Trim(_ context.Context, account jid.JID, keep Keep) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.archives[account]; a != nil {
		return s.trim(a, keep), nil
	}
	return 0, nil
}

// Redact implements [Store].
func (s *MemoryStore) Redact(_ context.Context, account jid.JID, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.archives[account].find(id)
	if err != nil {
		return err
	}
	a := s.archives[account]
	e := &a.entries[i]
	a.bytes -= int64(len(e.Message))
	s.bytes -= int64(len(e.Message))
	e.Message = nil
	return nil
}

// find returns the place of an entry; a may be nil.
func (a *archive) find(id string) (int, error) {
	if a != nil {
		if n, ok := a.numbers[id]; ok {
			return n - a.gone, nil
		}
	}
	return 0, fmt.Errorf("%w: %.64q", ErrNotFound, id)
}

// Query implements [Store].
func (s *MemoryStore) Query(_ context.Context, account jid.JID, sel *Selection) (*Page, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.archives[account]
	if a == nil {
		a = new(archive)
	}
	lo, hi, err := a.bounds(sel)
	if err != nil {
		return nil, err
	}
	return a.page(account, sel, lo, hi)
}

// bounds returns the range of places that the filter leaves. All ids have to
// exist.
func (a *archive) bounds(sel *Selection) (lo, hi int, err error) {
	hi = len(a.entries)
	for _, id := range sel.IDs {
		if _, err := a.find(id); err != nil {
			return 0, 0, err
		}
	}
	if sel.AfterID != "" {
		i, err := a.find(sel.AfterID)
		if err != nil {
			return 0, 0, err
		}
		lo = i + 1
	}
	if sel.BeforeID != "" {
		i, err := a.find(sel.BeforeID)
		if err != nil {
			return 0, 0, err
		}
		hi = i
	}
	if !sel.Start.IsZero() {
		lo = max(lo, a.since(sel.Start))
	}
	if !sel.End.IsZero() {
		hi = min(hi, a.since(sel.End.Add(1)))
	}
	return lo, max(lo, hi), nil
}

// since returns the place of the first entry at or after a moment.
func (a *archive) since(at time.Time) int {
	return sort.Search(len(a.entries), func(i int) bool { return !a.entries[i].Time.Before(at) })
}

// page reads a page of the result set, which lies between lo and hi.
func (a *archive) page(account jid.JID, sel *Selection, lo, hi int) (*Page, error) {
	from, to := lo, hi // where the page has to be
	if sel.After != "" {
		i, err := a.find(sel.After)
		if err != nil {
			return nil, err
		}
		from = max(from, i+1)
	}
	if sel.Before != "" {
		i, err := a.find(sel.Before)
		if err != nil {
			return nil, err
		}
		to = min(to, i)
	}
	var places []int // of what belongs to the page or may
	before, after := 0, 0
	for i := range a.candidates(sel, lo, hi) {
		switch {
		case !sel.Matches(account, &a.entries[i]):
		case i < from:
			before++
		case i >= to:
			after++
		default:
			places = append(places, i)
		}
	}
	p := &Page{Count: before + len(places) + after}
	skip := min(sel.Index, len(places))
	before, places = before+skip, places[skip:]
	n, bytes := 0, 0
	for n < len(places) && n < sel.Max {
		i := places[n]
		if sel.Backward {
			i = places[len(places)-1-n]
		}
		size := a.entries[i].Size()
		if n > 0 && sel.Bytes > 0 && bytes+size > sel.Bytes {
			break
		}
		bytes += size
		n++
	}
	p.Complete = n == len(places)
	if sel.Backward {
		before += len(places) - n
		places = places[len(places)-n:]
	}
	p.Index = before
	p.Entries = make([]Entry, n)
	for k, i := range places[:n] {
		p.Entries[k] = a.entries[i]
	}
	return p, nil
}

// candidates yields the places between lo and hi of what may be in the result set,
// in order. Entries that are named are not looked for among all the others.
func (a *archive) candidates(sel *Selection, lo, hi int) iter.Seq[int] {
	return func(yield func(int) bool) {
		if sel.IDs == nil {
			for i := lo; i < hi && yield(i); i++ {
			}
			return
		}
		named := make([]int, 0, len(sel.IDs))
		for _, id := range sel.IDs {
			if i, err := a.find(id); err == nil && i >= lo && i < hi {
				named = append(named, i)
			}
		}
		slices.Sort(named)
		for _, i := range slices.Compact(named) {
			if !yield(i) {
				return
			}
		}
	}
}

// Metadata implements [Store].
func (s *MemoryStore) Metadata(_ context.Context, account jid.JID) (first, last *Entry, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.archives[account]
	if a == nil || len(a.entries) == 0 {
		return nil, nil, nil
	}
	mark := func(e Entry) *Entry { return &Entry{ID: e.ID, Time: e.Time} }
	return mark(a.entries[0]), mark(a.entries[len(a.entries)-1]), nil
}

// Accounts implements [Store].
func (s *MemoryStore) Accounts(_ context.Context, after jid.JID, max int) ([]jid.JID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []jid.JID
	for account, a := range s.archives {
		if len(a.entries) > 0 && account.String() > after.String() {
			out = append(out, account)
		}
	}
	slices.SortFunc(out, func(a, b jid.JID) int { return cmp.Compare(a.String(), b.String()) })
	return out[:min(max, len(out))], nil
}

// Prefs implements [Store].
func (s *MemoryStore) Prefs(_ context.Context, account jid.JID) (*Prefs, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if a := s.archives[account]; a != nil {
		return a.prefs.Clone(), nil
	}
	return nil, nil
}

// SetPrefs implements [Store].
func (s *MemoryStore) SetPrefs(_ context.Context, account jid.JID, p *Prefs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := int64(0)
	if a := s.archives[account]; a != nil {
		had = a.prefs.size()
	}
	size := p.size()
	if s.bytes-had+size > s.max() {
		return ErrFull
	}
	s.bytes += size - had
	s.open(account).prefs = p.Clone()
	return nil
}

// Delete implements [Store].
func (s *MemoryStore) Delete(_ context.Context, account jid.JID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.archives[account]; a != nil {
		s.bytes -= a.bytes + a.prefs.size()
		delete(s.archives, account)
	}
	return nil
}
