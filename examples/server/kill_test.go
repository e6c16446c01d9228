package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// number returns what the environment says, or def.
func number(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return def
	}
	n, err := strconv.ParseUint(v, 10, 64)
	require.NoError(t, err, name)
	return n
}

// full reports whether tests run at full size.
func full() bool { return os.Getenv("STANZAKIT_ADVERSARIAL_FULL") != "" }

// seeded returns the seed of a test, which it prints: STANZAKIT_SEED or a new one.
// With real processes it decides when things happen, and not what becomes of that.
func seeded(t *testing.T) uint64 {
	t.Helper()
	seed := number(t, "STANZAKIT_SEED", rand.Uint64N(1_000_000))
	t.Logf("STANZAKIT_SEED=%d", seed)
	return seed
}

// accounts returns the value of -users for so many accounts.
func accounts(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("user%d:secret of user%d", i, i))
	}
	return strings.Join(list, ",")
}

// company connects so many clients, every one with an account of its own, that
// write to each other in a ring.
func company(t *testing.T, in *installation, n int, seed uint64) []*person {
	t.Helper()
	people := make([]*person, n)
	for i := range people {
		p, err := newPerson(jid.MustParse(fmt.Sprintf("user%d@chat.test", i)), rand.New(rand.NewPCG(seed, uint64(i))))
		require.NoError(t, err)
		p.dial, p.roots, p.plain, p.inline = in.dial, in.roots, i%3 != 0, i%2 == 0
		require.NoError(t, p.connect(t.Context()))
		people[i] = p
	}
	for i, p := range people {
		p.to = people[(i+1)%n].session.LocalAddr()
	}
	return people
}

// The server is killed again and again while clients write to each other, and
// started with what it has stored. Every session is resumed, and every message
// arrives once and in order (XEP-0198 §4, §5).
func TestKilled(t *testing.T) {
	kills := int(number(t, "STANZAKIT_KILLS", 4))
	if full() {
		kills = int(number(t, "STANZAKIT_KILLS", 20))
	}
	seed := seeded(t)
	random := rand.New(rand.NewPCG(seed, 1<<32))
	in := install(t, "-store", filepath.Join(t.TempDir(), "chat.db"))
	count, pace := 2+random.IntN(5), time.Duration(20+random.IntN(20))*time.Millisecond
	server := in.launch("-users", accounts(count))
	people := company(t, in, count, seed)

	ctx, stop := context.WithTimeout(t.Context(), time.Minute+time.Duration(kills)*5*time.Second)
	defer stop()
	var staying, writing sync.WaitGroup
	defer staying.Wait()
	defer stop()
	for _, p := range people {
		staying.Go(func() { p.stay(ctx) }) // ends with ctx
		require.NoError(t, p.resumable(ctx))
	}
	sent, failures := make([]int, count), make([]error, count)
	quiet := make(chan struct{})
	for i, p := range people {
		random := rand.New(rand.NewPCG(seed, 1<<40+uint64(i)))
		writing.Go(func() { sent[i], failures[i] = p.write(ctx, 0, random, pace, quiet) })
	}
	began := time.Now()
	for range kills {
		// Sometimes before everybody is back.
		<-time.After(time.Duration(random.IntN(700)) * time.Millisecond)
		server.kill()
		server = in.launch()
	}
	<-time.After(300 * time.Millisecond)
	took := time.Since(began)
	close(quiet)
	writing.Wait()
	for i, p := range people {
		require.NoError(t, failures[i])
		require.NoError(t, people[(i+1)%count].hears(ctx, sent[i]-1), "%s has sent %d", p.account, sent[i])
	}
	// Once more, so that what was not acknowledged would come again.
	server.kill()
	server = in.launch()
	for i, p := range people {
		require.NoError(t, p.now().Send(ctx, p.message(sent[i])))
		sent[i]++
	}
	for i := range people {
		require.NoError(t, people[(i+1)%count].hears(ctx, sent[i]-1))
	}
	stop()
	staying.Wait()
	in.stop(server)
	messages, resumed := 0, 0
	for i := range people {
		p := people[(i+1)%count]
		lost, twice, disordered := compare(p.heard, sent[i])
		require.Empty(t, lost, "of %d messages to %s, lost", sent[i], p.account)
		require.Empty(t, twice, "of %d messages to %s, twice", sent[i], p.account)
		require.Empty(t, disordered, "of %d messages to %s, out of order", sent[i], p.account)
		require.Equal(t, 1, p.fresh, "sessions of %s that were not resumed: %v", p.account, p.trouble)
		require.Empty(t, p.strange)
		messages += sent[i]
		resumed += p.resumed
	}
	in.sound()
	t.Logf("%d clients, %d kills in %s, a message every %s each: %d messages, %d resumptions, none lost, none twice", count, kills+1, took.Round(time.Millisecond), pace, messages, resumed)
}

