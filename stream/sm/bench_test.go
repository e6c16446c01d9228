package sm_test

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
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

// timeless is a connection without write deadlines: those of an in-memory one
// cost an allocation each time, those of a socket do not.
type timeless struct{ net.Conn }

func (timeless) SetWriteDeadline(time.Time) error { return nil }

// echo returns a function that sends a message of 300 bytes and returns when it
// has come back, on sessions with stream management or without.
func echo(t testing.TB, managed bool) (send func()) {
	cf, sf := []stream.Feature{trusted()}, []stream.Feature{trusted()}
	if managed {
		cf, sf = append(cf, newClient(t, nil).Feature()), append(sf, sm.NewServer(nil).Feature())
	}
	a, b := memconn.Pipe()
	accepted := make(chan *stream.Session, 1)
	go func() { // ends with the negotiation
		s, err := stream.Accept(context.Background(), timeless{b}, &stream.AcceptOptions{
			Profile: stream.InsecureC2S(), Domains: []jid.JID{domain}, Features: append(sf, bind.Server(nil)),
		})
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	client, err := stream.Initiate(context.Background(), timeless{a}, &stream.InitiateOptions{
		Profile: stream.InsecureC2S(), To: domain, From: account, Features: append(cf, bind.Client(nil)),
	})
	require.NoError(t, err)
	server := <-accepted
	t.Cleanup(func() {
		client.Abort(errors.New("test over"))
		server.Abort(errors.New("test over"))
		if l := sm.Of(server); l != nil {
			l.GiveUp(nil)
			sm.Of(client).GiveUp(nil)
		}
	})
	const around = len(`<message to='romeo@example.net' type='chat'><body></body></message>`)
	var msg stream.Appender = text(`<message to='romeo@example.net' type='chat'><body>` + strings.Repeat("x", 300-around) + `</body></message>`)
	ctx := context.Background()
	got := make(chan struct{}, 1)
	go server.Serve(func(*stream.Element) error { return server.Send(ctx, msg) })  // ends with the session
	go client.Serve(func(*stream.Element) error { got <- struct{}{}; return nil }) // ends with the session
	return func() {
		if err := client.Send(ctx, msg); err != nil {
			t.Fatal(err)
		}
		<-got
	}
}

// A message there and back, with every message acknowledged.
func BenchmarkEcho(b *testing.B) {
	for _, managed := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "managed"}[managed]
		b.Run(name, func(b *testing.B) {
			send := echo(b, managed)
			b.ReportAllocs()
			b.SetBytes(600)
			for b.Loop() {
				send()
			}
		})
	}
}

// In the long run stream management allocates nothing for a stanza.
func TestAllocations(t *testing.T) {
	if sm.RaceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	for _, managed := range []bool{false, true} {
		send := echo(t, managed)
		for range 1000 {
			send()
		}
		require.Zero(t, testing.AllocsPerRun(2000, send), "managed: %t", managed)
	}
}
