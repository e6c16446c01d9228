package ws_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/ws"
)

// A stream over a WebSocket, here one within this process; the module
// adapters/websocket opens real ones. The messages that the client has sent are
// shown at the end.
func Example() {
	ctx := context.Background()
	domain := jid.MustParse("im.example")
	bare := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	clientSocket, serverSocket := pipe()

	served := make(chan error)
	go func() { // ends with the stream
		server, err := stream.Accept(ctx, ws.NewConn(serverSocket, stream.Receiving, nil), &stream.AcceptOptions{
			Profile: bare,
			Domains: []jid.JID{domain},
		})
		if err == nil {
			err = server.Serve(func(*stream.Element) error { return nil })
		}
		served <- err
	}()

	client, err := stream.Initiate(ctx, ws.NewConn(clientSocket, stream.Initiating, nil), &stream.InitiateOptions{Profile: bare, To: domain})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Send(ctx, raw("<presence/>")), client.Close(ctx), <-served)
	for _, m := range clientSocket.sent {
		fmt.Println(m)
	}
	// Output:
	// <nil> <nil> <nil>
	// <open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="im.example" version="1.0" xml:lang="en"/>
	// <presence xmlns="jabber:client"/>
	// <close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>
}
