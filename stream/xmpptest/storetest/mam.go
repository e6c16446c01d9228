package storetest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream"
)

// MAM tests a store of archives. Each call of open returns a new and empty store,
// with room for some thousand messages.
func MAM(t *testing.T, open func(t *testing.T) mam.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a mamArchive)
	}{
		{"Empty", mamEmpty},
		{"Append", mamAppend},
		{"Duplicate", mamDuplicate},
		{"TimesNeverGoBack", mamTimes},
		{"Pages", mamPages},
		{"PageBytes", mamPageBytes},
		{"With", mamWith},
		{"Range", mamRange},
		{"IDs", mamIDs},
		{"NotFound", mamNotFound},
		{"Keep", mamKeep},
		{"Trim", mamTrim},
		{"Redact", mamRedact},
		{"Accounts", mamAccounts},
		{"Prefs", mamPrefs},
		{"Delete", mamDelete},
		{"Owned", mamOwned},
		{"Model", mamModel},
		{"Concurrent", mamConcurrent},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, mamArchive{t, open(t), mamJuliet})
		})
	}
}

var (
	mamJuliet  = jid.MustParse("juliet@capulet.lit")
	mamBalcony = jid.MustParse("juliet@capulet.lit/balcony")
	mamNurse   = jid.MustParse("nurse@capulet.lit")
	mamRomeo   = jid.MustParse("romeo@montague.lit/orchard")
	mamTybalt  = jid.MustParse("tybalt@capulet.lit/street")
	mamStart   = time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC)
)

// mamArchive is an archive under test.
type mamArchive struct {
	t       *testing.T
	store   mam.Store
	account jid.JID
}

// entry is the message number n from somebody to the account, in the minute n.
func (a mamArchive) entry(n int, from jid.JID) *mam.Entry {
	body := stanza.Qualified(&stanza.Message{Body: stanza.Plain(strconv.Itoa(n))}, stream.NSClient)
	message, err := body.AppendXML(nil)
	require.NoError(a.t, err)
	return &mam.Entry{
		ID: fmt.Sprintf("id-%d", n), Time: mamStart.Add(time.Duration(n) * time.Minute),
		From: from, To: a.account, Message: message,
	}
}

// fill adds n messages of romeo.
func (a mamArchive) fill(n int) {
	a.t.Helper()
	for i := range n {
		a.add(a.entry(i, mamRomeo))
	}
}

func (a mamArchive) add(e *mam.Entry) {
	a.t.Helper()
	require.NoError(a.t, a.store.Append(a.t.Context(), a.account, e, mam.Keep{}))
}

func (a mamArchive) query(s mam.Selection) *mam.Page {
	a.t.Helper()
	p, err := a.store.Query(a.t.Context(), a.account, &s)
	require.NoError(a.t, err)
	return p
}

// ids returns the numbers of all entries that are selected.
func (a mamArchive) ids(s mam.Selection) string {
	a.t.Helper()
	s.Max = 10_000
	return numbers(a.query(s))
}

// numbers lists the numbers of the entries of a page.
func numbers(p *mam.Page) string {
	var b strings.Builder
	for i, e := range p.Entries {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.TrimPrefix(e.ID, "id-"))
	}
	return b.String()
}

// known requires that a position is right, or that the store does not tell it.
func known(t *testing.T, want, got int) {
	t.Helper()
	if got != -1 {
		require.Equal(t, want, got)
	}
}

func mamEmpty(t *testing.T, a mamArchive) {
	p := a.query(mam.Selection{Max: 10})
	require.Empty(t, p.Entries)
	require.True(t, p.Complete)
	known(t, 0, p.Count)
	first, last, err := a.store.Metadata(t.Context(), a.account)
	require.NoError(t, err)
	require.Nil(t, first)
	require.Nil(t, last)
	prefs, err := a.store.Prefs(t.Context(), a.account)
	require.NoError(t, err)
	require.Nil(t, prefs)
	n, err := a.store.Trim(t.Context(), a.account, mam.Keep{Messages: 1})
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, a.store.Delete(t.Context(), a.account))
	accounts, err := a.store.Accounts(t.Context(), jid.JID{}, 10)
	require.NoError(t, err)
	require.Empty(t, accounts)
}

