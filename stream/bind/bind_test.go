package bind_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

var (
	domain  = jid.MustParse("im.example")
	account = jid.MustParse("juliet@im.example")
	balcony = jid.MustParse("juliet@im.example/balcony")
	// profile is a stream that ends with binding, and where nothing protects it.
	profile = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated | stream.Bound, InsecureGoal: true}
)

// trusted is an authentication that takes everybody for juliet.
func trusted() stream.Feature {
	name := stream.Name{Space: "urn:example:trust", Local: "trust"}
	write := func(w *stream.Writer) { w.Start(name); w.End() }
	done := stream.Outcome{Reached: stream.Authenticated, Restart: true}
	return stream.Feature{
		Name:    name,
		Forbids: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			write(w)
			return nil
		},
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			n.SetIdentity(account)
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

// result is what one side of a negotiation came to.
type result struct {
	session *stream.Session
	err     error
}

// within returns what a channel yields, and fails the test rather than hang.
func within[T any](tb testing.TB, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		tb.Fatal("nothing happened")
		panic("unreachable")
	}
}

func initiate(tb testing.TB, conn net.Conn, from jid.JID, o *bind.ClientOptions, trace *stream.Trace) <-chan result {
	c := make(chan result, 1)
	go func() { // ends with the connection
		s, err := stream.Initiate(tb.Context(), conn, &stream.InitiateOptions{
			Profile: profile, To: domain, From: from, Trace: trace, Features: []stream.Feature{trusted(), bind.Client(o)},
		})
		c <- result{s, err}
	}()
	return c
}

func accept(tb testing.TB, conn net.Conn, o *bind.ServerOptions, trace *stream.Trace) <-chan result {
	c := make(chan result, 1)
	go func() { // ends with the connection
		s, err := stream.Accept(tb.Context(), conn, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Trace: trace, Features: []stream.Feature{trusted(), bind.Server(o)},
		})
		c <- result{s, err}
	}()
	return c
}

// negotiate runs both sides against each other.
func negotiate(tb testing.TB, from jid.JID, co *bind.ClientOptions, so *bind.ServerOptions) (client, server result) {
	tb.Helper()
	a, b := memconn.Pipe()
	cc, sc := initiate(tb, a, from, co, nil), accept(tb, b, so, nil)
	client, server = within(tb, cc), within(tb, sc)
	for _, r := range []result{client, server} {
		if r.session != nil {
			tb.Cleanup(func() { r.session.Abort(nil) })
		}
	}
	return client, server
}

// granting is a Bind callback that gives what is asked for, or makes something up.
func granting(_ context.Context, _ *stream.Negotiation, asked jid.JID) (jid.JID, error) {
	if asked.IsFull() {
		return asked, nil
	}
	return bind.Generate(asked)
}

// RFC 6120 §7.6.1, §7.7.1.
//
//conformance:proves 6120-4.3.6-5 6120-4.3.6-6
func TestBind(t *testing.T) {
	override := func(_ context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error) {
		return bind.Generate(n.Identity())
	}
	for name, c := range map[string]struct {
		from   jid.JID
		client *bind.ClientOptions
		server *bind.ServerOptions
		want   string // empty: made up by the server
	}{
		"§7.6.1 generated":      {from: account},
		"granted":               {from: account, client: &bind.ClientOptions{Resource: "balcony"}, server: &bind.ServerOptions{Bind: granting}, want: "balcony"},
		"§7.7.1 overridden":     {from: account, client: &bind.ClientOptions{Resource: "balcony"}, server: &bind.ServerOptions{Bind: override}},
		"no callback":           {from: account, client: &bind.ClientOptions{Resource: "balcony"}},
		"from the address":      {from: balcony, server: &bind.ServerOptions{Bind: granting}, want: "balcony"},
		"option before address": {from: balcony, client: &bind.ClientOptions{Resource: "garden"}, server: &bind.ServerOptions{Bind: granting}, want: "garden"},
		"nobody in particular":  {server: &bind.ServerOptions{Bind: granting}},
		"old clients":           {from: account, server: &bind.ServerOptions{OfferSession: true}},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := negotiate(t, c.from, c.client, c.server)
			require.NoError(t, client.err)
			require.NoError(t, server.err)
			full := client.session.LocalAddr()
			require.Equal(t, account, full.Bare())
			require.Equal(t, full, server.session.RemoteAddr())
			if c.want != "" {
				require.Equal(t, c.want, full.Resource())
			} else {
				require.GreaterOrEqual(t, len(full.Resource()), 26)
			}
		})
	}
}

