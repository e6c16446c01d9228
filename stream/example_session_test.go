package stream_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Two ends of a stream in one process. A real one would have features: TLS,
// authentication and binding are what the zero Profile insists on.
func Example() {
	ctx := context.Background()
	domain := jid.MustParse("im.example")
	bare := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	clientConn, serverConn := memconn.Pipe()

	served := make(chan error)
	go func() {
		server, err := stream.Accept(ctx, serverConn, &stream.AcceptOptions{
			Profile: bare,
			Domains: []jid.JID{domain},
		})
		if err != nil {
			served <- err
			return
		}
		served <- server.Serve(func(el *stream.Element) error {
			fmt.Printf("%s to %s\n", el.Name().Local, el.Attr("to"))
			return nil
		})
	}()

	client, err := stream.Initiate(ctx, clientConn, &stream.InitiateOptions{Profile: bare, To: domain})
	if err != nil {
		fmt.Println(err)
		return
	}
	el, err := stream.ParseElement([]byte(`<message xmlns='jabber:client' to='romeo@im.example'><body>hi</body></message>`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Send(ctx, el), client.Close(ctx), <-served)
	// Unordered output:
	// message to romeo@im.example
	// <nil> <nil> <nil>
}
