// Command chat is a small XMPP client for a terminal: contacts, presence and
// messages, a line for each.
//
//	XMPP_PASSWORD=secret go run ./examples/chat -jid juliet@example.org
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/ping"
)

// patience is how long the server has for each command, and for saying goodbye.
const patience = 30 * time.Second

func main() {
	address := flag.String("jid", os.Getenv("XMPP_JID"), "account, such as juliet@example.org")
	password := flag.String("password", "", "its password; better in the environment, as XMPP_PASSWORD")
	server := flag.String("server", "", "host:port of the server, if not what the DNS says")
	ca := flag.String("ca", "", "PEM file of the authorities to trust, if not the system's")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := &xmpp.Client{Password: cmp.Or(*password, os.Getenv("XMPP_PASSWORD")), Addr: *server, Tag: "chat"}
	if err := run(ctx, client, *address, *ca); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "chat:", line(err.Error()))
		os.Exit(1)
	}
}

// run connects and talks until it is over.
func run(ctx context.Context, client *xmpp.Client, address, ca string) (err error) {
	if client.JID, err = jid.Parse(address); err != nil {
		return err
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		client.RootCAs = x509.NewCertPool()
		client.RootCAs.AppendCertsFromPEM(pem)
	}
	c, err := newChat(client.JID, &screen{out: os.Stdout})
	if err != nil {
		return err
	}
	client.Features = c.contacts.StreamFeatures()
	client.Reconnect = &xmpp.Reconnect{Events: c.connection}
	// Lines are shown in the order in which they came: a carbon copy is from another
	// address than the message itself, and would otherwise be handled beside it.
	client.Conn = &stanza.Options{Parallel: 1}
	if c.conn, err = client.Connect(ctx); err != nil {
		return err
	}
	return c.run(ctx, os.Stdin)
}

// run talks until the input ends, the user has had enough, or the connection or ctx
// ends. It closes the connection.
func (c *chat) run(ctx context.Context, in io.Reader) (err error) {
	var mux stanza.Mux
	if err := stanza.Install(&mux, ping.Responder(), c.contacts, c.people, c); err != nil {
		c.conn.Abort(err)
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var serving sync.WaitGroup
	// Ends with the connection, which is closed below; joined there.
	serving.Go(func() {
		err := c.conn.Serve(context.WithoutCancel(ctx), &mux)
		cancel(cmp.Or(err, errors.New("the server has closed the connection")))
	})
	defer func() {
		bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer stop()
		gone := c.people.Unavailable(bounded, c.conn, c.farewell) // RFC 6121 §4.5.1
		err = cmp.Or(err, gone, c.conn.Close(bounded))
		serving.Wait()
	}()
	if err := c.start(ctx); err != nil {
		return err
	}
	lines, unread := make(chan string), error(nil)
	// Owner: the process. A terminal that is being read cannot be told to stop: this
	// ends with the next line after ctx, or with the process.
	go func() {
		defer close(lines)
		s := bufio.NewScanner(in)
		for s.Scan() && ctx.Err() == nil {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
			}
		}
		unread = s.Err() // such as a line that is too long
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s, ok := <-lines:
			if !ok {
				return unread
			}
			bounded, stop := context.WithTimeout(ctx, patience)
			err := c.do(bounded, s)
			stop()
			switch {
			case errors.Is(err, errQuit):
				return nil
			case err != nil:
				c.printf("! %s", line(err.Error()))
			}
		}
	}
}

// start asks for the roster and then makes the client available (RFC 6121 §2.2).
func (c *chat) start(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := c.contacts.Sync(ctx, c.conn); err != nil {
		return err
	}
	// Copies of what other clients of the account say and hear, if the server has them.
	if err := carbons.Enable(ctx, c.conn); err != nil {
		if _, refused := errors.AsType[*stanza.Error](err); !refused {
			return err
		}
	}
	c.started.Store(true)
	c.printf("* you are %s; /help shows what to type", line(c.conn.LocalAddr().String()))
	c.roster()
	return c.people.Available(ctx, c.conn, stanza.ShowOnline, "", 0)
}