func TestTraceBound(t *testing.T) {
	a, b := memconn.Pipe()
	got := make(chan jid.JID, 2)
	trace := &stream.Trace{Bound: func(j jid.JID) { got <- j }}
	cc, sc := initiate(t, a, balcony, nil, trace), accept(t, b, &bind.ServerOptions{Bind: granting}, trace)
	for _, c := range []<-chan result{cc, sc} {
		r := within(t, c)
		require.NoError(t, r.err)
		defer r.session.Abort(nil)
		require.Equal(t, balcony, within(t, got))
	}
}

// RFC 6120 §7.6.2, §7.7.2: refusals arrive as they were meant.
func TestBindRefused(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"§7.7.2.2 conflict":            {bind.Conflict, bind.Conflict},
		"§7.6.2.1 resource constraint": {&bind.Error{Condition: bind.ResourceConstraint, Text: "10 are enough"}, bind.ResourceConstraint},
		"§7.6.2.2 not allowed":         {fmt.Errorf("policy: %w", bind.NotAllowed), bind.NotAllowed},
		"another condition":            {bind.Condition("forbidden"), bind.Condition("forbidden")},
		"the server's own trouble":     {errors.New("secret reason"), bind.InternalServerError},
		"end of the stream":            {&stream.Error{Condition: stream.ResourceConstraint}, stream.ResourceConstraint},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := negotiate(t, account, nil, &bind.ServerOptions{
				Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) { return jid.JID{}, c.err },
			})
			require.ErrorIs(t, client.err, c.want)
			require.NotContains(t, client.err.Error(), "secret")
			require.Error(t, server.err)
		})
	}
}

// A callback cannot give a client the address of somebody else.
func TestBindCallbackReturnsNonsense(t *testing.T) {
	for _, bad := range []jid.JID{{}, account, jid.MustParse("romeo@im.example/x"), jid.MustParse("juliet@other.example/x"), domain} {
		client, server := negotiate(t, account, nil, &bind.ServerOptions{
			Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) { return bad, nil },
		})
		require.ErrorIs(t, client.err, stream.InternalServerError, "%q", bad)
		require.ErrorIs(t, server.err, bind.ErrOptions, "%q", bad)
	}
}

// A resource that is none is not sent at all.
func TestClientResourceIsChecked(t *testing.T) {
	client, _ := negotiate(t, account, &bind.ClientOptions{Resource: "a\x00b"}, nil)
	require.Error(t, client.err)
	var e *jid.Error
	require.ErrorAs(t, client.err, &e)
}

func TestServerOptionsValidate(t *testing.T) {
	for _, retries := range []int{-1, 1, 4, 11} { // RFC 6120 §7.7.3
		o := &bind.ServerOptions{Retries: retries}
		require.ErrorIs(t, o.Validate(), bind.ErrOptions)
		client, server := negotiate(t, account, nil, o)
		require.ErrorIs(t, client.err, stream.InternalServerError)
		require.ErrorIs(t, server.err, bind.ErrOptions)
	}
	for _, o := range []*bind.ServerOptions{nil, {}, {Retries: 5}, {Retries: 10}} {
		require.NoError(t, o.Validate())
	}
}

// peer is a scripted other side.
type peer struct {
	tb   testing.TB
	conn net.Conn
	got  bytes.Buffer
	read int
}

func (p *peer) send(s string) {
	p.tb.Helper()
	require.NoError(p.tb, p.conn.SetWriteDeadline(time.Now().Add(20*time.Second)))
	_, err := io.WriteString(p.conn, s)
	require.NoError(p.tb, err)
}

