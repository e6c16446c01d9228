package jid

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZero(t *testing.T) {
	var j JID
	require.True(t, j.IsZero())
	require.False(t, j.IsBare())
	require.False(t, j.IsFull())
	require.Equal(t, "", j.String()+j.Local()+j.Domain()+j.Resource())
	require.Equal(t, j, j.Bare())
	require.Equal(t, j, j.DomainJID())
	require.Equal(t, []byte("x"), j.AppendTo([]byte("x")))
	_, err := j.WithResource("r")
	requireError(t, err, Domainpart, ErrEmpty)
	_, err = j.ASCIIDomain()
	requireError(t, err, Domainpart, ErrEmpty)
	_, ok := j.DomainAddr()
	require.False(t, ok)
}

func TestParts(t *testing.T) {
	for _, c := range []struct {
		in, local, domain, resource string
		bare, full                  bool
	}{
		{"a@b/c", "a", "b", "c", false, true},
		{"a@b", "a", "b", "", true, false},
		{"b/c", "", "b", "c", false, true},
		{"b", "", "b", "", true, false},
	} {
		j := MustParse(c.in)
		require.Equal(t, c.in, j.String())
		require.Equal(t, []string{c.local, c.domain, c.resource}, []string{j.Local(), j.Domain(), j.Resource()})
		require.Equal(t, c.bare, j.IsBare())
		require.Equal(t, c.full, j.IsFull())
		require.Equal(t, MustParse(strings.TrimSuffix(c.in, "/c")), j.Bare())
		require.Equal(t, MustParse("b"), j.DomainJID())
		n, err := New(c.local, c.domain, c.resource)
		require.NoError(t, err)
		require.True(t, j == n)
		r, err := j.WithResource("\u00a0x")
		require.NoError(t, err)
		require.Equal(t, MustParse(j.Bare().String()+"/ x"), r)
	}
}

func TestComparable(t *testing.T) {
	m := map[JID]int{MustParse("Romeo@Example.NET./Orchard"): 1}
	require.Equal(t, 1, m[MustParse("romeo@example.net/Orchard")])
	require.Zero(t, m[MustParse("romeo@example.net/orchard")], "resourceparts keep their case")
	require.Zero(t, m[MustParse("romeo@example.net")])
	// The same letters, divided differently.
	require.NotEqual(t, MustParse("ab"), MustParse("a@b"))
	require.NotEqual(t, MustParse("a/b@c"), MustParse("a@b/c"))
}

func TestNew(t *testing.T) {
	j, err := New("Fu\u00dfball", "EXAMPLE.com.", "a/b@c")
	require.NoError(t, err)
	require.Equal(t, "fu\u00dfball@example.com/a/b@c", j.String())
	for _, c := range []struct {
		local, domain, resource string
		part                    Part
		reason                  error
	}{
		{"a", "", "", Domainpart, ErrEmpty},
		{"", "", "r", Domainpart, ErrEmpty},
		{"a@b", "c", "", Localpart, ErrNotAllowed},
		{"a/b", "c", "", Localpart, ErrNotAllowed},
		{"a", "b/c", "", Domainpart, ErrNotAllowed},
		{"a", "b@c", "", Domainpart, ErrNotAllowed},
		{"a", "b", "\x00", Resourcepart, ErrNotAllowed},
	} {
		j, err := New(c.local, c.domain, c.resource)
		requireError(t, err, c.part, c.reason)
		require.Zero(t, j)
	}
}

func TestWithResource(t *testing.T) {
	j := MustParse("a@b/c")
	_, err := j.WithResource("")
	requireError(t, err, Resourcepart, ErrEmpty)
	_, err = j.WithResource(strings.Repeat("r", 1024))
	requireError(t, err, Resourcepart, ErrTooLong)
	r, err := j.WithResource("x/y")
	require.NoError(t, err)
	require.Equal(t, MustParse("a@b/x/y"), r)
	require.Equal(t, "a@b/c", j.String(), "unchanged")
}

func TestMustParse(t *testing.T) {
	require.PanicsWithError(t, `jid: localpart "" must not be empty`, func() { MustParse("@b") })
}

