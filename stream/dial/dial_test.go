package dial_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
)

// zone is a resolver. What it does not hold does not exist.
type zone struct {
	srv    map[string][]*net.SRV
	srvErr map[string]error
	addrs  map[string][]string
	stall  map[string]bool // lookups that never answer, by name or by network and name
	slow   map[string]time.Duration

	mu      sync.Mutex
	queries []string
	busy    int // lookups under way
}

// asked notes a query and takes the time that it takes.
func (z *zone) asked(ctx context.Context, q string, names ...string) error {
	z.mu.Lock()
	z.queries = append(z.queries, q)
	z.busy++
	z.mu.Unlock()
	defer func() {
		z.mu.Lock()
		z.busy--
		z.mu.Unlock()
	}()
	for _, n := range names {
		if z.stall[n] {
			<-ctx.Done()
			return ctx.Err()
		}
		if z.slow[n] > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(z.slow[n]):
			}
		}
	}
	return nil
}

func (z *zone) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	q := "_" + service + "._" + proto + "." + name
	if err := z.asked(ctx, "SRV "+q, q); err != nil {
		return "", nil, err
	}
	if len(z.srv[q]) == 0 && z.srvErr[q] == nil {
		return "", nil, &net.DNSError{Err: "no such host", Name: q, IsNotFound: true}
	}
	return q, z.srv[q], z.srvErr[q]
}

func (z *zone) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := z.asked(ctx, network+" "+host, host, network+" "+host); err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range z.addrs[host] {
		if addr := netip.MustParseAddr(a); addr.Unmap().Is4() == (network == "ip4") {
			out = append(out, addr)
		}
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return out, nil
}

var errRefused = errors.New("connection refused")

// network is a dialer. Addresses in up accept connections, those in silent never
// answer, all others refuse.
type network struct {
	up, silent map[string]bool
	slow       map[string]time.Duration // how long it takes to connect

	mu      sync.Mutex
	dialled []string
	open    int // connections that were made and not closed
	busy    int // attempts under way
}

// counted is a connection that says when it is closed.
type counted struct {
	net.Conn
	once sync.Once
	n    *network
}

func (c *counted) Close() error {
	c.once.Do(func() { c.n.count(-1) })
	return c.Conn.Close()
}

func (n *network) count(d int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open += d
}

func (n *network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, address)
	n.busy++
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.busy--
		n.mu.Unlock()
	}()
	if d := n.slow[address]; d > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(d):
		}
	}
	switch {
	case network != "tcp":
		return nil, errors.New("unexpected network " + network)
	case n.silent[address]:
		<-ctx.Done()
		return nil, ctx.Err()
	case n.up[address]:
		conn, _ := memconn.Pipe()
		n.count(1)
		return &counted{Conn: conn, n: n}, nil
	}
	return nil, errRefused
}

func set(s ...string) map[string]bool {
	out := map[string]bool{}
	for _, k := range s {
		out[k] = true
	}
	return out
}

func record(target string, port, priority uint16) *net.SRV {
	return &net.SRV{Target: target, Port: port, Priority: priority}
}

const srvName = "_xmpp-client._tcp.im.example."

