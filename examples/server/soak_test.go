package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
)

// soakSize is how much a soak takes.
type soakSize struct {
	clients int
	lasts   time.Duration
	mean    time.Duration // of the life of a connection
	pace    time.Duration // between two messages of a client
}

// soakSizeOf returns the size that the environment asks for: STANZAKIT_SOAK says
// how long, with all clients.
func soakSizeOf(t *testing.T) soakSize {
	t.Helper()
	large := soakSize{clients: 1000, lasts: time.Minute, mean: 8 * time.Second, pace: time.Second}
	if v := os.Getenv("STANZAKIT_SOAK"); v != "" {
		d, err := time.ParseDuration(v)
		require.NoError(t, err, "STANZAKIT_SOAK")
		large.lasts = d
		return large
	}
	if full() {
		return large
	}
	return soakSize{clients: 50, lasts: 5 * time.Second, mean: 400 * time.Millisecond, pace: 50 * time.Millisecond}
}

// Clients write to each other while their connections are cut at random moments,
// in the middle of a write too, and resume their sessions. No message is lost and
// none comes twice, by count and by number (XEP-0198 §4, §5).
func TestSoak(t *testing.T) {
	size := soakSizeOf(t)
	seed := seeded(t)
	in := install(t, "-store", "memory", "-debug", "127.0.0.1:0")
	server := in.launch("-users", accounts(size.clients))
	ctx, stop := context.WithTimeout(t.Context(), size.lasts+3*time.Minute)
	defer stop()

	cut := &cutter{mean: size.mean}
	people := make([]*person, size.clients)
	var logins sync.WaitGroup
	failures := make([]error, size.clients)
	slots := make(chan struct{}, 32)
	began := time.Now()
	for i := range people {
		p, err := newPerson(jid.MustParse(fmt.Sprintf("user%d@chat.test", i)), rand.New(rand.NewPCG(seed, uint64(i))))
		require.NoError(t, err)
		p.dial, p.roots, p.plain, p.inline, p.pause = in.dial, in.roots, i%4 != 0, i%2 == 0, size.mean/8
		people[i] = p
		logins.Go(func() { // joined below
			slots <- struct{}{}
			defer func() { <-slots }()
			failures[i] = p.connect(ctx)
		})
	}
	logins.Wait()
	t.Logf("%d logins in %s", size.clients, time.Since(began).Round(time.Millisecond))
	for _, err := range failures {
		require.NoError(t, err)
	}

	var staying, writing sync.WaitGroup
	defer staying.Wait()
	defer stop()
	for i, p := range people {
		p.to = people[i^1].session.LocalAddr()
		// From the second one on the connections are frail.
		random := rand.New(rand.NewPCG(seed, 1<<33+uint64(i)))
		p.dial = func(ctx context.Context) (net.Conn, error) {
			nc, err := in.dial(ctx)
			if err == nil && !cut.calm.Load() {
				nc = cut.wrap(nc, random)
			}
			return nc, err
		}
		staying.Go(func() { p.stay(ctx) }) // ends with ctx
	}
	random := rand.New(rand.NewPCG(seed, 1<<35))
	for _, p := range people {
		require.NoError(t, p.resumable(ctx))
		first := p.now()
		time.AfterFunc(time.Duration(random.Int64N(int64(2*size.mean))), func() { first.Abort(errCut) })
	}
	sent := make([]int, size.clients)
	quiet := make(chan struct{})
	for i, p := range people {
		random := rand.New(rand.NewPCG(seed, 1<<34+uint64(i)))
		writing.Go(func() { sent[i], failures[i] = p.write(ctx, 0, random, size.pace, quiet) })
	}
	select {
	case <-time.After(size.lasts):
	case <-ctx.Done():
	}
	close(quiet)
	writing.Wait()
	cut.calm.Store(true)
	for _, err := range failures {
		require.NoError(t, err)
	}
	// All that was written arrives, and nothing else does until one message more.
	for i, p := range people {
		require.NoError(t, p.now().Send(ctx, p.message(sent[i])))
		sent[i]++
	}
	patience, enough := context.WithTimeout(ctx, 45*time.Second)
	defer enough()
	for i := range people {
		if people[i^1].hears(patience, sent[i]-1) != nil {
			break // what is missing is counted below
		}
	}
	cut.ghosts.Wait()
	goroutines, sessions := in.inside(server)
	t.Logf("the server has %d sessions and %d goroutines", sessions, goroutines)
	for _, p := range people {
		p.leave(ctx)
	}
	stop()
	staying.Wait()

	var messages, lost, twice, disordered, strange, fresh, resumed, failed int
	for i := range people {
		p := people[i^1]
		l, d, o := compare(p.heard, sent[i])
		if len(l)+len(d)+len(o)+len(p.strange)+len(p.trouble) > 0 {
			t.Logf("%s: of %d messages lost %v, twice %v, out of order %v; not resumed %q; %q", p.account, sent[i], l, d, o, p.trouble, p.strange)
		}
		messages, fresh, resumed, failed = messages+sent[i], fresh+p.fresh, resumed+p.resumed, failed+p.failed
		lost, twice, disordered, strange = lost+len(l), twice+len(d), disordered+len(o), strange+len(p.strange)
	}
	t.Logf("%d clients, %s: %d messages, %d cuts (closed %d, reset %d, in a write %d, in a read %d, unnoticed %d), %d resumptions, %d attempts cut short, %d fresh sessions, %d lost, %d duplicated",
		size.clients, size.lasts, messages, cut.total(), cut.cuts[closed].Load(), cut.cuts[reset].Load(), cut.cuts[midWrite].Load(), cut.cuts[midRead].Load(), cut.cuts[ghost].Load(),
		resumed, failed, fresh-size.clients, lost, twice)
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Zero(t, disordered)
	require.Zero(t, strange)
	require.Equal(t, size.clients, fresh, "every session was resumed")
	require.Greater(t, resumed, size.clients/2)
	in.stop(server)
	in.sound()
}

// inside returns how many goroutines and sessions a process has.
func (in *installation) inside(p *life) (goroutines, sessions int) {
	in.t.Helper()
	return in.ask(p, "/debug/pprof/goroutine?debug=1", `total (\d+)`), in.ask(p, "/metrics", `\nxmpp_sessions (\d+)\n`)
}

// ask returns a number that a process tells about itself.
func (in *installation) ask(p *life, path, pattern string) (n int) {
	in.t.Helper()
	r, err := http.Get("http://" + p.ports["debug"] + path)
	require.NoError(in.t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(in.t, err)
	m := regexp.MustCompile(pattern).FindSubmatch(b)
	require.NotNil(in.t, m, "%.200s", b)
	_, err = fmt.Sscan(string(m[1]), &n)
	require.NoError(in.t, err)
	return n
}