// RFC 7622 §3.1: IP-literal / IPv4address / ifqdn, as in RFC 3986 and RFC 6874.
func TestDomainAddr(t *testing.T) {
	for in, want := range map[string]string{
		"a@127.0.0.1":       "127.0.0.1",
		"127.0.0.1.":        "127.0.0.1",
		"[::1]":             "[::1]",
		"[::1].":            "[::1]",
		"[2001:DB8:0:0::1]": "[2001:db8::1]",
		"[::FFFF:1.2.3.4]":  "[::ffff:1.2.3.4]",
		"\uff11.2.3.4":      "1.2.3.4",
	} {
		j, err := Parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, j.Domain())
		a, ok := j.DomainAddr()
		require.True(t, ok, in)
		require.Equal(t, netip.MustParseAddr(strings.Trim(want, "[]")), a)
		ascii, err := j.ASCIIDomain()
		require.NoError(t, err)
		require.Equal(t, want, ascii)
	}
	for _, in := range []string{
		"[::1", "[]", "[::1]x", "[::1]:5222", "[1.2.3.4]", "[fe80::1%eth0]", "[fe80::1%25eth0]", "[v1.x]", "[:::1]", "[[::1]]",
		"1.2.3.256", "010.1.1.1", "1.2.3.04", "0.0.0.0000",
	} {
		_, err := Parse(in)
		requireError(t, err, Domainpart, ErrAddress)
	}
	for _, in := range []string{"::1", "fe80::1", "a]", "\uff3b::1\uff3d", "1.2.3.4:5222"} {
		_, err := Parse(in)
		requireError(t, err, Domainpart, ErrNotAllowed)
	}
	// Names, if strange ones.
	for _, in := range []string{"1.2.3", "1.2.3.4.5", "1.2.3.a", "127"} {
		_, ok := MustParse(in).DomainAddr()
		require.False(t, ok, in)
	}
}

func TestASCIIDomain(t *testing.T) {
	label := strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"a@Example.ORG/r":               "example.org",
		"b\u00fccher.example":           "xn--bcher-kva.example",
		"fu\u00dfball.example":          "xn--fuball-cta.example",
		"\u4f8b\u5b50.\u6d4b\u8bd5":     "xn--fsqu00a.xn--0zwm56d",
		"\u05d0.\u05d1":                 "xn--4db.xn--5db",
		label + "." + label:             label + "." + label,
		strings.Repeat("a.", 126) + "b": strings.Repeat("a.", 126) + "b", // 253 octets
	} {
		got, err := MustParse(in).ASCIIDomain()
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{
		label + "a", strings.Repeat("a.", 127) + "b", strings.Repeat("\u00fc", 60), strings.Repeat("\u00fc.", 100) + "b",
	} {
		_, err := MustParse(in).ASCIIDomain()
		requireError(t, err, Domainpart, ErrTooLong)
	}
}

// Allocation counts are part of the contract: every stanza carries two addresses.
func TestAllocs(t *testing.T) {
	const full = "user@example.org/resource"
	octets := []byte(full)
	j := MustParse(full)
	buf := make([]byte, 0, 64)
	var sink string
	for name, c := range map[string]struct {
		max float64
		f   func()
	}{
		"Parse":       {0, func() { j, _ = Parse(full) }},
		"Parse bare":  {0, func() { j, _ = Parse("user@example.org") }},
		"Parse host":  {0, func() { j, _ = Parse("xmpp-1.example.org") }},
		"ParseBytes":  {1, func() { j, _ = ParseBytes(octets) }},
		"parts":       {0, func() { sink = j.Local() + j.Domain()[:0] + j.Resource()[:0] }},
		"Bare":        {0, func() { sink = j.Bare().String() }},
		"DomainJID":   {0, func() { sink = j.DomainJID().String() }},
		"AppendTo":    {0, func() { buf = j.AppendTo(buf[:0]) }},
		"ASCIIDomain": {0, func() { sink, _ = j.ASCIIDomain() }},
		// What is refused for its length costs its error, not its length.
		"too long": {2, func() { _, _ = Parse(tooLong) }},
	} {
		require.LessOrEqual(t, testing.AllocsPerRun(100, c.f), c.max, name)
	}
	_ = sink
}

var tooLong = strings.Repeat("\u00e9", 1<<16)
