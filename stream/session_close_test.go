package stream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Somebody closes a session before its reader has begun: Close reads for
// itself, and that is no reason for Serve to fail.
func TestServeAfterCloseBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		closed := make(chan error, 1)
		go func() { closed <- client.Close(context.Background()) }()
		synctest.Wait()
		result := make(chan error, 1)
		go func() { result <- client.Serve(func(*stream.Element) error { return nil }) }()
		synctest.Wait()
		require.Empty(t, result)
		_, end := serve(server)
		require.NoError(t, <-closed)
		require.NoError(t, <-result)
		require.NoError(t, <-end)
		require.NoError(t, client.Serve(nil), "the stream was closed in good order")
	})
}

// A handler that cannot answer any more since we are closing has not failed.
//
//conformance:proves 6120-4.4-1
func TestHandlerThatHearsOfOurCloseDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		handled := 0
		result := make(chan error, 1)
		go func() {
			result <- server.Serve(func(*stream.Element) error {
				handled++
				<-time.After(100 * time.Millisecond)
				return server.Send(context.Background(), raw(`<presence/>`))
			})
		}()
		require.NoError(t, client.Send(t.Context(), raw(`<message/>`)))
		require.NoError(t, client.Send(t.Context(), raw(`<message/>`)))
		synctest.Wait()
		_, end := serve(client)
		require.NoError(t, server.Close(t.Context()))
		require.NoError(t, <-result)
		require.NoError(t, <-end)
		require.Equal(t, 2, handled, "RFC 6120 §4.4 rule 2: what arrives is still processed")
		require.ErrorIs(t, server.Err(), stream.ErrLocalClosed)
	})
}

// What was queued when Close was called is written, whatever the handler says
// afterwards.
func TestHandlerErrorAfterCloseKeepsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, p := held(t, &stream.AcceptOptions{})
		release := conn.holdWrites(0)
		broken := errors.New("handler broke")
		result := make(chan error, 1)
		go func() {
			result <- s.Serve(func(*stream.Element) error {
				require.NoError(t, s.Send(t.Context(), raw(`<message id='1'/>`)))
				synctest.Wait() // the writer is held with the first
				require.NoError(t, s.Send(t.Context(), raw(`<message id='2'/>`)))
				go s.Close(context.Background())
				synctest.Wait()
				return broken
			})
		}()
		p.say(t, `<presence/>`)
		<-time.After(100 * time.Millisecond)
		release()
		require.ErrorIs(t, <-result, broken)
		p.Close()
		require.True(t, strings.HasSuffix(p.all(t), `<message id='1'/><message id='2'/></stream:stream>`), p.heard())
	})
}

func TestOnlyTheFirstReasonIsSent(t *testing.T) {
	first := &stream.Error{Condition: stream.SystemShutdown}
	second := &stream.Error{Condition: stream.Conflict}
	for name, c := range map[string]struct {
		reasons []*stream.Error
		cause   error
		sent    []*stream.Error
	}{
		"a reason after a plain Close": {[]*stream.Error{nil, second}, stream.ErrLocalClosed, nil},
		"two reasons":                  {[]*stream.Error{first, second}, stream.SystemShutdown, []*stream.Error{first}},
		"a plain Close after a reason": {[]*stream.Error{first, nil}, stream.SystemShutdown, []*stream.Error{first}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent []*stream.Error
				client, server := sessions(t, nil, &stream.AcceptOptions{
					Trace: &stream.Trace{ErrorSent: func(e *stream.Error) { sent = append(sent, e) }},
				})
				results := make(chan error, len(c.reasons))
				for _, r := range c.reasons {
					go func() { results <- server.CloseError(context.Background(), r) }()
					synctest.Wait()
				}
				go serve(client)
				for range c.reasons {
					require.NoError(t, <-results, "the stream was closed in good order")
				}
				require.ErrorIs(t, server.Err(), c.cause)
				require.Equal(t, c.sent, sent, "traced is what was sent")
				<-client.Done()
				if c.sent != nil {
					require.ErrorIs(t, client.Err(), stream.SystemShutdown)
				} else {
					require.ErrorIs(t, client.Err(), stream.ErrPeerClosed)
				}
			})
		})
	}
}

func TestCloseErrorAndAPeerThatAnswersGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, p := held(t, &stream.AcceptOptions{})
		p.say(t, `</nonsense>`)
		err := s.CloseError(t.Context(), &stream.Error{Condition: stream.SystemShutdown})
		require.ErrorIs(t, err, stream.NotWellFormed)
		require.ErrorIs(t, err, net.ErrClosed)
		p.Close()
		p.all(t)
	})
}

func TestCloseBoundedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, p := held(t, &stream.AcceptOptions{})
		why := errors.New("no time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		start := time.Now()
		err := s.Close(ctx)
		require.ErrorIs(t, err, why)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		p.all(t)
	})
}

// A hook may end the session that it hears of, even the one that hears of the
// end; and whoever waits for the end finds the hook done.
func TestHooksMayAbort(t *testing.T) {
	for _, hook := range []string{"XMLSent", "XMLReceived", "ErrorSent", "Closed"} {
		t.Run(hook, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed := 0
				var s *stream.Session
				hit := func(name string) {
					if name == hook && s != nil {
						s.Abort(errors.New("over"))
					}
				}
				_, _, p := held(t, &stream.AcceptOptions{Trace: &stream.Trace{
					Established: func(got *stream.Session) { s = got },
					XMLSent:     func([]byte) { hit("XMLSent") },
					XMLReceived: func([]byte) { hit("XMLReceived") },
					ErrorSent:   func(*stream.Error) { hit("ErrorSent") },
					Closed: func(error) {
						hit("Closed")
						require.NoError(t, s.Close(context.Background()))
						<-time.After(time.Second)
						closed++
					},
				}})
				p.say(t, `<presence/></nonsense>`)
				require.Error(t, s.Serve(func(*stream.Element) error {
					s.TrySend(raw(`<presence/>`))
					return nil
				}))
				require.Equal(t, 1, closed, "told once, and before Serve returns")
				p.Close()
				p.all(t)
			})
		})
	}
}

// What ended one session is not told to the peer of another.
func TestErrorOfAnotherSessionStaysInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other, _ := sessions(t, nil, nil)
		other.Abort(&stream.Error{Condition: stream.Conflict, Text: "upstream at 10.0.0.1"})
		received := &stream.Error{Condition: stream.Reset, Received: true, Text: "upstream says"}
		for _, err := range []error{other.Err(), received} {
			s, _, p := held(t, &stream.AcceptOptions{})
			p.say(t, `<presence/>`)
			require.ErrorIs(t, s.Serve(func(*stream.Element) error { return err }), err)
			p.Close()
			wire := p.all(t)
			wantError(t, wire, stream.InternalServerError)
			require.NotContains(t, wire, "upstream")
		}
	})
}

// A handler that leaves its goroutine takes the reader with it.
func TestHandlerThatCallsGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessions(t, nil, nil)
		go server.Serve(func(*stream.Element) error { runtime.Goexit(); return nil })
		_, end := serve(client)
		require.NoError(t, client.Send(t.Context(), raw(`<presence/>`)))
		<-server.Done()
		require.ErrorIs(t, server.Err(), net.ErrClosed)
		require.Error(t, <-end)
	})
}

// Close cannot tell a slow handler from one that called it, and may return
// before the peer has answered; what was queued is written by then.
func TestCloseBesideASlowHandlerFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, p := held(t, &stream.AcceptOptions{})
		go s.Serve(func(*stream.Element) error { <-time.After(3 * time.Second); return nil })
		p.say(t, `<presence/>`)
		synctest.Wait()
		release := conn.holdWrites(0)
		require.NoError(t, s.Send(t.Context(), raw(`<message/>`)))
		synctest.Wait()
		time.AfterFunc(400*time.Millisecond, release)
		require.NoError(t, s.Close(t.Context()))
		require.True(t, strings.HasSuffix(p.heard(), `<message/></stream:stream>`), p.heard())
		p.say(t, `</stream:stream>`)
		<-s.Done()
		require.ErrorIs(t, s.Err(), stream.ErrLocalClosed)
		p.all(t)
	})
}

func TestCloseFromInsideANonzaHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feature := stream.Feature{
			Name: stream.Name{Space: "urn:x", Local: "x"},
			Advertise: func(n *stream.Negotiation, w *stream.Writer) error {
				n.HandleNonza("urn:x", func(s *stream.Session, el *stream.Element) error { return s.Close(context.Background()) })
				return nil
			},
		}
		client, server := sessions(t, nil, &stream.AcceptOptions{Features: []stream.Feature{feature}})
		_, end := serve(client)
		_, serverEnd := serve(server)
		require.NoError(t, client.Send(t.Context(), raw(`<r xmlns='urn:x'/>`)))
		require.NoError(t, <-serverEnd)
		require.NoError(t, <-end)
	})
}

