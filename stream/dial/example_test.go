package dial_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
)

// Connecting to the service of a domain. Without Server the DNS is asked where
// it is; here the program knows.
func ExampleClient() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	conn, target, err := dial.Client(context.Background(), jid.MustParse("im.example"), &dial.Options{
		Server: listener.Addr().String(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close() // stream.Initiate would take it over

	fmt.Println(target.Source, target.Host)
	// Output: configured 127.0.0.1
}
