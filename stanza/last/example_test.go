package last_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/last"
)

// answer stands for a connection, on which somebody answers.
type answer struct{ payload stanza.Payload }

func (a answer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	return loopback(&stanza.IQ{ID: "1", From: iq.To, Type: stanza.ResultIQ, Payload: a.payload})
}

// A client asks since when a contact has been gone.
func Example() {
	conn := answer{last.Last{Seconds: 903, Status: "Heading Home"}} // a *stanza.Conn
	gone, err := last.Get(context.Background(), conn, jid.MustParse("juliet@capulet.lit"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(gone.Ago(), gone.Status)
	// Output: 15m3s Heading Home
}
