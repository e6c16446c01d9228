package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

func seeOther(host string) error {
	return fmt.Errorf("negotiating: %w", &stream.Error{Condition: stream.SeeOtherHost, OtherHost: host, Received: true})
}

var origin = Target{Host: "x1.example", Port: 5222, Addr: netip.MustParseAddr("192.0.2.1"), Source: SRV}

// RFC 6120 §4.9.3.19.
func TestRedirects(t *testing.T) {
	direct := origin
	direct.DirectTLS = true
	for name, c := range map[string]struct {
		host   string
		from   Target
		server string // of the result
		lookup string
		tls    TLS
	}{
		"the example of the RFC":        {host: "\n          [2001:41D0:1:A49b::1]:9222\n        ", server: "[2001:41d0:1:a49b::1]:9222", tls: StartTLS},
		"a name is looked up":           {host: "im2.example", lookup: "im2.example", tls: EitherTLS},
		"with a port it is not":         {host: "im2.example:5269", server: "im2.example:5269", tls: StartTLS},
		"as an A-label":                 {host: "bücher.example:1", server: "xn--bcher-kva.example:1", tls: StartTLS},
		"an address":                    {host: "198.51.100.7", lookup: "198.51.100.7", tls: StartTLS},
		"an address and a port":         {host: "198.51.100.7:80", server: "198.51.100.7:80", tls: StartTLS},
		"an address in brackets":        {host: "[2001:db8::1]", lookup: "[2001:db8::1]", tls: StartTLS},
		"the same host, another port":   {host: "X1.example:5333", server: "192.0.2.1:5333", tls: StartTLS},
		"the same address":              {host: "192.0.2.1:5333", server: "192.0.2.1:5333", tls: StartTLS},
		"direct TLS":                    {host: "im2.example:443", from: direct, server: "im2.example:443", tls: DirectTLS},
		"direct TLS, an address":        {host: "198.51.100.7", from: direct, lookup: "198.51.100.7", tls: DirectTLS},
		"direct TLS, a name":            {host: "im2.example", from: direct, lookup: "im2.example", tls: EitherTLS},
		"with many addresses":           {host: "im2.example.:5222", server: "im2.example:5222", tls: StartTLS},
		"through NAT64":                 {host: "[64:ff9b::c633:6407]:80", server: "[64:ff9b::c633:6407]:80", tls: StartTLS},
		"private, from a private one":   {host: "10.1.2.3:5222", from: Target{Addr: netip.MustParseAddr("192.168.1.1")}, server: "10.1.2.3:5222", tls: StartTLS},
		"private, from this device":     {host: "10.1.2.3:5222", from: Target{Addr: netip.MustParseAddr("127.0.0.1")}, server: "10.1.2.3:5222", tls: StartTLS},
		"this device, from this device": {host: "127.0.0.1:1", from: Target{Addr: netip.MustParseAddr("::1")}, server: "127.0.0.1:1", tls: StartTLS},
		"from behind a proxy":           {host: "im2.example:5222", from: Target{Host: "x1.example"}, server: "im2.example:5222", tls: StartTLS},
	} {
		t.Run(name, func(t *testing.T) {
			from := c.from
			if from == (Target{}) {
				from = origin
			}
			var r Redirects
			before := &Options{Server: "old.example", Service: ForServers, Delay: maxDelay}
			got, err := r.Follow(seeOther(c.host), from, true, before)
			require.NoError(t, err)
			require.Equal(t, &Options{Server: "old.example", Service: ForServers, Delay: maxDelay}, before, "not changed")
			require.Equal(t, c.server, got.Server)
			require.Equal(t, c.lookup, got.Lookup.String())
			require.Equal(t, c.tls, got.TLS)
			require.Equal(t, ForServers, got.Service)
			require.NotEqual(t, anywhere, got.reach)
			_, err = r.Follow(seeOther(c.host), from, true, nil)
			require.NoError(t, err)
		})
	}
}

