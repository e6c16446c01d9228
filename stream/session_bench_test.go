package stream_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// message300 is a message of 300 bytes that is XML already.
func message300() stream.Appender {
	const around = len(`<message to='romeo@example.net' type='chat'><body></body></message>`)
	return raw(`<message to='romeo@example.net' type='chat'><body>` + strings.Repeat("x", 300-around) + `</body></message>`)
}

// timeless is a connection without write deadlines: those of an in-memory one
// cost an allocation each time, those of a socket do not.
type timeless struct{ net.Conn }

func (timeless) SetWriteDeadline(time.Time) error { return nil }

// timelessSessions is sessions over timeless connections.
func timelessSessions(t testing.TB) (client, server *stream.Session) {
	a, b := memconn.Pipe()
	accepted := make(chan *stream.Session, 1)
	go func() { // ends with the negotiation
		s, err := stream.Accept(context.Background(), timeless{b}, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	client, err := stream.Initiate(context.Background(), timeless{a}, &stream.InitiateOptions{Profile: bare, To: domain})
	require.NoError(t, err)
	server = <-accepted
	t.Cleanup(func() {
		client.Abort(errors.New("test over"))
		server.Abort(errors.New("test over"))
	})
	return client, server
}

// conversation returns a function that sends one message and returns when the
// other side has handled it.
func conversation(t testing.TB) (send func()) {
	client, server := timelessSessions(t)
	got := make(chan struct{}, 1)
	go server.Serve(func(*stream.Element) error { got <- struct{}{}; return nil })
	msg, ctx := message300(), context.Background()
	return func() {
		if err := client.Send(ctx, msg); err != nil {
			t.Fatal(err)
		}
		<-got
	}
}

// A burst of one: the goroutine of the writer starts and ends each time.
func BenchmarkSessionRaw(b *testing.B) {
	send := conversation(b)
	b.ReportAllocs()
	b.SetBytes(300)
	for b.Loop() {
		send()
	}
}

// As fast as back-pressure allows.
func BenchmarkSessionRawStreaming(b *testing.B) {
	client, server := timelessSessions(b)
	handled, want := 0, -1
	done := make(chan struct{})
	last := raw(`<presence/>`)
	go server.Serve(func(el *stream.Element) error {
		handled++
		if el.Name().Local == "presence" {
			want = handled
			close(done)
		}
		return nil
	})
	msg, ctx := message300(), context.Background()
	b.ReportAllocs()
	b.SetBytes(300)
	n := 0
	for b.Loop() {
		n++
		if err := client.Send(ctx, msg); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, client.Send(ctx, last))
	<-done
	require.Equal(b, n+1, want)
}

// A message costs no allocation on its way from Send to the handler.
func TestSendAllocations(t *testing.T) {
	if stream.RaceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	send := conversation(t)
	for range 100 {
		send()
	}
	require.Zero(t, testing.AllocsPerRun(1000, send))
}
