package dial_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
)

// strict is a resolver and a dialer that remember every context.
type strict struct {
	zone
	network
	mu       sync.Mutex
	contexts []context.Context
}

func (s *strict) next(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contexts = append(s.contexts, ctx)
}

func (s *strict) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	s.next(ctx)
	return s.zone.LookupSRV(ctx, service, proto, name)
}

func (s *strict) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	s.next(ctx)
	return s.zone.LookupNetIP(ctx, network, host)
}

func (s *strict) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.next(ctx)
	return s.network.DialContext(ctx, network, address)
}

// Nothing is left of lookups and attempts when there is a connection.
func TestContextsEnd(t *testing.T) {
	s := &strict{}
	s.srv = map[string][]*net.SRV{srvName: {record("x1.example.", 5222, 1), record("x2.example.", 5222, 2)}}
	s.addrs = map[string][]string{"x1.example.": {"192.0.2.1", "192.0.2.2"}, "x2.example.": {"192.0.2.3"}}
	s.up = set("192.0.2.3:5222")
	conn, _, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Resolver: s, Dialer: s})
	require.NoError(t, err)
	conn.Close()
	require.Len(t, s.contexts, 9, "two sets of records, two families of two names, three addresses")
	for _, ctx := range s.contexts {
		require.Error(t, ctx.Err())
	}
}

// What ended the whole is the cause, and the lookup's error is beside it.
func TestCancelledDuringTheLookup(t *testing.T) {
	gone := errors.New("the user closed the window")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		_, _, err := dial.Client(ctx, jid.MustParse("im.example"), &dial.Options{Resolver: &zone{stall: set(srvName)}, Dialer: &network{}})
		var e *dial.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, gone, e.Cause)
		require.Equal(t, context.Canceled, e.Lookup)
		require.Empty(t, e.Attempts)
	})
}

// Without a resolver it is that of the system, which here has no time to ask.
func TestDefaultResolver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := dial.Client(ctx, jid.MustParse("im.example"), &dial.Options{Dialer: &network{}})
	require.ErrorIs(t, err, context.Canceled)
}

// hollow is a resolver that has an error, or neither that nor addresses.
type hollow struct {
	zone
	err error
}

func (h *hollow) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, h.err
}

func TestNameWithoutAddresses(t *testing.T) {
	for _, want := range []error{nil, errors.New("the cable is out")} {
		_, _, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Resolver: &hollow{err: want}, Dialer: &network{}})
		var e *dial.Error
		require.ErrorAs(t, err, &e)
		require.Len(t, e.Attempts, 1)
		if want != nil {
			require.Equal(t, want, e.Attempts[0].Err)
			continue
		}
		var dns *net.DNSError
		require.ErrorAs(t, e.Attempts[0].Err, &dns)
		require.True(t, dns.IsNotFound)
		require.Equal(t, "im.example.", dns.Name)
	}
}

// A target says which record it comes from; a record without a target is none.
func TestTargetOfARecord(t *testing.T) {
	z := &zone{
		srv: map[string][]*net.SRV{srvName: {
			{Target: "", Port: 1, Priority: 1}, {Target: "x1.example.", Port: 5269, Priority: 7, Weight: 9},
		}},
		addrs: map[string][]string{"x1.example.": {"192.0.2.1"}},
	}
	conn, target, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Resolver: z, Dialer: &network{up: set("192.0.2.1:5269")}})
	require.NoError(t, err)
	conn.Close()
	require.Equal(t, dial.Target{
		Host: "x1.example", Port: 5269, Addr: netip.MustParseAddr("192.0.2.1"), Source: dial.SRV, Priority: 7, Weight: 9,
	}, target)
	require.ElementsMatch(t, []string{"SRV " + srvName, "SRV " + directName, "ip6 x1.example.", "ip4 x1.example."}, z.queries)
}

func TestServerWithTooManyColons(t *testing.T) {
	_, _, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Server: "a:b:c", Resolver: &zone{}, Dialer: &network{}})
	require.ErrorIs(t, err, dial.ErrOptions)
}
