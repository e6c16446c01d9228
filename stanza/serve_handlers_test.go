package stanza

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A handler may request, send and close; nothing deadlocks.
func TestHandlersMayDoAnything(t *testing.T) {
	for _, parallel := range []int{1, 8} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			sides(t, func(t *testing.T, f *fake) {
				ended := func(_ context.Context, _ Stanza, err error) { require.ErrorIs(t, err, net.ErrClosed) }
				c := newConn(f, &Options{Parallel: parallel, Report: ended})
				result := make(chan error, 1)
				go func() {
					result <- c.Serve(t.Context(), HandlerFunc(func(ctx context.Context, s Sender, st Stanza) error {
						reply, err := s.Do(ctx, &IQ{Type: GetIQ, Payload: pingQuery})
						if err != nil {
							return err
						}
						if err := c.Send(ctx, &Message{To: juliet, ID: reply.ID}); err != nil {
							return err
						}
						close(f.ends) // the peer will close as soon as we do
						return c.Close(ctx)
					}))
				}()
				f.receive(`<message from='%s'/>`, juliet)
				id := f.takeID()
				f.receive(`<message from='%s'/>`, capulet) // another one is waiting meanwhile
				for range 20 {
					f.receive(`<presence from='%s'/>`, juliet)
				}
				f.receive(`<iq id='%s' type='result'/>`, id)
				synctest.Wait()
				select {
				case <-c.Done():
				default:
					require.Fail(t, "Close within a handler did not close")
				}
				<-result
			})
		})
	}
}

// A hundred peers, each with a handler that asks back, and few workers.
func TestHandlersOfManyPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, &Options{Parallel: 4})
		var done ids
		result := make(chan error, 1)
		go func() {
			result <- c.Serve(t.Context(), HandlerFunc(func(ctx context.Context, s Sender, st Stanza) error {
				h := st.Head()
				_, err := s.Do(ctx, &IQ{ID: "ask-" + h.ID, To: h.From, Type: GetIQ, Payload: pingQuery})
				done.add(st)
				return err
			}))
		}()
		for i := range 100 {
			f.receive(`<message id='%d' from='u%d@capulet.lit'/>`, i, i)
		}
		for answered := 0; answered < 100; {
			sent := f.take()
			require.NotEmpty(t, sent, "stuck after %d", answered)
			for _, xml := range sent {
				iq := decode[*IQ](t, xml)
				f.receive(`<iq id='%s' from='%s' type='result'/>`, iq.ID, iq.To)
				answered++
			}
		}
		require.Len(t, done.get(), 100)
		close(f.ends)
		require.NoError(t, <-result)
	})
}

// A handler that ends its goroutine loses nothing but that.
func TestHandlerGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		var reported, got ids
		c := newConn(f, &Options{Parallel: 2, Report: func(_ context.Context, st Stanza, err error) {
			require.ErrorIs(t, err, errGoexit)
			reported.add(st)
		}})
		result := make(chan error, 1)
		go func() {
			result <- c.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				got.add(st)
				if strings.HasPrefix(st.Head().ID, "x") {
					runtime.Goexit()
				}
				return nil
			}))
		}()
		for i := range 10 {
			f.receive(`<message id='m%d' from='u%d@capulet.lit'/>`, i, i%3)
			f.receive(`<iq id='x%d' from='u%d@capulet.lit' type='get'><q xmlns='urn:q'/></iq>`, i, i%3)
		}
		require.Len(t, got.get(), 20)
		require.Len(t, reported.get(), 10)
		sent := f.take()
		require.Len(t, sent, 10)
		for _, xml := range sent {
			require.Contains(t, xml, "internal-server-error")
		}
		require.EqualValues(t, 20, c.Handled())
		close(f.ends)
		require.NoError(t, <-result)
	})
}
