package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// serve runs the reader of a session and returns what it hands out and, at the
// end, its result.
func serve(s *stream.Session) (stanzas <-chan string, result <-chan error) {
	out, res := make(chan string, 1000), make(chan error, 1)
	go func() {
		res <- s.Serve(func(el *stream.Element) error {
			out <- string(el.Raw())
			return nil
		})
		close(out)
	}()
	return out, res
}

//conformance:proves 6120-4.4-1 6120-4.5-1
func TestSessionCarriesStanzasBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		fromClient, serverEnd := serve(server)
		fromServer, clientEnd := serve(client)
		ctx := t.Context()
		require.NoError(t, client.Send(ctx, raw(`<message to='a@b'><body>hi &amp; bye</body></message>`)))
		require.NoError(t, server.Send(ctx, raw(`<presence/>`)))
		require.Equal(t, `<message to='a@b'><body>hi &amp; bye</body></message>`, <-fromClient)
		require.Equal(t, `<presence/>`, <-fromServer)
		synctest.Wait()
		in, out := client.Counts()
		require.Equal(t, []uint32{1, 1}, []uint32{in, out})

		// RFC 6120 §4.4: both closing tags, and both sides know it was orderly.
		require.NoError(t, client.Close(ctx))
		require.NoError(t, <-clientEnd)
		require.NoError(t, <-serverEnd)
		require.ErrorIs(t, client.Err(), stream.ErrLocalClosed)
		require.ErrorIs(t, server.Err(), stream.ErrPeerClosed)
		require.ErrorIs(t, client.Send(ctx, raw(`<presence/>`)), net.ErrClosed)
		require.NoError(t, client.Close(ctx), "Close is idempotent")
	})
}

func TestCloseWithoutReaderSeesThePeersClosingTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		_, end := serve(server)
		require.NoError(t, client.Close(t.Context()))
		require.NoError(t, <-end)
	})
}

func TestCloseTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := sessions(t, &stream.InitiateOptions{CloseTimeout: 3 * time.Second}, nil)
		start := time.Now()
		err := client.Close(t.Context()) // the server never reads
		require.ErrorIs(t, err, stream.ErrCloseTimeout)
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestCloseFromInsideTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		_, end := serve(client)
		result := make(chan error, 1)
		go func() {
			result <- server.Serve(func(*stream.Element) error { return server.Close(context.Background()) })
		}()
		require.NoError(t, client.Send(t.Context(), raw(`<presence/>`)))
		require.NoError(t, <-result)
		require.NoError(t, <-end)
	})
}

//conformance:proves 6120-4.9.1.1-1
func TestStreamErrorReachesThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		_, end := serve(client)
		go serve(server)
		reason := &stream.Error{Condition: stream.SystemShutdown, Text: "<maintenance & more>"}
		require.NoError(t, server.CloseError(t.Context(), reason))
		err := <-end
		require.ErrorIs(t, err, stream.SystemShutdown)
		require.ErrorIs(t, err, net.ErrClosed)
		var e *stream.Error
		require.ErrorAs(t, err, &e)
		require.True(t, e.Received)
		require.Equal(t, "<maintenance & more>", e.Text)
		require.ErrorIs(t, server.Err(), stream.SystemShutdown)
	})
}

//conformance:proves 6120-4.9-1 6120-4.9.1.1-1
func TestHandlerErrorEndsTheStream(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		wire stream.Condition
	}{
		"stream error": {&stream.Error{Condition: stream.InvalidFrom}, stream.InvalidFrom},
		"other error":  {errors.New("database on fire at 10.0.0.1"), stream.InternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := sessions(t, nil, nil)
				_, end := serve(client)
				result := make(chan error, 1)
				go func() { result <- server.Serve(func(*stream.Element) error { return c.err }) }()
				require.NoError(t, client.Send(t.Context(), raw(`<presence/>`)))
				require.ErrorIs(t, <-result, c.err)
				err := <-end
				require.ErrorIs(t, err, c.wire)
				require.NotContains(t, err.Error(), "database", "what went wrong inside stays inside")
			})
		})
	}
}

func TestSecondReaderIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := sessions(t, nil, nil)
		go serve(client)
		synctest.Wait()
		require.ErrorIs(t, client.Serve(nil), stream.ErrBusy)
	})
}

func TestAbortKeepsTheFirstCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		_, end := serve(client)
		_, serverEnd := serve(server)
		first := errors.New("first")
		client.Abort(first)
		client.Abort(errors.New("second"))
		require.ErrorIs(t, <-end, first)
		// Without the closing tag the other side knows that something is wrong.
		require.ErrorIs(t, <-serverEnd, stream.ErrTruncated)
		require.ErrorIs(t, server.Err(), io.ErrUnexpectedEOF)
	})
}

func TestSendWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := sessions(t, nil, nil)
		// 1 MiB of budget, the pipe takes a little; nobody reads.
		big := raw("<message><body>" + strings.Repeat("x", 200_000) + "</body></message>")
		sent := 0
		for client.TrySend(big) == nil {
			sent++
			synctest.Wait()
		}
		require.ErrorIs(t, client.TrySend(big), stream.ErrFull)
		require.Greater(t, sent, 3)
		require.Less(t, sent, 12)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, client.Send(ctx, big), context.DeadlineExceeded)
		require.NoError(t, client.Err(), "cancelling a call leaves the session whole")

		waiting := make(chan error, 1)
		go func() { waiting <- client.Send(t.Context(), big) }()
		synctest.Wait()
		client.Abort(errors.New("gone"))
		require.ErrorIs(t, <-waiting, net.ErrClosed, "a waiting sender hears of the end")
	})
}

func TestWriteTimeoutEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := sessions(t, &stream.InitiateOptions{WriteTimeout: 2 * time.Second}, nil)
		start := time.Now()
		require.NoError(t, client.Send(t.Context(), raw("<message><body>"+strings.Repeat("x", 200_000)+"</body></message>")))
		<-client.Done()
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		_, _ = serve(server)
		r, err := client.SendReceipt(t.Context(), raw(`<presence/>`))
		require.NoError(t, err)
		require.NoError(t, r.Wait(t.Context(), stream.Written))
		require.Equal(t, stream.Written, r.State())
		client.Abort(errors.New("gone"))
		require.ErrorIs(t, r.Wait(t.Context(), stream.Acked), net.ErrClosed)
		require.Equal(t, stream.Unknown, r.State(), "written, never acknowledged")
	})
}

func TestReceiptOfWhatWasNeverWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := sessions(t, nil, nil)
		require.NoError(t, client.Send(t.Context(), raw("<message><body>"+strings.Repeat("x", 200_000)+"</body></message>")))
		synctest.Wait()
		r, err := client.SendReceipt(t.Context(), raw(`<presence/>`))
		require.NoError(t, err)
		require.Equal(t, stream.Queued, r.State())
		client.Abort(errors.New("gone"))
		require.ErrorIs(t, r.Wait(t.Context(), stream.Written), net.ErrClosed)
		require.Equal(t, stream.Failed, r.State())
	})
}

func TestConcurrentSendersNeverMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		got, _ := serve(server)
		var wg sync.WaitGroup
		const senders, each = 20, 30
		for i := range senders {
			wg.Go(func() {
				for j := range each {
					client.Send(t.Context(), raw(fmt.Sprintf("<message id='%d-%d'/>", i, j)))
				}
			})
		}
		wg.Wait()
		next := make([]int, senders)
		for range senders * each {
			var i, j int
			_, err := fmt.Sscanf(<-got, "<message id='%d-%d'/>", &i, &j)
			require.NoError(t, err)
			require.Equal(t, next[i], j, "each sender's stanzas stay in order")
			next[i]++
		}
	})
}

func TestEncodingErrorCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		got, _ := serve(server)
		require.Error(t, client.Send(t.Context(), failing{}))
		require.NoError(t, client.Send(t.Context(), raw(`<presence/>`)))
		require.Equal(t, `<presence/>`, <-got)
	})
}

type failing struct{}

func (failing) AppendXML(dst []byte) ([]byte, error) {
	return append(dst, "<message><body>half"...), errors.New("no")
}

func TestNonzaHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 1)
		feature := stream.Feature{
			Name: stream.Name{Space: "urn:x", Local: "x"},
			Advertise: func(n *stream.Negotiation, w *stream.Writer) error {
				n.HandleNonza("urn:x", func(s *stream.Session, el *stream.Element) error {
					got <- el.Name().Local
					return nil
				})
				return nil
			},
		}
		client, server := sessions(t, nil, &stream.AcceptOptions{Features: []stream.Feature{feature}})
		_, _ = serve(server)
		require.NoError(t, client.Send(t.Context(), raw(`<r xmlns='urn:x'/>`)))
		require.Equal(t, "r", <-got)
		synctest.Wait()
		in, _ := server.Counts()
		require.Zero(t, in, "nonzas are not counted (XEP-0198 §4)")
		_, out := client.Counts()
		require.Zero(t, out)
	})
}

func TestIdleSessionHoldsNoBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		got, _ := serve(server)
		require.NoError(t, client.Send(t.Context(), raw("<message><body>"+strings.Repeat("x", 50_000)+"</body></message>")))
		<-got
		synctest.Wait()
		require.Zero(t, stream.HeldBytes(server))
		require.Zero(t, stream.HeldBytes(client))
	})
}
