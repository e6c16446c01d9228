package storetest

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/sm"
)

// SM tests an implementation of [sm.Store]. Each call of open returns a new, empty
// one with room for 50 sessions of 1 MiB together.
func SM(t *testing.T, open func(t *testing.T) sm.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s sessions)
	}{
		{"Empty", smEmpty},
		{"Replace", smReplace},
		{"Journal", smJournal},
		{"LongJournal", smLongJournal},
		{"ManySmall", smManySmall},
		{"Incomplete", smIncomplete},
		{"IDs", smIDs},
		{"Unreadable", smUnreadable},
		{"NotKept", smNotKept},
		{"Delete", smDelete},
		{"All", smAll},
		{"AllUses", smAllUses},
		{"Concurrent", smConcurrent},
		{"Cancelled", smCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, sessions{t, open(t)}) })
	}
}

// sessions are those in a store.
type sessions struct {
	t     *testing.T
	store sm.Store
}

var smTime = time.Date(2016, 12, 8, 9, 30, 15, 42_000_000, time.UTC)

// session returns the state of a session, with a stanza that is not acknowledged.
func session(id string) *sm.State {
	return &sm.State{
		ID: id, Owner: jid.MustParse("juliet@capulet.lit/balcony"), Since: smTime, Until: smTime.Add(time.Hour), In: 1<<32 - 1, Acked: 7,
		Queue: []sm.Unacked{{XML: []byte("<message xmlns='jabber:client'><body>¡\U0001F600!</body></message>"), At: smTime}},
		Extra: map[string][]byte{"presence": []byte("<presence/>"), "bytes": {0, 255}},
	}
}

func (s sessions) put(st *sm.State) {
	s.t.Helper()
	require.NoError(s.t, s.store.Put(s.t.Context(), st))
}

func (s sessions) append(id string, j sm.Journal) {
	s.t.Helper()
	require.NoError(s.t, s.store.Append(s.t.Context(), id, j))
}

func (s sessions) is(want *sm.State) {
	s.t.Helper()
	got, err := s.store.Load(s.t.Context(), want.ID)
	require.NoError(s.t, err)
	require.Equal(s.t, want, got)
}

func (s sessions) isNone(id string) {
	s.t.Helper()
	st, err := s.store.Load(s.t.Context(), id)
	require.ErrorIs(s.t, err, sm.ErrNoState)
	require.Nil(s.t, st)
}

// all returns the ids of all sessions, and fails if one comes twice.
func (s sessions) all() map[string]*sm.State {
	s.t.Helper()
	found := make(map[string]*sm.State)
	require.NoError(s.t, s.store.All(s.t.Context(), func(id string, st *sm.State) error {
		require.NotContains(s.t, found, id)
		found[id] = st
		return nil
	}))
	return found
}

func smEmpty(t *testing.T, s sessions) {
	s.isNone("x")
	s.isNone("")
	require.Empty(t, s.all())
	require.NoError(t, s.store.Delete(t.Context(), "x"))
	var j sm.Journal
	j.Handled(1)
	require.ErrorIs(t, s.store.Append(t.Context(), "x", j), sm.ErrNoState)
	s.isNone("x")
}

func smReplace(t *testing.T, s sessions) {
	a, b := session("a"), session("b")
	b.Queue, b.Extra, b.Since = nil, nil, time.Time{}
	s.put(a)
	s.put(b)
	s.is(a)
	s.is(b)
	var j sm.Journal
	j.Sent([]byte("<a/>"), smTime)
	s.append("a", j)
	a.In, a.Queue = 9, nil
	s.put(a)
	s.is(a) // without the journal of the one before
	s.is(b)
}

