package stanza

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// list formats a list of ids in the way that ids.get returns them.
func list(format string, from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf(format, i))
	}
	return out
}

// RFC 6120 §10.1: the caller's loop gets everything in order; leaving it leaves
// the session open, and the next one goes on where it ended.
func TestAll(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		c := newConn(f, nil)
		for i := range 6 {
			f.receive(`<message id='m%d' from='%s'><body>%d</body></message>`, i, juliet, i)
		}
		var got []string
		for st, err := range c.All(t.Context()) {
			require.NoError(t, err)
			msg := st.(*Message)
			require.Equal(t, "m"+msg.Body.String(), msg.ID)
			if got = append(got, msg.ID); len(got) == 3 {
				break
			}
		}
		require.EqualValues(t, 3, c.Handled())
		require.NoError(t, c.Err())
		require.NoError(t, c.Send(t.Context(), &Message{To: juliet}))
		close(f.ends)
		<-c.Done()
		for st, err := range c.All(t.Context()) {
			require.NoError(t, err)
			got = append(got, st.Head().ID)
		}
		require.Equal(t, list("m%d", 0, 6), got)
		require.EqualValues(t, 6, c.Handled())
		for range c.All(t.Context()) {
			require.Fail(t, "there is nothing left")
		}
	})
}

// The end of a loop tells why, unless all is well.
func TestConsumerEnds(t *testing.T) {
	lost := errors.New("connection lost")
	for name, tt := range map[string]struct {
		end func(f *fake, c *Conn, cancel func())
		is  []error // nothing: no error
	}{
		"closed by the peer": {func(f *fake, _ *Conn, _ func()) { close(f.ends) }, nil},
		"closed by us": {func(f *fake, c *Conn, _ func()) {
			f.end(stream.ErrLocalClosed)
			require.NoError(f.t, c.Close(f.t.Context()))
		}, nil},
		"lost":    {func(f *fake, _ *Conn, _ func()) { f.Abort(lost) }, []error{lost, net.ErrClosed}},
		"context": {func(_ *fake, _ *Conn, cancel func()) { cancel() }, []error{context.Canceled}},
		"unusable": {func(f *fake, _ *Conn, _ func()) {
			f.Abort(&stream.Error{Condition: stream.NotWellFormed})
		}, []error{stream.NotWellFormed, net.ErrClosed}},
	} {
		check := func(t *testing.T, err error) {
			if tt.is == nil {
				require.NoError(t, err)
			}
			for _, is := range tt.is {
				require.ErrorIs(t, err, is)
			}
		}
		t.Run(name, func(t *testing.T) {
			for _, parallel := range []int{1, 2} {
				synctest.Test(t, func(t *testing.T) {
					f := client(t)
					c := newConn(f, &Options{Parallel: parallel})
					defer c.Abort(nil)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					result := make(chan error, 1)
					go func() { result <- c.Serve(ctx, ignore()) }()
					synctest.Wait()
					tt.end(f, c, cancel)
					check(t, <-result)
				})
			}
			synctest.Test(t, func(t *testing.T) {
				f := client(t)
				c := newConn(f, nil)
				defer c.Abort(nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { synctest.Wait(); tt.end(f, c, cancel) }()
				steps := 0
				for st, err := range c.All(ctx) {
					steps++
					require.Nil(t, st)
					require.Error(t, err)
					check(t, err)
				}
				require.Equal(t, len(tt.is) > 0, steps == 1)
			})
		})
	}
}

// ignore returns a handler that does nothing.
func ignore() Handler {
	return HandlerFunc(func(context.Context, Sender, Stanza) error { return nil })
}

func TestOneConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		defer c.Abort(nil)
		busy := func() {
			t.Helper()
			require.ErrorIs(t, c.Serve(t.Context(), ignore()), ErrBusy)
			require.ErrorIs(t, c.Serve(t.Context(), ignore()), stream.ErrBusy)
			n := 0
			for st, err := range c.All(t.Context()) {
				n++
				require.Nil(t, st)
				require.ErrorIs(t, err, ErrBusy)
			}
			require.Equal(t, 1, n)
		}
		f.receive(`<message id='1'/>`)
		for range c.All(t.Context()) {
			busy()
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- c.Serve(ctx, ignore()) }()
		synctest.Wait()
		busy()
		cancel()
		require.ErrorIs(t, <-result, context.Canceled)
		require.Error(t, c.Serve(t.Context(), nil))

		// A panic of the loop's body is the caller's, and the place is free.
		f.receive(`<iq id='2' type='get'><q xmlns='urn:q'/></iq>`)
		require.PanicsWithValue(t, "mine", func() {
			for range c.All(t.Context()) {
				panic("mine")
			}
		})
		require.Contains(t, strings.Join(f.take(), ""), "service-unavailable")
		f.receive(`<message id='3'/>`)
		for st, err := range c.All(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, "3", st.Head().ID)
			break
		}
		require.EqualValues(t, 3, c.Handled())
	})
}

