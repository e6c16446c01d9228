package caps_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/disco"
)

// A client announces itself in its presence, and learns what a contact can do
// who runs the same software.
func Example() {
	var me disco.Entity
	announce := &caps.Announcer{Node: "http://code.google.com/p/exodus", Entity: &me}
	me = disco.Entity{
		Identities: []disco.Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}},
		Features:   []string{"http://jabber.org/protocol/muc"},
		Modules:    []stanza.Module{announce},
	}
	tracker := new(caps.Tracker)
	var mux stanza.Mux // which stanza.Conn.Serve feeds
	if err := stanza.Install(&mux, announce, tracker, &disco.Responder{Self: &me}); err != nil {
		fmt.Println(err)
		return
	}

	available := new(stanza.Presence) // to be sent
	if err := announce.Annotate(available); err != nil {
		fmt.Println(err)
		return
	}
	b, err := available.AppendXML(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(b))

	// Somebody announces something; nobody has to be asked twice.
	ctx := context.Background()
	contact := jid.MustParse("nurse@capulet.lit/chamber")
	if _, err := tracker.Info(ctx, nil, contact); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>
	// caps: nothing announced by that address
}
