package xmpp_test

import (
	"context"
	"log"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
)

// A client that stays connected. The loop over conn goes on from one session to the
// next; what was enabled, such as carbons, is enabled again when the server has
// forgotten it.
func ExampleReconnect() {
	client := &xmpp.Client{
		JID:      jid.MustParse("juliet@example.org"),
		Password: "secret",
		Reconnect: &xmpp.Reconnect{
			MaxElapsed: 24 * time.Hour,
			Events: func(e xmpp.Event) {
				log.Print(e)
				if c, ok := e.(xmpp.Connected); ok {
					for _, st := range c.Unacked {
						log.Printf("may be lost: %s", st.Head().ID)
					}
				}
			},
		},
	}
	ctx := context.Background()
	conn, err := client.Connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := carbons.Enable(ctx, conn); err != nil {
		log.Fatal(err)
	}
	for st, err := range conn.All(ctx) {
		if err != nil {
			log.Fatal(err) // no more attempts
		}
		if m, ok := st.(*stanza.Message); ok {
			log.Print(m.Body)
		}
	}
}
