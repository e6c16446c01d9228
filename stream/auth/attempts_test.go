package auth_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("198.51.100.7")
	// No network is known.
	nowhere = netip.Addr{}
)

// failedTimes makes an account fail n times, each of which the client may know.
func failedTimes(t *testing.T, a *auth.Attempts, n int, account jid.JID, addr netip.Addr) {
	t.Helper()
	for range n {
		require.True(t, a.Allow(account, addr))
		require.True(t, a.Failed(account, addr))
	}
}

func TestAttempts(t *testing.T) {
	t.Run("5 by default", func(t *testing.T) {
		a := auth.NewAttempts(nil)
		failedTimes(t, a, 5, juliet, here)
		require.False(t, a.Allow(juliet, here))
	})
	// XEP-0205 §2: nobody can lock the owner of an account out from somewhere else.
	t.Run("elsewhere the owner gets in", func(t *testing.T) {
		a := auth.NewAttempts(nil)
		failedTimes(t, a, 5, juliet, here)
		require.True(t, a.Allow(juliet, there))
		require.True(t, a.Succeeded(juliet, there))
		// Nor does that open the door for whoever is not the owner.
		require.False(t, a.Allow(juliet, here))
	})
	t.Run("other accounts are not concerned", func(t *testing.T) {
		a := auth.NewAttempts(nil)
		failedTimes(t, a, 5, juliet, here)
		require.True(t, a.Allow(romeo, here))
		require.True(t, a.Allow(jid.JID{}, here))
	})
	t.Run("success resets", func(t *testing.T) {
		a := auth.NewAttempts(nil)
		for range 3 {
			failedTimes(t, a, 4, juliet, here)
			require.True(t, a.Succeeded(juliet, here))
		}
	})
	t.Run("success resets nothing of the address", func(t *testing.T) {
		a := auth.NewAttempts(&auth.AttemptsOptions{PerAddress: 6})
		for range 2 {
			failedTimes(t, a, 2, romeo, here)
			require.True(t, a.Succeeded(romeo, here))
		}
		failedTimes(t, a, 2, romeo, here)
		require.False(t, a.Allow(juliet, here))
		require.False(t, a.Allow(jid.JID{}, here))
	})
	t.Run("one password, many accounts", func(t *testing.T) {
		a := auth.NewAttempts(&auth.AttemptsOptions{PerAddress: 20})
		for i := range 20 {
			failedTimes(t, a, 1, jid.MustParse(fmt.Sprintf("user%d@im.example", i)), here)
		}
		require.False(t, a.Allow(juliet, here))
		require.True(t, a.Allow(juliet, there))
	})
	t.Run("no name counts for the address", func(t *testing.T) {
		a := auth.NewAttempts(&auth.AttemptsOptions{PerAddress: 3})
		failedTimes(t, a, 3, jid.JID{}, here)
		require.False(t, a.Allow(jid.JID{}, here))
	})
	t.Run("no address, no bound", func(t *testing.T) {
		a := auth.NewAttempts(nil)
		failedTimes(t, a, 1000, juliet, nowhere)
		require.True(t, a.Succeeded(juliet, nowhere))
		require.Equal(t, "auth.Attempts{0 accounts 0 addresses}", fmt.Sprint(a))
	})
	t.Run("addresses that are one", func(t *testing.T) {
		a := auth.NewAttempts(nil)
		// One customer's network, one address in two spellings, one interface.
		failedTimes(t, a, 5, juliet, netip.MustParseAddr("2001:db8:1:2::1"))
		require.False(t, a.Allow(juliet, netip.MustParseAddr("2001:db8:1:2:ffff::9")))
		require.True(t, a.Allow(juliet, netip.MustParseAddr("2001:db8:1:3::1")))
		failedTimes(t, a, 5, juliet, here)
		require.False(t, a.Allow(juliet, netip.MustParseAddr("::ffff:192.0.2.1")))
		failedTimes(t, a, 5, juliet, netip.MustParseAddr("fe80::1%eth0"))
		require.False(t, a.Allow(juliet, netip.MustParseAddr("fe80::2%eth1")))
		// A translator's address is that of the one behind it, and not everybody's who is behind it.
		require.False(t, a.Allow(juliet, netip.MustParseAddr("64:ff9b::192.0.2.1")))
		failedTimes(t, a, 5, juliet, netip.MustParseAddr("64:ff9b::203.0.113.1"))
		require.True(t, a.Allow(juliet, netip.MustParseAddr("64:ff9b::203.0.113.2")))
	})
}

func TestAttemptsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := auth.NewAttempts(&auth.AttemptsOptions{PerAccount: 2, PerAddress: 3, Window: time.Hour})
		failedTimes(t, a, 1, juliet, here)
		<-time.After(59 * time.Minute)
		failedTimes(t, a, 1, juliet, here)
		require.False(t, a.Allow(juliet, here))
		// Being turned away does not make it longer.
		require.False(t, a.Failed(juliet, here))
		require.False(t, a.Succeeded(juliet, here))
		<-time.After(time.Minute - 1)
		require.False(t, a.Allow(juliet, here))
		<-time.After(1)
		require.True(t, a.Allow(juliet, here))
		require.Equal(t, "auth.Attempts{0 accounts 0 addresses}", fmt.Sprint(a))
	})
}

// The table is bounded, and whoever fills it by way of other accounts meets the bound of his address
// first.
func TestAttemptsTableIsBounded(t *testing.T) {
	a := auth.NewAttempts(&auth.AttemptsOptions{PerAddress: 10, MaxEntries: 50})
	failedTimes(t, a, 5, juliet, here)
	for i := range 1000 {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		failedTimes(t, a, 1, jid.MustParse(fmt.Sprintf("user%d@im.example", i)), addr)
		if i == 48 {
			require.False(t, a.Allow(juliet, here))
		}
	}
	require.Equal(t, "auth.Attempts{50 accounts 50 addresses}", fmt.Sprint(a))
	// The oldest entry was the first to go.
	require.True(t, a.Allow(juliet, here))

	a = auth.NewAttempts(&auth.AttemptsOptions{PerAddress: 10, MaxEntries: 20})
	failedTimes(t, a, 5, juliet, here)
	told := 0
	for i := range 100 {
		if who := jid.MustParse(fmt.Sprintf("user%d@im.example", i)); a.Allow(who, here) && a.Failed(who, here) {
			told++
		}
	}
	require.Equal(t, 5, told)
	require.False(t, a.Allow(juliet, here))
}

