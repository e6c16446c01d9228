// Server is a chat server for people, with what clients expect of one. Its main is
// wiring; what it wires is in the packages of the library.
//
//	go run ./examples/server -domain chat.example -users 'romeo:secret,juliet:secret'
//
// Without -cert and -key it makes a certificate, and says where its authority is.
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
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"time"

	"stanzakit.dev/xmpp"
)

// config is what the command line says.
type config struct {
	domain, c2s, c2sTLS, ws, wsOrigin, cert, key, users, admin, store, debug string
	register, plaintext                                                      bool
}

func main() {
	var c config
	flag.StringVar(&c.domain, "domain", "localhost", "the domain to serve")
	flag.StringVar(&c.c2s, "c2s", "127.0.0.1:5222", "address for clients, with STARTTLS; empty for none")
	flag.StringVar(&c.c2sTLS, "c2s-tls", "", "address for clients, with TLS from the first byte; empty for none")
	flag.StringVar(&c.ws, "ws", "", "address for clients, with WebSocket, at /xmpp-websocket; empty for none")
	flag.StringVar(&c.wsOrigin, "ws-origin", "", "origin of the pages that may use -ws; empty for its own host")
	flag.StringVar(&c.cert, "cert", "", "file with the certificate chain; empty makes one")
	flag.StringVar(&c.key, "key", "", "file with the key of the certificate")
	flag.StringVar(&c.users, "users", "", "accounts to create, or to give a new password: name:password,…")
	flag.StringVar(&c.admin, "admin", "", "address of the account that may administer the server")
	flag.StringVar(&c.store, "store", "memory", "where to keep everything: memory, or the path of a file")
	flag.StringVar(&c.debug, "debug", "", "address for /metrics and /debug/pprof, not for the public; empty for none")
	flag.BoolVar(&c.register, "register", false, "let strangers create accounts")
	flag.BoolVar(&c.plaintext, "plaintext", false, "permit login without TLS, and PLAIN: for load and conformance tools on loopback")
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
	server, closeStore, err := build(ctx, c, out)
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, server, out, []port{
		{"c2s", c.c2s, server.Serve}, {"c2s-tls", c.c2sTLS, server.ServeTLS},
		{"ws", c.ws, serveWS(server, c)}, {"debug", c.debug, serveDebug(server)},
	}), closeStore())
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
	defer func() { stop(); serving.Wait() }()
	failed := make(chan error, len(ports))
	var ready []string
	for _, p := range ports {
		if p.addr == "" {
			continue
		}
		l, err := net.Listen("tcp", p.addr)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		ready = append(ready, p.name+" "+l.Addr().String())
		// Owner: serve. Ends with serverCtx at the latest. Joined by serving.
		serving.Go(func() {
			if err := p.serve(serverCtx, l); !errors.Is(err, xmpp.ErrServerClosed) && serverCtx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", p.name, err)
			}
		})
	}
	serving.Go(func() { giveBack(serverCtx) }) // as above
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

// giveBack returns memory to the system when the server has become quiet. The
// runtime would keep twice of what ten thousand idle sessions need, for minutes.
func giveBack(ctx context.Context) {
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var last, given uint64
	for tick := time.Tick(2 * time.Second); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-tick:
			metrics.Read(allocated)
			now := allocated[0].Value.Uint64()
			if now-last < 1<<20 && now-given > 8<<20 {
				debug.FreeOSMemory()
				given = now
			}
			last = now
		}
	}
}
