package entitytime_test

import (
	"context"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/entitytime"
)

// answer stands for a connection, on which somebody answers.
type answer struct{ payload stanza.Payload }

func (a answer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	return loopback(&stanza.IQ{ID: "1", From: iq.To, Type: stanza.ResultIQ, Payload: a.payload})
}

// A client asks a contact what time it is there.
func Example() {
	there := time.Date(2006, 12, 19, 11, 58, 35, 0, time.FixedZone("", -6*3600))
	conn := answer{entitytime.Time{Time: there}} // a *stanza.Conn
	now, err := entitytime.Get(context.Background(), conn, jid.MustParse("juliet@capulet.lit/balcony"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(now.Format(time.Kitchen), now.UTC())
	// Output: 11:58AM 2006-12-19 17:58:35 +0000 UTC
}