// expect reads until what comes next includes s, and returns it up to and including s.
func (p *peer) expect(s string) string {
	p.tb.Helper()
	require.NoError(p.tb, p.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	for {
		rest := p.got.String()[p.read:]
		if i := strings.Index(rest, s); i >= 0 {
			p.read += i + len(s)
			return rest[:i+len(s)]
		}
		var b [4096]byte
		n, err := p.conn.Read(b[:])
		p.got.Write(b[:n])
		if n == 0 {
			require.NoError(p.tb, err, "waiting for %q, got %q", s, rest)
		}
	}
}

// end reads what the other side has to say until it hangs up, hangs up too, and returns that and
// what the other side made of it.
func (p *peer) end(done <-chan result) (string, error) {
	p.tb.Helper()
	require.NoError(p.tb, p.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	b, err := io.ReadAll(p.conn)
	require.NoError(p.tb, err)
	out := p.got.String()[p.read:] + string(b)
	p.conn.Close()
	r := within(p.tb, done)
	require.Nil(p.tb, r.session)
	return out, r.err
}

const (
	clientHeader = `<?xml version='1.0'?><stream:stream to='im.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	serverHeader = `<?xml version='1.0'?><stream:stream from='im.example' id='x' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	bindNS       = ` xmlns='urn:ietf:params:xml:ns:xmpp-bind'`
	request      = `<iq id='1' type='set'><bind` + bindNS + `/></iq>`
	badRequest   = `<iq id='1' type='get'><bind` + bindNS + `/></iq>`
)

// scriptedClient talks to a server, as juliet if authenticate is set.
func scriptedClient(t *testing.T, o *bind.ServerOptions, authenticate bool) (*peer, <-chan result) {
	a, b := memconn.Pipe()
	t.Cleanup(func() { a.Close() })
	p, done := &peer{tb: t, conn: a}, accept(t, b, o, nil)
	p.send(clientHeader)
	require.NotContains(t, p.expect("</stream:features>"), "xmpp-bind") // RFC 6120 §7.4
	if authenticate {
		p.send(`<trust xmlns='urn:example:trust'/>` + clientHeader)
		p.expect("<trust")
		require.Contains(t, p.expect("</stream:features>"), "<bind"+bindNS)
	}
	return p, done
}

// RFC 6120 §7.7.3: a client may try again, a number of times.
func TestServerRetries(t *testing.T) {
	for _, retries := range []int{0, 5, 10} {
		t.Run(fmt.Sprint(retries), func(t *testing.T) {
			p, done := scriptedClient(t, &bind.ServerOptions{Retries: retries}, true)
			if retries == 0 {
				retries = 5
			}
			for range 1 + retries {
				p.send(badRequest)
				require.Contains(t, p.expect("</iq>"), "<bad-request")
			}
			p.send(request)
			out, err := p.end(done)
			require.Contains(t, out, "<policy-violation")
			require.ErrorIs(t, err, stream.PolicyViolation)
		})
	}
	t.Run("conflict, then another", func(t *testing.T) {
		o := &bind.ServerOptions{Bind: func(_ context.Context, _ *stream.Negotiation, asked jid.JID) (jid.JID, error) {
			if asked == balcony {
				return jid.JID{}, bind.Conflict
			}
			return asked, nil
		}}
		p, done := scriptedClient(t, o, true)
		for range 5 {
			p.send(`<iq id='1' type='set'><bind` + bindNS + `><resource>balcony</resource></bind></iq>`)
			require.Contains(t, p.expect("</iq>"), "<conflict")
		}
		p.send(`<iq id='2' type='set'><bind` + bindNS + `><resource>garden</resource></bind></iq>`)
		require.Contains(t, p.expect("</iq>"), "<jid>juliet@im.example/garden</jid>")
		r := within(t, done)
		require.NoError(t, r.err)
		r.session.Abort(nil)
	})
}

// Old clients see that they need not establish a session (RFC 3921 §3).
func TestOfferSession(t *testing.T) {
	for _, offer := range []bool{false, true} {
		p, _ := scriptedClient(t, &bind.ServerOptions{OfferSession: offer}, true)
		require.Equal(t, offer, strings.Contains(p.got.String(), `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>`))
	}
}

// TestAdversarial holds what an attacker would try, on the side that has to withstand it.
func TestAdversarial(t *testing.T) {
	t.Run("T15", stanzasBeforeBinding)
	t.Run("T20", bindBeforeAuthentication)
	t.Run("identity", claimedIdentities)
	t.Run("answers", forgedAnswers)
}

// T15: RFC 6120 §7.1, §4.9.3.12.
func stanzasBeforeBinding(t *testing.T) {
	for name, el := range map[string]string{
		"message":             `<message to='romeo@im.example'><body>hi</body></message>`,
		"message to oneself":  `<message to='juliet@im.example'><body>hi</body></message>`,
		"presence":            `<presence/>`,
		"iq":                  `<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>`,
		"session":             `<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`,
		"bind somebody":       `<iq type='set' id='1' to='romeo@im.example'><bind` + bindNS + `/></iq>`,
		"bind another server": `<iq type='set' id='1' to='evil.example'><bind` + bindNS + `/></iq>`,
		"answer":              `<iq type='result' id='1'><bind` + bindNS + `/></iq>`,
		"bare bind":           `<bind` + bindNS + `/>`,
	} {
		for _, authenticated := range []bool{false, true} {
			t.Run(fmt.Sprintf("server/%s/%t", name, authenticated), func(t *testing.T) {
				p, done := scriptedClient(t, &bind.ServerOptions{Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) {
					t.Error("nobody asked for this")
					return balcony, nil
				}}, authenticated)
				p.send(el)
				out, err := p.end(done)
				require.Contains(t, out, "<not-authorized")
				require.ErrorIs(t, err, stream.NotAuthorized)
			})
		}
	}
	// The client takes nothing for an answer that is none.
	for name, el := range map[string]string{
		"message":  `<message from='im.example'><body>hi</body></message>`,
		"presence": `<presence from='romeo@im.example'/>`,
		"iq":       `<iq type='set' id='1' from='im.example'><query xmlns='jabber:iq:roster'/></iq>`,
	} {
		t.Run("client/"+name, func(t *testing.T) {
			p, done := scriptedServer(t)
			p.send(el)
			_, err := p.end(done)
			require.ErrorIs(t, err, bind.ErrProtocol)
		})
	}
}

// T20: binding before authentication.
func bindBeforeAuthentication(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		p, done := scriptedClient(t, nil, false)
		p.send(request)
		out, err := p.end(done)
		require.Contains(t, out, "<not-authorized")
		require.ErrorIs(t, err, stream.NotAuthorized)
	})
	t.Run("client", func(t *testing.T) {
		a, b := memconn.Pipe()
		t.Cleanup(func() { b.Close() })
		p, done := &peer{tb: t, conn: b}, initiate(t, a, account, nil, nil)
		p.expect("'>")
		p.send(serverHeader + `<stream:features><bind` + bindNS + `/></stream:features>`)
		out, err := p.end(done)
		require.ErrorIs(t, err, stream.ErrNoProgress)
		require.NotContains(t, out, "<iq")
	})
}

