package websocket_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"stanzakit.dev/xmpp/adapters/websocket"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// An endpoint beside the other pages of a site, and a client of it. This one is on
// loopback and without TLS; with a wss URL the Security is what TLS has found out.
func Example() {
	ctx := context.Background()
	domain := jid.MustParse("im.example")
	bare := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true} // without login

	served := make(chan error, 1)
	site := http.NewServeMux()
	site.Handle("/xmpp-websocket", &websocket.Handler{
		Serve: func(ctx context.Context, conn net.Conn, sec *stream.Security) {
			session, err := stream.Accept(ctx, conn, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}, Security: sec})
			if err == nil {
				err = session.Serve(func(el *stream.Element) error {
					fmt.Println("server:", el.Name().Local)
					return nil
				})
			}
			served <- err
		},
	})
	server := httptest.NewServer(site)
	defer server.Close()

	url := strings.Replace(server.URL, "http", "ws", 1) + "/xmpp-websocket"
	conn, sec, err := websocket.Dial(ctx, url, &websocket.DialOptions{Domain: domain, InsecurePlaintext: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := stream.Initiate(ctx, conn, &stream.InitiateOptions{Profile: bare, To: domain, Security: &sec})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.Send(ctx, raw("<presence/>")), session.Close(ctx), <-served)
	// Unordered output:
	// server: presence
	// <nil> <nil> <nil>
}
