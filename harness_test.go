package xmpp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

// bubble runs a test inside a bubble of synctest.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// memoryServer runs a server in memory for the domain xmpp.test.
func memoryServer(t testing.TB, configure func(*xmpp.Server)) *xmpptest.Server {
	t.Helper()
	return xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: configure})
}

// raw is XML as it stands.
type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

// heedless makes a client forget the limits that the server has announced.
var heedless = stream.Feature{
	Name:         stream.Name{Space: "urn:example:heedless", Local: "limits"},
	Needs:        stream.Authenticated,
	Unadvertised: true,
	Initiate: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
		n.SetPeerLimits(0, 0)
		return stream.Outcome{}, stream.ErrSkip
	},
}

// peer is a client that says what it likes and hears everything: no part of
// package stanza stands in between.
type peer struct {
	*stream.Session
	t    testing.TB
	in   chan *stream.Element
	over chan error
}

// derived keeps what clients have derived. Salts are part of its keys, so tests do
// not get into each other's way.
var derived sasl.MemoryKeyCache

// share sends directed presence, after which the other one may send requests to
// the full JID (RFC 6121 §8.5.3.1).
func share(from, to *peer) {
	from.t.Helper()
	from.say(`<presence to='` + to.LocalAddr().String() + `'/>`)
	to.hears("presence - " + from.LocalAddr().String() + "→" + to.LocalAddr().String() + " -")
}

// join creates an account if there is none, connects it and binds a resource.
func join(t testing.TB, s *xmpptest.Server, localpart, resource string) *peer {
	t.Helper()
	p, err := tryJoin(t, s, localpart, resource)
	require.NoError(t, err)
	return p
}

func tryJoin(t testing.TB, s *xmpptest.Server, localpart, resource string) (*peer, error) {
	t.Helper()
	// Deriving keys is what takes the time in here: once for each account.
	account, err := jid.New(localpart, s.Domain.Domain(), "")
	require.NoError(t, err)
	if _, err := s.Accounts.Keys(t.Context(), account, sasl.SHA256); err != nil {
		s.AddAccount(t, localpart, "secret of "+localpart)
	}
	nc, err := s.Dial(t.Context())
	require.NoError(t, err)
	session, err := stream.Initiate(t.Context(), nc, &stream.InitiateOptions{
		To: s.Domain, From: account, Lang: "en",
		Features: []stream.Feature{
			xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: s.CA.Pool()}),
			auth.Client(&auth.ClientOptions{Password: "secret of " + localpart, Cache: &derived}),
			heedless,
			bind.Client(&bind.ClientOptions{Resource: resource}),
		},
	})
	if err != nil {
		return nil, err
	}
	p := &peer{Session: session, t: t, in: make(chan *stream.Element, 1<<12), over: make(chan error, 1)}
	// Owner: the test. Ends with the session. Joined by the cleanup.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.over <- session.Serve(func(el *stream.Element) error {
			p.in <- el.Clone()
			return nil
		})
	}()
	t.Cleanup(func() {
		session.Abort(errors.New("the test is over"))
		<-ended
	})
	return p, nil
}

// say sends XML.
func (p *peer) say(xml string) {
	p.t.Helper()
	require.NoError(p.t, p.Send(p.t.Context(), raw(xml)))
}

// hear returns the next stanza.
func (p *peer) hear() *stream.Element {
	p.t.Helper()
	select {
	case el := <-p.in:
		return el
	case <-time.After(time.Minute):
		require.FailNow(p.t, "nothing came", "for %s", p.LocalAddr())
	}
	return nil
}

// hears requires that the next stanza looks like want, in the notation of
// look.
func (p *peer) hears(want string) *stream.Element {
	p.t.Helper()
	el := p.hear()
	require.Equal(p.t, want, look(el))
	return el
}

// quiet requires that nothing more has come. Inside a bubble only.
func (p *peer) quiet() {
	p.t.Helper()
	synctest.Wait()
	select {
	case el := <-p.in:
		require.FailNow(p.t, "unexpected stanza", "%s got %s", p.LocalAddr(), el.Raw())
	default:
	}
}

// ended waits for the end of the stream and returns what Serve did.
func (p *peer) ended() error {
	p.t.Helper()
	select {
	case err := <-p.over:
		return err
	case <-time.After(time.Minute):
		require.FailNow(p.t, "the stream goes on", "of %s", p.LocalAddr())
	}
	return nil
}