// RFC 6120 §8.2.3 rule 3: a request that a step leaves behind is answered.
//
//conformance:proves 6120-8.2.3-4 6120-8.2.3-5
func TestAllAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		step   func(t *testing.T, c *Conn, iq *IQ)
		router bool
		want   string // part of the one stanza sent; "" for none
	}{
		"nothing":           {func(*testing.T, *Conn, *IQ) {}, false, "service-unavailable"},
		"nothing, a router": {func(*testing.T, *Conn, *IQ) {}, true, ""},
		"result": {func(t *testing.T, c *Conn, iq *IQ) {
			require.NoError(t, c.Send(t.Context(), iq.Result(nil)))
		}, false, "type='result'"},
		"receipt": {func(t *testing.T, c *Conn, iq *IQ) {
			_, err := c.SendReceipt(t.Context(), iq.Result(nil))
			require.NoError(t, err)
		}, false, "type='result'"},
		"error": {func(t *testing.T, c *Conn, iq *IQ) {
			require.NoError(t, c.Send(t.Context(), iq.ErrorReply(Forbidden)))
		}, false, "forbidden"},
		"cloned":  {func(_ *testing.T, _ *Conn, iq *IQ) { iq.Clone() }, false, ""},
		"cloned2": {func(_ *testing.T, _ *Conn, iq *IQ) { Clone(iq) }, false, ""},
		"cannot be written": {func(t *testing.T, c *Conn, iq *IQ) {
			require.Error(t, c.Send(t.Context(), &IQ{ID: iq.ID, To: iq.From, Type: ErrorIQ}))
		}, false, "service-unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			sides(t, func(t *testing.T, f *fake) {
				c := newConn(f, &Options{Router: tt.router})
				from := juliet
				if f.role == stream.Receiving {
					from = romeo
				}
				f.receive(`<iq id='q1' from='%s' to='%s' type='get'><q xmlns='urn:q'/></iq>`, from, f.local)
				for st, err := range c.All(t.Context()) {
					require.NoError(t, err)
					tt.step(t, c, st.(*IQ))
					break
				}
				sent := f.take()
				if tt.want == "" {
					require.Empty(t, sent)
					return
				}
				require.Len(t, sent, 1)
				require.Contains(t, sent[0], tt.want)
				reply := decode[*IQ](t, sent[0])
				require.Equal(t, "q1", reply.ID)
				require.Equal(t, from, reply.To)
				require.Empty(t, c.open)
			})
		})
	}
	t.Run("an answer to somebody else is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := client(t)
			c := newConn(f, nil)
			defer c.Abort(nil)
			f.receive(`<iq id='q1' from='%s' type='get'><q xmlns='urn:q'/></iq>`, juliet)
			for range c.All(t.Context()) {
				require.NoError(t, c.Send(t.Context(), &IQ{ID: "q1", To: capulet, Type: ResultIQ}))
				require.NoError(t, c.Send(t.Context(), &IQ{ID: "q2", To: juliet, Type: ResultIQ}))
				break
			}
			sent := f.take()
			require.Len(t, sent, 3)
			require.Contains(t, sent[2], "service-unavailable")
		})
	})
}

