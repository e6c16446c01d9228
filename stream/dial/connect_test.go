package dial_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
)

var im = jid.MustParse("im.example")

// XEP-0368 §2, §4: both sets count as one, and a "." is about its own set only.
func TestBothSets(t *testing.T) {
	addrs := map[string][]string{"im.example.": {"192.0.2.1"}, "s.example.": {"192.0.2.2"}, "d.example.": {"192.0.2.3"}}
	failure := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	dot := []*net.SRV{record(".", 0, 0)}
	starttls := func(priority uint16) []*net.SRV { return []*net.SRV{record("s.example.", 5222, priority)} }
	direct := func(priority uint16) []*net.SRV { return []*net.SRV{record("d.example.", 443, priority)} }
	const s, d, fallback = "192.0.2.2:5222", "192.0.2.3:443", "192.0.2.1:5222"
	for name, c := range map[string]struct {
		plain, tls       []*net.SRV
		plainErr, tlsErr error
		option           dial.TLS
		dialled          []string
		notAvailable     bool
		lookup           error
	}{
		"STARTTLS first":               {plain: starttls(1), tls: direct(2), dialled: []string{s, d}},
		"direct TLS first":             {plain: starttls(2), tls: direct(1), dialled: []string{d, s}},
		"only STARTTLS":                {plain: starttls(2), dialled: []string{s}},
		"only direct TLS":              {tls: direct(2), dialled: []string{d}},
		"none":                         {dialled: []string{fallback}},
		"dot for direct TLS":           {plain: starttls(2), tls: dot, dialled: []string{s}},
		"dot for STARTTLS":             {plain: dot, tls: direct(1), dialled: []string{d}},
		"dot for both":                 {plain: dot, tls: dot, notAvailable: true},
		"dot for direct TLS, no other": {tls: dot, notAvailable: true},
		"dot for STARTTLS, no other":   {plain: dot, notAvailable: true},
		"dot and a failure":            {plain: dot, tlsErr: failure, lookup: failure},
		"a failure and a dot":          {plainErr: failure, tls: dot, lookup: failure},
		"a failure and records":        {plainErr: failure, tls: direct(1), dialled: []string{d}, lookup: failure},
		"failures":                     {plainErr: failure, tlsErr: failure, dialled: []string{fallback}, lookup: failure},
		"STARTTLS wanted":              {option: dial.StartTLS, plain: starttls(2), tls: direct(1), dialled: []string{s}},
		"STARTTLS wanted, dot":         {option: dial.StartTLS, plain: dot, tls: direct(1), notAvailable: true},
		"direct TLS wanted":            {option: dial.DirectTLS, plain: starttls(1), tls: direct(2), dialled: []string{d}},
		"direct TLS wanted, dot":       {option: dial.DirectTLS, plain: starttls(1), tls: dot, notAvailable: true},
	} {
		t.Run(name, func(t *testing.T) {
			z := &zone{
				srv: map[string][]*net.SRV{srvName: c.plain, directName: c.tls}, addrs: addrs,
				srvErr: map[string]error{},
			}
			if c.plainErr != nil {
				z.srvErr[srvName] = c.plainErr
			}
			if c.tlsErr != nil {
				z.srvErr[directName] = c.tlsErr
			}
			n := &network{}
			_, _, err := dial.Client(t.Context(), im, &dial.Options{TLS: c.option, Resolver: z, Dialer: n})
			require.Equal(t, c.dialled, n.dialled)
			require.Equal(t, c.notAvailable, errors.Is(err, dial.ErrNotAvailable))
			var e *dial.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.lookup, e.Lookup)
			for _, a := range e.Attempts {
				require.Equal(t, a.Target.Port == 443, a.Target.DirectTLS)
			}
		})
	}
}

