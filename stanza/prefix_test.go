package stanza

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

// XEP-0198 §4: the value h counts handled stanzas, so a gap holds it back.
func TestPrefix(t *testing.T) {
	for _, tt := range []struct {
		name   string
		begin  uint64
		finish []uint64
		want   []uint64 // handled after each finish
	}{
		{"nothing arrived", 0, nil, nil},
		{"in order", 3, []uint64{0, 1, 2}, []uint64{1, 2, 3}},
		{"backwards", 3, []uint64{2, 1, 0}, []uint64{0, 0, 3}},
		{"gap in the middle", 5, []uint64{0, 2, 3, 1, 4}, []uint64{1, 1, 1, 4, 5}},
		{"first one is slow", 4, []uint64{3, 1, 2, 0}, []uint64{0, 0, 0, 4}},
		{"twice is once", 2, []uint64{1, 1, 0, 0}, []uint64{0, 0, 2, 2}},
		{"never begun", 1, []uint64{7, 0}, []uint64{0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p prefix
			for i := range tt.begin {
				require.Equal(t, i, p.begin())
			}
			require.Zero(t, p.handled())
			for i, n := range tt.finish {
				p.finish(n)
				require.Equal(t, tt.want[i], p.handled(), "after finishing %d", n)
			}
		})
	}
}

// TestPrefixAgainstModel compares with the obvious implementation over every
// order in which a window of stanzas can begin and finish.
func TestPrefixAgainstModel(t *testing.T) {
	seed := uint64(1)
	next := func(n int) int { // a small generator: the sequence must not vary
		seed = bits.RotateLeft64(seed*6364136223846793005+1442695040888963407, 17)
		return int(seed>>33) % n
	}
	for range 200 {
		var p prefix
		var done []bool
		var open []uint64
		for range 300 {
			if len(open) < 40 && next(2) == 0 {
				open = append(open, p.begin())
				done = append(done, false)
			} else if len(open) > 0 {
				i := next(len(open))
				p.finish(open[i])
				done[open[i]] = true
				open = append(open[:i], open[i+1:]...)
			}
			var want uint64
			for want < uint64(len(done)) && done[want] {
				want++
			}
			require.Equal(t, want, p.handled())
		}
	}
}

// A peer whose first stanza blocks for ever must not make the record of the
// others grow.
func TestPrefixStaysSmall(t *testing.T) {
	var p prefix
	p.begin()
	for range 1_000_000 {
		p.finish(p.begin())
	}
	require.Zero(t, p.handled())
	require.LessOrEqual(t, cap(p.open), 8)
	p.finish(0)
	require.EqualValues(t, 1_000_001, p.handled())
}