func mamAppend(t *testing.T, a mamArchive) {
	want := a.entry(0, mamRomeo)
	a.add(want)
	p := a.query(mam.Selection{Max: 10})
	require.Len(t, p.Entries, 1)
	got := p.Entries[0]
	require.True(t, want.Time.Equal(got.Time))
	require.Equal(t, time.UTC, got.Time.Location())
	got.Time = want.Time
	require.Equal(t, *want, got)

	other := mamArchive{t, a.store, mamNurse}
	require.Empty(t, other.ids(mam.Selection{}), "archives are apart")
	other.add(a.entry(0, mamRomeo)) // XEP-0313 §6.2: ids are unique in one archive
	require.Equal(t, "0", other.ids(mam.Selection{}))

	a.fillFrom(1, 5)
	first, last, err := a.store.Metadata(t.Context(), a.account)
	require.NoError(t, err)
	require.Equal(t, "id-0", first.ID)
	require.True(t, mamStart.Equal(first.Time))
	require.Equal(t, "id-4", last.ID)
	require.True(t, mamStart.Add(4*time.Minute).Equal(last.Time))
}

// fillFrom adds the messages from up to, but not including, to.
func (a mamArchive) fillFrom(from, to int) {
	a.t.Helper()
	for i := from; i < to; i++ {
		a.add(a.entry(i, mamRomeo))
	}
}

func mamDuplicate(t *testing.T, a mamArchive) {
	a.fill(2)
	again := a.entry(1, mamTybalt)
	again.Message = []byte("<message xmlns='jabber:client'/>")
	require.ErrorIs(t, a.store.Append(t.Context(), a.account, again, mam.Keep{Messages: 1}), mam.ErrExists)
	p := a.query(mam.Selection{Max: 10})
	require.Equal(t, "0 1", numbers(p), "an error has changed nothing")
	require.Equal(t, mamRomeo, p.Entries[1].From)
}

// XEP-0313 §3.1: the order is that of arrival; clocks may be set back.
func mamTimes(t *testing.T, a mamArchive) {
	a.add(a.entry(0, mamRomeo))
	late := a.entry(1, mamRomeo)
	late.Time = mamStart.Add(-time.Hour)
	a.add(late)
	same := a.entry(2, mamRomeo)
	same.Time = mamStart
	a.add(same)
	p := a.query(mam.Selection{Max: 10})
	require.Equal(t, "0 1 2", numbers(p))
	for _, e := range p.Entries {
		require.True(t, mamStart.Equal(e.Time))
	}
	require.True(t, late.Time.Equal(mamStart.Add(-time.Hour)), "the argument is not changed")
	require.Equal(t, "0 1 2", a.ids(mam.Selection{Filter: mam.Filter{Start: mamStart, End: mamStart}}))
}