// What happens to a session is there afterwards, in order.
func smJournal(t *testing.T, s sessions) {
	want := session("a")
	other := session("b")
	s.put(want)
	s.put(other)
	var j sm.Journal
	j.Sent([]byte("<a/>"), smTime)
	j.Sent([]byte("<b/>"), smTime.Add(time.Second))
	s.append("a", j)
	require.NoError(t, want.Replay(j))
	s.is(want)
	j = nil
	j.Acked(9)
	j.Handled(5)
	s.append("a", j)
	require.NoError(t, want.Replay(j))
	s.append("a", nil)
	j = nil
	j.Extra("presence", nil)
	s.append("a", j)
	require.NoError(t, want.Replay(j))
	s.is(want)
	require.EqualValues(t, 10, want.Sent())
	require.Len(t, want.Queue, 1)
	s.is(other)
}

// A session may last for long: what the peer has acknowledged takes no room.
func smLongJournal(t *testing.T, s sessions) {
	want := session("a")
	s.put(want)
	const batch, batches = 10, 500
	for n := range batches {
		var j sm.Journal
		for i := range batch {
			j.Sent(bytes.Repeat([]byte{'a' + byte(i)}, 1000), smTime)
		}
		j.Acked(want.Sent() + batch - 3)
		j.Handled(uint32(n))
		s.append("a", j)
		require.NoError(t, want.Replay(j))
	}
	s.is(want)
	require.Len(t, want.Queue, 3)
}

func smManySmall(t *testing.T, s sessions) {
	want := session("a")
	s.put(want)
	for n := range 300 {
		var j sm.Journal
		j.Sent([]byte(strconv.Itoa(n)), smTime)
		s.append("a", j)
		require.NoError(t, want.Replay(j))
	}
	s.is(want)
}

func smIncomplete(t *testing.T, s sessions) {
	s.put(session("a"))
	for _, spoil := range []func(*sm.State){
		func(st *sm.State) { st.ID = "" },
		func(st *sm.State) { st.ID = strings.Repeat("x", 4001) },
		func(st *sm.State) { st.Owner = jid.JID{} },
		func(st *sm.State) { st.Queue[0].XML = nil },
	} {
		st := session("a")
		spoil(st)
		require.ErrorAs(t, s.store.Put(t.Context(), st), new(*sm.StateError))
	}
	s.is(session("a"))
	require.Len(t, s.all(), 1)
}

// XEP-0198 §5: an SM-ID is any string of up to 4000 bytes.
func smIDs(t *testing.T, s sessions) {
	ids := []string{
		"x", "xx", "x\x00", "\x00", "\xff\xff\xff\xff", "X", "x y", "'\"<&", "\U0001F600", strings.Repeat("x", 4000), strings.Repeat("x", 3999),
		string(make([]byte, 300)),
	}
	var j sm.Journal
	j.Sent([]byte("<a/>"), smTime)
	for _, id := range ids {
		s.put(session(id))
		s.append(id, j)
	}
	require.Len(t, s.all(), len(ids))
	for n, id := range ids {
		want := session(id)
		require.NoError(t, want.Replay(j))
		s.is(want)
		require.NoError(t, s.store.Delete(t.Context(), id))
		s.isNone(id)
		require.Len(t, s.all(), len(ids)-n-1)
	}
	s.isNone(strings.Repeat("x", 100_000))
	require.NoError(t, s.store.Delete(t.Context(), strings.Repeat("x", 100_000)))
	require.ErrorIs(t, s.store.Append(t.Context(), strings.Repeat("x", 100_000), j), sm.ErrNoState)
}

// What cannot be read is an error, and is in nobody's way.
func smUnreadable(t *testing.T, s sessions) {
	s.put(session("a"))
	s.put(session("b"))
	if err := s.store.Append(t.Context(), "a", sm.Journal("\xff")); err != nil {
		s.is(session("a")) // a store may look
		return
	}
	st, err := s.store.Load(t.Context(), "a")
	require.Error(t, err)
	require.NotErrorIs(t, err, sm.ErrNoState)
	require.Nil(t, st)
	s.is(session("b"))
	require.Equal(t, map[string]*sm.State{"a": nil, "b": session("b")}, s.all())
	s.put(session("a"))
	s.is(session("a"))
}

