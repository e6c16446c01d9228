package stanza_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

var (
	romeo    = jid.MustParse("romeo@montague.lit/orchard")
	montague = jid.MustParse("montague.lit")
	pingName = stream.Name{Space: "urn:xmpp:ping", Local: "ping"}
)

// ping is the payload of XEP-0199.
type ping struct{}

func (ping) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(pingName)
	w.End()
	return w.Bytes()
}

// conns is sessions with a Conn on each.
func conns(t testing.TB, forClient, forServer *stanza.Options) (client, server *stanza.Conn) {
	t.Helper()
	a, b := stanza.Sessions(t, nil)
	return stanza.NewConn(a, forClient), stanza.NewConn(b, forServer)
}

// Both sides of a real stream: requests both ways, messages, closing.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := conns(t, nil, nil)
		require.Equal(t, romeo, client.LocalAddr())
		require.Equal(t, montague, client.RemoteAddr())
		require.Equal(t, romeo, server.RemoteAddr())
		require.NotNil(t, client.Session())

		var mux stanza.Mux
		require.NoError(t, mux.HandleIQ(stanza.GetIQ, pingName, func(_ context.Context, iq *stanza.IQ) (stanza.Payload, error) {
			require.Equal(t, romeo, iq.From) // which he did not write
			return nil, nil
		}))
		require.NoError(t, mux.HandleMessage(stanza.ChatMessage, stream.Name{}, func(ctx context.Context, s stanza.Sender, msg *stanza.Message) error {
			// The server asks the client from within a handler.
			if _, err := s.Do(ctx, &stanza.IQ{To: romeo, Type: stanza.GetIQ, Payload: ping{}}); !errors.Is(err, stanza.ServiceUnavailable) {
				return fmt.Errorf("unexpected answer: %w", err)
			}
			return s.Send(ctx, msg.Reply(msg.Body.String()+"!"))
		}))
		served := make(chan error, 1)
		go func() { served <- server.Serve(t.Context(), &mux) }()

		reply, err := client.Do(t.Context(), &stanza.IQ{Type: stanza.GetIQ, Payload: ping{}})
		require.NoError(t, err)
		require.Equal(t, stanza.ResultIQ, reply.Type)
		_, err = client.Do(t.Context(), &stanza.IQ{To: montague, Type: stanza.SetIQ, Payload: ping{}})
		require.ErrorIs(t, err, stanza.ServiceUnavailable)

		r, err := client.SendReceipt(t.Context(), &stanza.Message{Type: stanza.ChatMessage, To: montague, Body: stanza.Plain("hi <&> there")})
		require.NoError(t, err)
		require.NoError(t, r.Wait(t.Context(), stream.Written))
		for st, err := range client.All(t.Context()) {
			require.NoError(t, err)
			if msg, ok := st.(*stanza.Message); ok {
				require.Equal(t, "hi <&> there!", msg.Body.String())
				break
			}
		}
		require.NoError(t, client.Close(t.Context()))
		require.NoError(t, client.Close(t.Context()))
		require.NoError(t, <-served)
		for _, c := range []*stanza.Conn{client, server} {
			<-c.Done()
			require.ErrorIs(t, c.Err(), net.ErrClosed)
			require.ErrorIs(t, c.Send(t.Context(), &stanza.Message{}), net.ErrClosed)
			require.Zero(t, c.Stats())
		}
	})
}

// A Conn may be closed before its reader has begun, by either side.
func TestCloseAtOnce(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			client, server := conns(t, nil, nil)
			start := time.Now()
			require.NoError(t, client.Close(t.Context()))
			<-server.Done()
			require.Less(t, time.Since(start), time.Second)
			for _, err := range client.All(t.Context()) {
				require.NoError(t, err)
			}
			require.NotErrorIs(t, client.Err(), stanza.ErrBusy)
			require.ErrorIs(t, client.Err(), net.ErrClosed)
		})
	}
}

// A session that somebody else reads is of no use, and stays alive.
func TestConnOfBusySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := stanza.Sessions(t, nil)
		go a.Serve(func(*stream.Element) error { return nil })
		synctest.Wait()
		c := stanza.NewConn(a, nil)
		<-c.Done()
		require.ErrorIs(t, c.Err(), stanza.ErrBusy)
		require.ErrorIs(t, c.Err(), net.ErrClosed)
		require.NoError(t, a.Err())
		a.Abort(nil)
		b.Abort(nil)
	})
}

// RFC 6120 §4.9.3.24 and the like: what is no stanza never gets here, and its
// stream error is what everybody learns.
func TestStreamErrorEndsConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := conns(t, nil, nil)
		ch := make(chan error, 1)
		go func() {
			_, err := client.Do(t.Context(), &stanza.IQ{Type: stanza.GetIQ, Payload: ping{}})
			ch <- err
		}()
		synctest.Wait()
		require.NoError(t, server.Session().Send(t.Context(), ping{}))
		require.ErrorIs(t, <-ch, stream.UnsupportedStanzaType)
		<-server.Done()
		require.ErrorIs(t, server.Err(), stream.UnsupportedStanzaType)
		require.ErrorIs(t, client.Err(), net.ErrClosed)
	})
}

// echo serves one side with a Mux that sends messages back.
func echo(t testing.TB, c *stanza.Conn) {
	var mux stanza.Mux
	require.NoError(t, mux.HandleMessage(stanza.ChatMessage, stream.Name{}, func(ctx context.Context, s stanza.Sender, msg *stanza.Message) error {
		return s.Send(ctx, &stanza.Message{To: msg.From, ID: msg.ID, Type: msg.Type, Body: msg.Body})
	}))
	go c.Serve(context.Background(), &mux) // ends with the session
}

// roundTrips sends messages from the client and waits for each to come back.
func roundTrips(t testing.TB, client *stanza.Conn, next func() bool) {
	back := make(chan struct{}, 1)
	var mux stanza.Mux
	require.NoError(t, mux.HandleMessage(stanza.ChatMessage, stream.Name{}, func(_ context.Context, _ stanza.Sender, msg *stanza.Message) error {
		if len(msg.Body) == 1 {
			back <- struct{}{}
		}
		return nil
	}))
	go client.Serve(context.Background(), &mux) // ends with the session
	msg := &stanza.Message{To: montague, ID: "m1", Type: stanza.ChatMessage, Body: stanza.Plain(strings.Repeat("what light ", 8))}
	ctx := context.Background()
	for next() {
		if err := client.Send(ctx, msg); err != nil {
			t.Fatal(err)
		}
		<-back
	}
}

// BenchmarkSessionEcho is a message from a typed struct to bytes, through the
// server's handler, and back to a handler of the client.
func BenchmarkSessionEcho(b *testing.B) {
	client, server := conns(b, nil, nil)
	echo(b, server)
	b.ReportAllocs()
	roundTrips(b, client, b.Loop)
	client.Abort(nil)
	server.Abort(nil)
}
