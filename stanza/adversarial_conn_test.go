package stanza

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

func init() {
	adversarialRows = append(adversarialRows, []adversarialRow{
		{"L07", adversarialL07},
		{"R05", adversarialR05},
		{"R07", adversarialR07},
		{"R08", adversarialR08},
		{"R09", TestStamp},
		{"R19", adversarialR19Replies},
		{"G01", adversarialG01},
		{"G02", adversarialG02},
		{"G03", adversarialG03},
		{"G04", adversarialG04},
		{"M17", adversarialM17},
	}...)
}

// times returns full when the complete cases are asked for, and otherwise the
// number that an ordinary test run has time for.
func times(ordinary, full int) int {
	if os.Getenv("STANZAKIT_ADVERSARIAL_FULL") != "" {
		return full
	}
	return ordinary
}

// realSides runs a test with each side of a real session as the victim.
func realSides(t *testing.T, limits *stream.Limits, run func(t *testing.T, victim, peer *stream.Session)) {
	for _, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := Sessions(t, limits)
				if name == "server" {
					client, server = server, client
				}
				run(t, client, server)
				client.Abort(nil)
				server.Abort(nil)
				synctest.Wait()
			})
		})
	}
}

// A flood of presence while the handler is blocked: a bounded queue, the sender
// is held back by TCP, no goroutines.
func adversarialL07(t *testing.T) {
	total := times(20_000, 1_000_000)
	limits := &stream.Limits{ElementBytes: 10_000, InboundBytes: 64 << 10, OutboundBytes: 20_000}
	realSides(t, limits, func(t *testing.T, victim, peer *stream.Session) {
		const parallel = 2
		c := newConn(victim, &Options{Parallel: parallel})
		release := make(chan struct{})
		var handled atomic.Int64
		result := make(chan error, 1)
		go func() {
			result <- c.Serve(t.Context(), HandlerFunc(func(context.Context, Sender, Stanza) error {
				<-release
				handled.Add(1)
				return nil
			}))
		}()
		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		var sent atomic.Int64
		go func() { // ends when everything is sent; <-result below waits for that
			for range total {
				if err := peer.Send(t.Context(), &Presence{}); err != nil {
					return
				}
				sent.Add(1)
			}
			peer.Close(t.Context())
		}()
		go peer.Serve(func(*stream.Element) error { return nil }) // ends with the session
		synctest.Wait()
		held := int(sent.Load())
		require.Less(t, held, total, "nothing holds the sender back")
		require.Less(t, held, (64<<10)/entryCost+(20_000+2*(64<<10)+20_000)/len("<presence/>"))
		c.mu.Lock()
		require.LessOrEqual(t, c.queue.used, c.queue.budget)
		c.mu.Unlock()
		// The sender, the peer's reader and writer, our worker.
		require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+3+parallel)
		close(release)
		require.NoError(t, <-result)
		require.EqualValues(t, total, handled.Load(), "something was dropped")
		require.EqualValues(t, total, c.Handled())
	})
}

