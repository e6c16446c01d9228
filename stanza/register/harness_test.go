package register_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

var (
	domain = jid.MustParse("shakespeare.lit")
	bill   = jid.MustParse("bill@shakespeare.lit")
	globe  = jid.MustParse("bill@shakespeare.lit/globe")
	rose   = jid.MustParse("bill@shakespeare.lit/rose")
)

// table is a user table.
type table struct {
	mu        sync.Mutex
	passwords map[jid.JID]string
	log       []string // what was done, in order; shared with the host
	err       error    // of everything
}

func (a *table) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, what)
}

func (a *table) noted() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.log...)
}

func (a *table) password(account jid.JID) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.passwords[account]
}

func (a *table) Create(_ context.Context, account jid.JID, password string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, exists := a.passwords[account]
	switch {
	case a.err != nil:
		return a.err
	case exists:
		return register.ErrExists
	case password == "\u0007":
		return register.ErrPassword
	}
	if a.passwords == nil {
		a.passwords = make(map[jid.JID]string)
	}
	a.passwords[account] = password
	a.log = append(a.log, "create "+account.String())
	return nil
}

func (a *table) SetPassword(_ context.Context, account jid.JID, password string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err != nil:
		return a.err
	case password == "\u0007":
		return register.ErrPassword
	}
	a.passwords[account] = password
	a.log = append(a.log, "password "+account.String())
	return nil
}

func (a *table) Delete(_ context.Context, account jid.JID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.passwords, account)
	a.log = append(a.log, "delete "+account.String())
	return nil
}

// host is a server with one account that may have sessions.
type host struct {
	stanza.Host // what is not needed
	accounts    *table
	mu          sync.Mutex
	resources   []*resource
	forget      error
	exists      error
	late        error // of Forget, when it is called again
	forgotten   int
	addr        netip.Addr
}

func (h *host) Exists(_ context.Context, account jid.JID) (bool, error) {
	h.accounts.mu.Lock()
	defer h.accounts.mu.Unlock()
	_, ok := h.accounts.passwords[account]
	return ok, h.exists
}

func (h *host) Resource(addr jid.JID) stanza.Resource {
	for _, r := range h.Resources(addr.Bare()) {
		if r.Addr() == addr {
			return r
		}
	}
	return nil
}

func (h *host) Resources(account jid.JID) (out []stanza.Resource) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.resources {
		if r.addr.Bare() == account {
			out = append(out, r)
		}
	}
	return out
}

func (h *host) Forget(ctx context.Context, account jid.JID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.accounts.note("forget " + account.String())
	if h.forgotten++; h.forgotten > 1 {
		return h.late
	}
	return h.forget
}

func (h *host) Address(context.Context) netip.Addr { return h.addr }

// resource is a session.
type resource struct {
	stanza.Resource
	host   *host
	addr   jid.JID
	secure bool
}

func (r *resource) Addr() jid.JID { return r.addr }

func (r *resource) Security() stream.Security {
	if r.secure {
		return stream.Security{Version: tls.VersionTLS13}
	}
	return stream.Security{}
}

func (r *resource) End(_ context.Context, reason *stream.Error) error {
	r.host.mu.Lock()
	for i, other := range r.host.resources {
		if other == r {
			r.host.resources = append(r.host.resources[:i:i], r.host.resources[i+1:]...)
			break
		}
	}
	r.host.mu.Unlock()
	r.host.accounts.note("end " + r.addr.Resource() + " " + string(reason.Condition))
	return nil
}

// attached returns a host for m, which is attached to it.
func attached(t *testing.T, m *register.Module) (*host, *table) {
	t.Helper()
	accounts := &table{passwords: map[jid.JID]string{}}
	if m.Accounts == nil {
		m.Accounts = accounts
	}
	h := &host{accounts: accounts}
	require.NoError(t, m.Attach(h))
	return h, accounts
}

