package xmpp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

func TestAdmitter(t *testing.T) {
	now := time.Unix(1000, 0)
	rate := stream.Rate{PerSecond: 1, Burst: 2}
	addr := netip.MustParseAddr
	var a admitter
	for _, from := range []string{"192.0.2.1", "2001:db8:1:1::1"} {
		require.True(t, a.allow(addr(from), rate, now))
		require.True(t, a.allow(addr(from), rate, now))
		require.False(t, a.allow(addr(from), rate, now), "%s", from)
	}
	require.True(t, a.allow(addr("192.0.2.2"), rate, now), "another address")
	require.False(t, a.allow(addr("2001:db8:1:1:ffff::2"), rate, now), "the same /64")
	require.True(t, a.allow(addr("2001:db8:1:2::1"), rate, now), "another /64")
	require.False(t, a.allow(addr("::ffff:192.0.2.1"), rate, now), "the same address in other clothes")
	require.True(t, a.allow(addr("192.0.2.1"), rate, now.Add(time.Second)))
	require.False(t, a.allow(addr("192.0.2.1"), rate, now.Add(time.Second)))
	for range 10 {
		require.True(t, a.allow(addr("127.0.0.1"), rate, now))
		require.True(t, a.allow(addr("::1"), rate, now))
		require.True(t, a.allow(netip.Addr{}, rate, now))
	}
}

// The table is bounded: who comes when it is full shares a bucket with the
// others, and those who have been quiet make room.
func TestAdmitterIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	rate := stream.Rate{PerSecond: 1, Burst: 2}
	var a admitter
	host := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxBuckets {
		require.True(t, a.allow(host(i), rate, now))
	}
	require.True(t, a.allow(host(maxBuckets), rate, now))
	require.True(t, a.allow(host(maxBuckets+1), rate, now))
	require.False(t, a.allow(host(maxBuckets+2), rate, now), "the third of those who share")
	require.True(t, a.allow(host(0), rate, now), "who was there before is not affected")
	require.Len(t, a.buckets, maxBuckets)
	later := now.Add(time.Second)
	require.True(t, a.allow(host(maxBuckets), rate, later))
	require.Len(t, a.buckets, 2, "those whose buckets are full are forgotten")
}

type addrConn struct {
	net.Conn
	addr net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.addr }

func TestNetworkAddr(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 7}, "192.0.2.1:7"},
		{&net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 7}, "[2001:db8::1]:7"},
		{&net.UnixAddr{Name: "/run/x", Net: "unix"}, "invalid AddrPort"},
		{nil, "invalid AddrPort"},
	} {
		require.Equal(t, c.want, networkAddr(addrConn{addr: c.addr}).String(), fmt.Sprint(c.addr))
	}
}
