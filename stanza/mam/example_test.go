package mam_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
)

// A client shows the last messages with a contact, and catches up with what came
// while it was away.
func ExampleClient() {
	// The Client goes where messages arrive: here into the Mux that is given to
	// Serve.
	archive := new(mam.Client)
	var mux stanza.Mux
	if err := stanza.Install(&mux, archive); err != nil {
		fmt.Println(err)
		return
	}
	conn := connect(&mux) // a *stanza.Conn, whose Serve runs in a goroutine

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	search := &mam.Search{Filter: mam.Filter{With: jid.MustParse("romeo@montague.lit")}, Newest: true, Page: 2}
	shown := 0
	for r, err := range archive.Query(ctx, conn, jid.JID{}, search) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if r.Message != nil {
			fmt.Println(r.Message.Body)
		}
		if shown++; shown == 2 {
			break
		}
	}

	last := "m1" // the id of the last message that is known
	for r, err := range archive.SyncSince(ctx, conn, jid.JID{}, last) {
		switch {
		case errors.Is(err, stanza.ItemNotFound):
			fmt.Println("that is too long ago")
			return
		case err != nil:
			fmt.Println(err)
			return
		}
		last = r.ID // to be stored with the message
	}
	fmt.Println("up to date with", last)
	// Output:
	// text of m3
	// text of m2
	// up to date with m3
}

// connect stands for a connection to a server with the messages m0 to m3.
func connect(mux *stanza.Mux) mam.Doer { return &exampleConn{mux} }
