package sm_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

const (
	clientHeader = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.com' version='1.0'>`
	serverHeader = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.com' id='s1' version='1.0'>`
	trustOffer   = `<stream:features><trust xmlns='urn:example:trust'/></stream:features>`
	bindOffer    = `<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>`
	trust        = `<trust xmlns='urn:example:trust' who='juliet@example.com'/>`
	bindRequest  = `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>`
	enable       = `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`
	request      = `<r xmlns='urn:xmpp:sm:3'/>`
)

// peer is a scripted side of a connection in a bubble: it says what it is told
// and keeps what it hears.
type peer struct {
	t    *testing.T
	conn net.Conn
	mu   sync.Mutex
	got  strings.Builder
	seen int
}

func newPeer(t *testing.T, conn net.Conn) *peer {
	p := &peer{t: t, conn: conn}
	go func() { // ends with the connection
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			p.mu.Lock()
			p.got.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

// say writes, waits until everybody waits, and returns what has been heard since
// the last time.
func (p *peer) say(s string) string {
	p.t.Helper()
	_, err := io.WriteString(p.conn, s)
	require.NoError(p.t, err)
	return p.heard()
}

// heard waits until everybody waits.
func (p *peer) heard() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.got.String()
	out := all[p.seen:]
	p.seen = len(all)
	return out
}

// party is the other side, with a session once it is negotiated.
type party struct {
	session *stream.Session
	err     error
	served  chan error
	log     log
	handle  func(*stream.Element) error
}

// take runs the session in the way of the party.
func (p *party) take(s *stream.Session, err error) {
	p.session, p.err = s, err
	if err != nil {
		p.served <- err
		return
	}
	p.served <- s.Serve(func(el *stream.Element) error {
		if p.handle != nil {
			return p.handle(el)
		}
		return p.log.handle(el)
	})
}

// rawClient connects a scripted client to a server with stream management.
func rawClient(t *testing.T, s *sm.Server, handle func(*stream.Element) error) (*peer, *party) {
	a, b := memconn.Pipe()
	p := &party{served: make(chan error, 1), handle: handle}
	go func() { // ends with the session
		p.take(stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: stream.InsecureC2S(), Domains: []jid.JID{domain},
			Features: []stream.Feature{trusted(), s.Feature(), bind.Server(nil)},
		}))
	}()
	return newPeer(t, a), p
}

// login is a scripted client up to the features with <sm/>.
func (p *peer) login() string {
	p.say(clientHeader + trust)
	return p.say(clientHeader)
}

// rawServer connects a client with stream management to a scripted server.
func rawServer(t *testing.T, c *sm.Client, handle func(*stream.Element) error) (*peer, *party) {
	a, b := memconn.Pipe()
	p := &party{served: make(chan error, 1), handle: handle}
	go func() { // ends with the session
		p.take(stream.Initiate(t.Context(), b, &stream.InitiateOptions{
			Profile: stream.InsecureC2S(), To: domain, From: account,
			Features: []stream.Feature{trusted(), c.Feature(), bind.Client(nil)},
		}))
	}()
	return newPeer(t, a), p
}

// admit is a scripted server up to the features with <sm/>; it returns what the
// client has said to them.
func (p *peer) admit() string {
	p.say(serverHeader + trustOffer)
	p.say(`<trust xmlns='urn:example:trust'/>`)
	return p.say(serverHeader + bindOffer)
}

// bound answers the client's request to bind a resource.
func (p *peer) bound(request string) string {
	_, id, _ := strings.Cut(request, `id='`)
	id, _, _ = strings.Cut(id, `'`)
	return p.say(`<iq type='result' id='` + id + `'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@example.com/balcony</jid></bind></iq>`)
}

// newClient returns a client.
func newClient(t testing.TB, opts *sm.ClientOptions) *sm.Client {
	c, err := sm.NewClient(opts)
	require.NoError(t, err)
	return c
}

// try negotiates both sides over a pair of connections, without reading them.
func try(t testing.TB, a, b net.Conn, c *sm.Client, s *sm.Server) (client, server *stream.Session, clientErr, serverErr error) {
	type result struct {
		s   *stream.Session
		err error
	}
	accepted := make(chan result, 1)
	go func() { // ends with the negotiation
		s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: stream.InsecureC2S(), Domains: []jid.JID{domain},
			Features: []stream.Feature{trusted(), s.Feature(), bind.Server(nil)},
		})
		accepted <- result{s, err}
	}()
	client, clientErr = stream.Initiate(t.Context(), a, &stream.InitiateOptions{
		Profile: stream.InsecureC2S(), To: domain, From: account,
		Features: []stream.Feature{trusted(), c.Feature(), bind.Client(nil)},
	})
	if clientErr != nil {
		a.Close()
	}
	r := <-accepted
	return client, r.s, clientErr, r.err
}

// recorded is a connection that keeps what goes over it.
type recorded struct {
	net.Conn
	mu      sync.Mutex
	out, in strings.Builder
}

func (r *recorded) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.out.Write(b)
	r.mu.Unlock()
	return r.Conn.Write(b)
}

func (r *recorded) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in.Write(b[:n])
	return n, err
}

func (r *recorded) wrote() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

func (r *recorded) read() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in.String()
}

// framed is an authentication of clients with the frame of SASL 2: requests and
// answers of other features ride in it.
func framed() stream.Feature {
	name := func(local string) stream.Name { return stream.Name{Space: "urn:example:frame", Local: local} }
	return stream.Feature{
		Name:    name("frame"),
		Forbids: stream.Authenticated,
		Initiate: func(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			offered, _ := offer.Child(name("inline"))
			var bad error
			err := n.Write(func(w *stream.Writer) {
				w.Start(name("frame"))
				bad = n.RequestInline(stream.InAuthentication, offered, w)
				w.End()
			})
			if err = errors.Join(err, bad); err != nil {
				return stream.Outcome{}, err
			}
			el, err := n.Read(ctx)
			if err != nil {
				return stream.Outcome{}, err
			}
			who, err := jid.Parse(el.Attr("who"))
			if err != nil {
				return stream.Outcome{}, err
			}
			n.SetIdentity(who)
			n.Establish(stream.Authenticated)
			out, err := n.ResultInline(stream.InAuthentication, el)
			out.Reached |= stream.Authenticated
			out.Features = true
			return out, err
		},
	}
}

// all waits until everybody waits, and returns everything that was heard.
func (p *peer) all() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got.String()
}
