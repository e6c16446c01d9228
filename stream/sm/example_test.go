package sm_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

// A client loses its connection, goes on sending, and comes back: the message that
// it has sent in between arrives, and its receipt says so.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server := sm.NewServer(nil)      // one for all clients
	client, err := sm.NewClient(nil) // one for all connections
	if err != nil {
		panic(err)
	}
	connect := func() *stream.Session {
		a, b := memconn.Pipe()
		go func() { // ends with the stream
			s, err := stream.Accept(ctx, b, &stream.AcceptOptions{
				Profile: stream.InsecureC2S(), Domains: []jid.JID{jid.MustParse("im.example")},
				// trusted stands for TLS and SASL.
				Features: []stream.Feature{trusted(), server.Feature(), bind.Server(nil)},
			})
			if err != nil {
				panic(err)
			}
			_ = s.Serve(func(el *stream.Element) error {
				fmt.Println("the server got", el.Attr("id"))
				return nil
			})
		}()
		s, err := stream.Initiate(ctx, a, &stream.InitiateOptions{
			Profile: stream.InsecureC2S(), To: jid.MustParse("im.example"), From: jid.MustParse("juliet@im.example"),
			Features: []stream.Feature{trusted(), client.Feature(), bind.Client(nil)},
		})
		if err != nil {
			panic(err)
		}
		go s.Serve(func(*stream.Element) error { return nil }) // ends with the session
		fmt.Println("connected; resumed:", client.Link().Resumed())
		return s
	}

	session := connect()
	first, err := session.SendReceipt(ctx, text(`<message id='1'/>`))
	if err != nil {
		panic(err)
	}
	if err := first.Wait(ctx, stream.Acked); err != nil {
		panic(err)
	}
	session.Abort(errors.New("the train is in a tunnel"))
	second, err := session.SendReceipt(ctx, text(`<message id='2'/>`))
	if err != nil {
		panic(err)
	}
	fmt.Println("2 is", second.State())

	session = connect()
	if err := second.Wait(ctx, stream.Acked); err != nil {
		panic(err)
	}
	fmt.Println("2 is", second.State())
	_ = session.Close(ctx)
	// Output:
	// connected; resumed: false
	// the server got 1
	// 2 is queued
	// connected; resumed: true
	// the server got 2
	// 2 is acked
}