// A result with the right id from the wrong address is nobody's, and the request
// stays pending until the right one comes (RFC 6120 §8.1.2.1).
func adversarialR05(t *testing.T) {
	attr := func(j string) string {
		if j == "" {
			return ""
		}
		return " from='" + j + "'"
	}
	sides(t, func(t *testing.T, f *fake) {
		c := newConn(f, nil)
		rows := []struct{ to, right, wrong string }{
			{"juliet@capulet.lit/balcony", "juliet@capulet.lit/balcony", "juliet@capulet.lit/chamber"},
			{"juliet@capulet.lit/balcony", "Juliet@Capulet.LIT/balcony", "juliet@capulet.lit"},
			{"juliet@capulet.lit", "juliet@capulet.lit", ""},
			{"montague.lit", "montague.lit", "romeo@montague.lit"},
			{"montague.lit", "", "eve@montague.lit"},
			{"romeo@montague.lit", "", "montague.lit"},
			{"romeo@montague.lit", "romeo@montague.lit", "romeo@montague.lit/other"},
			{"", "", "eve@evil.lit/x"},
			{"", "romeo@montague.lit", "capulet.lit"},
			{"", "montague.lit", "romeo@montague.lit/other"},
			{"", "", "@not a jid@"},
		}
		if f.role == stream.Receiving {
			rows = []struct{ to, right, wrong string }{
				{"romeo@montague.lit/orchard", "", "eve@montague.lit/x"},
				{"romeo@montague.lit/orchard", "romeo@montague.lit/orchard", "romeo@montague.lit/other"},
				{"romeo@montague.lit/orchard", "romeo@montague.lit", "montague.lit"},
				{"", "romeo@montague.lit/orchard", "capulet.lit"},
			}
		}
		for i, tt := range rows {
			for _, typ := range []string{"type='result'/>", "type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"} {
				ch := do(t.Context(), c, address(tt.to))
				id := f.takeID()
				before := c.Stats().Unsolicited
				f.receive("<iq id='%s'%s %s", id, attr(tt.wrong), typ)
				f.receive("<iq id='%s'%s type='result'/>", id+"x", attr(tt.right))
				f.receive("<message id='%s'%s type='normal'/>", id, attr(tt.right))
				f.receive("<iq id='%s'%s type='get'><q xmlns='urn:q'/></iq>", id, attr(tt.right))
				stillPending(t, ch)
				require.EqualValues(t, before+2, c.Stats().Unsolicited, "row %d", i)
				f.receive("<iq id='%s'%s type='result'/>", id, attr(tt.right))
				_, err := returned(t, ch)
				require.NoError(t, err, "row %d", i)
			}
		}
	})
}

// A second result, one after the caller has gone, and one id for two addressees.
func adversarialR07(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		c := newConn(f, nil)
		a, b := juliet, capulet
		if f.role == stream.Receiving { // the client answers for itself only
			a, b = romeo, romeo.Bare()
		}
		ch := do(t.Context(), c, a)
		id := f.takeID()
		for range 3 {
			f.receive("<iq id='%s' from='%s' type='result'/>", id, a)
		}
		_, err := returned(t, ch)
		require.NoError(t, err)
		synctest.Wait()
		require.EqualValues(t, 2, c.Stats().Unsolicited)

		ctx, cancel := context.WithCancel(t.Context())
		ch = do(ctx, c, a)
		id = f.takeID()
		cancel()
		_, err = returned(t, ch)
		require.ErrorIs(t, err, context.Canceled)
		f.receive("<iq id='%s' from='%s' type='result'/>", id, a)
		synctest.Wait()
		require.EqualValues(t, 3, c.Stats().Unsolicited)

		same := func(to jid.JID) <-chan answer {
			ch := make(chan answer, 1)
			go func() {
				reply, err := c.Do(t.Context(), &IQ{ID: "same", To: to, Type: GetIQ, Payload: pingQuery})
				ch <- answer{reply, err}
			}()
			synctest.Wait()
			return ch
		}
		toA, toB := same(a), same(b)
		_, err = returned(t, same(a))
		require.ErrorIs(t, err, ErrDuplicateID)
		f.receive("<iq id='same' from='%s' type='result'><a xmlns='urn:a'/></iq>", b)
		if f.role == stream.Initiating {
			stillPending(t, toA)
			_, err := returned(t, toB)
			require.NoError(t, err)
		}
		f.receive("<iq id='same' from='%s' type='result'/>", a)
		_, err = returned(t, toA)
		require.NoError(t, err)
		if f.role == stream.Receiving {
			_, err := returned(t, toB)
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Zero(t, c.calls.n)
		require.Empty(t, c.calls.byID)
		require.Empty(t, c.queue.first, "a reply was handed to the consumer")
	})
}

// Ids cannot be guessed: 96 bits, none twice, every symbol as likely as any other
// in every place, and the next is not near the last.
func adversarialR08(t *testing.T) {
	n := times(100_000, 1_000_000)
	seen := make(map[string]bool, n)
	var counts [16][256]int
	near := 0
	last := ""
	for range n {
		id := NewID()
		require.Len(t, id, 16)
		require.False(t, seen[id])
		seen[id] = true
		same := 0
		for i := range id {
			counts[i][id[i]]++
			if last != "" && last[i] == id[i] {
				same++
			}
		}
		if same >= 8 { // by chance: once in 10¹⁰
			near++
		}
		last = id
	}
	require.Zero(t, near)
	for i := range counts {
		chi, symbols := 0.0, 0
		want := float64(n) / 64
		for _, got := range counts[i] {
			if got > 0 {
				symbols++
				chi += (float64(got) - want) * (float64(got) - want) / want
			}
		}
		require.Equal(t, 64, symbols)
		require.Less(t, chi, 150.0, "place %d", i) // 63 degrees of freedom: exceeded once in 10⁸
	}
	// What Do sends is that.
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		defer c.Abort(nil)
		do(t.Context(), c, juliet)
		one := f.takeID()
		do(t.Context(), c, juliet)
		two := f.takeID()
		require.Len(t, one, 16)
		require.NotEqual(t, one, two)
	})
}