// Whatever a request says about who it is from or what it wants to be, the account is the one that
// authenticated.
func claimedIdentities(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"from":             {`<iq id='1' type='set' from='romeo@im.example'><bind` + bindNS + `/></iq>`, "<invalid-from"},
		"from a resource":  {`<iq id='1' type='set' from='romeo@im.example/x'><bind` + bindNS + `/></iq>`, "<invalid-from"},
		"jid":              {`<iq id='1' type='set'><bind` + bindNS + `><jid>romeo@im.example/x</jid></bind></iq>`, "<bad-request"},
		"jid and resource": {`<iq id='1' type='set'><bind` + bindNS + `><resource>x</resource><jid>romeo@im.example/x</jid></bind></iq>`, "<bad-request"},
		"attribute":        {`<iq id='1' type='set'><bind` + bindNS + ` jid='romeo@im.example/x'/></iq>`, "<jid>juliet@im.example/"},
		"resource":         {`<iq id='1' type='set'><bind` + bindNS + `><resource>@im.example/x</resource></bind></iq>`, "<jid>juliet@im.example/@im.example/x</jid>"},
		"address":          {`<iq id='1' type='set'><bind` + bindNS + `><resource>romeo@im.example/x</resource></bind></iq>`, "<jid>juliet@im.example/romeo@im.example/x</jid>"},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, _ := scriptedClient(t, &bind.ServerOptions{Bind: granting}, true)
			p.send(c.in)
			p.expect(c.want)
		})
	}
}

// scriptedServer takes a client as far as its request to bind.
func scriptedServer(t *testing.T) (*peer, <-chan result) {
	a, b := memconn.Pipe()
	t.Cleanup(func() { b.Close() })
	p, done := &peer{tb: t, conn: b}, initiate(t, a, account, nil, nil)
	p.expect("'>")
	p.send(serverHeader + `<stream:features><trust xmlns='urn:example:trust'/></stream:features>`)
	p.expect("<trust")
	p.send(`<trust xmlns='urn:example:trust'/>`)
	p.expect("<stream:stream")
	p.send(serverHeader + `<stream:features><bind` + bindNS + `/></stream:features>`)
	p.expect("<iq")
	return p, done
}

// Answers that are for another request, from somebody else, or say something that cannot be.
func forgedAnswers(t *testing.T) {
	result := func(id, attrs, bound string) string {
		return `<iq id='` + id + `' type='result'` + attrs + `><bind` + bindNS + `><jid>` + bound + `</jid></bind></iq>`
	}
	for name, answer := range map[string]func(id string) string{
		"wrong id":       func(string) string { return result("1", "", "juliet@im.example/x") },
		"wrong from":     func(id string) string { return result(id, " from='romeo@im.example'", "juliet@im.example/x") },
		"another domain": func(id string) string { return result(id, "", "juliet@evil.example/x") },
		"bare":           func(id string) string { return result(id, "", "juliet@im.example") },
		"nothing":        func(id string) string { return `<iq id='` + id + `' type='result'/>` },
	} {
		t.Run("client/"+name, func(t *testing.T) {
			p, done := scriptedServer(t)
			p.expect("id='")
			p.send(answer(strings.TrimSuffix(p.expect("'"), "'")))
			_, err := p.end(done)
			require.ErrorIs(t, err, bind.ErrProtocol)
		})
	}
	t.Run("client/good", func(t *testing.T) {
		p, done := scriptedServer(t)
		p.expect("id='")
		p.send(result(strings.TrimSuffix(p.expect("'"), "'"), "", "juliet@im.example/x"))
		r := within(t, done)
		require.NoError(t, r.err)
		require.Equal(t, "juliet@im.example/x", r.session.LocalAddr().String())
		r.session.Abort(nil)
	})
}