// Both sets are asked for at the same time, and one that has no answer does not
// keep the other one waiting for long.
func TestSideBySide(t *testing.T) {
	z := func() *zone {
		return &zone{
			srv:   map[string][]*net.SRV{srvName: {record("s.example.", 5222, 2)}, directName: {record("d.example.", 443, 1)}},
			addrs: map[string][]string{"s.example.": {"192.0.2.2"}, "d.example.": {"192.0.2.3"}},
			slow:  map[string]time.Duration{}, stall: map[string]bool{},
		}
	}
	connect := func(t *testing.T, z *zone) (string, time.Duration) {
		start := time.Now()
		n := &network{up: set("192.0.2.2:5222", "192.0.2.3:443")}
		conn, target, err := dial.Client(t.Context(), im, &dial.Options{Resolver: z, Dialer: n})
		require.NoError(t, err)
		conn.Close()
		return target.Host, time.Since(start)
	}
	synctest.Test(t, func(t *testing.T) {
		slow := z()
		slow.slow[srvName], slow.slow[directName] = time.Second, time.Second
		host, took := connect(t, slow)
		require.Equal(t, "d.example", host)
		require.Equal(t, time.Second, took)

		silent := z()
		silent.stall[directName] = true
		host, took = connect(t, silent)
		require.Equal(t, "s.example", host)
		require.Equal(t, 2*time.Second, took)
	})
}

func TestForServers(t *testing.T) {
	z := &zone{
		srv: map[string][]*net.SRV{
			"_xmpp-server._tcp.im.example.":  {record("x1.example.", 5269, 2)},
			"_xmpps-server._tcp.im.example.": {record("x2.example.", 5270, 1)},
			srvName:                          {record("wrong.example.", 5222, 0)},
		},
		addrs: map[string][]string{"x1.example.": {"192.0.2.1"}, "x2.example.": {"192.0.2.2"}, "other.example.": {"192.0.2.3"}},
	}
	n := &network{}
	_, _, err := dial.Client(t.Context(), im, &dial.Options{Service: dial.ForServers, Resolver: z, Dialer: n})
	require.Error(t, err)
	require.Equal(t, []string{"192.0.2.2:5270", "192.0.2.1:5269"}, n.dialled)
	for mode, want := range map[dial.TLS]string{dial.EitherTLS: "192.0.2.3:5269", dial.StartTLS: "192.0.2.3:5269", dial.DirectTLS: "192.0.2.3:5270"} {
		n = &network{}
		_, _, err = dial.Client(t.Context(), jid.MustParse("other.example"), &dial.Options{Service: dial.ForServers, TLS: mode, Resolver: z, Dialer: n})
		require.ErrorIs(t, err, errRefused)
		require.Equal(t, []string{want}, n.dialled)
	}
	for _, o := range []*dial.Options{{Service: 2}, {TLS: 3}} {
		_, _, err := dial.Client(t.Context(), im, o)
		require.ErrorIs(t, err, dial.ErrOptions)
	}
	require.Equal(t, "for clients, for servers, Service(2)", fmt.Sprintf("%v, %v, %v", dial.ForClients, dial.ForServers, dial.Service(2)))
	require.Equal(t, "either, STARTTLS, direct TLS, TLS(3)", fmt.Sprintf("%v, %v, %v, %v", dial.EitherTLS, dial.StartTLS, dial.DirectTLS, dial.TLS(3)))
}

// RFC 8305, with a clock: who wins, when, and what becomes of the others.
func TestHappyEyeballs(t *testing.T) {
	both := map[string][]string{"im.example.": {"2001:db8::1", "192.0.2.1"}}
	const v6, v4 = "[2001:db8::1]:5222", "192.0.2.1:5222"
	for name, c := range map[string]struct {
		slow    map[string]time.Duration // connecting
		lookups map[string]time.Duration
		silent  map[string]bool
		delay   time.Duration
		addr    string
		took    time.Duration
	}{
		"IPv6 is preferred":        {slow: map[string]time.Duration{v6: 200 * time.Millisecond}, addr: "2001:db8::1", took: 200 * time.Millisecond},
		"IPv6 is broken":           {silent: set(v6), addr: "192.0.2.1", took: 250 * time.Millisecond},
		"IPv6 is slow and wins":    {slow: map[string]time.Duration{v6: 300 * time.Millisecond, v4: 200 * time.Millisecond}, addr: "2001:db8::1", took: 300 * time.Millisecond},
		"both at the same instant": {slow: map[string]time.Duration{v6: 300 * time.Millisecond, v4: 50 * time.Millisecond}, took: 300 * time.Millisecond},
		"AAAA is slow":             {lookups: map[string]time.Duration{"ip6 im.example.": time.Second}, addr: "192.0.2.1", took: 50 * time.Millisecond},
		"A is slow":                {lookups: map[string]time.Duration{"ip4 im.example.": time.Second}, addr: "2001:db8::1", took: 0},
		"A is slow, IPv6 broken":   {lookups: map[string]time.Duration{"ip4 im.example.": time.Second}, silent: set(v6), addr: "192.0.2.1", took: time.Second},
		"the least delay":          {silent: set(v6), delay: 1, addr: "192.0.2.1", took: 10 * time.Millisecond},
		"no negative delay":        {silent: set(v6), delay: -1, addr: "192.0.2.1", took: 10 * time.Millisecond},
		"the longest delay":        {silent: set(v6), delay: time.Hour, addr: "192.0.2.1", took: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				n, z := &network{up: set(v6, v4), slow: c.slow, silent: c.silent}, &zone{addrs: both, slow: c.lookups}
				conn, target, err := dial.Client(t.Context(), im, &dial.Options{Resolver: z, Dialer: n, Delay: c.delay})
				require.NoError(t, err)
				require.Equal(t, c.took, time.Since(start))
				if c.addr != "" {
					require.Equal(t, c.addr, target.Addr.String())
				}
				require.Equal(t, 1, n.open, "the loser is closed")
				require.NoError(t, conn.Close())
				require.Zero(t, n.busy, "everything has ended, not only been told to")
				require.Zero(t, z.busy)
			})
		})
	}
}

