package roster_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// A client follows its roster and adds a contact to it. The server is made of the
// parts of this package: it has one account with one resource.
func Example() {
	ctx := context.Background()
	clientSession, serverSession := inMemory(ctx)
	me := jid.MustParse("juliet@example.com/balcony")

	server := stanza.NewConn(serverSession, nil)
	go server.Serve(ctx, rosterServer(me)) // ends with the session

	changes := make(chan roster.Event, 10)
	contacts, err := roster.NewClient(&roster.Options{
		Account:  me,
		OnChange: func(_ context.Context, e roster.Event) { changes <- e },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var mux stanza.Mux
	if err := stanza.Install(&mux, contacts); err != nil {
		fmt.Println(err)
		return
	}
	client := stanza.NewConn(clientSession, nil)
	go client.Serve(ctx, &mux) // ends with the session

	if err := contacts.Sync(ctx, client); err != nil {
		fmt.Println(err)
		return
	}
	nurse := roster.Item{JID: jid.MustParse("nurse@example.com"), Name: "Nurse", Groups: []string{"Servants"}}
	if err := roster.Set(ctx, client, nurse); err != nil {
		fmt.Println(err)
		return
	}
	e := <-changes
	fmt.Println(e.Contact(), "is", e.After.Name, "of", e.After.Groups)

	if err := client.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: nurse@example.com is Nurse of [Servants]
}

// rosterServer answers the roster requests of one resource.
func rosterServer(resource jid.JID) *stanza.Mux {
	account, store := resource.Bare(), new(roster.MemoryStore)
	query := stream.Name{Space: roster.NS, Local: "query"}
	// The example's streams are without authentication: nobody else is there.
	sender := func(iq *stanza.IQ) *stanza.IQ { c := *iq; c.From = resource; return &c }

	mux := new(stanza.Mux)
	get := stanza.HandlerFunc(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
		iq := st.(*stanza.IQ)
		q, err := roster.ParseGet(account, sender(iq))
		if err != nil {
			return err
		}
		result, pushes, err := roster.Answer(ctx, store, account, q)
		if err != nil {
			return err
		}
		reply := iq.Result(nil)
		if result != nil {
			reply.Payload = result
		}
		if err := s.Send(ctx, reply); err != nil {
			return err
		}
		for _, c := range pushes {
			if err := s.Send(ctx, &stanza.IQ{ID: stanza.NewID(), Type: stanza.SetIQ, Payload: c.Push()}); err != nil {
				return err
			}
		}
		return nil
	})
	set := stanza.HandlerFunc(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
		iq := st.(*stanza.IQ)
		entry, err := roster.ParseSet(account, sender(iq), nil)
		if err != nil {
			return err
		}
		r, err := store.Roster(ctx, account)
		if err != nil {
			return err
		}
		old, _ := r.Item(entry.JID)
		item, err := entry.Apply(old)
		if err != nil {
			return err
		}
		version, err := store.Put(ctx, account, item)
		if err != nil {
			return err
		}
		change := roster.Change{Version: version, Item: item, Removed: entry.Remove}
		if err := s.Send(ctx, &stanza.IQ{ID: stanza.NewID(), Type: stanza.SetIQ, Payload: change.Push()}); err != nil {
			return err
		}
		return s.Send(ctx, iq.Result(nil))
	})
	for typ, h := range map[stanza.IQType]stanza.Handler{stanza.GetIQ: get, stanza.SetIQ: set} {
		if err := mux.Handle(stanza.IQKind, string(typ), query, h); err != nil {
			panic(err)
		}
	}
	return mux
}

// A program may keep its contacts itself, with no roster on a server.
func ExampleList() {
	var contacts roster.List
	for _, i := range []roster.Item{
		{JID: jid.MustParse("romeo@example.net"), Name: "Romeo", Groups: []string{"Friends", "Lovers"}},
		{JID: jid.MustParse("nurse@example.com"), Name: "Nurse", Groups: []string{"Servants"}},
		{JID: jid.MustParse("benvolio@example.net"), Groups: []string{"Friends"}},
	} {
		if _, _, err := contacts.Put(i); err != nil {
			fmt.Println(err)
		}
	}
	if e, ok := contacts.Remove(jid.MustParse("nurse@example.com")); ok {
		fmt.Println("removed", e.Before.Name)
	}
	for _, group := range contacts.Groups() {
		for i := range contacts.Group(group) {
			fmt.Println(group, i.JID)
		}
	}
	// Output:
	// removed Nurse
	// Friends benvolio@example.net
	// Friends romeo@example.net
	// Lovers romeo@example.net
}

// What a server does when somebody asks for a subscription, and the user approves.
func ExampleState() {
	state, effects := roster.None.Inbound(stanza.SubscribePresence)
	fmt.Printf("%s: %s\n", state, effects)
	state, effects = state.Outbound(stanza.SubscribedPresence)
	fmt.Printf("%s: %s\n", state, effects)
	// Output:
	// None + Pending In: deliver, keep
	// From: route, push, send presence
}

// inMemory negotiates a stream inside the program, without TLS and
// authentication.
func inMemory(ctx context.Context) (client, server *stream.Session) {
	a, b := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	domain := jid.MustParse("example.com")
	accepted := make(chan *stream.Session)
	go func() { // ends when it has handed over
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