func TestRedirectsRefused(t *testing.T) {
	for _, host := range []string{
		"", " ", ":", ":5222", "im2.example:", "im2.example:0", "im2.example:65536", "im2.example:+1", "im2.example:-1", "im2.example:x",
		"2001:db8::1", "[2001:db8::1", "[2001:db8::1]x", "[fe80::1%eth0]:1", "a b", "a\nb", "user@im2.example", "im2.example/x", "a..b",
		"http://im2.example/", "im2.example\x00", "\xff", strings.Repeat("a.", 200) + "example:1", strings.Repeat("x", 100_000),
		// Nowhere that the server itself is not.
		"127.0.0.1:22", "127.255.255.254", "[::1]:22", "[::ffff:127.0.0.1]:22", "10.0.0.1:80", "172.16.0.1:80", "192.168.0.1:80", "100.64.0.1:80",
		"169.254.169.254:80", "[fe80::1]:80", "[fc00::1]:80", "[fec0::1]:80", "0.0.0.0:1", "[::]:1", "0.1.2.3:1", "255.255.255.255:1", "224.0.0.1:1",
		"[ff02::1]:1", "[::7f00:1]:1", "[2002:7f00:1::]:1", "[64:ff9b::7f00:1]:1", "[64:ff9b::a00:1]:1", "[64:ff9b:1::a00:1]:1", "198.18.0.1:1", "[2001:0:1::]:1",
	} {
		var r Redirects
		got, err := r.Follow(seeOther(host), origin, true, nil)
		require.ErrorIs(t, err, ErrRedirect, "%.50q", host)
		require.Nil(t, got)
		require.Less(t, len(err.Error()), 400)
		require.False(t, strings.ContainsFunc(err.Error(), func(r rune) bool { return (r < ' ' || r > '~') && r != '…' }))
		require.Zero(t, r.followed)
	}
	// What is inside a private network may know of others there, but not of us.
	for host, from := range map[string]string{"127.0.0.1:1": "10.0.0.1", "169.254.0.1:1": "192.168.0.1", "[::1]:1": "169.254.0.1"} {
		_, err := new(Redirects).Follow(seeOther(host), Target{Addr: netip.MustParseAddr(from)}, true, nil)
		require.ErrorIs(t, err, ErrRedirect, host)
	}
	for _, err := range []error{
		nil, errors.New("no redirect"), &stream.Error{Condition: stream.HostUnknown, Received: true},
		&stream.Error{Condition: stream.SeeOtherHost, OtherHost: "im2.example"}, // which this side sent
	} {
		_, err := new(Redirects).Follow(err, origin, true, nil)
		require.Equal(t, ErrNoRedirect, err)
	}
}

// "At least 2 but no more than 5", and only from a server that is one.
//
//conformance:proves 6120-4.9.3.19-10
func TestRedirectsPolicy(t *testing.T) {
	for limit, want := range map[int]int{0: 3, 1: 1, 2: 2, 5: 5, 100: 5, -1: 0} {
		r := Redirects{Max: limit}
		opts, n := new(Options), 0
		for {
			next, err := r.Follow(seeOther("im2.example"), origin, true, opts)
			if err != nil {
				require.ErrorIs(t, err, ErrRedirect)
				break
			}
			opts = next
			n++
		}
		require.Equal(t, want, n, "%d", limit)
	}
	_, err := new(Redirects).Follow(seeOther("im2.example"), origin, false, nil)
	require.ErrorIs(t, err, ErrRedirect)
	_, err = (&Redirects{InsecureBeforeTLS: true}).Follow(seeOther("im2.example"), origin, false, nil)
	require.NoError(t, err)

	// A chain of redirects does not lead where the first server could not.
	r := Redirects{}
	opts, err := r.Follow(seeOther("im2.example"), origin, true, nil)
	require.NoError(t, err)
	_, err = r.Follow(seeOther("127.0.0.1:1"), Target{Addr: netip.MustParseAddr("127.0.0.1")}, true, opts)
	require.ErrorIs(t, err, ErrRedirect)
}

// The names that a redirect gives do not lead there either, and no search list
// is applied to them.
//
//conformance:proves 6120-4.9.3.19-5
func TestRedirectResolved(t *testing.T) {
	for addr, want := range map[string]bool{"198.51.100.1": true, "127.0.0.1": false, "10.0.0.1": false, "::ffff:10.0.0.1": false, "::1": false} {
		var asked []string
		d := dialing{opts: Options{AttemptTimeout: defaultAttemptTimeout, reach: internet, Resolver: fixedResolver{netip.MustParseAddr(addr), &asked}}}
		target, err := configured("im2.example:5222", Target{})
		require.NoError(t, err)
		family := ipv4
		if a := netip.MustParseAddr(addr); a.Unmap().Is6() {
			family = ipv6
		}
		got, err := d.addresses(t.Context(), target, family)
		require.Equal(t, []string{"im2.example."}, asked)
		if want {
			require.NoError(t, err)
			require.Len(t, got, 1)
			continue
		}
		require.ErrorIs(t, err, ErrRedirect)
	}
}

func FuzzOtherHost(f *testing.F) {
	for _, s := range []string{"[2001:41D0:1:A49b::1]:9222", "im2.example", "im2.example:5222", "192.0.2.1:1", "[::1]", " a:1\n", "a:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := parseOtherHost(s)
		if err != nil {
			require.ErrorIs(t, err, ErrRedirect)
			require.Less(t, len(err.Error()), 400)
			return
		}
		require.False(t, host.IsZero())
		require.Equal(t, host.DomainJID(), host)
		if port == 0 {
			return
		}
		// What comes out reads back as the same.
		again, p, err := parseOtherHost(fmt.Sprintf("%s:%d", host, port))
		require.NoError(t, err)
		require.Equal(t, host, again)
		require.Equal(t, port, p)
		// And what is dialled is one host and one port.
		opts, err := new(Redirects).Follow(seeOther(s), origin, true, nil)
		if err == nil {
			target, err := configured(opts.Server, Target{})
			require.NoError(t, err)
			require.Equal(t, port, target.Port)
			require.True(t, opts.reach.allows(target.Addr) || !target.Addr.IsValid())
		}
	})
}

// fixedResolver knows one address.
type fixedResolver struct {
	addr  netip.Addr
	asked *[]string
}

func (r fixedResolver) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{IsNotFound: true}
}

func (r fixedResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	*r.asked = append(*r.asked, host)
	return []netip.Addr{r.addr}, nil
}
