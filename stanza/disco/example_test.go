package disco_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
)

// A server announces what its modules can do, and a client asks for it.
func Example() {
	ctx := context.Background()
	clientSession, serverSession := inMemory(ctx)

	modules := []stanza.Module{ping.Responder()}
	services := &disco.Responder{Self: &disco.Entity{
		Identities: []disco.Identity{{Category: "server", Type: "im"}},
		Modules:    modules,
		Items:      []disco.Item{{JID: jid.MustParse("rooms.capulet.lit"), Name: "Chatrooms"}},
	}}
	var mux stanza.Mux
	if err := stanza.Install(&mux, append(modules, services)...); err != nil {
		fmt.Println(err)
		return
	}
	server := stanza.NewConn(serverSession, nil)
	go server.Serve(ctx, &mux) // ends with the session

	client := stanza.NewConn(clientSession, nil)
	domain := jid.MustParse("capulet.lit")
	info, err := disco.GetInfo(ctx, client, domain, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Is("server", "im"), info.Has(ping.NS))
	items, err := disco.GetItems(ctx, client, domain, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range items.Items {
		fmt.Println(item.JID, item.Name)
	}
	if err := client.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// true true
	// rooms.capulet.lit Chatrooms
}

// inMemory negotiates a stream inside the program, without TLS and
// authentication.
func inMemory(ctx context.Context) (client, server *stream.Session) {
	a, b := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	domain := jid.MustParse("capulet.lit")
	accepted := make(chan *stream.Session)
	go func() {
		s, err := stream.Accept(ctx, b, &stream.AcceptOptions{Profile: profile, Domains: []jid.JID{domain}})
		if err != nil {
			panic(err)
		}
		accepted <- s
	}()
	client, err := stream.Initiate(ctx, a, &stream.InitiateOptions{Profile: profile, To: domain})
	if err != nil {
		panic(err)
	}
	return client, <-accepted
}