// RFC 6120 §8.1.2.1 rule 1: on the server's side the client is who it is.
//
//conformance:proves 6120-8.1.2.1-1 6120-8.1.2.1-2
func TestStamp(t *testing.T) {
	for _, from := range []string{"", " from='romeo@montague.lit'", " from='romeo@montague.lit/other'", " from='eve@evil.lit'", " from='montague.lit'"} {
		synctest.Test(t, func(t *testing.T) {
			f := host(t)
			c := newConn(f, nil)
			f.receive(`<message%s/>`, from)
			f.receive(`<iq%s id='1' type='get'><q xmlns='urn:q'/></iq>`, from)
			f.receive(`<presence%s/>`, from)
			for _, typ := range []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed"} {
				f.receive(`<presence%s to='%s' type='%s'/>`, from, juliet.Bare(), typ)
			}
			close(f.ends)
			var got []jid.JID
			for st, err := range c.All(t.Context()) {
				require.NoError(t, err)
				got = append(got, st.Head().From)
			}
			bare := romeo.Bare()
			require.Equal(t, []jid.JID{romeo, romeo, romeo, bare, bare, bare, bare}, got)
			f.t = t
		})
	}
	// So is one that has bound nothing, or is nobody.
	for _, remote := range []jid.JID{romeo.Bare(), {}} {
		synctest.Test(t, func(t *testing.T) {
			f := host(t)
			f.remote = remote
			c := newConn(f, nil)
			f.receive(`<message from='%s'/>`, juliet)
			f.receive(`<message/>`)
			close(f.ends)
			for st, err := range c.All(t.Context()) {
				require.NoError(t, err)
				require.Equal(t, remote, st.Head().From)
			}
		})
	}
	// Nobody else is corrected.
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		f.receive(`<message from='%s'/>`, juliet)
		f.receive(`<message/>`)
		close(f.ends)
		var got []jid.JID
		for st := range c.All(t.Context()) {
			got = append(got, st.Head().From)
		}
		require.Equal(t, []jid.JID{juliet, {}}, got)
	})
}

// RFC 6120 §10.1: a peer's stanzas one after the other, peers in parallel
// up to the bound, one worker means the order of arrival.
func TestServeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, &Options{Parallel: 3})
		var mu sync.Mutex
		running, most := 0, 0
		perPeer := map[jid.JID][]string{}
		active := map[jid.JID]bool{}
		h := HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
			peer := st.Head().From.Bare()
			mu.Lock()
			require.False(t, active[peer], "two stanzas of %s at the same time", peer)
			active[peer] = true
			running++
			most = max(most, running)
			perPeer[peer] = append(perPeer[peer], st.Head().ID)
			mu.Unlock()
			runtime.Gosched()
			mu.Lock()
			running--
			active[peer] = false
			mu.Unlock()
			return nil
		})
		result := make(chan error, 1)
		go func() { result <- c.Serve(t.Context(), h) }()
		for i := range 200 {
			// The same peer with several resources and spellings.
			f.receive(`<message id='%d' from='User%d@capulet.lit/r%d'/>`, i, i%5, i)
		}
		close(f.ends)
		require.NoError(t, <-result)
		require.Len(t, perPeer, 5)
		for peer, got := range perPeer {
			require.Len(t, got, 40)
			for i := 1; i < len(got); i++ {
				var a, b int
				fmt.Sscan(got[i-1], &a)
				fmt.Sscan(got[i], &b)
				require.Less(t, a, b, "%s", peer)
			}
		}
		require.LessOrEqual(t, most, 3)
		require.EqualValues(t, 200, c.Handled())
	})
}

func TestServeParallel(t *testing.T) {
	for _, parallel := range []int{0, 1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			want := parallel
			if want == 0 {
				want = defaultParallel
			}
			f := client(t)
			c := newConn(f, &Options{Parallel: parallel})
			var started ids
			release := make(chan struct{})
			h := HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				started.add(st)
				<-release
				return nil
			})
			result := make(chan error, 1)
			go func() { result <- c.Serve(t.Context(), h) }()
			for i := range 20 {
				f.receive(`<message id='%d' from='u%d@capulet.lit'/>`, i, i)
			}
			require.Len(t, started.get(), want)
			require.Zero(t, c.Handled())
			close(release)
			close(f.ends)
			require.NoError(t, <-result)
			if parallel == 1 {
				require.Equal(t, list("%d", 0, 20), started.get())
			}
			require.Len(t, started.get(), 20)
		})
	}
}

