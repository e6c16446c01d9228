package xmpp

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
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

// A listener for both versions of IP shows clients of IPv4 by addresses of IPv6.
// Whoever compares them with a list should not have to know.
func TestNetworkAddrIsUnmapped(t *testing.T) {
	mapped := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}
	require.Len(t, mapped.IP, net.IPv6len, "the case in point")
	require.Equal(t, "192.0.2.1:7", networkAddr(addrConn{addr: mapped}).String())
	require.Equal(t, "192.0.2.1:7", networkAddr(addrConn{addr: &net.UDPAddr{IP: mapped.IP, Port: 7}}).String())
	zoned := &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 7, Zone: "eth0"}
	require.Equal(t, "[fe80::1%eth0]:7", networkAddr(addrConn{addr: zoned}).String())
}

// A server with IPv6 only sees every client of IPv4 in one /64 (RFC 6052 §2.1).
func TestAdmitterKnowsTranslatedAddresses(t *testing.T) {
	now := time.Unix(1000, 0)
	rate := stream.Rate{PerSecond: 1, Burst: 1}
	var a admitter
	require.True(t, a.allow(netip.MustParseAddr("64:ff9b::192.0.2.1"), rate, now))
	require.True(t, a.allow(netip.MustParseAddr("64:ff9b::192.0.2.2"), rate, now), "somebody else")
	require.False(t, a.allow(netip.MustParseAddr("64:ff9b::192.0.2.1"), rate, now))
	require.False(t, a.allow(netip.MustParseAddr("192.0.2.2"), rate, now), "the same one by another way")
	require.True(t, a.allow(netip.MustParseAddr("64:ff9b::127.0.0.1"), rate, now))
	require.False(t, a.allow(netip.MustParseAddr("64:ff9b::127.0.0.1"), rate, now), "nobody is local by being translated")
	require.True(t, a.allow(netip.MustParseAddr("fe80::1%eth0"), rate, now))
	require.False(t, a.allow(netip.MustParseAddr("fe80::1%eth1"), rate, now), "a zone is no address")
}

// To look for room takes a while, and is not done for each of those who come
// when there is none.
func TestAdmitterTidiesOnceASecond(t *testing.T) {
	now := time.Unix(1000, 0)
	rate := stream.Rate{PerSecond: 1e-9, Burst: 1e6}
	var a admitter
	host := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range maxBuckets + 1 {
		require.True(t, a.allow(host(i), rate, now))
	}
	tidied := a.tidied
	require.Equal(t, now, tidied)
	for i := range 100 {
		a.allow(host(maxBuckets+i), rate, now.Add(time.Duration(i)*time.Millisecond))
	}
	require.Equal(t, tidied, a.tidied)
	a.allow(host(maxBuckets), rate, now.Add(time.Second))
	require.Equal(t, now.Add(time.Second), a.tidied)
	a.allow(host(maxBuckets), rate, now.Add(-time.Hour))
	require.Equal(t, now.Add(-time.Hour), a.tidied, "the clock was set back")
}

// Rates that let nothing through for ever are mistakes, and so is what is no
// number.
func TestRatesAreChecked(t *testing.T) {
	for _, bad := range []stream.Rate{
		{PerSecond: 5}, {Burst: 5}, {PerSecond: -1, Burst: 5}, {PerSecond: 5, Burst: 0.5},
		{PerSecond: math.NaN(), Burst: 5}, {PerSecond: 5, Burst: math.NaN()},
	} {
		for name, r := range map[string]Rates{"Connections": {Connections: bad}, "Stanzas": {Stanzas: bad}, "Bytes": {Bytes: bad}} {
			err := r.check()
			require.Error(t, err, "%s %v", name, bad)
			require.ErrorContains(t, err, "rates: "+name)
		}
	}
	require.NoError(t, (&Rates{}).check())
	require.NoError(t, (&Rates{Connections: stream.Unlimited, Stanzas: stream.Rate{PerSecond: 1e-6, Burst: 1}, Bytes: stream.Unlimited}).check())
}

// A flood of connections is not made a flood of records.
func TestRefusalsAreLoggedOnceASecond(t *testing.T) {
	now := time.Unix(1000, 0)
	var r refusals
	count, told := r.note(now)
	require.True(t, told)
	require.Equal(t, 1, count)
	for range 50 {
		_, told = r.note(now.Add(999 * time.Millisecond))
		require.False(t, told)
	}
	count, told = r.note(now.Add(time.Second))
	require.True(t, told)
	require.Equal(t, 51, count, "those that were not told of are counted")
	_, told = r.note(now.Add(time.Second))
	require.False(t, told)
	count, told = r.note(now.Add(-time.Hour))
	require.True(t, told, "a clock that was set back does not silence it")
	require.Equal(t, 2, count)
}

// What is no stanza is throttled as stanzas are, and not shown to Rates.Stanza.
func TestThrottleOfOtherElements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		once := stream.Rate{PerSecond: 1, Burst: 1}
		c := &serverConn{place: new(presence.Router).Connect(t.Context()), server: &Server{Rates: Rates{Stanzas: once, Stanza: func(_ jid.JID, el *stream.Element) (time.Duration, error) {
			asked = append(asked, el.Name().Local)
			return time.Minute, nil
		}}}}
		admit := c.throttle()
		for _, step := range []struct {
			xml  string
			want time.Duration
		}{
			{"<x xmlns='urn:example:x'/>", 0}, {"<x xmlns='urn:example:x'/>", time.Second},
			{"<message xmlns='jabber:client'/>", time.Minute}, {"<message xmlns='urn:example:x'/>", 3 * time.Second},
		} {
			el, err := stream.ParseElement([]byte(step.xml), nil)
			require.NoError(t, err)
			wait, err := admit(el)
			require.NoError(t, err)
			require.Equal(t, step.want, wait, step.xml)
		}
		require.Equal(t, []string{"message"}, asked)
	})
}
