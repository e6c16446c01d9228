package dial

import (
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func srv(priority, weight uint16, target string) offer {
	return offer{SRV: &net.SRV{Target: target, Port: 5222, Priority: priority, Weight: weight}}
}

func names(records []offer) (out []string) {
	for _, r := range records {
		out = append(out, r.Target)
	}
	return out
}

// fixed returns a source of randomness with the given results, which records
// what it is asked for.
func fixed(asked *[]int, results ...int) func(int) int {
	return func(n int) int {
		*asked = append(*asked, n)
		r := results[0]
		results = results[1:]
		return r
	}
}

func TestOrder(t *testing.T) {
	records := []offer{
		srv(1, 10, "c"), srv(0, 3, "b"), srv(0, 0, "z"), srv(0, 1, "a"), srv(1, 0, "y"),
	}
	for _, tc := range []struct {
		name    string
		results []int
		want    []string
	}{
		// The list of priority 0 is z(0) b(3) a(4); that of priority 1 y(0) c(10).
		{"always least", []int{0, 0, 0, 0, 0}, []string{"z", "b", "a", "y", "c"}},
		{"always most", []int{4, 3, 0, 10, 0}, []string{"a", "b", "z", "c", "y"}},
		{"first of a share", []int{1, 1, 0, 1, 0}, []string{"b", "a", "z", "c", "y"}},
		{"last of a share", []int{3, 0, 1, 0, 10}, []string{"b", "z", "a", "y", "c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var asked []int
			before := slices.Clone(records)
			require.Equal(t, tc.want, names(order(records, 10, fixed(&asked, tc.results...))))
			// "Between 0 and the sum computed (inclusive)".
			require.Equal(t, 5, asked[0])
			require.Equal(t, 11, asked[3])
			require.Equal(t, before, records)
		})
	}
	require.Empty(t, order(nil, 10, nil))
	require.Equal(t, []string{"z", "b"}, names(order(records, 2, func(int) int { return 0 })))
	// A source that breaks its promise costs the distribution, nothing else.
	require.Len(t, order(records, 10, func(n int) int { return n + 5 }), 5)
}

func TestOrderAllWeightsZero(t *testing.T) {
	records := []offer{srv(0, 0, "a"), srv(0, 0, "b")}
	require.Equal(t, []string{"a", "b"}, names(order(records, 10, rand.IntN)))
}

func TestOrderDistribution(t *testing.T) {
	// RFC 2782: in proportion to the weight; the record of weight 0 is selected
	// with the one number of 101 that is zero.
	rng := rand.New(rand.NewPCG(1, 2))
	records := []offer{srv(0, 75, "big"), srv(0, 25, "small"), srv(0, 0, "zero")}
	const runs = 100_000
	first := map[string]int{}
	for range runs {
		first[order(records, 3, rng.IntN)[0].Target]++
	}
	for name, share := range map[string]float64{"big": 75. / 101, "small": 25. / 101, "zero": 1. / 101} {
		got := float64(first[name]) / runs
		sigma := math.Sqrt(share * (1 - share) / runs)
		require.InDelta(t, share, got, 5*sigma, name)
	}
}

func FuzzOrder(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 5, 1, 1, 0}, uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		var records []offer
		for i := 0; i+1 < len(data); i += 2 {
			records = append(records, srv(uint16(data[i]%4), uint16(data[i+1])*257, strconv.Itoa(i)))
		}
		got := order(records, len(records), rand.New(rand.NewPCG(seed, 0)).IntN)
		require.ElementsMatch(t, records, got)
		require.True(t, slices.IsSortedFunc(got, func(a, b offer) int { return int(a.Priority) - int(b.Priority) }))
	})
}

func BenchmarkOrder(b *testing.B) {
	var records []offer
	for i := range 1000 {
		records = append(records, srv(uint16(i%3), uint16(i), strconv.Itoa(i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		order(records, maxTargets, rand.IntN)
	}
}
