package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/mam"
)

// dice are numbers that look random and are the same in each run.
type dice uint64

func (d *dice) roll(n int) int {
	*d = *d*6364136223846793005 + 1442695040888963407
	return int(uint64(*d)>>33) % n
}

// mamModel compares a store with the plainest way to find a page, for selections of
// every kind, while the archive grows and loses its beginning.
func mamModel(t *testing.T, a mamArchive) {
	d := dice(1)
	var all []mam.Entry
	others := []jid.JID{mamRomeo, mamTybalt, mamBalcony, jid.MustParse("romeo@montague.lit/garden")}
	n := 0
	for range 12 {
		for range 1 + d.roll(10) {
			e := a.entry(n, others[d.roll(len(others))])
			e.Time = mamStart.Add(time.Duration(n/3) * time.Minute) // some share a time
			n++
			a.add(e)
			all = append(all, *e)
		}
		if lose := d.roll(3); len(all) > 12+lose {
			removed, err := a.store.Trim(t.Context(), a.account, mam.Keep{Messages: len(all) - lose})
			require.NoError(t, err)
			require.Equal(t, lose, removed)
			all = all[lose:]
		}
		for range 40 {
			s := randomSelection(&d, all, others)
			want := expectPage(a.account, all, &s)
			got, err := a.store.Query(t.Context(), a.account, &s)
			require.NoError(t, err)
			about := fmt.Sprintf("%+v", s)
			require.Equal(t, numbers(want), numbers(got), about)
			require.Equal(t, want.Complete, got.Complete, about)
			known(t, want.Count, got.Count)
			if len(want.Entries) > 0 {
				known(t, want.Index, got.Index)
			}
		}
	}
}

// randomSelection makes a selection of entries that exist.
func randomSelection(d *dice, all []mam.Entry, others []jid.JID) mam.Selection {
	entry := func() *mam.Entry { return &all[d.roll(len(all))] }
	s := mam.Selection{Max: d.roll(6)}
	if d.roll(3) == 0 {
		s.With = others[d.roll(len(others))]
		if d.roll(2) == 0 {
			s.With = s.With.Bare()
		}
	}
	if d.roll(4) == 0 {
		s.Start = entry().Time
	}
	if d.roll(4) == 0 {
		s.End = entry().Time
	}
	if d.roll(4) == 0 {
		s.AfterID = entry().ID
	}
	if d.roll(4) == 0 {
		s.BeforeID = entry().ID
	}
	if d.roll(5) == 0 {
		s.IDs = []string{entry().ID, entry().ID, entry().ID}
	}
	if d.roll(4) == 0 {
		s.Bytes = entry().Size() * (1 + d.roll(4))
	}
	switch d.roll(4) {
	case 0:
		s.After = entry().ID
	case 1:
		s.Backward, s.Before = true, entry().ID
	case 2:
		s.Backward = true
	}
	return s
}

// expectPage is what the documentation of [mam.Selection] says.
func expectPage(account jid.JID, all []mam.Entry, s *mam.Selection) *mam.Page {
	at := func(id string) int { return slices.IndexFunc(all, func(e mam.Entry) bool { return e.ID == id }) }
	var set []int // the result set
	for i := range all {
		e := &all[i]
		if s.Matches(account, e) &&
			(s.Start.IsZero() || !e.Time.Before(s.Start)) && (s.End.IsZero() || !e.Time.After(s.End)) &&
			(s.AfterID == "" || i > at(s.AfterID)) && (s.BeforeID == "" || i < at(s.BeforeID)) {
			set = append(set, i)
		}
	}
	var where []int // the part of it in which the page is
	index := 0
	for _, i := range set {
		switch {
		case s.After != "" && i <= at(s.After):
			index++
		case s.Before == "" || i < at(s.Before):
			where = append(where, i)
		}
	}
	p := &mam.Page{Count: len(set), Index: index}
	bytes := 0
	rest := where
	for len(rest) > 0 && len(p.Entries) < s.Max {
		next := rest[0]
		if s.Backward {
			next = rest[len(rest)-1]
		}
		bytes += all[next].Size()
		if s.Bytes > 0 && bytes > s.Bytes && len(p.Entries) > 0 {
			break
		}
		if s.Backward {
			p.Entries, rest = slices.Insert(p.Entries, 0, all[next]), rest[:len(rest)-1]
		} else {
			p.Entries, rest = append(p.Entries, all[next]), rest[1:]
		}
	}
	if s.Backward {
		p.Index += len(rest)
	}
	p.Complete = len(rest) == 0
	return p
}
