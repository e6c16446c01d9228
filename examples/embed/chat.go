package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

// chat is an XMPP server for the users of the site, put together from the parts
// that it needs: TLS, authentication against the table of the site, and a router.
type chat struct {
	domain   jid.JID
	router   *presence.Router
	features []stream.Feature
	log      *slog.Logger
}

// maxConnections bounds the clients; one more is turned away.
const maxConnections = 1_000

// newChat wires the parts. attempts bounds guesses at passwords, here and on the
// web together.
func newChat(domain jid.JID, table *users, certificate tls.Certificate, attempts *auth.Attempts, log *slog.Logger) (*chat, error) {
	c := &chat{domain: domain, log: log}
	secure := &xtls.ServerOptions{Certificates: []tls.Certificate{certificate}}
	logins := &auth.ServerOptions{Store: accounts{table}, Attempts: attempts, Address: addressOf}
	c.router = &presence.Router{
		Hosted:   []jid.JID{domain},
		Accounts: accounts{table},
		Rosters:  rosters{table, domain},
		Modules: []stanza.Module{
			&teams{table, domain}, // first: it decides who talks to whom
			&carbons.Module{},
			ping.Responder(),
			&disco.Responder{Self: &disco.Entity{
				Identities: []disco.Identity{{Category: "server", Type: "im", Name: "Tickets"}},
			}},
		},
		Report: func(what string, err error) { log.Error("chat: "+what, "error", err) },
	}
	// Rather learn of mistakes now than from every client.
	if err := errors.Join(secure.Validate(), logins.Validate(), c.router.Init()); err != nil {
		return nil, err
	}
	// In this order: TLS, then who it is, then the rest.
	c.features = append(c.features, xtls.StartTLSServer(secure), auth.SASL2Server(logins), auth.Server(logins))
	c.features = append(c.features, c.router.Features()...)
	return c, nil
}

// addressKey finds the address of the client in the contexts of its connection.
type addressKey struct{}

// addressOf returns where the client connects from. Nothing stands in front of this
// program; behind a proxy it is the client's address that matters, not the proxy's.
func addressOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

// host returns the address without the port, or zero.
func host(hostport string) netip.Addr {
	p, _ := netip.ParseAddrPort(hostport)
	return p.Addr().Unmap()
}

// serve accepts clients until ctx ends or l fails. It closes l, tells every client
// and waits for all of them.
func (c *chat) serve(ctx context.Context, l net.Listener) error {
	// Sessions outlive ctx by the time that it takes to say goodbye.
	sessions, drop := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var open sync.WaitGroup
	err := c.accept(ctx, sessions, l, &open)
	if ctx.Err() != nil {
		err = nil // that was why
	}
	l.Close()
	c.goodbye(sessions)
	drop() // who was still negotiating, or did not answer
	open.Wait()
	return err
}

// accept runs a session for each connection, with open counting them.
func (c *chat) accept(ctx, sessions context.Context, l net.Listener, open *sync.WaitGroup) error {
	room := make(chan struct{}, maxConnections)
	for {
		nc, err := l.Accept()
		var temporary interface{ Temporary() bool }
		switch {
		case err != nil && ctx.Err() == nil && errors.As(err, &temporary) && temporary.Temporary():
			c.log.Error("chat: accepting a connection", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // running out of file descriptors passes
			}
			continue
		case err != nil:
			return fmt.Errorf("chat: %w", err)
		}
		select {
		case room <- struct{}{}:
		default:
			nc.Close()
			continue
		}
		// Owner: serve. Ends with the session, at the latest when sessions does.
		// Joined through open.
		open.Go(func() {
			defer func() { <-room }()
			if err := c.session(sessions, nc); err != nil && sessions.Err() == nil {
				c.log.Info("chat: session ended", "error", err)
			}
		})
	}
}

// session serves one client.
func (c *chat) session(ctx context.Context, nc net.Conn) error {
	ctx = context.WithValue(ctx, addressKey{}, host(nc.RemoteAddr().String()))
	return c.router.ServeConn(ctx, nc, &stream.AcceptOptions{
		Domains:  []jid.JID{c.domain},
		Features: c.features,
		// A client that sends more than people do is read from more slowly.
		Admit: stream.Throttle(stream.Rate{PerSecond: 100, Burst: 1_000}, stream.Rate{PerSecond: 256 << 10, Burst: 4 << 20}),
	})
}

// goodbye ends all sessions with the reason (RFC 6120 §4.9.3.20).
func (c *chat) goodbye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var ending sync.WaitGroup
	for _, r := range c.router.Connected(jid.JID{}) {
		// Owner: goodbye. Ends when the stream is closed, or with ctx. Joined below.
		ending.Go(func() { r.End(ctx, &stream.Error{Condition: stream.SystemShutdown}) })
	}
	ending.Wait()
}

// tell implements messenger: it sends a message from the server, which waits for a
// user who is away.
func (c *chat) tell(ctx context.Context, to *user, subject, body string) {
	account, err := jid.New(to.name, c.domain.Domain(), "")
	if err == nil {
		err = c.router.Send(ctx, &stanza.Message{
			ID: stanza.NewID(), To: account, Type: stanza.NormalMessage,
			Subject: stanza.Plain(subject), Body: stanza.Plain(body),
		})
	}
	if err != nil {
		c.log.Error("chat: telling a user", "error", err)
	}
}

// status implements messenger: what the available resource with the highest priority
// says of its user, "" if there is none.
func (c *chat) status(of *user) string {
	account, err := jid.New(of.name, c.domain.Domain(), "")
	if err != nil {
		return ""
	}
	best, status := -129, ""
	for _, r := range c.router.Connected(account) {
		var p stanza.Presence
		priority, available := r.Priority()
		if !available || int(priority) <= best {
			continue
		}
		if el := r.Presence(); el != nil && p.DecodeElement(el) == nil {
			best, status = int(priority), "online"
			if p.Show != stanza.ShowOnline {
				status = string(p.Show)
			}
		}
	}
	return status
}
