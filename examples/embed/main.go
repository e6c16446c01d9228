// Command embed is a web site with tickets whose users can chat: a program with
// net/http, a user table and password hashes of its own, into which the parts of an
// XMPP server are wired that it needs. It does not use the Server of the root
// package, and shows what that is made of.
//
//	go run ./examples/embed -ca /tmp/ca.pem
//
// Without -cert and -key it makes a certificate for this run, and writes the
// authority to trust to the file that -ca names. Then open https://localhost:8443 as
// one of the users of the demonstration, and log in to chat as another, with the same
// password:
//
//	XMPP_PASSWORD='battery staple' go run ./examples/chat -jid bert@localhost -server localhost:5222 -ca /tmp/ca.pem
//
// anna (correct horse) and bert (battery staple) are the support team, carla (paper
// money) and dora (double entry) do the billing. A team shares its tickets, and is
// what its members have as contacts; a new ticket comes as a message.
//
// The parts, a file each: users, logins, tickets and site are the program as it was.
// New are accounts and rosters, by which the chat sees the users, teams, which are its
// rules, and chat, which puts it together.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

//go:embed users.txt
var demonstration []byte

// config is what the command line says.
type config struct {
	domain, web, xmpp, users, cert, key, ca string
	convert                                 bool
}

func main() {
	var c config
	flag.StringVar(&c.domain, "domain", "localhost", "the domain of the site, and of the addresses of its users")
	flag.StringVar(&c.web, "web", "localhost:8443", "address for browsers")
	flag.StringVar(&c.xmpp, "xmpp", "localhost:5222", "address for XMPP clients")
	flag.StringVar(&c.users, "users", "", "file with the user table; empty is a demonstration")
	flag.StringVar(&c.cert, "cert", "", "PEM file with the certificate chain; empty makes a certificate")
	flag.StringVar(&c.key, "key", "", "PEM file with the key of the certificate")
	flag.StringVar(&c.ca, "ca", "", "file to write the authority of a certificate to that was made")
	flag.BoolVar(&c.convert, "convert", false, "print the user table with passwords that cannot be used to log in if they are stolen, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run does what the command line says until ctx ends.
func run(ctx context.Context, c config, out io.Writer) error {
	table, err := readTable(c.users)
	if err != nil {
		return err
	}
	if c.convert {
		return table.write(out)
	}
	p, err := build(c, table, slog.Default())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "site: https://%s, chat: %s\n", p.web.Addr(), p.xmpp.Addr())
	return p.serve(ctx)
}

func readTable(file string) (*users, error) {
	text := demonstration
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return readUsers(bytes.NewReader(text))
}

// program is site and chat, with what they listen on.
type program struct {
	web, xmpp net.Listener
	site      *http.Server
	chat      *chat
}

// build wires the program and listens.
func build(c config, table *users, log *slog.Logger) (*program, error) {
	domain, err := jid.New("", c.domain, "")
	if err != nil {
		return nil, fmt.Errorf("-domain: %w", err)
	}
	certificate, err := c.certificate()
	if err != nil {
		return nil, err
	}
	attempts := auth.NewAttempts(nil) // one for both ways in
	chat, err := newChat(domain, table, certificate, attempts, log)
	if err != nil {
		return nil, err
	}
	site := &site{users: table, chat: chat, attempts: attempts, domain: domain, log: log}
	p := &program{chat: chat, site: &http.Server{
		Handler:           site.handler(),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelInfo),
	}}
	if p.web, err = net.Listen("tcp", c.web); err != nil {
		return nil, err
	}
	if p.xmpp, err = net.Listen("tcp", c.xmpp); err != nil {
		p.web.Close()
		return nil, err
	}
	return p, nil
}

// certificate reads the certificate, or makes one.
func (c config) certificate() (tls.Certificate, error) {
	if c.cert != "" || c.key != "" {
		return tls.LoadX509KeyPair(c.cert, c.key)
	}
	ca, err := xtls.NewDevCA()
	if err != nil {
		return tls.Certificate{}, err
	}
	if c.ca != "" {
		if err := os.WriteFile(c.ca, ca.PEM(), 0o644); err != nil {
			return tls.Certificate{}, err
		}
	}
	return ca.Issue(c.domain)
}

// serve serves browsers and clients until ctx ends or one of the two fails.
func (p *program) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var serving sync.WaitGroup
	var failed error
	// Owner: serve. Ends with ctx. Joined below.
	serving.Go(func() {
		defer cancel() // neither goes on without the other
		failed = p.chat.serve(ctx, p.xmpp)
	})
	// Owner: serve. Ends when the site has been shut down. Joined below.
	serving.Go(func() {
		<-ctx.Done()
		grace, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		p.site.Shutdown(grace)
	})
	err := p.site.ServeTLS(p.web, "", "")
	cancel()
	serving.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, failed)
}
