package sm

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
)

var (
	_ encoding.BinaryAppender    = (*State)(nil)
	_ encoding.BinaryMarshaler   = (*State)(nil)
	_ encoding.BinaryUnmarshaler = (*State)(nil)
)

var stateTime = time.Date(2016, 12, 8, 9, 30, 15, 42_000_000, time.UTC)

func sampleState() *State {
	return &State{
		ID: "some-long-sm-id", Owner: jid.MustParse("juliet@capulet.lit/balcony"), Location: "[2001:41D0:1:A49b::1]:9222",
		Since: stateTime, Until: stateTime.Add(5 * time.Minute), In: 1<<32 - 1, Acked: 1<<32 - 2,
		Queue: []Unacked{
			{XML: []byte("<message xmlns='jabber:client'><body>ciao!</body></message>"), At: stateTime.Add(-time.Second)},
			{XML: []byte("<presence xmlns='jabber:client'/>"), At: stateTime},
		},
		Extra: map[string][]byte{"presence": []byte("<presence/>"), "csi": {1}, "": {}},
	}
}

// randomState returns any state that can be stored.
func randomState(r *rand.Rand) *State {
	text := func(max int) []byte {
		b := make([]byte, r.IntN(max+1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	at := func() time.Time {
		if r.IntN(4) == 0 {
			return time.Time{}
		}
		return time.UnixMilli(minMillis + r.Int64N(maxMillis-minMillis+1)).UTC()
	}
	s := &State{
		ID: "x" + string(text(100)), Owner: jid.MustParse("juliet@capulet.lit/balcony"), Location: string(text(50)),
		Since: at(), Until: at(), In: r.Uint32(), Acked: r.Uint32(),
	}
	for range r.IntN(20) {
		s.Queue = append(s.Queue, Unacked{append([]byte("<"), text(500)...), at()})
	}
	for range r.IntN(4) {
		if s.Extra == nil {
			s.Extra = make(map[string][]byte)
		}
		s.Extra[string(text(10))] = text(100)
	}
	return s
}

func TestStateRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	states := []*State{sampleState(), {ID: "x", Owner: jid.MustParse("capulet.lit")}}
	for range 300 {
		states = append(states, randomState(random))
	}
	for _, want := range states {
		whole := want.Clone()
		b, err := want.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, whole, want, "it is read only")
		require.LessOrEqual(t, len(b), want.Size()+200)
		again, err := want.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, b, again, "the same each time")
		b = bytes.Clone(b)
		got := State{ID: "replaced", Extra: map[string][]byte{"gone": nil}}
		require.NoError(t, got.UnmarshalBinary(b))
		clear(b) // nothing of it is kept
		require.Equal(t, want, &got)
		require.Equal(t, want.Acked+uint32(len(want.Queue)), got.Sent())
	}
}

func TestStateClone(t *testing.T) {
	s := sampleState()
	c := s.Clone()
	require.Equal(t, s, c)
	clear(c.Queue[0].XML)
	clear(c.Extra["presence"])
	c.Extra["more"] = nil
	require.Equal(t, sampleState(), s)
	require.Equal(t, &State{ID: "x"}, (&State{ID: "x"}).Clone())
}

// Times are those of the world, wherever the clock is.
func TestStateTimes(t *testing.T) {
	s := sampleState()
	s.Since = time.Date(2016, 12, 8, 9, 30, 15, 42_999_999, time.FixedZone("", 3600))
	s.Until = time.Now() // with a monotonic clock
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	var got State
	require.NoError(t, got.UnmarshalBinary(b))
	require.Equal(t, time.Date(2016, 12, 8, 8, 30, 15, 42_000_000, time.UTC), got.Since)
	require.Equal(t, s.Until.UnixMilli(), got.Until.UnixMilli())
}

func TestStateIncomplete(t *testing.T) {
	for name, spoil := range map[string]func(*State){
		"no id":           func(s *State) { s.ID = "" },
		"a long id":       func(s *State) { s.ID = strings.Repeat("x", maxID+1) },
		"no owner":        func(s *State) { s.Owner = jid.JID{} },
		"a long location": func(s *State) { s.Location = strings.Repeat("x", maxLocation+1) },
		"an early time":   func(s *State) { s.Since = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) },
		"a late time":     func(s *State) { s.Until = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a wild time":     func(s *State) { s.Until = time.Unix(1<<62, 0) },
		"no stanza":       func(s *State) { s.Queue[1].XML = nil },
		"a stanza's time": func(s *State) { s.Queue[0].At = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		t.Run(name, func(t *testing.T) {
			s := sampleState()
			spoil(s)
			b, err := s.AppendBinary([]byte("kept"))
			require.ErrorContains(t, err, "sm: bad state: ")
			require.ErrorAs(t, err, new(*StateError))
			require.Equal(t, "kept", string(b))
		})
	}
}

func TestStateVersions(t *testing.T) {
	b, err := sampleState().MarshalBinary()
	require.NoError(t, err)
	for _, version := range []byte{0, stateVersion + 1, 0xff} {
		b[0] = version
		var got State
		var e *VersionError
		require.ErrorAs(t, got.UnmarshalBinary(b), &e)
		require.Equal(t, VersionError{Found: version, Known: stateVersion}, *e)
		require.Contains(t, e.Error(), "version")
	}
	require.ErrorAs(t, new(State).UnmarshalBinary(nil), new(*StateError))
}

// Numbers in it that promise a lot cost nothing.
func TestStateHostile(t *testing.T) {
	head := func() []byte {
		b := []byte{stateVersion}
		b = appendBytes(b, "x")
		b = appendBytes(b, "capulet.lit")
		b = appendBytes(b, "")
		b = append(b, 0, 0) // times
		return append(b, 0, 0)
	}
	huge := binary.AppendUvarint(nil, 1<<62)
	for name, b := range map[string][]byte{
		"id":             append([]byte{stateVersion}, huge...),
		"stanzas":        append(head(), huge...),
		"2^32 stanzas":   append(head(), binary.AppendUvarint(nil, 1<<32)...),
		"stanza":         append(append(head(), 1, 0), huge...),
		"empty stanza":   append(head(), 1, 0, 0, 0),
		"extras":         append(append(head(), 0), huge...),
		"names in order": append(head(), 0, 2, 1, 'b', 0, 1, 'a', 0),
		"names twice":    append(head(), 0, 2, 1, 'a', 0, 1, 'a', 0),
		"behind its end": append(head(), 0, 0, 0),
		"long number":    append([]byte{stateVersion}, bytes.Repeat([]byte{0xff}, 20)...),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			require.ErrorAs(t, new(State).UnmarshalBinary(b), new(*StateError))
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		})
	}
	require.NoError(t, new(State).UnmarshalBinary(append(head(), 0, 0)))
}