// look describes a stanza: "message chat from→to id condition", with "-" for
// what is not there.
func look(el *stream.Element) string {
	or := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	s := el.Name().Local + " " + or(el.Attr("type")) + " " + or(el.Attr("from")) + "→" + or(el.Attr("to")) + " " + or(el.Attr("id"))
	if e, ok := el.Child(stream.Name{Space: stream.NSClient, Local: "error"}); ok {
		for c := range e.Children() {
			s += " " + c.Name().Local
		}
	}
	return s
}

// wire is a client that speaks bytes.
type wire struct {
	net.Conn
	t      testing.TB
	server *xmpptest.Server
	buf    []byte
}

func dialWire(t testing.TB, s *xmpptest.Server) *wire {
	t.Helper()
	nc, err := s.Dial(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	return &wire{Conn: nc, t: t, server: s}
}

// say sends bytes.
func (w *wire) say(s string) {
	w.t.Helper()
	_, err := w.Write([]byte(s))
	require.NoError(w.t, err)
}

// until reads up to and including mark, and returns what was read.
func (w *wire) until(mark string) string {
	w.t.Helper()
	for {
		if i := bytes.Index(w.buf, []byte(mark)); i >= 0 {
			out := string(w.buf[:i+len(mark)])
			w.buf = w.buf[i+len(mark):]
			return out
		}
		b := make([]byte, 4096)
		n, err := w.Read(b)
		w.buf = append(w.buf, b[:n]...)
		if err != nil && !bytes.Contains(w.buf, []byte(mark)) {
			require.FailNow(w.t, "the connection ended", "%v before %q; got %q", err, mark, w.buf)
		}
	}
}

// rest reads to the end of the connection.
func (w *wire) rest() string {
	w.t.Helper()
	b, _ := io.ReadAll(w.Conn)
	return string(w.buf) + string(b)
}

const featuresEnd = "</stream:features>"

// open sends a stream header with more attributes and reads the features.
func (w *wire) open(attrs string) string {
	w.t.Helper()
	w.say(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='` +
		w.server.Domain.String() + `' ` + attrs + `>`)
	return w.until(featuresEnd)
}

// starttls opens a stream and upgrades it.
func (w *wire) starttls() {
	w.t.Helper()
	w.open("")
	w.say(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
	w.until("/>")
	c := tls.Client(w.Conn, &tls.Config{RootCAs: w.server.CA.Pool(), ServerName: w.server.Domain.String()})
	require.NoError(w.t, c.HandshakeContext(w.t.Context()))
	w.Conn = c
}

// login does everything up to a bound resource; the last stream header has more
// attributes. The server must allow PLAIN.
func (w *wire) login(localpart, resource, attrs string) {
	w.t.Helper()
	w.server.AddAccount(w.t, localpart, "secret of "+localpart)
	w.starttls()
	w.open("")
	w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` +
		base64.StdEncoding.EncodeToString([]byte("\x00"+localpart+"\x00secret of "+localpart)) + `</auth>`)
	w.until("<success")
	w.until(">")
	w.open(attrs)
	w.bind(resource)
	w.until("</iq>")
}

func (w *wire) bind(resource string) {
	w.t.Helper()
	w.say(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>` + resource + `</resource></bind></iq>`)
}

func allowPlain(s *xmpp.Server) { s.Auth = &auth.ServerOptions{AllowPlain: true} }

// records collects what a server logs.
type records struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (r *records) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// next returns the next stanza of a connection, as a copy.
func next(t testing.TB, c *stanza.Conn) stanza.Stanza {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for st, err := range c.All(ctx) {
		require.NoError(t, err)
		return stanza.Clone(st)
	}
	require.FailNow(t, "the stream is over")
	return nil
}

func address(s string) jid.JID { return jid.MustParse(s) }

func certificates(c ...tls.Certificate) []tls.Certificate { return c }

func retries(n int) *auth.ServerOptions { return &auth.ServerOptions{Retries: n} }

// slowAccounts answer when the context of the negotiation has ended.
type slowAccounts struct{ xmpp.Accounts }

func (slowAccounts) Keys(ctx context.Context, _ jid.JID, _ sasl.Hash) (sasl.Keys, error) {
	<-ctx.Done()
	return sasl.Keys{}, ctx.Err()
}
