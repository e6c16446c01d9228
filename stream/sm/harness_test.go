package sm_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

var (
	domain  = jid.MustParse("example.com")
	account = jid.MustParse("juliet@example.com")
)

// trusted is an authentication that takes everybody for who he says he is.
func trusted() stream.Feature {
	name := stream.Name{Space: "urn:example:trust", Local: "trust"}
	done := stream.Outcome{Reached: stream.Authenticated, Restart: true}
	return stream.Feature{
		Name:    name,
		Forbids: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(name)
			w.End()
			return nil
		},
		Accept: func(_ context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			who, err := jid.Parse(el.Attr("who"))
			if err != nil {
				return stream.Outcome{}, err
			}
			n.SetIdentity(who)
			return done, n.Write(func(w *stream.Writer) { w.Start(name); w.End() })
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			err := n.Write(func(w *stream.Writer) {
				w.Start(name)
				w.Attr("who", n.Identity().Bare().String())
				w.End()
			})
			if err != nil {
				return stream.Outcome{}, err
			}
			_, err = n.Read(ctx)
			return done, err
		},
	}
}

// text is a stanza as it is written.
type text string

func (t text) AppendXML(dst []byte) ([]byte, error) { return append(dst, t...), nil }

// message returns one of a series.
func message(n int) text {
	return text(fmt.Sprintf("<message id='m%d'><body>%d</body></message>", n, n))
}

// log collects the ids of stanzas that were handled.
type log struct {
	mu  sync.Mutex
	ids []string
}

func (l *log) handle(el *stream.Element) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, el.Attr("id"))
	return nil
}

func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.ids...)
}

// ends are the two sessions of a connection, both read.
type ends struct {
	client, server     *stream.Session
	clientEnd, srvEnd  net.Conn
	clientDone, served chan error
}

// connect negotiates over a new pair of connections and reads both sides.
func connect(t testing.TB, c *sm.Client, s *sm.Server, atClient, atServer *log) *ends {
	t.Helper()
	a, b := memconn.Pipe()
	return connectOn(t, a, b, c, s, atClient, atServer)
}

func connectOn(t testing.TB, a, b net.Conn, c *sm.Client, s *sm.Server, atClient, atServer *log) *ends {
	t.Helper()
	e := &ends{clientEnd: a, srvEnd: b, clientDone: make(chan error, 1), served: make(chan error, 1)}
	accepted := make(chan error, 1)
	go func() { // ends with the negotiation
		var err error
		features := []stream.Feature{trusted()}
		if s != nil {
			features = append(features, s.Feature())
		}
		e.server, err = stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: stream.InsecureC2S(), Domains: []jid.JID{domain},
			Features: append(features, bind.Server(nil)),
		})
		accepted <- err
	}()
	features := []stream.Feature{trusted()}
	if c != nil {
		features = append(features, c.Feature())
	}
	var err error
	e.client, err = stream.Initiate(t.Context(), a, &stream.InitiateOptions{
		Profile: stream.InsecureC2S(), To: domain, From: account,
		Features: append(features, bind.Client(nil)),
	})
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	go func() { e.clientDone <- e.client.Serve(atClient.handle) }() // ends with the session
	go func() { e.served <- e.server.Serve(atServer.handle) }()     // ends with the session
	return e
}

// cut takes the connection away from both sides, without a word.
func (e *ends) cut() {
	e.clientEnd.Close()
	e.srvEnd.Close()
	<-e.clientDone
	<-e.served
}
