package stanza_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// inMemory returns the two ends of a stream inside the program. It has neither
// TLS nor authentication: a real one comes from stream.Initiate and
// stream.Accept with the features for that.
func inMemory(clientOptions, serverOptions *stanza.Options) (client, server *stanza.Conn) {
	ctx := context.Background()
	a, b := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	accepted := make(chan *stream.Session)
	go func() {
		s, err := stream.Accept(ctx, b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{jid.MustParse("example.com")},
		})
		if err != nil {
			panic(err)
		}
		accepted <- s
	}()
	s, err := stream.Initiate(ctx, a, &stream.InitiateOptions{
		Profile: profile, To: jid.MustParse("example.com"), From: jid.MustParse("juliet@example.com/balcony"),
	})
	if err != nil {
		panic(err)
	}
	return stanza.NewConn(s, clientOptions), stanza.NewConn(<-accepted, serverOptions)
}

// A loop of one's own, here on the side of a server that echoes messages.
func ExampleConn_All() {
	ctx := context.Background()
	client, server := inMemory(nil, nil)

	done := make(chan struct{})
	go func() {
		defer close(done)
		for st, err := range server.All(ctx) {
			if err != nil {
				fmt.Println("server:", err)
				return
			}
			// st is borrowed until the next step: Clone it to keep it.
			if msg, ok := st.(*stanza.Message); ok {
				if err := server.Send(ctx, msg.Reply("You said: "+msg.Body.String())); err != nil {
					fmt.Println("server:", err)
					return
				}
			}
		}
	}()

	err := client.Send(ctx, &stanza.Message{
		To: jid.MustParse("example.com"), ID: stanza.NewID(),
		Type: stanza.ChatMessage, Body: stanza.Plain("Good pilgrim"),
	})
	if err != nil {
		fmt.Println("client:", err)
	}
	for st, err := range client.All(ctx) {
		if err != nil {
			fmt.Println("client:", err)
			return
		}
		if msg, ok := st.(*stanza.Message); ok {
			fmt.Println(msg.Body)
			break // leaves the session open
		}
	}
	if err := client.Close(ctx); err != nil {
		fmt.Println("client:", err)
	}
	<-done
	// Output: You said: Good pilgrim
}

// version is the payload of XEP-0092, Software Version.
type version struct{ name, number string }

func (v version) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(versionName)
	if v.name != "" {
		w.Start(stream.Name{Local: "name"})
		w.Text(v.name)
		w.End()
		w.Start(stream.Name{Local: "version"})
		w.Text(v.number)
		w.End()
	}
	w.End()
	return w.Bytes()
}

var versionName = stream.Name{Space: "jabber:iq:version", Local: "query"}

// Handlers behind a Mux, and requests to them.
func ExampleMux() {
	ctx := context.Background()
	client, server := inMemory(nil, nil)

	var mux stanza.Mux
	err := mux.HandleIQ(stanza.GetIQ, versionName, func(context.Context, *stanza.IQ) (stanza.Payload, error) {
		return version{"Verona", "1.0"}, nil
	})
	if err != nil {
		fmt.Println(err) // the route is taken
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, &mux) }()

	reply, err := client.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, Payload: version{}})
	if err != nil {
		fmt.Println("client:", err)
		return
	}
	name, _ := reply.Element().Child(stream.Name{Space: "jabber:iq:version", Local: "name"})
	fmt.Println(name.Text())

	// Nobody handles this one, so the answer is an error, which is an error.
	_, err = client.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: version{}})
	fmt.Println(err)

	if err := client.Close(ctx); err != nil {
		fmt.Println("client:", err)
	}
	fmt.Println("served:", <-done)
	// Output:
	// Verona
	// stanza error from peer service-unavailable
	// served: <nil>
}
