package dial_test

import (
	"context"
	"errors"
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

// Going on when a server accepts the connection and is good for nothing else.
func ExampleConnect() {
	names := &zone{
		srv: map[string][]*net.SRV{
			srvName:    {record("x1.example.", 5222, 10)},
			directName: {record("x2.example.", 443, 20)},
		},
		addrs: map[string][]string{"x1.example.": {"192.0.2.1"}, "x2.example.": {"192.0.2.2"}},
	}
	servers := &network{up: set("192.0.2.1:5222", "192.0.2.2:443")}

	err := dial.Connect(context.Background(), jid.MustParse("im.example"), &dial.Options{Resolver: names, Dialer: servers},
		func(ctx context.Context, conn net.Conn, target dial.Target) (next bool, err error) {
			defer conn.Close()
			// Here tls.ClientHandshake, if target.DirectTLS, and stream.Initiate.
			if target.Host == "x1.example" {
				return true, errors.New("the server is being restarted")
			}
			fmt.Println(target, "direct TLS:", target.DirectTLS)
			return false, nil
		})
	fmt.Println(err)
	// Output:
	// x2.example:443 (192.0.2.2) direct TLS: true
	// <nil>
}