func TestClient(t *testing.T) {
	serverFailure := &net.DNSError{Err: "server misbehaving", Name: srvName, IsTemporary: true}
	zoneA := map[string][]string{
		"im.example.": {"192.0.2.1"}, "x1.example.": {"2001:db8::1", "192.0.2.11"}, "x2.example.": {"192.0.2.12"},
	}
	twoRecords := map[string][]*net.SRV{srvName: {record("x2.example.", 5223, 20), record("x1.example.", 5222, 10)}}
	for _, tc := range []struct {
		name    string
		domain  string // im.example if empty
		zone    *zone
		server  string
		up      []string
		want    string // the target, "" for an error
		source  dial.Source
		dialled []string
	}{
		{
			name: "RFC 6120 §3.2.1 step 5: first target", zone: &zone{srv: twoRecords, addrs: zoneA},
			up: []string{"[2001:db8::1]:5222"}, want: "x1.example:5222 (2001:db8::1)", source: dial.SRV,
			dialled: []string{"[2001:db8::1]:5222"},
		},
		{
			name: "step 6: its next address", zone: &zone{srv: twoRecords, addrs: zoneA},
			up: []string{"192.0.2.11:5222", "192.0.2.12:5223"}, want: "x1.example:5222 (192.0.2.11)", source: dial.SRV,
			dialled: []string{"[2001:db8::1]:5222", "192.0.2.11:5222"},
		},
		{
			name: "step 7: next target", zone: &zone{srv: twoRecords, addrs: zoneA},
			up: []string{"192.0.2.12:5223"}, want: "x2.example:5223 (192.0.2.12)", source: dial.SRV,
			dialled: []string{"[2001:db8::1]:5222", "192.0.2.11:5222", "192.0.2.12:5223"},
		},
		{
			name: "step 7: a target that does not resolve", up: []string{"192.0.2.12:5223"},
			zone: &zone{srv: twoRecords, addrs: map[string][]string{"x2.example.": {"192.0.2.12"}}},
			want: "x2.example:5223 (192.0.2.12)", source: dial.SRV, dialled: []string{"192.0.2.12:5223"},
		},
		{
			name: "step 8: no fallback once there was an answer", zone: &zone{srv: twoRecords, addrs: zoneA},
			up: []string{"192.0.2.1:5222"}, dialled: []string{"[2001:db8::1]:5222", "192.0.2.11:5222", "192.0.2.12:5223"},
		},
		{
			name: "§3.2.2: no record", zone: &zone{addrs: zoneA},
			up: []string{"192.0.2.1:5222"}, want: "im.example:5222 (192.0.2.1)", source: dial.Fallback,
			dialled: []string{"192.0.2.1:5222"},
		},
		{
			name: "step 9: server failure", zone: &zone{addrs: zoneA, srvErr: map[string]error{srvName: serverFailure}},
			up: []string{"192.0.2.1:5222"}, want: "im.example:5222 (192.0.2.1)", source: dial.Fallback,
			dialled: []string{"192.0.2.1:5222"},
		},
		{
			name: "records beside an error", up: []string{"192.0.2.12:5223"},
			zone: &zone{
				srv:    map[string][]*net.SRV{srvName: {nil, record("", 1, 1), record("x2.example.", 5223, 1)}},
				srvErr: map[string]error{srvName: errors.New("some names were invalid")}, addrs: zoneA,
			},
			want: "x2.example:5223 (192.0.2.12)", source: dial.SRV, dialled: []string{"192.0.2.12:5223"},
		},
		{
			name: "IPv4 literal", domain: "192.0.2.7", up: []string{"192.0.2.7:5222"},
			want: "192.0.2.7:5222", source: dial.Literal, dialled: []string{"192.0.2.7:5222"},
		},
		{
			name: "IPv6 literal", domain: "[2001:db8::7]", up: []string{"[2001:db8::7]:5222"},
			want: "[2001:db8::7]:5222", source: dial.Literal, dialled: []string{"[2001:db8::7]:5222"},
		},
		{
			name: "A-labels", domain: "münchen.example", up: []string{"192.0.2.3:5222"},
			zone: &zone{addrs: map[string][]string{"xn--mnchen-3ya.example.": {"192.0.2.3"}}},
			want: "xn--mnchen-3ya.example:5222 (192.0.2.3)", source: dial.Fallback, dialled: []string{"192.0.2.3:5222"},
		},
		{
			name: "IPv4 in IPv6", up: []string{"192.0.2.1:5222"},
			zone: &zone{addrs: map[string][]string{"im.example.": {"::ffff:192.0.2.1"}}},
			want: "im.example:5222 (192.0.2.1)", source: dial.Fallback, dialled: []string{"192.0.2.1:5222"},
		},
		{
			name: "§3.2.3: host", server: "apps.example", up: []string{"192.0.2.9:5222"},
			zone: &zone{srv: twoRecords, addrs: map[string][]string{"apps.example": {"192.0.2.9"}}},
			want: "apps.example:5222 (192.0.2.9)", dialled: []string{"192.0.2.9:5222"},
		},
		{
			name: "§3.2.3: host and port", server: "xmpp_1:15222", up: []string{"192.0.2.9:15222"},
			zone: &zone{addrs: map[string][]string{"xmpp_1": {"192.0.2.9"}}},
			want: "xmpp_1:15222 (192.0.2.9)", dialled: []string{"192.0.2.9:15222"},
		},
		{
			name: "§3.2.3: internationalised host", server: "bücher.example:1", up: []string{"192.0.2.9:1"},
			zone: &zone{addrs: map[string][]string{"xn--bcher-kva.example": {"192.0.2.9"}}},
			want: "xn--bcher-kva.example:1 (192.0.2.9)", dialled: []string{"192.0.2.9:1"},
		},
		{name: "§3.2.3: IPv4", server: "192.0.2.9", up: []string{"192.0.2.9:5222"}, want: "192.0.2.9:5222", dialled: []string{"192.0.2.9:5222"}},
		{name: "§3.2.3: IPv4 and port", server: "192.0.2.9:80", up: []string{"192.0.2.9:80"}, want: "192.0.2.9:80", dialled: []string{"192.0.2.9:80"}},
		{name: "§3.2.3: IPv6", server: "2001:db8::9", up: []string{"[2001:db8::9]:5222"}, want: "[2001:db8::9]:5222", dialled: []string{"[2001:db8::9]:5222"}},
		{name: "§3.2.3: IPv6 in brackets", server: "[2001:db8::9]", up: []string{"[2001:db8::9]:5222"}, want: "[2001:db8::9]:5222", dialled: []string{"[2001:db8::9]:5222"}},
		{name: "§3.2.3: IPv6 and port", server: "[2001:db8::9]:80", up: []string{"[2001:db8::9]:80"}, want: "[2001:db8::9]:80", dialled: []string{"[2001:db8::9]:80"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := &network{up: set(tc.up...)}
			domain := tc.domain
			if domain == "" {
				domain = "im.example"
			}
			conn, target, err := dial.Client(t.Context(), jid.MustParse(domain), &dial.Options{
				Server: tc.server, Resolver: cmp.Or(tc.zone, &zone{}), Dialer: n,
			})
			require.Equal(t, tc.dialled, n.dialled)
			if tc.zone != nil && (tc.server != "" || tc.source == dial.Literal) {
				require.NotContains(t, strings.Join(tc.zone.queries, " "), "SRV")
			}
			if tc.want == "" {
				require.Error(t, err)
				require.Nil(t, conn)
				require.Zero(t, target)
				return
			}
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			require.Equal(t, tc.want, target.String())
			require.Equal(t, tc.source, target.Source)
		})
	}
}