// XEP-0059 §2 in an archive of ten messages.
func mamPages(t *testing.T, a mamArchive) {
	a.fill(10)
	for _, tt := range []struct {
		name     string
		s        mam.Selection
		want     string
		complete bool
		index    int
	}{
		{"first", mam.Selection{Max: 3}, "0 1 2", false, 0},
		{"exactly all", mam.Selection{Max: 10}, "0 1 2 3 4 5 6 7 8 9", true, 0},
		{"more than all", mam.Selection{Max: 11}, "0 1 2 3 4 5 6 7 8 9", true, 0},
		{"after", mam.Selection{Max: 3, After: "id-2"}, "3 4 5", false, 3},
		{"after, to the end", mam.Selection{Max: 3, After: "id-6"}, "7 8 9", true, 7},
		{"after the last", mam.Selection{Max: 3, After: "id-9"}, "", true, 10},
		{"last", mam.Selection{Max: 3, Backward: true}, "7 8 9", false, 7},
		{"before", mam.Selection{Max: 3, Backward: true, Before: "id-7"}, "4 5 6", false, 4},
		{"before, to the beginning", mam.Selection{Max: 3, Backward: true, Before: "id-3"}, "0 1 2", true, 0},
		{"before the first", mam.Selection{Max: 3, Backward: true, Before: "id-0"}, "", true, 0},
		{"count", mam.Selection{}, "", false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mamArchive{t, a.store, a.account}.query(tt.s)
			require.Equal(t, tt.want, numbers(p))
			require.Equal(t, tt.complete, p.Complete)
			known(t, 10, p.Count)
			if tt.want != "" {
				known(t, tt.index, p.Index)
			}
		})
	}
	for index, want := range map[int]string{1: "1 2 3", 8: "8 9", 10: "", 1 << 30: ""} {
		p, err := a.store.Query(t.Context(), a.account, &mam.Selection{Max: 3, Index: index})
		if err != nil {
			require.ErrorIs(t, err, mam.ErrIndex)
			continue
		}
		require.Equal(t, want, numbers(p))
		require.Equal(t, index >= 7, p.Complete)
		if want != "" {
			known(t, index, p.Index) // XEP-0059 §2.6: MUST be the same
		}
		known(t, 10, p.Count)
	}
	// A page belongs to the result set, of which the position says where.
	p := a.query(mam.Selection{Filter: mam.Filter{AfterID: "id-1", BeforeID: "id-8"}, After: "id-3", Max: 2})
	require.Equal(t, "4 5", numbers(p))
	known(t, 6, p.Count)
	known(t, 2, p.Index)
	p = a.query(mam.Selection{Filter: mam.Filter{AfterID: "id-4"}, After: "id-1", Max: 2})
	require.Equal(t, "5 6", numbers(p), "a position outside of the result set")
	p = a.query(mam.Selection{Filter: mam.Filter{BeforeID: "id-4"}, Backward: true, Before: "id-8", Max: 2})
	require.Equal(t, "2 3", numbers(p))
}

func mamPageBytes(t *testing.T, a mamArchive) {
	a.fill(4)
	one := a.entry(0, mamRomeo).Size()
	for _, tt := range []struct {
		bytes    int
		want     string
		complete bool
	}{
		{1, "0", false}, {one, "0", false}, {2*one - 1, "0", false}, {2 * one, "0 1", false}, {4 * one, "0 1 2 3", true},
	} {
		p := a.query(mam.Selection{Max: 10, Bytes: tt.bytes})
		require.Equal(t, tt.want, numbers(p))
		require.Equal(t, tt.complete, p.Complete)
		known(t, 4, p.Count)
	}
	require.Equal(t, "2 3", numbers(a.query(mam.Selection{Max: 10, Bytes: 2 * one, Backward: true})))
}

// XEP-0313 §4.1.1.
func mamWith(t *testing.T, a mamArchive) {
	a.add(a.entry(0, mamRomeo))
	a.add(a.entry(1, mamTybalt))
	sent := a.entry(2, mamBalcony)
	sent.To = mamRomeo.Bare()
	a.add(sent)
	self := a.entry(3, mamBalcony)
	self.To = a.account
	a.add(self)
	a.add(a.entry(4, jid.MustParse("romeo@montague.lit/garden")))
	full := a.entry(5, mamBalcony)
	full.To = jid.MustParse("romeo@montague.lit/garden")
	a.add(full)
	for with, want := range map[string]string{
		"":                           "0 1 2 3 4 5",
		"romeo@montague.lit":         "0 2 4 5",
		"romeo@montague.lit/orchard": "0",
		"romeo@montague.lit/garden":  "4 5",
		"romeo@montague.lit/none":    "",
		"tybalt@capulet.lit":         "1",
		"montague.lit":               "",
		"juliet@capulet.lit":         "3",
		"juliet@capulet.lit/balcony": "2 3 5",
	} {
		var f mam.Filter
		if with != "" {
			f.With = jid.MustParse(with)
		}
		require.Equal(t, want, a.ids(mam.Selection{Filter: f}), "with %s", with)
	}
	p := a.query(mam.Selection{Filter: mam.Filter{With: mamRomeo.Bare()}, Max: 1, After: "id-1"})
	require.Equal(t, "2", numbers(p), "the position need not belong to the result set")
	require.False(t, p.Complete)
	known(t, 4, p.Count)
	known(t, 1, p.Index)
	p = a.query(mam.Selection{Filter: mam.Filter{With: mamRomeo.Bare()}, Max: 2, Backward: true})
	require.Equal(t, "4 5", numbers(p))
	require.False(t, p.Complete)
	p = a.query(mam.Selection{Filter: mam.Filter{With: mamTybalt}, Max: 1})
	require.True(t, p.Complete, "what else there is does not match")
}