// Senders that wait for room when the stream is closed hear of it at once.
func TestCloseWakesWaitingSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := sessions(t, nil, nil)
		big := raw("<message><body>" + strings.Repeat("x", 200_000) + "</body></message>")
		for client.TrySend(big) == nil {
			synctest.Wait()
		}
		waiting := make(chan error, 1)
		go func() { waiting <- client.Send(t.Context(), big) }()
		synctest.Wait()
		start := time.Now()
		go client.Close(context.Background())
		require.ErrorIs(t, <-waiting, net.ErrClosed)
		require.Zero(t, time.Since(start))
		<-client.Done()
		require.ErrorIs(t, client.Err(), stream.ErrCloseTimeout, "the peer never read")
	})
}

// G01 with the worst of peers: it does not read, and a handler closes.
func TestCloseInAHandlerWhenThePeerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, p := held(t, &stream.AcceptOptions{CloseTimeout: 3 * time.Second})
		defer conn.holdWrites(0)()
		var took time.Duration
		p.say(t, `<presence/>`)
		start := time.Now()
		require.ErrorIs(t, s.Serve(func(*stream.Element) error {
			require.NoError(t, s.Send(t.Context(), raw(`<message/>`)))
			defer func() { took = time.Since(start) }()
			return s.Close(context.Background())
		}), stream.ErrCloseTimeout)
		require.Less(t, took, time.Second)
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

// A peer that says why and goes away at once is heard even when our own write
// fails first.
func TestCauseOfThePeerBeatsABrokenPipe(t *testing.T) {
	for name, c := range map[string]struct {
		words string
		want  error
	}{
		"closing tag":  {"</stream:stream>", stream.ErrPeerClosed},
		"stream error": {"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>", stream.Conflict},
		"nothing":      {"", stream.ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			eachSide(t, func(t *testing.T, s *stream.Session, peer net.Conn) {
				release := make(chan struct{})
				_, err := peer.Write([]byte("<message/>" + c.words))
				require.NoError(t, err)
				result := make(chan error, 1)
				go func() {
					result <- s.Serve(func(*stream.Element) error { <-release; return nil })
				}()
				synctest.Wait()
				peer.Close()
				require.NoError(t, s.Send(t.Context(), raw("<presence/>")))
				synctest.Wait() // the write has failed, the reader has not read on
				require.NoError(t, s.Err())
				close(release)
				<-result
				require.ErrorIs(t, s.Err(), c.want)
			})
		})
	}
	t.Run("a reader that never gets there", func(t *testing.T) {
		eachSide(t, func(t *testing.T, s *stream.Session, peer net.Conn) {
			release := make(chan struct{})
			_, err := peer.Write([]byte("<message/>"))
			require.NoError(t, err)
			go s.Serve(func(*stream.Element) error { <-release; return nil })
			synctest.Wait()
			peer.Close()
			require.NoError(t, s.Send(t.Context(), raw("<presence/>")))
			synctest.Wait() // the write has failed
			require.NoError(t, s.Send(t.Context(), raw("<presence/>")))
			<-s.Done()
			require.ErrorIs(t, s.Err(), io.ErrClosedPipe)
			require.Zero(t, stream.QueuedBytes(s))
			close(release)
		})
	})
}

// brokenOnce is a connection that takes half of one write, fails it, and would
// take more after that.
type brokenOnce struct {
	net.Conn
	armed, failed atomic.Bool
	after         atomic.Int64 // bytes taken after the failure
}

func (c *brokenOnce) Write(p []byte) (int, error) {
	switch {
	case c.failed.Load():
		c.after.Add(int64(len(p)))
		return len(p), nil
	case c.armed.Load():
		c.failed.Store(true)
		n, _ := c.Conn.Write(p[:len(p)/2])
		return n, errors.New("wobbly cable")
	}
	return c.Conn.Write(p)
}

// After half an element nothing more may be written, whatever the connection
// would take: the peer would read the rest as part of that element.
func TestNothingIsWrittenAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		p := newPeer(a)
		p.say(t, clientHeader)
		conn := &brokenOnce{Conn: b}
		s, err := stream.Accept(t.Context(), conn, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		require.NoError(t, err)
		_, end := serve(s)
		synctest.Wait()
		conn.armed.Store(true)
		require.NoError(t, s.Send(t.Context(), raw("<message/>")))
		synctest.Wait()
		require.NoError(t, s.Send(t.Context(), raw("<presence/>")))
		require.ErrorContains(t, <-end, "wobbly cable")
		require.Zero(t, conn.after.Load())
		p.Close()
		require.True(t, strings.HasSuffix(p.all(t), "<mess"), p.heard())
	})
}
