package streamtest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// What the lab knows of the runtime's stacks holds: it sees a goroutine of its
// own bubble, and none when there is none.
func TestStrays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Empty(t, strays())
		stop := make(chan struct{})
		go func() { <-stop }()
		synctest.Wait()
		require.Contains(t, strays(), "TestStrays")
		close(stop)
		synctest.Wait()
		require.Empty(t, strays())
		t.Cleanup(func() { require.Empty(t, strays()) })
	})
	require.Empty(t, strays(), "there is no bubble here")
}

func TestSeedRange(t *testing.T) {
	for text, want := range map[string][2]uint64{"": {0, 9}, "7": {7, 7}, "3-12": {3, 12}, "18446744073709551615": {1<<64 - 1, 1<<64 - 1}} {
		first, last, err := seedRange(text, 10)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, [2]uint64{first, last}, "%q", text)
	}
	for _, text := range []string{"x", "1-", "-1", "9-3", "1-2-3", "18446744073709551616"} {
		_, _, err := seedRange(text, 10)
		require.ErrorContains(t, err, text)
	}
	_, _, err := seedRange("", 0)
	require.Error(t, err)
}

// Each kind of fault and each connection has numbers of its own, the same ones
// in every version.
func TestRandomIsFixed(t *testing.T) {
	r := derive(1, "up", ConnID{"client", "server:5222", 1})
	require.Equal(t, []uint64{0xedf99b4cb7fba443, 0x2c7bfda0722a1d7c}, []uint64{r.next(), r.next()})
	seen := map[uint64]bool{}
	for _, id := range []ConnID{{"a", "b", 1}, {"a", "b", 2}, {"ab", "", 1}, {"", "ab", 1}, {"b", "a", 1}} {
		for _, purpose := range []string{"up", "down"} {
			for seed := range uint64(3) {
				r := derive(seed, purpose, id)
				seen[r.next()] = true
			}
		}
	}
	require.Len(t, seen, 30)
	count := 0
	for range 10_000 {
		if r.chance(0.25) {
			count++
		}
	}
	require.InDelta(t, 2500, count, 200)
}