// XEP-0313 §4.1.2 and §4.1.3: both ends in time are included, ids are not.
func mamRange(t *testing.T, a mamArchive) {
	a.fill(6)
	at := func(n int) time.Time { return mamStart.Add(time.Duration(n) * time.Minute) }
	for _, tt := range []struct {
		f    mam.Filter
		want string
	}{
		{mam.Filter{Start: at(2)}, "2 3 4 5"},
		{mam.Filter{Start: at(2).Add(1)}, "3 4 5"},
		{mam.Filter{Start: at(-1)}, "0 1 2 3 4 5"},
		{mam.Filter{Start: at(6)}, ""},
		{mam.Filter{End: at(2)}, "0 1 2"},
		{mam.Filter{End: at(2).Add(-1)}, "0 1"},
		{mam.Filter{End: at(-1)}, ""},
		{mam.Filter{Start: at(1), End: at(3)}, "1 2 3"},
		{mam.Filter{Start: at(3), End: at(1)}, ""},
		{mam.Filter{AfterID: "id-2"}, "3 4 5"},
		{mam.Filter{BeforeID: "id-2"}, "0 1"},
		{mam.Filter{AfterID: "id-1", BeforeID: "id-4"}, "2 3"},
		{mam.Filter{AfterID: "id-4", BeforeID: "id-1"}, ""},
		{mam.Filter{AfterID: "id-5"}, ""},
		{mam.Filter{AfterID: "id-1", End: at(3)}, "2 3"},
		{mam.Filter{Start: at(2), BeforeID: "id-4", With: mamRomeo}, "2 3"},
	} {
		require.Equal(t, tt.want, a.ids(mam.Selection{Filter: tt.f}), "%+v", tt.f)
	}
}

func mamIDs(t *testing.T, a mamArchive) {
	a.fill(6)
	require.Equal(t, "1 4", a.ids(mam.Selection{Filter: mam.Filter{IDs: []string{"id-4", "id-1", "id-4"}}}))
	require.Equal(t, "4", a.ids(mam.Selection{Filter: mam.Filter{IDs: []string{"id-4", "id-1"}, AfterID: "id-2"}}))
	p := a.query(mam.Selection{Filter: mam.Filter{IDs: []string{"id-4", "id-1"}}, Max: 1})
	require.Equal(t, "1", numbers(p))
	require.False(t, p.Complete)
	known(t, 2, p.Count)
}

// XEP-0313 §4.1.3, §4.3.2: unknown ids are always an error.
func mamNotFound(t *testing.T, a mamArchive) {
	a.fill(3)
	for name, s := range map[string]mam.Selection{
		"after-id":  {Filter: mam.Filter{AfterID: "x"}},
		"before-id": {Filter: mam.Filter{BeforeID: "x"}},
		"ids":       {Filter: mam.Filter{IDs: []string{"id-1", "x"}}},
		"after":     {After: "x"},
		"before":    {Before: "x", Backward: true},
		"although it does not matter": {Filter: mam.Filter{
			IDs: []string{"x"}, Start: mamStart.Add(time.Hour),
		}},
	} {
		for _, account := range []jid.JID{a.account, mamNurse} {
			s.Max = 1
			p, err := a.store.Query(t.Context(), account, &s)
			require.ErrorIs(t, err, mam.ErrNotFound, name)
			require.Nil(t, p, name)
		}
	}
	require.ErrorIs(t, a.store.Redact(t.Context(), a.account, "x"), mam.ErrNotFound)
	require.ErrorIs(t, a.store.Redact(t.Context(), mamNurse, "id-1"), mam.ErrNotFound)
}

