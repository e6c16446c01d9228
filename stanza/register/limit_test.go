package register

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// The table of addresses is bounded: what does not fit shares one bucket, and what
// is as good as new makes room.
func TestLimiterIsBounded(t *testing.T) {
	rate := stream.Rate{PerSecond: 1, Burst: 2}
	now := time.Unix(0, 0)
	var l limiter[int]
	for i := range maxBuckets {
		require.True(t, l.allow(i, rate, now))
	}
	require.True(t, l.allow(0, rate, now))
	require.False(t, l.allow(0, rate, now))
	require.True(t, l.allow(-1, rate, now))
	require.True(t, l.allow(-2, rate, now))
	require.False(t, l.allow(-3, rate, now))
	require.Len(t, l.buckets, maxBuckets)

	now = now.Add(time.Second)
	require.True(t, l.allow(-4, rate, now)) // all but one are full again
	require.Len(t, l.buckets, 2)
	require.True(t, l.allow(0, rate, now)) // and that one has not been forgotten
	require.False(t, l.allow(0, rate, now))
}

func TestCustomer(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1/32",
		"::ffff:192.0.2.1":     "192.0.2.1/32",
		"64:ff9b::192.0.2.1":   "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		require.Equal(t, want, customer(netip.MustParseAddr(addr)).String(), addr)
	}
}