// A target that takes connections and does nothing with them does not end it.
func TestConnect(t *testing.T) {
	z := &zone{
		srv:   map[string][]*net.SRV{srvName: {record("x1.example.", 5222, 1), record("x2.example.", 5222, 2)}, directName: {record("x3.example.", 443, 3)}},
		addrs: map[string][]string{"x1.example.": {"2001:db8::1", "192.0.2.1"}, "x2.example.": {"192.0.2.2"}, "x3.example.": {"192.0.2.3"}},
	}
	dead := errors.New("negotiation failed")
	options := func() (*network, *dial.Options) {
		n := &network{up: set("[2001:db8::1]:5222", "192.0.2.1:5222", "192.0.2.2:5222", "192.0.2.3:443")}
		return n, &dial.Options{Resolver: z, Dialer: n, Timeout: 10 * time.Second}
	}
	type key struct{}
	t.Run("until one is good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, opts := options()
			var tried []string
			err := dial.Connect(context.WithValue(t.Context(), key{}, 1), im, opts, func(ctx context.Context, conn net.Conn, target dial.Target) (bool, error) {
				tried = append(tried, target.Addr.String())
				require.Equal(t, 1, ctx.Value(key{}))
				_, bounded := ctx.Deadline()
				require.False(t, bounded)
				require.Equal(t, 1, n.open)
				conn.Close()
				<-time.After(30 * time.Second) // which is not on the account of Timeout
				return !target.DirectTLS, dead
			})
			require.Equal(t, dead, err)
			require.Equal(t, []string{"2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"}, tried)
			require.Len(t, n.dialled, 4, "none twice")
		})
	})
	t.Run("none is", func(t *testing.T) {
		n, opts := options()
		err := dial.Connect(t.Context(), im, opts, func(_ context.Context, conn net.Conn, target dial.Target) (bool, error) {
			conn.Close()
			return true, fmt.Errorf("%s: %w", target.Host, dead)
		})
		require.ErrorIs(t, err, dead)
		var e *dial.Error
		require.ErrorAs(t, err, &e)
		require.Len(t, e.Attempts, 4)
		require.Contains(t, err.Error(), "x2.example:5222 (192.0.2.2): x2.example: negotiation failed")
		require.Zero(t, n.open)
	})
	t.Run("what was cut off is tried again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, opts := options()
			n.slow = map[string]time.Duration{"[2001:db8::1]:5222": 400 * time.Millisecond}
			var tried []string
			err := dial.Connect(t.Context(), im, opts, func(_ context.Context, conn net.Conn, target dial.Target) (bool, error) {
				tried = append(tried, target.Addr.String())
				conn.Close()
				return len(tried) < 2, nil
			})
			require.NoError(t, err)
			require.Equal(t, []string{"192.0.2.1", "2001:db8::1"}, tried)
		})
	})
	t.Run("cancelled by who tries", func(t *testing.T) {
		n, opts := options()
		gone := errors.New("the user closed the window")
		ctx, cancel := context.WithCancelCause(t.Context())
		err := dial.Connect(ctx, im, opts, func(_ context.Context, conn net.Conn, _ dial.Target) (bool, error) {
			conn.Close()
			cancel(gone)
			return true, dead
		})
		require.ErrorIs(t, err, gone)
		require.ErrorIs(t, err, dead)
		require.Zero(t, n.open)
	})
}

