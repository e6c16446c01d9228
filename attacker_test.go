package xmpp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// attacker is somebody with control of the network between a client and a
// server, both real, over sockets of loopback. It is a proxy that knows just
// enough of XMPP to be at the right place at the right time: it passes pieces of
// the streams on, one at a time, and can change each.
type attacker struct {
	t        *testing.T
	listener net.Listener
	target   string
	roots    *x509.CertPool // for the server's certificate
	play     func(a *attack)

	mu    sync.Mutex
	heard bytes.Buffer // everything that was readable for it
	wg    sync.WaitGroup
}

// attack is the attack on one connection.
type attack struct {
	*attacker
	client, server *leg
}

// leg is one side of the attack.
type leg struct {
	net.Conn
	attacker *attacker
	buffered []byte
}

// newAttacker puts an attacker in front of a server. The play is over when the
// function returns; both connections are closed then.
func newAttacker(t *testing.T, s *xmpptest.Server, play func(a *attack)) *attacker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := &attacker{t: t, listener: l, target: s.Addr, roots: s.CA.Pool(), play: play}
	a.wg.Go(func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			a.wg.Go(func() { a.attack(c) }) // ends with the connection
		}
	})
	t.Cleanup(a.over)
	return a
}

// over ends the attacks and waits for that.
func (a *attacker) over() {
	a.listener.Close()
	a.wg.Wait()
}

func (a *attacker) attack(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", a.target)
	if err != nil {
		a.t.Error(err)
		return
	}
	defer s.Close()
	deadline := time.Now().Add(30 * time.Second)
	c.SetDeadline(deadline)
	s.SetDeadline(deadline)
	a.play(&attack{a, &leg{Conn: c, attacker: a}, &leg{Conn: s, attacker: a}})
}

// addr is where a client meets the attacker.
func (a *attacker) addr() string { return a.listener.Addr().String() }

// overheard returns everything that the attacker could read.
func (a *attacker) overheard() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.heard.String()
}

// errGone ends a play early: one of the two has had enough.
var errGone = errors.New("gone")

// until reads up to and including the first of some markers. When the
// connection ends first it returns what there was.
func (w *leg) until(markers ...string) string {
	for {
		for _, m := range markers {
			if i := bytes.Index(w.buffered, []byte(m)); i >= 0 {
				out := string(w.buffered[:i+len(m)])
				w.buffered = w.buffered[i+len(m):]
				return out
			}
		}
		buf := make([]byte, 4096)
		n, err := w.Read(buf)
		w.attacker.mu.Lock()
		w.attacker.heard.Write(buf[:n])
		w.attacker.mu.Unlock()
		w.buffered = append(w.buffered, buf[:n]...)
		if err != nil {
			out := string(w.buffered)
			w.buffered = nil
			return out
		}
	}
}

func (w *leg) say(s string) { _, _ = io.WriteString(w, s) }

// pass hands on everything else in both directions until both have closed.
func (a *attack) pass() {
	one := func(from, to *leg) {
		_, _ = to.Write(from.buffered)
		_, _ = io.Copy(to.Conn, from.Conn)
		// The other direction ends when its source does; a peer that is gone
		// for good is told so.
		to.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		one(a.client, a.server)
	}()
	one(a.server, a.client)
	<-done
}

// opening plays the first header and features, edited.
func (a *attack) opening(edit func(features string) string) {
	a.server.say(a.client.until("<stream:stream") + a.client.until(">"))
	a.client.say(edit(a.server.until("</stream:features>")))
}

func same(s string) string { return s }

// startTLS plays STARTTLS on both sides and ends up in between: the client gets
// a certificate of the attacker's.
func (a *attack) startTLS(certificate tls.Certificate) error {
	a.opening(same)
	a.server.say(a.client.until("/>"))
	a.client.say(a.server.until("/>"))
	c := tls.Server(a.client.Conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
	s := tls.Client(a.server.Conn, &tls.Config{ServerName: "xmpp.test", RootCAs: a.roots})
	if err := c.Handshake(); err != nil {
		return errors.Join(errGone, err)
	}
	if err := s.Handshake(); err != nil {
		return errors.Join(errGone, err)
	}
	a.client = &leg{Conn: c, attacker: a.attacker}
	a.server = &leg{Conn: s, attacker: a.attacker}
	return nil
}

// remove cuts the first piece from begin to end out of s.
func remove(s, begin, end string) string {
	i := strings.Index(s, begin)
	if i < 0 {
		return s
	}
	j := strings.Index(s[i:], end)
	if j < 0 {
		return s
	}
	return s[:i] + s[i+j+len(end):]
}

// victim is a client with an account at the server, who connects through the
// attacker.
func victim(t *testing.T, s *xmpptest.Server, through string) *xmpp.Client {
	t.Helper()
	account := jid.MustParse("juliet@xmpp.test")
	s.AddAccount(t, "juliet", "capulet")
	return &xmpp.Client{JID: account, Password: "capulet", Addr: through, RootCAs: s.CA.Pool()}
}

// connectThrough connects, and reports how that fails.
func connectThrough(t *testing.T, c *xmpp.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := c.Connect(ctx)
	if err == nil {
		require.NoError(t, conn.Close(ctx))
	}
	return err
}