// Malformed requests cost their sender one bad-request each; errors and results
// are never answered (RFC 6120 §8.2.3, §8.3.1 rule 8); the session goes on.
func adversarialR19Replies(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		var handled ids
		c := newConn(f, nil)
		result := make(chan error, 1)
		go func() {
			result <- c.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				handled.add(st)
				return nil
			}))
		}()
		malformed := uint64(0)
		for _, tt := range []struct {
			xml   string
			reply string // the id of the bad-request; "-" for no reply
		}{
			{`<iq type='get'><q xmlns='urn:q'/></iq>`, ""},
			{`<iq id='1' type='foo'><q xmlns='urn:q'/></iq>`, "1"},
			{`<iq id='2'><q xmlns='urn:q'/></iq>`, "2"},
			{`<iq id='3' type='get'/>`, "3"},
			{`<iq id='4' type='set'><q xmlns='urn:q'/><r xmlns='urn:q'/></iq>`, "4"},
			{`<iq id='5' type=''><q xmlns='urn:q'/></iq>`, "5"},
			{`<iq id='6' type='error'/>`, "-"},
			{`<iq id='7' type='error'><error/></iq>`, "-"},
			{`<iq id='8' type='error'><q xmlns='urn:q'/><q xmlns='urn:q'/></iq>`, "-"},
			{`<iq id='9' type='result'><q xmlns='urn:q'/><r xmlns='urn:q'/></iq>`, "-"},
			{`<iq type='result'/>`, "-"},
			{`<iq type='error'/>`, "-"},
		} {
			f.receive("%s", tt.xml)
			sent := f.take()
			if tt.reply == "-" {
				require.Empty(t, sent, tt.xml)
				continue
			}
			malformed++
			require.Len(t, sent, 1, tt.xml)
			require.Contains(t, sent[0], "<bad-request ", tt.xml)
			require.Contains(t, sent[0], " id='"+tt.reply+"'", tt.xml)
			require.Contains(t, sent[0], "type='error'", tt.xml)
		}
		require.Empty(t, handled.get(), "a handler saw a malformed stanza")
		require.Equal(t, malformed, c.Stats().Malformed)
		require.EqualValues(t, 12, c.Handled())
		f.receive(`<message id='fine'/>`)
		require.Equal(t, []string{"fine"}, handled.get())
		require.NoError(t, c.Err())
		close(f.ends)
		require.NoError(t, <-result)
	})
	// A router passes replies on, and drops those that break the rules.
	sides(t, func(t *testing.T, f *fake) {
		c := newConn(f, &Options{Router: true})
		f.receive(`<iq id='1' type='result' to='%s'><q xmlns='urn:q'/><r xmlns='urn:q'/></iq>`, juliet)
		f.receive(`<iq id='2' type='result' to='%s'/>`, juliet)
		close(f.ends)
		var got []string
		for st, err := range c.All(t.Context()) {
			require.NoError(t, err)
			got = append(got, st.Head().ID)
		}
		require.Equal(t, []string{"2"}, got)
		require.Empty(t, f.take())
		require.Equal(t, Stats{Malformed: 1}, c.Stats())
	})
}

