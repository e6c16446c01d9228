package dial_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/proxy"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
)

// socksServer is a SOCKS5 proxy (RFC 1928) on loopback that has one place to
// connect to, whatever it is asked for, and tells what that was.
func socksServer(listener net.Listener, to string, asked chan<- string) error {
	client, err := listener.Accept()
	if err != nil {
		return err
	}
	defer client.Close()
	greeting := make([]byte, 2)
	if _, err := io.ReadFull(client, greeting); err != nil {
		return err
	}
	if _, err := io.ReadFull(client, make([]byte, greeting[1])); err != nil {
		return err
	}
	if _, err := client.Write([]byte{5, 0}); err != nil { // no authentication
		return err
	}
	request := make([]byte, 5)
	if _, err := io.ReadFull(client, request); err != nil {
		return err
	}
	length := map[byte]int{1: 4, 3: int(request[4]) + 1, 4: 16}[request[3]] // address types, §5
	rest := make([]byte, length+1)
	if _, err := io.ReadFull(client, rest); err != nil {
		return err
	}
	address, port := append(request[4:5:5], rest[:length-1]...), binary.BigEndian.Uint16(rest[length-1:])
	host := net.IP(address).String()
	if request[3] == 3 {
		host = string(address[1:])
	}
	asked <- fmt.Sprintf("type %d: %s port %d", request[3], host, port)
	server, err := net.Dial("tcp", to)
	if err != nil {
		return err
	}
	defer server.Close()
	if _, err := client.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	_, err = io.Copy(client, server)
	return err
}

// greeter is a server that says hello to the first connection.
func greeter(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "hello")
	return err
}

// The proxy gets names, or addresses if it is not to look them up.
func TestSOCKS5(t *testing.T) {
	z := &zone{
		srv:   map[string][]*net.SRV{srvName: {record("x1.example.", 5222, 1)}},
		addrs: map[string][]string{"x1.example.": {"192.0.2.1"}},
	}
	for _, c := range []struct {
		opts dial.Options
		want string
	}{
		{dial.Options{ResolveAtDialer: true}, "type 3: im.example port 5222"},
		{dial.Options{ResolveAtDialer: true, Server: "hidden.onion:15222"}, "type 3: hidden.onion port 15222"},
		{dial.Options{ResolveAtDialer: true, Resolver: z}, "type 3: x1.example port 5222"},
		{dial.Options{Resolver: z}, "type 1: 192.0.2.1 port 5222"},
		{dial.Options{Server: "[2001:db8::1]:80"}, "type 4: 2001:db8::1 port 80"},
	} {
		server, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		asked, ended := make(chan string, 1), make(chan error, 2)
		go func() { ended <- greeter(server) }()                                      // both end with the listeners
		go func() { ended <- socksServer(listener, server.Addr().String(), asked) }() // or their one connection
		socks, err := proxy.SOCKS5("tcp", listener.Addr().String(), nil, new(net.Dialer))
		require.NoError(t, err)
		c.opts.Dialer = socks.(proxy.ContextDialer)
		conn, _, err := dial.Client(t.Context(), im, &c.opts)
		require.NoError(t, err)
		hello, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "hello", string(hello))
		require.NoError(t, conn.Close())
		require.Equal(t, c.want, <-asked)
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		server.Close()
		listener.Close()
	}
}

// Connecting by way of a SOCKS5 proxy, Tor for instance, which looks the name up:
// the DNS of this machine is not asked for anything.
func ExampleOptions_socks5() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	tor, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer tor.Close()
	asked := make(chan string, 1)
	go func() { _ = greeter(server) }()
	go func() { _ = socksServer(tor, server.Addr().String(), asked) }()

	socks, err := proxy.SOCKS5("tcp", tor.Addr().String(), nil, proxy.Direct)
	if err != nil {
		log.Fatal(err)
	}
	conn, target, err := dial.Client(context.Background(), jid.MustParse("im.example"), &dial.Options{
		Dialer:          socks.(proxy.ContextDialer),
		ResolveAtDialer: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	fmt.Println(target)
	fmt.Println(<-asked)
	// Output:
	// im.example:5222
	// type 3: im.example port 5222
}
