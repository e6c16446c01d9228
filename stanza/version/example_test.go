package version_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/version"
)

// answer stands for a connection, on which somebody answers.
type answer struct{ payload stanza.Payload }

func (a answer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	return loopback(&stanza.IQ{ID: "1", From: iq.To, Type: stanza.ResultIQ, Payload: a.payload})
}

// A client asks a server which software it runs.
func Example() {
	conn := answer{version.Version{Name: "Exodus", Number: "0.7.0.4"}} // a *stanza.Conn
	v, err := version.Get(context.Background(), conn, jid.MustParse("capulet.lit"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Name, v.Number)
	// Output: Exodus 0.7.0.4
}