// Close from any goroutine, many times, from within handlers and steps: within a
// second, and always the same.
func adversarialG01(t *testing.T) {
	for name, opts := range map[string]*Options{"one worker": {Parallel: 1}, "workers": nil} {
		t.Run(name, func(t *testing.T) {
			realSides(t, nil, func(t *testing.T, victim, peer *stream.Session) {
				c, other := newConn(victim, opts), newConn(peer, nil)
				start := time.Now()
				errs := make(chan error, 8)
				result := make(chan error, 1)
				go func() {
					result <- c.Serve(t.Context(), HandlerFunc(func(ctx context.Context, _ Sender, _ Stanza) error {
						for range 4 {
							go func() { errs <- c.Close(ctx) }()
						}
						errs <- c.Close(ctx)
						errs <- c.Close(ctx)
						return nil
					}))
				}()
				require.NoError(t, other.Send(t.Context(), &Message{ID: "1"}))
				for range 6 {
					require.NoError(t, <-errs)
				}
				require.NoError(t, <-result)
				require.Less(t, time.Since(start), time.Second)
				require.NoError(t, c.Close(t.Context()))
				c.Abort(errors.New("too late"))
				require.ErrorIs(t, c.Err(), stream.ErrLocalClosed)
				require.ErrorIs(t, c.Err(), net.ErrClosed)
				<-other.Done()
				require.ErrorIs(t, other.Err(), stream.ErrPeerClosed)
			})
		})
	}
	t.Run("in a step of All", func(t *testing.T) {
		realSides(t, nil, func(t *testing.T, victim, peer *stream.Session) {
			c, other := newConn(victim, nil), newConn(peer, nil)
			require.NoError(t, other.Send(t.Context(), &Message{ID: "1"}))
			require.NoError(t, other.Send(t.Context(), &Message{ID: "2"}))
			n := 0
			for _, err := range c.All(t.Context()) {
				require.NoError(t, err)
				require.NoError(t, c.Close(t.Context()))
				n++
			}
			require.Equal(t, 2, n)
		})
	})
	t.Run("in a flood, with a handler that hangs", func(t *testing.T) {
		limits := &stream.Limits{ElementBytes: 10_000, InboundBytes: 64 << 10, OutboundBytes: 20_000}
		realSides(t, limits, func(t *testing.T, victim, peer *stream.Session) {
			c, other := newConn(victim, nil), newConn(peer, nil)
			hang := make(chan struct{})
			result := make(chan error, 1)
			go func() {
				result <- c.Serve(t.Context(), HandlerFunc(func(context.Context, Sender, Stanza) error { <-hang; return nil }))
			}()
			go func() { // ends when the peer's session does
				for other.Send(t.Context(), &Presence{}) == nil {
				}
			}()
			synctest.Wait()
			start := time.Now()
			require.NoError(t, c.Close(t.Context()))
			require.Less(t, time.Since(start), time.Second)
			<-other.Done()
			close(hang)
			require.NoError(t, <-result)
			require.NotZero(t, c.Stats().Discarded)
		})
	})
	t.Run("against a peer that does not answer", func(t *testing.T) {
		realSides(t, nil, func(t *testing.T, victim, _ *stream.Session) {
			c := newConn(victim, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			require.Error(t, c.Close(ctx))
			<-c.Done()
			require.ErrorIs(t, c.Err(), context.DeadlineExceeded)
		})
	})
}

// Whatever call is cancelled, the session is whole.
func adversarialG02(t *testing.T) {
	realSides(t, nil, func(t *testing.T, victim, peer *stream.Session) {
		c := newConn(victim, nil)
		other := newConn(peer, nil)
		dead, kill := context.WithCancel(t.Context())
		kill()
		for name, call := range map[string]func(ctx context.Context) error{
			"Send":        func(ctx context.Context) error { return c.Send(ctx, &Message{ID: "never"}) },
			"SendReceipt": func(ctx context.Context) error { _, err := c.SendReceipt(ctx, &Message{ID: "never"}); return err },
			"Do": func(ctx context.Context) error {
				_, err := c.Do(ctx, &IQ{ID: "never", Type: GetIQ, Payload: pingQuery})
				return err
			},
			"Serve": func(ctx context.Context) error {
				return c.Serve(ctx, HandlerFunc(func(context.Context, Sender, Stanza) error { return nil }))
			},
			"All": func(ctx context.Context) (err error) {
				for _, err = range c.All(ctx) {
				}
				return err
			},
		} {
			require.ErrorIs(t, call(dead), context.Canceled, name)
			if name == "Serve" || name == "All" { // and in the middle of it
				ctx, cancel := context.WithCancel(t.Context())
				errs := make(chan error, 1)
				go func() { errs <- call(ctx) }()
				synctest.Wait()
				cancel()
				require.ErrorIs(t, <-errs, context.Canceled, name)
			}
			require.NoError(t, c.Err(), name)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ch := do(ctx, c, jid.JID{})
		stillPending(t, ch)
		cancel()
		_, err := returned(t, ch)
		require.ErrorIs(t, err, context.Canceled)

		// Everything works as if nothing had been.
		var got ids
		served := make(chan error, 1)
		go func() {
			served <- other.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				got.add(st)
				return nil
			}))
		}()
		_, err = c.Do(t.Context(), &IQ{ID: "asked", Type: GetIQ, Payload: pingQuery})
		require.ErrorIs(t, err, ServiceUnavailable)
		require.NoError(t, c.Send(t.Context(), &Message{ID: "sent"}))
		require.NoError(t, c.Close(t.Context()))
		require.NoError(t, <-served)
		require.NotContains(t, got.get(), "never")
		require.Contains(t, got.get(), "sent")
	})
}

