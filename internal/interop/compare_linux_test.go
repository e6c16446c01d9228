package interop_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"flag"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/sasl"
	xtls "stanzakit.dev/xmpp/tls"
)

// BenchmarkCompare loads examples/server, Prosody and ejabberd in the same ways, and reports what that costs them. The page on examples/server
// has the commands, what the numbers mean, and what they were.
func BenchmarkCompare(b *testing.B) {
	if !strings.Contains(flag.Lookup("test.bench").Value.String(), "Compare") {
		b.Skip("it takes minutes; ask for it by name, with -bench Compare")
	}
	a := newArena(b)
	for _, name := range []string{"StanzaKit", "Prosody", "Prosody-generational", "ejabberd"} {
		b.Run(name, func(b *testing.B) {
			defer func() {
				if b.Skipped() { // which is shown only with -v
					fmt.Fprintf(os.Stderr, "%s: skipped, it is not installed; -v says what is missing\n", b.Name())
				}
			}()
			interop.NewContender(b, name, a.options(0)) // skips all of them at once
			for _, kind := range []string{"plain", "TLS"} {
				a.traffic(b, name, "msg-pairs-50-window-20", kind, 100, 1000, func(ctx context.Context, t *target) (*traffic, error) { return messages(ctx, t, 50, 20) })
				a.traffic(b, name, "msg-pairs-10-window-1", kind, 20, 1000, func(ctx context.Context, t *target) (*traffic, error) { return messages(ctx, t, 10, 1) })
				a.traffic(b, name, "fanout-200-window-4", kind, 201, 1000, func(ctx context.Context, t *target) (*traffic, error) { return fanout(ctx, t, 200, 4) })
				for _, mechanism := range []string{"SCRAM-SHA-1", "PLAIN"} {
					a.traffic(b, name, "login-"+mechanism, kind, workers, 1, func(ctx context.Context, t *target) (*traffic, error) {
						t.mechanism, t.cache = mechanism, new(sasl.MemoryKeyCache)
						return logins(ctx, t, workers)
					})
				}
				a.idle(b, name, kind)
			}
			a.startup(b, name)
		})
	}
	// What PLAIN costs a server that keeps derived keys: once for each login.
	for name, h := range map[string]func() hash.Hash{"SHA-1": sha1.New, "SHA-256": sha256.New} {
		b.Run("PBKDF2-10000-"+name, func(b *testing.B) {
			before := usage(b)
			for b.Loop() {
				_, err := pbkdf2.Key(h, "pw", []byte("0123456789abcdef"), 10_000, h().Size())
				require.NoError(b, err)
			}
			b.ReportMetric((usage(b)-before).Seconds()*1000/float64(b.N), "cpu-s/1k")
		})
	}
}

// arena is what the contenders have in common.
type arena struct {
	certificates, ours string
	secure             *tls.Config
	sessions           int
}

const arenaDomain = "compare.example"

func newArena(b *testing.B) *arena {
	ca, err := xtls.NewDevCA()
	require.NoError(b, err)
	a := &arena{
		certificates: b.TempDir(), ours: filepath.Join(b.TempDir(), "server"), sessions: 500,
		secure: &tls.Config{RootCAs: ca.Pool(), ServerName: arenaDomain},
	}
	require.NoError(b, ca.WriteFiles(a.certificates, arenaDomain))
	build := exec.Command("go", "build", "-buildvcs=false", "-o", a.ours, ".")
	build.Dir = filepath.Join("..", "..", "examples", "server")
	out, err := build.CombinedOutput()
	require.NoError(b, err, "%s", out)
	if n := os.Getenv("STANZAKIT_COMPARE_SESSIONS"); n != "" {
		a.sessions, err = strconv.Atoi(n)
		require.NoError(b, err, "STANZAKIT_COMPARE_SESSIONS")
	}
	return a
}

func (a *arena) options(accounts int) interop.ContenderOptions {
	o := interop.ContenderOptions{Domain: arenaDomain, Certificates: a.certificates, Ours: a.ours, Password: "pw"}
	for i := range accounts {
		o.Accounts = append(o.Accounts, account(i))
	}
	return o
}