func FuzzState(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, s := range []*State{sampleState(), {ID: "x", Owner: jid.MustParse("capulet.lit")}, randomState(random)} {
		b, err := s.MarshalBinary()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s State
		if err := s.UnmarshalBinary(b); err != nil {
			requireStateError(t, err)
			require.Equal(t, State{}, s)
			return
		}
		again, err := s.MarshalBinary()
		require.NoError(t, err)
		var got State
		require.NoError(t, got.UnmarshalBinary(again))
		require.Equal(t, s, got)
	})
}

// A journal does to a state what has happened to the queue.
func TestReplay(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 5))
		st := sampleState()
		p := newPair(t, st.Acked)
		for _, u := range st.Queue {
			p.q.push(u.XML, nil, u.At.UnixMilli())
		}
		in := st.In
		var j Journal
		for n := range 100 {
			switch random.IntN(5) {
			case 0, 1:
				xml := bytes.Repeat([]byte{'x'}, 1+n)
				p.q.push(xml, nil, int64(n))
				j.Sent(xml, time.UnixMilli(int64(n)))
			case 2:
				h := p.q.acked() + uint32(random.IntN(p.q.len()+1))
				_, err := acks(&p.q, h)
				require.NoError(t, err)
				j.Acked(h)
			case 3:
				in += random.Uint32N(3)
				j.Handled(in)
			case 4:
				require.NoError(t, st.Replay(j))
				j = j[:0]
			}
		}
		require.NoError(t, st.Replay(j))
		clear(j) // nothing of it is kept
		var want []Unacked
		for e := range p.q.all() {
			want = append(want, Unacked{bytes.Clone(e.xml), time.UnixMilli(e.at).UTC()})
		}
		require.Equal(t, want, st.Queue)
		require.Equal(t, p.q.acked(), st.Acked)
		require.Equal(t, p.q.sent(), st.Sent())
		require.Equal(t, in, st.In)
	}
}

func TestReplayExtra(t *testing.T) {
	st := &State{}
	var j Journal
	j.Extra("presence", []byte("old"))
	j.Extra("csi", []byte{})
	j.Extra("presence", []byte("new"))
	require.NoError(t, st.Replay(j))
	require.Equal(t, map[string][]byte{"presence": []byte("new"), "csi": {}}, st.Extra)
	j = j[:0]
	j.Extra("presence", nil)
	j.Extra("never there", nil)
	require.NoError(t, st.Replay(j))
	require.Equal(t, map[string][]byte{"csi": {}}, st.Extra)
	require.NoError(t, st.Replay(nil))
}

func TestReplayBad(t *testing.T) {
	for name, record := range map[string]string{
		"kind":            "\x09",
		"no kind":         "\x00",
		"cut off":         "\x01\x00",
		"a long stanza":   "\x01\x00\xff\xff\xff\xff\x0f<",
		"an empty stanza": "\x01\x00\x00",
		"a wild time":     "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01x",
		"a large count":   "\x03\x80\x80\x80\x80\x10",
		"more than sent":  "\x02\x05",
		"no value":        "\x04\x01a",
		"no name":         "\x05\x01",
	} {
		t.Run(name, func(t *testing.T) {
			st := &State{Extra: map[string][]byte{"a": {1}}}
			var j Journal
			j.Sent([]byte("<a/>"), stateTime)
			j.Handled(3)
			require.ErrorAs(t, st.Replay(append(j, record...)), new(*StateError))
			want := &State{In: 3, Queue: []Unacked{{[]byte("<a/>"), stateTime}}, Extra: map[string][]byte{"a": {1}}}
			require.Equal(t, want, st, "what was before it has been applied")
		})
	}
}

func FuzzReplay(f *testing.F) {
	var j Journal
	j.Sent([]byte("<a/>"), stateTime)
	j.Acked(1<<32 - 1)
	j.Handled(3)
	j.Extra("a", []byte("b"))
	j.Extra("a", nil)
	f.Add([]byte(j))
	f.Fuzz(func(t *testing.T, b []byte) {
		st := sampleState()
		sent := st.Sent()
		if err := st.Replay(b); err != nil {
			require.ErrorAs(t, err, new(*StateError))
		}
		require.LessOrEqual(t, st.Sent()-sent, uint32(len(b)))
		again, err := st.MarshalBinary()
		require.NoError(t, err, "it can be stored")
		require.NoError(t, new(State).UnmarshalBinary(again))
	})
}