// A handler that panics: its peer is told if it asked, the others and other
// sessions notice nothing, no lock stays held, the report has it.
func adversarialG03(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			sides(t, func(t *testing.T, f *fake) {
				bystander := client(t)
				other := newConn(bystander, nil)
				defer other.Abort(nil)
				var reports []string
				c := newConn(f, &Options{Parallel: parallel, Report: func(_ context.Context, st Stanza, err error) {
					var p *stream.PanicError
					require.ErrorAs(t, err, &p)
					require.Contains(t, string(p.Stack), "adversarialG03")
					reports = append(reports, st.Head().ID+" "+fmt.Sprint(p.Value))
				}})
				var handled ids
				result := make(chan error, 1)
				go func() {
					result <- c.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
						handled.add(st)
						if strings.HasPrefix(st.Head().ID, "bad") {
							panic("secret " + st.Head().ID)
						}
						return nil
					}))
				}()
				f.receive(`<iq id='bad1' type='get'><q xmlns='urn:q'/></iq>`)
				sent := f.take()
				require.Len(t, sent, 1)
				require.Contains(t, sent[0], "internal-server-error")
				require.NotContains(t, sent[0], "secret")
				f.receive(`<message id='bad2'/>`)
				f.receive(`<presence id='bad3'/>`)
				f.receive(`<message id='good'/>`)
				require.Equal(t, []string{"bad1", "bad2", "bad3", "good"}, handled.get())
				require.Empty(t, f.take())
				require.Equal(t, []string{"bad1 secret bad1", "bad2 secret bad2", "bad3 secret bad3"}, reports)
				require.EqualValues(t, 4, c.Handled())
				ch := do(t.Context(), c, jid.JID{})
				f.receive(`<iq id='%s' type='result'/>`, f.takeID())
				_, err := returned(t, ch)
				require.NoError(t, err)
				require.NoError(t, other.Err())
				require.NoError(t, other.Send(t.Context(), &Message{}))
				close(f.ends)
				require.NoError(t, <-result)
			})
		})
	}
}

// A flood of replies to nothing: dropped and counted, nothing grows, the reader
// is never blocked, with a consumer that hangs and without one.
func adversarialG04(t *testing.T) {
	total := times(20_000, 100_000)
	realSides(t, nil, func(t *testing.T, victim, peer *stream.Session) {
		c := newConn(victim, nil)
		hang := make(chan struct{})
		go c.Serve(t.Context(), HandlerFunc(func(context.Context, Sender, Stanza) error { <-hang; return nil })) // ends with the session
		go peer.Serve(func(*stream.Element) error { return nil })                                                // ends with the session
		require.NoError(t, peer.Send(t.Context(), &Message{ID: "hang"}))
		synctest.Wait()
		used := c.queue.used
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range total {
			q := &IQ{ID: fmt.Sprint(i), Type: ResultIQ}
			if i%2 == 1 {
				q = &IQ{ID: fmt.Sprint(i), Type: ErrorIQ, Error: &Error{Condition: Gone}}
			}
			require.NoError(t, peer.Send(t.Context(), q))
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		require.EqualValues(t, total, c.Stats().Unsolicited)
		require.Equal(t, used, c.queue.used)
		require.Empty(t, c.calls.byID)
		require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
		require.LessOrEqual(t, cap(c.handled.open), 64)
		close(hang)
		synctest.Wait()
		require.EqualValues(t, total+1, c.Handled())
	})
}
