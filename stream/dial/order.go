package dial

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"net"
	"slices"
)

// offer is an SRV record and which of the two sets it is from.
type offer struct {
	*net.SRV
	direct bool
}

// order returns up to limit of the records in the order in which RFC 2782 says
// that they are to be tried: by priority, and within a priority at random in
// proportion to the weight. random(n) returns a uniform number from 0 up to but
// not including n. The records are left as they are.
func order(records []offer, limit int, random func(n int) int) []offer {
	left := slices.Clone(records)
	// "All those with weight 0 are placed at the beginning of the list": they
	// are selected when the random number is zero and only then, which is their
	// "very small chance".
	slices.SortStableFunc(left, func(a, b offer) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), boolCompare(a.Weight > 0, b.Weight > 0))
	})
	out := make([]offer, 0, min(len(left), limit))
	for len(left) > 0 && len(out) < limit {
		sum, same := 0, 0
		for same < len(left) && left[same].Priority == left[0].Priority {
			sum += int(left[same].Weight)
			same++
		}
		// A number between 0 and the sum, inclusive, and the first record whose
		// running sum reaches it.
		pick, running := min(random(sum+1), sum), 0
		for i, r := range left[:same] {
			if running += int(r.Weight); running >= pick {
				out = append(out, r)
				left = slices.Delete(left, i, i+1)
				break
			}
		}
	}
	return out
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// intN returns a random number from 0 up to but not including n. The sums of
// weights that it is asked for are so small that the bias of the remainder does
// not show.
func intN(n int) int {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return int(binary.LittleEndian.Uint64(b[:]) % uint64(n))
}
