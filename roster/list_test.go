package roster_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// A list of the program's own.
func TestList(t *testing.T) {
	var l roster.List
	require.Zero(t, l.Len())
	require.Empty(t, slices.Collect(l.All()))
	require.Empty(t, l.Groups())
	_, ok := l.Version()
	require.False(t, ok)
	_, ok = l.Remove(romeo)
	require.False(t, ok)

	item := roster.Item{JID: romeo, Name: "Romeo", Groups: []string{"Friends"}, State: roster.To | roster.PendingIn, Added: true, Request: []byte("x")}
	e, changed, err := l.Put(item)
	require.NoError(t, err)
	require.True(t, changed && e.Added() && !e.Removed())
	item.Groups[0] = "Enemies" // it is copied
	got, ok := l.Item(romeo)
	require.True(t, ok)
	require.Equal(t, roster.Item{JID: romeo, Name: "Romeo", Groups: []string{"Friends"}, State: roster.To}, got)
	got.Groups[0] = "Enemies"
	got, _ = l.Item(romeo)
	require.Equal(t, []string{"Friends"}, got.Groups)
	_, changed, err = l.Put(got)
	require.NoError(t, err)
	require.False(t, changed)

	for _, i := range []roster.Item{{JID: nurse}, {JID: benvolio, Groups: []string{"b", "Friends"}}} {
		_, _, err := l.Put(i)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"Friends", "b"}, l.Groups())
	require.Equal(t, []string{"benvolio@example.net", "romeo@example.net"}, addresses(slices.Collect(l.Group("Friends"))))
	require.Equal(t, []string{"nurse@example.com"}, addresses(slices.Collect(l.Group(""))))
	require.Empty(t, slices.Collect(l.Group("none")))
	var seen []roster.Item
	for i := range l.All() { // changed while it is looked at
		l.Remove(benvolio)
		l.Remove(romeo)
		seen = append(seen, i)
	}
	require.Equal(t, []string{"benvolio@example.net", "nurse@example.com"}, addresses(seen))
	for range l.All() {
		break
	}

	_, changed, err = l.Put(roster.Item{})
	require.ErrorIs(t, err, stanza.ErrInvalid)
	require.False(t, changed)
	c := l.Clone()
	c.Remove(nurse)
	require.Equal(t, 1, l.Len())
	require.Zero(t, c.Len())
}

// What a result has changed comes by address, and a push has one item.
func TestListResult(t *testing.T) {
	var l roster.List
	var q roster.Query
	for i := range 50 {
		q.Items = append(q.Items, roster.Entry{Item: roster.Item{JID: contact(i)}})
	}
	for _, events := range [][]roster.Event{l.Replace(&q), l.Replace(&roster.Query{})} {
		require.Len(t, events, 50)
		require.True(t, slices.IsSortedFunc(events, func(a, b roster.Event) int {
			return strings.Compare(a.Contact().String(), b.Contact().String())
		}))
	}
	for _, push := range []*roster.Query{{}, &q} {
		_, changed, err := l.Push(push)
		require.ErrorIs(t, err, stanza.BadRequest)
		require.False(t, changed)
		require.Zero(t, l.Len())
	}
}

func addresses(items []roster.Item) []string {
	var out []string
	for _, i := range items {
		out = append(out, i.JID.String())
	}
	return out
}

// The bound: what is there can still be changed and removed.
func TestListFull(t *testing.T) {
	var l roster.List
	for i := range 16_384 {
		_, _, err := l.Put(roster.Item{JID: contact(i)})
		require.NoError(t, err)
	}
	_, _, err := l.Put(roster.Item{JID: romeo})
	require.ErrorIs(t, err, roster.ErrFull)
	one := &roster.Query{Items: []roster.Entry{{Item: roster.Item{JID: romeo}}}, Ver: "v1", Versioned: true}
	_, _, err = l.Push(one)
	require.ErrorIs(t, err, roster.ErrFull)
	_, ok := l.Version()
	require.False(t, ok, "nothing of it was applied")
	_, changed, err := l.Put(roster.Item{JID: contact(1), Name: "x"})
	require.NoError(t, err)
	require.True(t, changed)
	_, ok = l.Remove(contact(0))
	require.True(t, ok)
	_, changed, err = l.Push(one)
	require.NoError(t, err)
	require.True(t, changed)

	// A client whose list is full no longer follows.
	r := newRig(t, roster.Options{})
	var q roster.Query
	for i := range l.All() {
		q.Items = append(q.Items, roster.Entry{Item: i})
	}
	full := &whole{q: &q}
	require.NoError(t, r.Sync(t.Context(), full))
	require.Contains(t, r.push(`<item jid='nurse@example.com'/>`), "<resource-constraint")
	require.False(t, r.Current())
	require.Equal(t, noted, r.push(`<item jid='romeo@example.net' subscription='remove'/>`))
	require.Equal(t, 16_384, r.List().Len())
	full.before = func() { r.push(`<item jid='nurse@example.com'/>`) }
	require.ErrorIs(t, r.Sync(t.Context(), full), roster.ErrFull)
	require.False(t, r.Current())
	// What was applied before is told all the same.
	r.flush()
	q.Items = q.Items[1:]
	full.before = func() {
		r.push(`<item jid='nurse@example.com'/>`)
		r.push(`<item jid='benvolio@example.net'/>`)
	}
	require.ErrorIs(t, r.Sync(t.Context(), full), roster.ErrFull)
	require.Len(t, r.told, 2)
	require.Equal(t, `+nurse@example.com "" None []`, r.told[1])
}
