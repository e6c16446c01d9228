package vcard_test

import (
	"context"
	"fmt"
	"testing"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/vcard"
)

// A client changes one thing in its profile, and announces the picture in it.
func Example() {
	ctx := context.Background()
	client := connect()

	profile, err := vcard.Get(ctx, client, jid.JID{})
	if err != nil {
		fmt.Println(err)
		return
	}
	profile.Photo = &vcard.Photo{Type: "image/png", Data: []byte("abc")}
	if err := vcard.Set(ctx, client, profile); err != nil {
		fmt.Println(err)
		return
	}
	presence := &stanza.Presence{Extra: []stanza.Payload{vcard.Announce(profile.Photo)}}
	b, err := presence.AppendXML(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(b))
	// Output: <presence><x xmlns='vcard-temp:x:update'><photo>a9993e364706816aba3e25717850c26c9cd0d89d</photo></x></presence>
}

// connect stands for logging in to a server where there is a profile.
func connect() vcard.Doer {
	s := newServer(&testing.T{}, &vcard.Module{})
	s.publish(stpeter)
	return s
}