// Guesses that are made at the same time learn no more than guesses one after the other: all of these
// were allowed before one of them had failed.
func TestAttemptsAtTheSameTime(t *testing.T) {
	a := auth.NewAttempts(&auth.AttemptsOptions{PerAddress: 10_000})
	const n = 500
	var wg sync.WaitGroup
	var mu sync.Mutex
	told := 0
	var ready sync.WaitGroup
	ready.Add(n)
	for range n {
		wg.Go(func() { // ends by itself
			ok := a.Allow(juliet, here)
			ready.Done()
			ready.Wait()
			if ok && a.Failed(juliet, here) {
				mu.Lock()
				told++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 5, told)
	// The right one among them, too late.
	require.False(t, a.Succeeded(juliet, here))
}

// recorder is a limiter that writes down what it is asked.
type recorder struct {
	auth.AttemptLimiter
	mu    sync.Mutex
	calls []string
}

func (r *recorder) note(what string, account jid.JID, addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, strings.TrimSpace(fmt.Sprintf("%s %s %v", what, account.Local(), addr)))
}

func (r *recorder) Allow(account jid.JID, addr netip.Addr) bool {
	r.note("allow", account, addr)
	return r.AttemptLimiter.Allow(account, addr)
}

func (r *recorder) Failed(account jid.JID, addr netip.Addr) bool {
	r.note("failed", account, addr)
	return r.AttemptLimiter.Failed(account, addr)
}

func (r *recorder) Succeeded(account jid.JID, addr netip.Addr) bool {
	r.note("succeeded", account, addr)
	return r.AttemptLimiter.Succeeded(account, addr)
}

// from says that all streams come from an address.
func from(addr netip.Addr) func(context.Context) netip.Addr {
	return func(context.Context) netip.Addr { return addr }
}

// What a limiter is told of each kind of attempt.
func TestAttemptLimiterIsAsked(t *testing.T) {
	accounts := store(t)
	first := `<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("n,,n=Juliet,r=abcdefghijkl") + `</auth>`
	bearer := func(_ context.Context, _ jid.JID, token sasl.BearerToken) (jid.JID, error) {
		switch token.Token {
		case "good":
			return juliet, nil
		case "later":
			return jid.JID{}, &sasl.Error{Condition: sasl.TemporaryAuthFailure}
		}
		return jid.JID{}, sasl.ErrUnknownUser
	}
	oauth := func(token string) string {
		return `<auth` + xmlns + ` mechanism='OAUTHBEARER'>` + b64("n,,\x01auth=Bearer "+token+"\x01\x01") + `</auth>`
	}
	plain := func(user, password string) string {
		return `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00"+user+"\x00"+password) + `</auth>`
	}
	for name, c := range map[string]struct {
		send, expect string
		want         []string
	}{
		"right":             {plain("juliet", "r0m30"), "<success", []string{"allow  A", "allow juliet A", "succeeded juliet A"}},
		"wrong":             {plain("JULIET", "wrong"), "</failure>", []string{"allow  A", "allow juliet A", "failed juliet A"}},
		"nobody":            {plain("nobody", "wrong"), "</failure>", []string{"allow  A", "allow nobody A", "failed nobody A"}},
		"no name":           {plain("a b", "wrong"), "</failure>", []string{"allow  A", "failed  A"}},
		"abort":             {first + `<abort` + xmlns + `/>`, "</failure>", []string{"allow  A", "allow juliet A", "failed juliet A"}},
		"given up":          {first + first, "</challenge><challenge", []string{"allow  A", "allow juliet A", "failed juliet A", "allow  A", "allow juliet A"}},
		"another's":         {`<auth` + xmlns + ` mechanism='PLAIN'>` + b64("romeo@im.example\x00juliet\x00r0m30") + `</auth>`, "<invalid-authzid", []string{"allow  A", "allow juliet A", "failed juliet A"}},
		"no mechanism":      {`<auth` + xmlns + ` mechanism='X'/>`, "</failure>", nil},
		"nothing begun":     {`<abort` + xmlns + `/>`, "</failure>", nil},
		"token":             {oauth("good"), "<success", []string{"allow  A", "succeeded juliet A"}},
		"wrong token":       {oauth("bad") + `<response` + xmlns + `>AQ==</response>`, "</failure>", []string{"allow  A", "failed  A"}},
		"wrong token, gone": {oauth("bad"), "</challenge>", []string{"allow  A", "failed  A"}},
		"nobody's fault":    {oauth("later"), "<temporary-auth-failure", []string{"allow  A"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{AttemptLimiter: auth.NewAttempts(nil)}
			p, done := scriptedClient(t, serverWith(&auth.ServerOptions{
				Store: accounts, AllowPlain: true, Bearer: bearer, Address: from(here), Attempts: r,
			}))
			p.send(clientHeader + c.send)
			p.expect(c.expect)
			p.conn.Close()
			if s := within(t, done).session; s != nil {
				s.Abort(nil)
			}
			for i := range c.want {
				c.want[i] = strings.ReplaceAll(c.want[i], "A", here.String())
			}
			require.Equal(t, c.want, r.calls)
		})
	}
	// A store that fails is not the client's fault.
	t.Run("store out of order", func(t *testing.T) {
		r := &recorder{AttemptLimiter: auth.NewAttempts(nil)}
		p, _ := scriptedClient(t, serverWith(&auth.ServerOptions{Store: brokenStore{}, AllowPlain: true, Attempts: r}))
		p.send(clientHeader + plain("juliet", "r0m30"))
		p.expect("<temporary-auth-failure/>")
		require.Equal(t, []string{"allow  invalid IP", "allow juliet invalid IP"}, r.calls)
	})
}

// brokenStore is out of order.
type brokenStore struct{}

func (brokenStore) Keys(context.Context, string, sasl.Hash) (sasl.Keys, string, error) {
	return sasl.Keys{}, "", context.DeadlineExceeded
}

// S23, across connections.
func attemptsAcrossStreams(t *testing.T) {
	accounts := store(t)
	plain := func(password string) string {
		return `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00"+password) + `</auth>`
	}
	scram := `<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("n,,n=juliet,r=abcdefghijkl") + `</auth>`
	bound := `<auth` + xmlns + ` mechanism='SCRAM-SHA-256-PLUS'>` + b64("p=tls-exporter,,n=juliet,r=abcdefghijkl") + `</auth>`
	proof := `<response` + xmlns + `>` + b64("c=biws,r=x,p=AAAA") + `</response>`
	abort := `<abort` + xmlns + `/>`
	const turnedAway = `<failure` + xmlns + `><temporary-auth-failure/></failure><stream:error><policy-violation`
	// One address for each stream, and one server.
	type client struct{ addr netip.Addr }
	server := func(t *testing.T, opts *auth.ServerOptions) func(netip.Addr) (*peer, <-chan result) {
		var c client
		opts.Store, opts.AllowPlain = accounts, true
		opts.Address = func(context.Context) netip.Addr { return c.addr }
		ao := serverWith(opts)
		return func(addr netip.Addr) (*peer, <-chan result) {
			c.addr = addr // streams follow each other
			ao.Security = tls13()
			p, done := scriptedClient(t, ao)
			p.send(clientHeader)
			p.expect("</stream:features>")
			return p, done
		}
	}
	for name, attempt := range map[string]string{
		"PLAIN": plain("wrong"), "SCRAM": scram + proof, "SCRAM-PLUS": bound + proof, "abort": scram + abort,
	} {
		t.Run("server/"+name, func(t *testing.T) {
			connect := server(t, new(auth.ServerOptions))
			for range 5 {
				p, done := connect(here)
				p.send(attempt)
				require.NotContains(t, p.expect("</failure>"), "temporary")
				p.conn.Close()
				within(t, done)
			}
			// The right password and the wrong one look alike now: at each step, to each mechanism.
			for _, again := range []string{plain("r0m30"), plain("wrong"), scram, bound} {
				p, done := connect(here)
				p.send(again)
				out, err := p.end(done)
				require.True(t, strings.HasPrefix(out, turnedAway), out)
				require.ErrorIs(t, err, stream.PolicyViolation)
			}
			// The owner, elsewhere, does not notice.
			p, done := connect(there)
			p.send(plain("r0m30"))
			p.expect("<success")
			p.conn.Close()
			within(t, done)
		})
	}
	t.Run("server/the account does not matter", func(t *testing.T) {
		connect := server(t, &auth.ServerOptions{Attempts: auth.NewAttempts(&auth.AttemptsOptions{PerAddress: 4})})
		for i := range 4 {
			p, done := connect(here)
			p.send(strings.Replace(plain("x"), b64("\x00juliet\x00x"), b64(fmt.Sprintf("\x00user%d\x00123456", i)), 1))
			p.expect("<not-authorized/>")
			p.conn.Close()
			within(t, done)
		}
		p, done := connect(here)
		p.send(plain("r0m30"))
		out, _ := p.end(done)
		require.True(t, strings.HasPrefix(out, turnedAway), out)
	})
	t.Run("server/success resets", func(t *testing.T) {
		connect := server(t, new(auth.ServerOptions))
		for range 3 {
			for _, password := range []string{"wrong", "wrong", "wrong", "wrong", "r0m30"} {
				p, done := connect(here)
				p.send(plain(password))
				if password == "wrong" {
					p.expect("<not-authorized/>")
				} else {
					p.expect("<success")
				}
				p.conn.Close()
				within(t, done)
			}
		}
	})
	// Allowed before, too late when it comes to it: the exchange was under way while others failed.
	t.Run("server/right in the middle of wrong ones", func(t *testing.T) {
		limiter := auth.NewAttempts(nil)
		connect := server(t, &auth.ServerOptions{Attempts: limiter, Authorize: func(context.Context, jid.JID, jid.JID) error {
			failedTimes(t, limiter, 5, juliet, here)
			return nil
		}})
		p, done := connect(here)
		p.send(plain("r0m30"))
		out, err := p.end(done)
		require.True(t, strings.HasPrefix(out, turnedAway), out)
		require.ErrorIs(t, err, stream.PolicyViolation)
	})
	// What the client makes of it.
	t.Run("client", func(t *testing.T) {
		limiter := auth.NewAttempts(nil)
		failedTimes(t, limiter, 5, juliet, here)
		client, srv := negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30"}),
			serverWith(&auth.ServerOptions{Store: accounts, Attempts: limiter, Address: from(here)}))
		require.ErrorIs(t, client.err, sasl.TemporaryAuthFailure)
		require.ErrorIs(t, srv.err, stream.PolicyViolation)
	})
}