// late is a dialer whose connections come when nobody wants them any more.
type late struct{ *network }

func (l late) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	<-ctx.Done()
	return l.network.DialContext(context.WithoutCancel(ctx), network, address)
}

func TestLateConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{up: set("192.0.2.1:5222", "192.0.2.2:5222")}
		z := &zone{addrs: map[string][]string{"im.example.": {"192.0.2.1", "192.0.2.2"}}}
		_, _, err := dial.Client(t.Context(), im, &dial.Options{Resolver: z, Dialer: late{n}, Timeout: time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, n.dialled, 2)
		require.Zero(t, n.open)
	})
}

// canceller is a dialer that ends the whole and then fails.
type canceller func()

func (c canceller) DialContext(context.Context, string, string) (net.Conn, error) {
	c()
	return nil, errRefused
}

// What fails because the whole has ended does not hide that.
func TestCancelledByTheDialer(t *testing.T) {
	gone := errors.New("the user closed the window")
	for range 50 { // whichever is noticed first
		ctx, cancel := context.WithCancelCause(t.Context())
		_, _, err := dial.Client(ctx, jid.MustParse("192.0.2.1"), &dial.Options{Dialer: canceller(func() { cancel(gone) })})
		var e *dial.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, gone, e.Cause)
		require.Len(t, e.Attempts, 1)
		require.ErrorIs(t, err, errRefused)
	}
}

// leaver is a dialer that ends its goroutine, as a failing test does.
type leaver struct{}

func (leaver) DialContext(context.Context, string, string) (net.Conn, error) {
	runtime.Goexit()
	return nil, nil
}

func TestDialerThatLeaves(t *testing.T) {
	_, _, err := dial.Client(t.Context(), jid.MustParse("192.0.2.1"), &dial.Options{Dialer: leaver{}})
	require.Error(t, err)
}

// A proxy looks the names up, and the DNS hears nothing unless it is wanted.
func TestResolveAtDialer(t *testing.T) {
	z := &zone{srv: map[string][]*net.SRV{srvName: {
		record("x1.example.", 5223, 1), record("a b\r\nX: y.example.", 1, 2), record("x2.example.", 5222, 3), record(strings.Repeat("x", 300)+".", 1, 4),
	}}}
	for name, c := range map[string]struct {
		domain  string
		opts    dial.Options
		dialled []string
		queries int
	}{
		"no DNS":           {opts: dial.Options{}, dialled: []string{"im.example:5222"}},
		"an address":       {domain: "[2001:db8::1]", dialled: []string{"[2001:db8::1]:5222"}},
		"direct TLS":       {opts: dial.Options{TLS: dial.DirectTLS}, dialled: []string{"im.example:5223"}},
		"a server":         {opts: dial.Options{Server: "x.example:80", Resolver: z}, dialled: []string{"x.example:80"}},
		"an onion service": {opts: dial.Options{Server: strings.Repeat("a", 56) + ".onion"}, dialled: []string{strings.Repeat("a", 56) + ".onion:5222"}},
		"SRV records":      {opts: dial.Options{Resolver: z}, dialled: []string{"x1.example:5223", "x2.example:5222"}, queries: 2},
		"a lookup":         {opts: dial.Options{Lookup: jid.MustParse("bücher.example")}, dialled: []string{"xn--bcher-kva.example:5222"}},
	} {
		t.Run(name, func(t *testing.T) {
			z.queries = nil
			n := &network{}
			c.opts.ResolveAtDialer, c.opts.Dialer = true, n
			domain := im
			if c.domain != "" {
				domain = jid.MustParse(c.domain)
			}
			_, _, err := dial.Client(t.Context(), domain, &c.opts)
			require.ErrorIs(t, err, errRefused)
			require.Equal(t, c.dialled, n.dialled)
			require.Len(t, z.queries, c.queries)
		})
	}
}