// XEP-0313 §3.2: what is removed is the oldest.
func mamKeep(t *testing.T, a mamArchive) {
	keep := func(n int, k mam.Keep) {
		require.NoError(t, a.store.Append(t.Context(), a.account, a.entry(n, mamRomeo), k))
	}
	for n := range 4 {
		keep(n, mam.Keep{Messages: 3})
	}
	require.Equal(t, "1 2 3", a.ids(mam.Selection{}))
	known(t, 3, a.query(mam.Selection{}).Count)
	size := int64(a.entry(0, mamRomeo).Size())
	keep(4, mam.Keep{Bytes: 3*size - 1})
	require.Equal(t, "3 4", a.ids(mam.Selection{}))
	keep(5, mam.Keep{Since: mamStart.Add(4 * time.Minute)})
	require.Equal(t, "4 5", a.ids(mam.Selection{}))
	// XEP-0313 §4.3.2: they are gone for pages, too.
	_, err := a.store.Query(t.Context(), a.account, &mam.Selection{After: "id-3", Max: 1})
	require.ErrorIs(t, err, mam.ErrNotFound)
	p := a.query(mam.Selection{After: "id-4", Max: 5})
	require.Equal(t, "5", numbers(p))
	known(t, 1, p.Index)
	known(t, 2, p.Count)
	keep(6, mam.Keep{})
	require.Equal(t, "4 5 6", a.ids(mam.Selection{}))
	// More than is wanted: it does not stay, and that is no error.
	keep(7, mam.Keep{Bytes: 1})
	require.Empty(t, a.ids(mam.Selection{}))
	keep(8, mam.Keep{})
	require.Equal(t, "8", a.ids(mam.Selection{}))
}

func mamTrim(t *testing.T, a mamArchive) {
	a.fill(10)
	size := int64(a.entry(0, mamRomeo).Size())
	for _, tt := range []struct {
		keep    mam.Keep
		removed int
		want    string
	}{
		{mam.Keep{}, 0, "0 1 2 3 4 5 6 7 8 9"},
		{mam.Keep{Messages: 8}, 2, "2 3 4 5 6 7 8 9"},
		{mam.Keep{Messages: 8}, 0, "2 3 4 5 6 7 8 9"},
		{mam.Keep{Bytes: 6 * size}, 2, "4 5 6 7 8 9"},
		{mam.Keep{Since: mamStart.Add(6 * time.Minute)}, 2, "6 7 8 9"},
		{mam.Keep{Since: mamStart.Add(7 * time.Minute), Messages: 2, Bytes: 4 * size}, 2, "8 9"},
		{mam.Keep{Since: mamStart.Add(time.Hour)}, 2, ""},
	} {
		n, err := a.store.Trim(t.Context(), a.account, tt.keep)
		require.NoError(t, err)
		require.Equal(t, tt.removed, n)
		require.Equal(t, tt.want, a.ids(mam.Selection{}))
	}
	first, _, err := a.store.Metadata(t.Context(), a.account)
	require.NoError(t, err)
	require.Nil(t, first)
	a.fillFrom(10, 12)
	require.Equal(t, "10 11", a.ids(mam.Selection{}))
}

func mamRedact(t *testing.T, a mamArchive) {
	a.fill(3)
	require.NoError(t, a.store.Redact(t.Context(), a.account, "id-1"))
	require.NoError(t, a.store.Redact(t.Context(), a.account, "id-1"), "again")
	p := a.query(mam.Selection{Max: 10, Filter: mam.Filter{With: mamRomeo}})
	require.Equal(t, "0 1 2", numbers(p))
	require.Empty(t, p.Entries[1].Message)
	require.NotEmpty(t, p.Entries[0].Message)
	require.Equal(t, mamRomeo, p.Entries[1].From)
	require.True(t, mamStart.Add(time.Minute).Equal(p.Entries[1].Time))
	// Its bytes do not count any more.
	size := int64(a.entry(0, mamRomeo).Size())
	n, err := a.store.Trim(t.Context(), a.account, mam.Keep{Bytes: 3*size - int64(len(a.entry(1, mamRomeo).Message))})
	require.NoError(t, err)
	require.Zero(t, n)
}

func mamAccounts(t *testing.T, a mamArchive) {
	var want []jid.JID
	for i := range 7 {
		account := jid.MustParse(fmt.Sprintf("a%d@capulet.lit", i))
		want = append(want, account)
		b := mamArchive{t, a.store, account}
		b.add(b.entry(1, mamRomeo))
	}
	require.NoError(t, a.store.SetPrefs(t.Context(), jid.MustParse("a3x@capulet.lit"), &mam.Prefs{Default: mam.ArchiveNever}))
	var got []jid.JID
	for last := (jid.JID{}); ; {
		some, err := a.store.Accounts(t.Context(), last, 3)
		require.NoError(t, err)
		require.LessOrEqual(t, len(some), 3)
		if len(some) == 0 {
			break
		}
		got = append(got, some...)
		last = some[len(some)-1]
	}
	require.Equal(t, want, got)
}

