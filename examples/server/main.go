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
	"io"
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
func run(ctx context.Context, c config, out io.Writer) error {
	domain, err := jid.New("", c.domain, "")
	if err != nil {
		return fmt.Errorf("-domain: %w", err)
	}
	st, err := open(c.store)
	if err != nil {
		return fmt.Errorf("-store: %w", err)
	}
	server, err := build(ctx, c, domain, st, out)
	if err == nil {
		err = serve(ctx, server, out, []port{
			{"c2s", c.c2s, server.Serve},
			{"c2s-tls", c.c2sTLS, server.ServeTLS},
			{"debug", c.debug, serveDebug(server)},
		})
	}
	return errors.Join(err, st.close())
}

// port is something to listen on.
type port struct {
	name, addr string
	serve      func(context.Context, net.Listener) error
}

// serve listens on all ports, says so, and serves until ctx ends or one of them
// fails. Then every client is told, and has a moment to say goodbye.
func serve(ctx context.Context, server *xmpp.Server, out io.Writer, ports []port) error {
	var serving sync.WaitGroup
	serverCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer serving.Wait()
	defer stop()
	failed := make(chan error, len(ports))
	var ready []string
	for _, p := range ports {
		if p.addr == "" {
			continue
		}
		l, err := net.Listen("tcp", p.addr)
		if err != nil {
			return err
		}
		ready = append(ready, p.name+" "+l.Addr().String())
		// Owner: serve. Ends with serverCtx at the latest. Joined by serving.
		serving.Go(func() {
			if err := p.serve(serverCtx, l); !errors.Is(err, xmpp.ErrServerClosed) && serverCtx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", p.name, err)
			}
		})
	}
	serving.Go(func() { giveBack(serverCtx) })
	fmt.Fprintf(out, "ready: %s\n", strings.Join(ready, ", "))
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(grace))
}