// loggedIn gives bill an account and two sessions, and returns what asks m on
// behalf of the first.
func loggedIn(t *testing.T, m *register.Module) (h *host, a *table, ask func(request string) []string) {
	t.Helper()
	h, a = attached(t, m)
	a.passwords[bill] = "theglobe"
	h.resources = []*resource{{host: h, addr: globe, secure: true}, {host: h, addr: rose, secure: true}}
	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, m))
	return h, a, func(request string) []string {
		t.Helper()
		el := parse(t, request)
		st, err := stanza.Decode(el)
		require.NoError(t, err)
		head := st.Head()
		head.From = globe // as the server stamps it
		st.SetHead(head)
		s := &sender{accounts: a}
		_ = stanza.Dispatch(t.Context(), &mux, s, st) // what is left over is for the log
		return s.sent
	}
}

// sender records what a handler sends.
type sender struct {
	accounts *table
	sent     []string
}

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	s.sent = append(s.sent, string(b))
	s.accounts.note("reply")
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// parse reads a stanza as it is in a stream of a client.
func parse(t testing.TB, xml string) *stream.Element {
	t.Helper()
	i := strings.IndexAny(xml, " />")
	el, err := stream.ParseElement([]byte(xml[:i]+" xmlns='jabber:client'"+xml[i:]), nil)
	require.NoError(t, err)
	return el
}

// trusted is an authentication that takes everybody for bill.
func trusted() stream.Feature {
	name := stream.Name{Space: "urn:example:trust", Local: "trust"}
	write := func(w *stream.Writer) { w.Start(name); w.End() }
	done := stream.Outcome{Reached: stream.Authenticated}
	return stream.Feature{
		Name:    name,
		Forbids: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			write(w)
			return nil
		},
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			n.SetIdentity(bill)
			return done, n.Write(write)
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			if err := n.Write(write); err != nil {
				return stream.Outcome{}, err
			}
			_, err := n.Read(ctx)
			return done, err
		},
	}
}

var profile = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated, InsecureGoal: true}

// protected is a TLS layer.
func protected() *stream.Security { return &stream.Security{Version: tls.VersionTLS13} }

// result is what one side of a negotiation came to.
type result struct {
	session *stream.Session
	err     error
}

const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='shakespeare.lit' version='1.0'>`

// script is a client that says what the test says.
type script struct {
	t    *testing.T
	conn net.Conn
	done <-chan result
	got  string
}

// stranger opens a stream to a server with m, inside TLS or not.
func stranger(t *testing.T, m *register.Module, sec *stream.Security, trace *stream.Trace) *script {
	t.Helper()
	a, b := memconn.Pipe()
	done := make(chan result, 1)
	go func() { // ends with the connection
		s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Security: sec, Trace: trace,
			Features: append(m.StreamFeatures(), trusted()),
		})
		if s != nil {
			t.Cleanup(func() { s.Abort(nil) })
		}
		done <- result{s, err}
	}()
	t.Cleanup(func() { a.Close() })
	c := &script{t: t, conn: a, done: done}
	c.send(header)
	c.expect("</stream:features>")
	return c
}

func (c *script) send(xml string) {
	c.t.Helper()
	_, err := c.conn.Write([]byte(xml))
	require.NoError(c.t, err)
}

// expect reads up to and including what it is given, and returns all of it.
func (c *script) expect(end string) string {
	c.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(c.got, end) {
		n, err := c.conn.Read(buf)
		c.got += string(buf[:n])
		require.NoError(c.t, err, "%s", c.got)
	}
	before, after, _ := strings.Cut(c.got, end)
	c.got = after
	return before + end
}

// ask sends a request and returns the reply.
func (c *script) ask(xml string) string {
	c.t.Helper()
	c.send(xml)
	buf := make([]byte, 4096)
	for !strings.Contains(c.got, "</iq>") && !(strings.HasPrefix(c.got, "<iq") && strings.HasSuffix(c.got, "/>") && strings.Count(c.got, "<") == 1) &&
		!strings.Contains(c.got, "</stream:stream>") {
		n, err := c.conn.Read(buf)
		c.got += string(buf[:n])
		require.NoError(c.t, err, "%s", c.got)
	}
	out := c.got
	c.got = ""
	return out
}