// The prefix of what is handled waits for the slowest (XEP-0198 §4).
func TestHandledPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		defer c.Abort(nil)
		slow := make(chan struct{})
		h := HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
			if st.Head().From == juliet {
				<-slow
			}
			return nil
		})
		go c.Serve(t.Context(), h)
		f.receive(`<message from='%s'/>`, capulet)
		f.receive(`<message from='%s'/>`, juliet)
		f.receive(`<message from='%s'/>`, capulet)
		f.receive(`<iq type='result' id='late' from='%s'/>`, capulet)
		synctest.Wait()
		require.EqualValues(t, 1, c.Handled())
		close(slow)
		synctest.Wait()
		require.EqualValues(t, 4, c.Handled())
	})
}

// When its context ends, Serve leaves the rest, in order, to the next consumer.
func TestServeLeavesTheRest(t *testing.T) {
	for _, parallel := range []int{1, 2, 8} {
		synctest.Test(t, func(t *testing.T) {
			f := client(t)
			c := newConn(f, &Options{Parallel: parallel})
			ctx, cancel := context.WithCancel(t.Context())
			var first ids
			h := HandlerFunc(func(ctx context.Context, _ Sender, st Stanza) error {
				first.add(st)
				<-ctx.Done()
				return nil
			})
			result := make(chan error, 1)
			go func() { result <- c.Serve(ctx, h) }()
			for i := range 12 { // three peers: some wait in lanes, some in the queue
				f.receive(`<message id='%d' from='u%d@capulet.lit'/>`, i, i%3)
			}
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-result, context.Canceled)
			seen := map[string]bool{}
			for _, id := range first.get() {
				seen[id] = true
			}
			require.Len(t, seen, min(parallel, 3))
			var want, got []string
			for _, id := range list("%d", 0, 12) {
				if !seen[id] {
					want = append(want, id)
				}
			}
			close(f.ends)
			for st, err := range c.All(t.Context()) {
				require.NoError(t, err)
				got = append(got, st.Head().ID)
			}
			require.Equal(t, want, got)
			require.EqualValues(t, 12, c.Handled())
			require.Zero(t, c.queue.used)
		})
	}
}

// The stream is closed, and then ctx ends, with handlers still to run.
func TestServeContextEndsAfterSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, &Options{Parallel: 2})
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		result := make(chan error, 1)
		go func() {
			result <- c.Serve(ctx, HandlerFunc(func(context.Context, Sender, Stanza) error { <-release; return nil }))
		}()
		for i := range 3 {
			f.receive(`<message id='%d' from='%s'/>`, i, juliet)
		}
		close(f.ends)
		synctest.Wait()
		cancel()
		close(release)
		require.ErrorIs(t, <-result, context.Canceled)
		var got []string
		for st, err := range c.All(t.Context()) {
			require.NoError(t, err)
			got = append(got, st.Head().ID)
		}
		require.Equal(t, []string{"1", "2"}, got)
	})
}

// What arrived before the end is handled, whatever the end.
func TestServeDrains(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			f := client(t)
			c := newConn(f, &Options{Parallel: parallel})
			for i := range 50 {
				f.receive(`<message id='%d' from='u%d@capulet.lit'/>`, i, i%7)
			}
			lost := errors.New("lost")
			c.Abort(lost)
			<-c.Done()
			var got ids
			err := c.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				got.add(st)
				return nil
			}))
			require.ErrorIs(t, err, lost)
			require.Len(t, got.get(), 50)
		})
	}
}

// On Close with a full queue the reader still finds the peer's closing tag; what
// has no place is counted and holds the prefix back.
func TestCloseWithFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		f.limits.InboundBytes = 4 * entryCost
		c := newConn(f, nil)
		sent := 0
		go func() {
			for range 20 {
				f.receive(`<presence/>`)
				sent++
			}
			// Dropped replies count as handled, but not behind the gap.
			f.receive(`<iq type='result' id='late'/>`)
			close(f.ends)
		}()
		synctest.Wait()
		require.Less(t, sent, 5, "the reader reads on with a full queue")
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, 20, sent)
		n := 0
		for _, err := range c.All(t.Context()) {
			require.NoError(t, err)
			n++
		}
		require.EqualValues(t, 20, n+int(c.Stats().Discarded))
		require.Less(t, n, 7)
		require.EqualValues(t, n, c.Handled(), "what was discarded is not handled, nor is what came after it")
	})
}
