package csi_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
)

// A client goes to the background and comes back, if the server cares.
func ExampleClient() {
	var state csi.Client
	options := stream.InitiateOptions{Features: []stream.Feature{ /* TLS, authentication, binding, */ state.Feature()}}
	_ = options

	background := func(ctx context.Context, session *stream.Session, hidden bool) error {
		switch {
		case !state.Offered():
			return nil
		case hidden:
			return csi.Inactive(ctx, session)
		}
		return csi.Active(ctx, session)
	}
	fmt.Println(background(context.Background(), nil, true)) // there was no stream yet
	// Output: <nil>
}

// A server with a policy of its own: who is in a room may wait, contacts may not.
func ExampleModule() {
	room := stream.Name{Space: "http://jabber.org/protocol/muc#user", Local: "x"}
	module := &csi.Module{
		Unimportant: func(_ stanza.Resource, el *stream.Element) bool {
			_, occupant := el.Child(room)
			return stanza.KindOf(el.Name()) != stanza.PresenceKind || occupant
		},
		MaxStanzas: 100,
	}
	fmt.Println(module.Name())
	// Output: csi
}