func TestUnusableOptions(t *testing.T) {
	for _, server := range []string{"im.example:0", "im.example:65536", "im.example:x", "im.example:", ":5222", "a b", "[::1", "::1]", "a/b", "user@im.example", strings.Repeat("ü", 100) + ".example"} {
		n := &network{}
		conn, _, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Server: server, Resolver: &zone{}, Dialer: n})
		require.ErrorIs(t, err, dial.ErrOptions, server)
		require.Nil(t, conn)
		require.Empty(t, n.dialled)
	}
	_, _, err := dial.Client(t.Context(), jid.JID{}, &dial.Options{Resolver: &zone{}, Dialer: &network{}})
	require.ErrorIs(t, err, jid.ErrEmpty)
	_, _, err = dial.Client(t.Context(), jid.MustParse(strings.Repeat("a.", 200)+"example"), &dial.Options{Resolver: &zone{}, Dialer: &network{}})
	require.ErrorIs(t, err, jid.ErrTooLong)
}

type nothing struct{}

func (nothing) DialContext(context.Context, string, string) (net.Conn, error) { return nil, nil }

func TestDialerThatReturnsNothing(t *testing.T) {
	conn, _, err := dial.Client(t.Context(), jid.MustParse("192.0.2.1"), &dial.Options{Dialer: nothing{}})
	require.Nil(t, conn)
	var e *dial.Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Attempts, 1)
}