// contender prepares a server that has as many accounts and has not been started since they were made.
func (a *arena) contender(b *testing.B, name, kind string, accounts int) (*interop.Contender, *target) {
	c := interop.NewContender(b, name, a.options(accounts))
	t := &target{addr: c.Addr, domain: arenaDomain, password: "pw"}
	if c.Registers {
		a.start(b, c)
		require.NoError(b, parallel(accounts, func(i int) error { return registerAccount(b.Context(), t, account(i)) }))
		c.Stop()
	}
	if kind == "TLS" {
		t.secure = a.secure
	}
	return c, t
}

func (a *arena) start(b *testing.B, c *interop.Contender) {
	ctx, cancel := context.WithTimeout(b.Context(), 3*time.Minute) // keys for ten thousand accounts are derived at first
	defer cancel()
	require.NoError(b, c.Start())
	require.NoError(b, c.Ready(ctx))
}

// traffic measures what the server does for each unit, while the traffic is steady. step is how many units are one operation of the benchmark.
func (a *arena) traffic(b *testing.B, name, mode, kind string, accounts int, step int64, begin func(ctx context.Context, t *target) (*traffic, error)) {
	b.Run(mode+"/"+kind, func(b *testing.B) {
		c, t := a.contender(b, name, kind, accounts)
		a.start(b, c)
		x, err := begin(b.Context(), t)
		require.NoError(b, err)
		wait := func(n int64) {
			ctx, cancel := context.WithTimeout(x.ctx, patience)
			defer cancel()
			require.NoError(b, x.received.wait(ctx, n))
		}
		settle(time.Second) // code is loaded, translated and found
		wait(step)
		server, err := c.CPU()
		require.NoError(b, err)
		generator, from := usage(b), x.received.n.Load()
		want := from
		for b.Loop() {
			want += step
			wait(want)
		}
		elapsed := b.Elapsed()
		units := float64(x.received.n.Load() - from)
		used, err := c.CPU()
		require.NoError(b, err)
		generator = usage(b) - generator
		resident, err := c.Resident()
		require.NoError(b, err)
		require.NoError(b, x.finish())
		b.ReportMetric(0, "ns/op")
		b.ReportMetric((used-server).Seconds()*1000/units, "cpu-s/1k")
		b.ReportMetric(generator.Seconds()*1000/units, "generator-cpu-s/1k")
		b.ReportMetric(units/elapsed.Seconds(), "units/s")
		b.ReportMetric(float64(resident)/1024, "MiB")
	})
}

// idle measures the memory that sessions take which do nothing, of a server that has done nothing else.
func (a *arena) idle(b *testing.B, name, kind string) {
	b.Run("idle/"+kind, func(b *testing.B) {
		c, t := a.contender(b, name, kind, a.sessions)
		var each, empty []float64
		for b.Loop() {
			a.start(b, c)
			settle(5 * time.Second)
			before, err := c.Resident()
			require.NoError(b, err)
			wires, err := sessions(b.Context(), t, a.sessions)
			require.NoError(b, err)
			settle(10 * time.Second)
			after, err := c.Resident()
			require.NoError(b, err)
			hangUp(wires)
			c.Stop()
			each, empty = append(each, float64(after-before)/float64(a.sessions)), append(empty, float64(before)/1024)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(a.sessions), "sessions")
		b.ReportMetric(median(each), "KiB/session")
		b.ReportMetric(median(empty), "empty-MiB")
	})
}

// startup measures the time from the start of the process until a client has logged in.
func (a *arena) startup(b *testing.B, name string) {
	b.Run("startup", func(b *testing.B) {
		c, t := a.contender(b, name, "plain", 1)
		t.mechanism = "PLAIN" // the client derives no keys
		var took []float64
		for b.Loop() {
			begin := time.Now()
			require.NoError(b, c.Start())
			ctx, cancel := context.WithTimeout(b.Context(), patience)
			w, err := firstLogin(ctx, c, t)
			cancel()
			require.NoError(b, err)
			took = append(took, time.Since(begin).Seconds())
			w.conn.Close()
			c.Stop()
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(took), "s/first-login")
	})
}

// firstLogin tries until it works: a server may listen before it knows its accounts.
func firstLogin(ctx context.Context, c *interop.Contender, t *target) (*wire, error) {
	for {
		if err := c.Ready(ctx); err != nil {
			return nil, err
		}
		w, err := login(ctx, t, account(0), "load")
		if err == nil || ctx.Err() != nil {
			return w, err
		}
	}
}

// settle lets a server finish what it does on its own.
func settle(d time.Duration) { <-time.After(d) }

// usage returns the processor time of this process.
func usage(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