// What the server has stored is gone with it: nothing can be resumed. What it had
// not acknowledged is what the clients are told of, all of it and in order.
func TestKilledWithItsStore(t *testing.T) {
	seed := seeded(t)
	in := install(t)
	store := func() string { return filepath.Join(t.TempDir(), "chat.db") } // another one each time
	server := in.launch("-store", store(), "-users", accounts(2))
	people := company(t, in, 2, seed)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var staying sync.WaitGroup
	defer staying.Wait()
	defer stop()
	for _, p := range people {
		p.pause = 100 * time.Millisecond
		staying.Go(func() { p.stay(ctx) }) // ends with ctx
		require.NoError(t, p.resumable(ctx))
	}
	// Some are sent before, some while the server dies, and some while there is none.
	receipts := make([][]*stream.Receipt, len(people))
	write := func(n int, before func(k int)) {
		for k := range n {
			before(k)
			for i, p := range people {
				r, err := p.now().SendReceipt(ctx, p.message(len(receipts[i])))
				require.NoError(t, err)
				receipts[i] = append(receipts[i], r)
			}
		}
	}
	write(50, func(int) { <-time.After(2 * time.Millisecond) })
	killed := make(chan struct{})
	write(200, func(k int) {
		if k == 100 {
			go func() { // joined below
				defer close(killed)
				server.kill()
			}()
		}
	})
	<-killed
	for _, p := range people {
		select {
		case <-p.now().Done():
		case <-ctx.Done():
			require.FailNow(t, "the client has not noticed")
		}
	}
	write(20, func(int) {})
	old := []*stream.Session{people[0].now(), people[1].now()}
	in.launch("-store", store(), "-users", accounts(2))

	for i, p := range people {
		for p.now() == old[i] {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				require.FailNow(t, "the client has not come back")
			}
		}
		var acked, left, unsent int
		of := make(map[*stream.Receipt]int)
		for n, r := range receipts[i] {
			of[r] = n
		}
		last := -1
		reported := make(map[int]bool)
		for _, u := range p.streams.TakeLeft() {
			if u.Receipt == nil { // the presence of the beginning
				continue
			}
			n := of[u.Receipt]
			require.Greater(t, n, last, "in order")
			require.Contains(t, string(u.XML), fmt.Sprintf("id='%d'", n))
			last = n
			reported[n] = true
			want := stream.Unknown
			if u.Unsent {
				unsent++
				want = stream.Failed
			}
			require.Equal(t, want, u.Receipt.State())
			require.ErrorContains(t, u.Receipt.Wait(ctx, stream.Acked), "not resumed")
			left++
		}
		for n, r := range receipts[i] {
			if r.State() == stream.Acked {
				acked++
			}
			require.NotEqual(t, r.State() == stream.Acked, reported[n], "message %d of %s is %s", n, p.account, r.State())
		}
		require.GreaterOrEqual(t, unsent, 20, "sent while there was no server")
		require.GreaterOrEqual(t, acked, 1)
		p.mu.Lock()
		for _, n := range p.heard {
			other := receipts[1-i][n].State()
			require.NotEqual(t, stream.Failed, other, "message %d was heard", n)
		}
		p.mu.Unlock()
		t.Logf("%s: %d acknowledged, %d left, %d of those never sent", p.account, acked, left, unsent)
	}
	stop()
	staying.Wait()
	for _, p := range people {
		require.Equal(t, 2, p.fresh)
		require.Zero(t, p.resumed)
	}
	in.sound()
}
