package presence_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// A client shows who of its contacts comes and goes.
func ExampleTracker() {
	account := jid.MustParse("juliet@example.com")
	happened := func(e presence.Event) {
		switch {
		case e.Type == stanza.SubscribePresence:
			fmt.Println(e.Contact(), "asks to see your presence:", e.Presence.Status)
		case e.Came():
			fmt.Println(e.Contact(), "is here")
		case e.Went() && e.Presence == nil:
			fmt.Println(e.Contact(), "is not to be seen any more")
		case e.Went():
			fmt.Println(e.Contact(), "has left:", e.Presence.Status)
		}
	}
	var people *presence.Tracker
	contacts, err := roster.NewClient(&roster.Options{Account: account, OnChange: func(_ context.Context, change roster.Event) {
		for _, e := range people.Follow(change) {
			happened(e)
		}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	people, err = presence.NewTracker(&presence.TrackerOptions{
		Account:  account,
		InRoster: func(contact jid.JID) bool { _, ok := contacts.Item(contact); return ok },
		OnEvent:  func(_ context.Context, _ stanza.Sender, e presence.Event) { happened(e) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var mux stanza.Mux
	if err := stanza.Install(&mux, contacts, people); err != nil {
		fmt.Println(err)
		return
	}

	// With a connection in the place of conn, all that is left to do is to serve it:
	//
	//	conn, err := client.Connect(ctx)
	//	go conn.Serve(ctx, &mux)
	ctx, conn := context.Background(), scripted{}
	if err := contacts.Sync(ctx, conn); err != nil {
		fmt.Println(err)
		return
	}
	if err := people.Available(ctx, conn, stanza.ShowChat, "", 0); err != nil {
		fmt.Println(err)
		return
	}
	for _, st := range conn.received() {
		if err := mux.HandleStanza(ctx, conn, st); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// romeo@example.net is here
	// nurse@example.com asks to see your presence: It is me!
	// romeo@example.net has left: good night
	// benvolio@example.net is here
}

// scripted stands for a connection in the example: what comes is known beforehand.
type scripted struct{}

func (scripted) Send(context.Context, stanza.Stanza) error { return nil }

func (scripted) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return parsed(`<iq type='result' id='1'><query xmlns='jabber:iq:roster'>
		<item jid='romeo@example.net' subscription='to'/></query></iq>`)[0].(*stanza.IQ), nil
}

func (scripted) received() []stanza.Stanza {
	return parsed(`
		<presence from='romeo@example.net/orchard'><show>away</show></presence>
		<presence from='tybalt@example.com/square'/>
		<presence from='nurse@example.com' type='subscribe'><status>It is me!</status></presence>
		<presence from='romeo@example.net/orchard' type='unavailable'><status>good night</status></presence>
		<presence from='benvolio@example.net/street'/>
		<iq type='set' id='push'><query xmlns='jabber:iq:roster'><item jid='benvolio@example.net' subscription='to'/></query></iq>`)
}

// parsed returns the stanzas in a piece of XML.
func parsed(xml string) (out []stanza.Stanza) {
	all, err := stream.ParseElement([]byte("<all xmlns='jabber:client'>"+xml+"</all>"), nil)
	if err != nil {
		panic(err)
	}
	for el := range all.Children() {
		st, err := stanza.Decode(el.Clone())
		if err != nil {
			panic(err)
		}
		out = append(out, st)
	}
	return out
}
