package xmpp_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// Clients of one account that come, go, get lost, resume, forget that they could and
// take each other's names, all at the same time, while somebody writes to them. No
// message is lost, each session that was up is gone once in the end, and so are
// all links.
func TestResumptionInChaos(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, offline := newDiary(), &presence.MemoryOffline{Quota: 10_000}
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Offline = offline
			s.Modules = append(s.Modules, d)
			s.Management = &sm.ServerOptions{Max: 2 * time.Second}
			patient(s)
		})
		s.AddAccount(t, "juliet", "secret of juliet")
		romeo := join(t, s, "romeo", "orchard")
		var mu sync.Mutex
		got := map[string]int{}
		note := func(p *peer) {
			for len(p.in) > 0 {
				if b, ok := (<-p.in).Child(stream.Name{Space: stream.NSClient, Local: "body"}); ok {
					mu.Lock()
					got[b.Text()]++
					mu.Unlock()
				}
			}
		}
		var workers sync.WaitGroup
		for w := range 6 {
			workers.Go(func() {
				c := &roamer{s: s, name: "juliet", resource: fmt.Sprint("r", w%3)}
				for i := range scaled(12, 200) {
					if c.link == nil || (w+i)%5 == 0 {
						c.link, _ = sm.NewClient(nil)
					}
					if err := c.try(t); err != nil {
						continue
					}
					c.TrySend(raw(`<presence/>`)) // unless somebody has the name already
					<-time.After(time.Duration((w*7+i*13)%40) * 50 * time.Millisecond)
					p := c.peer
					if (w+i)%3 == 0 {
						p.Close(t.Context())
					} else {
						p.Abort(errors.New("no network"))
					}
					<-p.over
					note(p)
					<-time.After(time.Duration((w*11+i*5)%60) * 50 * time.Millisecond)
				}
			})
		}
		sent := 0
		done := make(chan struct{})
		go func() { workers.Wait(); close(done) }() // ends with the workers
		for running := true; running; sent++ {
			romeo.chat(juliet, fmt.Sprint("m", sent))
			select {
			case <-time.After(17 * time.Millisecond):
			case <-done:
				running = false
			}
		}
		<-time.After(time.Minute)
		require.Empty(t, routerOf(t, srv).Connected(address(juliet)))
		last := join(t, s, "juliet", "last")
		last.say(`<presence/>`)
		synctest.Wait()
		note(last)
		require.Empty(t, romeo.bodies(), "nothing came back")
		for i := range sent {
			require.NotZero(t, got[fmt.Sprint("m", i)], "message %d of %d", i, sent)
		}
		require.NoError(t, last.Close(t.Context()))
		sum := map[string]int{}
		for _, line := range d.read() {
			what, r, _ := strings.Cut(line, " ")
			if r != "orchard" {
				sum[what]++
			}
		}
		require.NotZero(t, sum["resumed"])
		require.Equal(t, sum["up"], sum["gone"])
		require.GreaterOrEqual(t, sum["detached"], sum["resumed"])
	})
}
