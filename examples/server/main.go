// Server is a chat server for people: accounts, rosters, presence, messages that
// wait, an archive, and what clients expect besides. Its main is wiring; all that
// it wires is in the packages of the library.
//
//	go run ./examples/server -domain chat.example -users 'romeo:secret,juliet:secret'
//
// Without -cert and -key it makes a certificate of its own, and says where the file
// with the authority is that clients have to trust.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
)

// config is what the command line says.
type config struct {
	domain, c2s, c2sTLS, cert, key string
	users, admin, store, debug     string
	register, plaintext            bool
}

func main() {
	var c config
	flag.StringVar(&c.domain, "domain", "localhost", "the domain to serve")
	flag.StringVar(&c.c2s, "c2s", "127.0.0.1:5222", "address for clients, with STARTTLS; empty for none")
	flag.StringVar(&c.c2sTLS, "c2s-tls", "", "address for clients, with TLS from the first byte")
	flag.StringVar(&c.cert, "cert", "", "file with the certificate chain; empty makes one")
	flag.StringVar(&c.key, "key", "", "file with the key of the certificate")
	flag.StringVar(&c.users, "users", "", "accounts to create: name:password,…")
	flag.StringVar(&c.admin, "admin", "", "address of the account that may administer the server")
	flag.StringVar(&c.store, "store", "memory", "where to keep everything: memory, or the path of a file")
	flag.StringVar(&c.debug, "debug", "", "address for /metrics and /debug/pprof, on loopback; empty for none")
	flag.BoolVar(&c.register, "register", false, "let strangers create accounts")
	flag.BoolVar(&c.plaintext, "plaintext", false, "permit login without TLS, for load and conformance tools on loopback")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		slog.Error("server failed", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, c config, out interface{ Write([]byte) (int, error) }) error {
	domain, err := jid.New("", c.domain, "")
	if err != nil {
		return err
	}
	server, closeStore, err := build(ctx, c, domain, out)
	if err != nil {
		return err
	}
	defer closeStore()

	listeners := map[string]func(context.Context, net.Listener) error{}
	var ready []string
	bound := map[string]net.Listener{}
	listen := func(name, addr string, serve func(context.Context, net.Listener) error) error {
		if addr == "" {
			return nil
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		bound[name], listeners[name] = l, serve
		ready = append(ready, name+" "+l.Addr().String())
		return nil
	}
	err = errors.Join(
		listen("c2s", c.c2s, server.Serve),
		listen("c2s-tls", c.c2sTLS, server.ServeTLS),
		listen("debug", c.debug, serveDebug(server)),
	)
	if err != nil {
		return err
	}
	failed := make(chan error, len(bound))
	var serving sync.WaitGroup
	for name, l := range bound {
		// Owner: run. Ends when its listener is closed, which Shutdown and the end of
		// ctx do. Joined below.
		serving.Go(func() {
			if err := listeners[name](context.WithoutCancel(ctx), l); !errors.Is(err, xmpp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	fmt.Fprintf(out, "ready: %s\n", strings.Join(ready, ", "))

	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	// Every client is told, and has a moment to say goodbye.
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(grace))
	for _, l := range bound {
		l.Close()
	}
	serving.Wait()
	return err
}