func mamPrefs(t *testing.T, a mamArchive) {
	want := &mam.Prefs{Default: mam.ArchiveRoster, Always: []jid.JID{mamRomeo, mamNurse}, Never: []jid.JID{mamTybalt}}
	require.NoError(t, a.store.SetPrefs(t.Context(), a.account, want))
	got, err := a.store.Prefs(t.Context(), a.account)
	require.NoError(t, err)
	require.Equal(t, want, got)
	got.Always[0] = mamTybalt
	got, err = a.store.Prefs(t.Context(), a.account)
	require.NoError(t, err)
	require.Equal(t, want, got, "they are the caller's own")
	none, err := a.store.Prefs(t.Context(), mamNurse)
	require.NoError(t, err)
	require.Nil(t, none)
	require.NoError(t, a.store.SetPrefs(t.Context(), a.account, &mam.Prefs{Default: mam.ArchiveNever}))
	got, err = a.store.Prefs(t.Context(), a.account)
	require.NoError(t, err)
	require.Equal(t, mam.ArchiveNever, got.Default)
	require.Empty(t, got.Always)
	require.Empty(t, got.Never)
	require.Empty(t, a.ids(mam.Selection{}))
}

func mamDelete(t *testing.T, a mamArchive) {
	a.fill(3)
	other := mamArchive{t, a.store, mamNurse}
	other.fill(1)
	require.NoError(t, a.store.SetPrefs(t.Context(), a.account, &mam.Prefs{Default: mam.ArchiveNever}))
	require.NoError(t, a.store.Delete(t.Context(), a.account))
	require.Empty(t, a.ids(mam.Selection{}))
	prefs, err := a.store.Prefs(t.Context(), a.account)
	require.NoError(t, err)
	require.Nil(t, prefs, "the next owner of the name finds nothing")
	_, err = a.store.Query(t.Context(), a.account, &mam.Selection{After: "id-1"})
	require.ErrorIs(t, err, mam.ErrNotFound)
	require.Equal(t, "0", other.ids(mam.Selection{}))
	a.fill(2)
	require.Equal(t, "0 1", a.ids(mam.Selection{}))
}

// What a store is given, and what it gives, does not change it later.
func mamOwned(t *testing.T, a mamArchive) {
	e := a.entry(0, mamRomeo)
	a.add(e)
	e.ID, e.From = "changed", mamTybalt
	p := a.query(mam.Selection{Max: 1})
	require.Equal(t, "0", numbers(p))
	p.Entries[0].ID = "changed"
	p.Entries[0].Message = nil
	p = a.query(mam.Selection{Max: 1, Filter: mam.Filter{With: mamRomeo}})
	require.Equal(t, "0", numbers(p))
	require.NotEmpty(t, p.Entries[0].Message)
}

// Nothing is lost or doubled when many write and read at once.
func mamConcurrent(t *testing.T, a mamArchive) {
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for w := range writers {
		// Owner: this test. Stops after its messages. Joined through wg.
		wg.Go(func() {
			for i := range each {
				e := a.entry(w*each+i, mamRomeo)
				e.Time = mamStart
				if err := a.store.Append(t.Context(), a.account, e, mam.Keep{Messages: writers * each}); err != nil {
					t.Errorf("append: %v", err)
				}
				p, err := a.store.Query(t.Context(), a.account, &mam.Selection{Max: 1, Backward: true})
				if err != nil || len(p.Entries) != 1 {
					t.Errorf("query: %v", err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	last := ""
	for {
		p := a.query(mam.Selection{Max: 7, After: last})
		for _, e := range p.Entries {
			require.False(t, seen[e.ID])
			seen[e.ID], last = true, e.ID
		}
		if p.Complete {
			break
		}
	}
	require.Len(t, seen, writers*each)
}