func TestTimeouts(t *testing.T) {
	z := func() *zone {
		return &zone{
			srv:   map[string][]*net.SRV{srvName: {record("x1.example.", 5222, 1), record("x2.example.", 5222, 2)}},
			addrs: map[string][]string{"x1.example.": {"192.0.2.1"}, "x2.example.": {"192.0.2.2"}, "im.example.": {"192.0.2.3"}},
		}
	}
	run := func(t *testing.T, name string, test func(t *testing.T, start time.Time)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, time.Now()) })
		})
	}
	im := jid.MustParse("im.example")
	run(t, "a silent target costs the pause before one of lower priority", func(t *testing.T, start time.Time) {
		n := &network{silent: set("192.0.2.1:5222"), up: set("192.0.2.2:5222")}
		conn, target, err := dial.Client(t.Context(), im, &dial.Options{Resolver: z(), Dialer: n, AttemptTimeout: 3 * time.Second})
		require.NoError(t, err)
		conn.Close()
		require.Equal(t, "x2.example", target.Host)
		require.Equal(t, time.Second, time.Since(start))
	})
	run(t, "a silent name server is no response", func(t *testing.T, start time.Time) {
		resolver := z()
		resolver.stall = set(srvName)
		n := &network{up: set("192.0.2.3:5222")}
		conn, target, err := dial.Client(t.Context(), im, &dial.Options{Resolver: resolver, Dialer: n})
		require.NoError(t, err)
		conn.Close()
		require.Equal(t, dial.Fallback, target.Source)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
	run(t, "the whole is bounded", func(t *testing.T, start time.Time) {
		n := &network{silent: set("192.0.2.1:5222", "192.0.2.2:5222")}
		_, _, err := dial.Client(t.Context(), im, &dial.Options{Resolver: z(), Dialer: n, Timeout: 7 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 7*time.Second, time.Since(start))
		var e *dial.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, context.DeadlineExceeded, e.Cause)
		require.Len(t, e.Attempts, 2)
	})
	run(t, "cancelled while dialling", func(t *testing.T, start time.Time) {
		gone := errors.New("the user closed the window")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		n := &network{silent: set("192.0.2.1:5222"), up: set("192.0.2.2:5222")}
		_, _, err := dial.Client(ctx, im, &dial.Options{Resolver: z(), Dialer: n})
		require.ErrorIs(t, err, gone)
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, []string{"192.0.2.1:5222"}, n.dialled)
	})
	run(t, "cancelled during the lookup", func(t *testing.T, start time.Time) {
		resolver := z()
		resolver.stall = set(srvName)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := &network{up: set("192.0.2.3:5222")}
		_, _, err := dial.Client(ctx, im, &dial.Options{Resolver: resolver, Dialer: n})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		require.Empty(t, n.dialled)
	})
	run(t, "a silent address lookup costs our patience", func(t *testing.T, start time.Time) {
		resolver := z()
		resolver.stall = set("x1.example.")
		n := &network{up: set("192.0.2.2:5222")}
		conn, _, err := dial.Client(t.Context(), im, &dial.Options{Resolver: resolver, Dialer: n})
		require.NoError(t, err)
		conn.Close()
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestError(t *testing.T) {
	long := strings.Repeat("ü\x1b", 5000)
	e := &dial.Error{Domain: long, Cause: errors.New(long), Lookup: errors.New(long)}
	for range 100 {
		e.Attempts = append(e.Attempts, dial.Attempt{Target: dial.Target{Host: long}, Err: errors.New(long)})
	}
	require.LessOrEqual(t, len(e.Error()), 1024)
	require.NotContains(t, e.Error(), "\x1b")
	require.NotEmpty(t, (&dial.Error{}).Error())
	require.Equal(t, "x:1", dial.Target{Host: "x", Port: 1}.String())
	require.Equal(t, `"x\x1b":1`, dial.Target{Host: "x\x1b", Port: 1}.String())

	lookup := &net.DNSError{Err: "server misbehaving", Name: srvName, IsTemporary: true}
	z := &zone{srvErr: map[string]error{srvName: lookup}, addrs: map[string][]string{"im.example.": {"192.0.2.1"}}}
	_, _, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Resolver: z, Dialer: &network{}})
	require.Equal(t, "dial: connecting to im.example: "+
		"SRV lookup: lookup _xmpp-client._tcp.im.example.: server misbehaving; "+
		"im.example:5222 (192.0.2.1): connection refused", err.Error())
	require.ErrorIs(t, err, errRefused)
	require.ErrorIs(t, err, lookup)
	for i, want := range []string{"configured", "IP literal", "SRV", "fallback", "Source(4)"} {
		require.Equal(t, want, fmt.Sprint(dial.Source(i)))
	}
}
