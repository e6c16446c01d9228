package private_test

import (
	"context"
	"fmt"
	"testing"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream"
)

// Notes are what a program stores: a struct is enough.
type Notes struct {
	XMLName struct{} `xml:"storage:rosternotes storage"`
	Notes   []Note   `xml:"note"`
}

// Note is one of them.
type Note struct {
	JID  string `xml:"jid,attr"`
	Text string `xml:",chardata"`
}

// A client leaves a note about a contact with its server and reads it again.
func Example() {
	ctx := context.Background()
	client := connect()

	err := private.Set(ctx, client, stanza.XML(Notes{Notes: []Note{{JID: "romeo@montague.lit", Text: "likes balconies"}}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	el, err := private.Get(ctx, client, stream.Name{Space: "storage:rosternotes", Local: "storage"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var notes Notes
	if err := stanza.Unmarshal(el, &notes); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(notes.Notes[0].JID, notes.Notes[0].Text)
	// Output: romeo@montague.lit likes balconies
}

// connect stands for logging in.
func connect() private.Doer {
	m := &private.Module{}
	if err := m.Attach(nil); err != nil {
		panic(err)
	}
	return server{&testing.T{}, m}
}