func smNotKept(t *testing.T, s sessions) {
	st := session("a")
	s.put(st)
	clear(st.Queue[0].XML)
	clear(st.Extra)
	s.is(session("a"))
	var j sm.Journal
	j.Sent([]byte("<a/>"), smTime)
	want := session("a")
	require.NoError(t, want.Replay(j))
	s.append("a", j)
	clear(j)
	s.is(want)
	got, err := s.store.Load(t.Context(), "a")
	require.NoError(t, err)
	clear(got.Queue[0].XML)
	clear(got.Queue[1].XML)
	clear(got.Extra["presence"])
	s.is(want)
}

func smDelete(t *testing.T, s sessions) {
	s.put(session("a"))
	s.put(session("ab"))
	var j sm.Journal
	j.Sent([]byte("<a/>"), smTime)
	s.append("a", j)
	require.NoError(t, s.store.Delete(t.Context(), "a"))
	s.isNone("a")
	require.ErrorIs(t, s.store.Append(t.Context(), "a", j), sm.ErrNoState)
	s.is(session("ab"))
	s.put(session("a"))
	s.is(session("a"))
}

func smAll(t *testing.T, s sessions) {
	want := make(map[string]*sm.State)
	for n := range 50 {
		id := strconv.Itoa(n)
		s.put(session(id))
		var j sm.Journal
		j.Handled(uint32(n))
		s.append(id, j)
		want[id] = session(id)
		require.NoError(t, want[id].Replay(j))
	}
	require.Equal(t, want, s.all())
	enough := errors.New("enough")
	n := 0
	err := s.store.All(t.Context(), func(string, *sm.State) error {
		if n++; n == 7 {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, 7, n)
}

// A server that starts deletes what is too old while it looks through all.
func smAllUses(t *testing.T, s sessions) {
	for n := range 50 {
		s.put(session(strconv.Itoa(n)))
	}
	var j sm.Journal
	j.Handled(3)
	require.NoError(t, s.store.All(t.Context(), func(id string, st *sm.State) error {
		if len(id) == 1 {
			return s.store.Delete(t.Context(), id)
		}
		_, err := s.store.Load(t.Context(), id)
		return errors.Join(err, s.store.Append(t.Context(), id, j))
	}))
	left := s.all()
	require.Len(t, left, 40)
	for _, st := range left {
		require.EqualValues(t, 3, st.In)
	}
}

func smConcurrent(t *testing.T, s sessions) {
	const writers, batches = 8, 30
	var wg sync.WaitGroup
	for w := range writers {
		// Owner: this test. Stops after its batches. Joined through wg.
		wg.Go(func() {
			id := strconv.Itoa(w)
			err := s.store.Put(t.Context(), session(id))
			for n := range batches {
				var j sm.Journal
				j.Sent([]byte(strconv.Itoa(n)), smTime)
				err = errors.Join(err, s.store.Append(t.Context(), id, j))
				_, loading := s.store.Load(t.Context(), id)
				err = errors.Join(err, loading)
			}
			err = errors.Join(err, s.store.All(t.Context(), func(string, *sm.State) error { return nil }))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	found := s.all()
	require.Len(t, found, writers)
	for _, st := range found {
		require.Len(t, st.Queue, 1+batches)
		for n, u := range st.Queue[1:] {
			require.Equal(t, strconv.Itoa(n), string(u.XML))
		}
	}
}

// Done or refused, but not half of it.
func smCancelled(t *testing.T, s sessions) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.store.Put(ctx, session("a")); err != nil {
		s.isNone("a")
	} else {
		s.is(session("a"))
	}
	s.put(session("b"))
	var j sm.Journal
	j.Sent([]byte("<a/>"), smTime)
	want := session("b")
	if err := s.store.Append(ctx, "b", j); err == nil {
		require.NoError(t, want.Replay(j))
	}
	s.is(want)
	if err := s.store.Delete(ctx, "b"); err != nil {
		s.is(want)
	} else {
		s.isNone("b")
	}
}
