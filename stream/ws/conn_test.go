package ws_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/ws"
)

var domain = jid.MustParse("im.example")

// bare is a profile without goals: a stream is negotiated as soon as headers and
// features have crossed.
var bare = stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}

// raw is an element that is XML already.
type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

const (
	framing = ` xmlns="urn:ietf:params:xml:ns:xmpp-framing"`
	openMsg = `<open` + framing + ` to="im.example" version="1.0"/>`
	shutMsg = `<close` + framing + `/>`
	errorNS = ` xmlns='urn:ietf:params:xml:ns:xmpp-streams'`
)

// restarting is a feature that does nothing but restart the stream, once.
func restarting(state stream.State) stream.Feature {
	name := stream.Name{Space: "urn:test", Local: "again"}
	element := func(w *stream.Writer) { w.Start(name); w.End() }
	return stream.Feature{
		Name: name, Forbids: state,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error { element(w); return nil },
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			if err := n.Write(element); err != nil {
				return stream.Outcome{}, err
			}
			_, err := n.Read(ctx)
			return stream.Outcome{Reached: state, Restart: true}, err
		},
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			return stream.Outcome{Reached: state, Restart: true}, n.Write(element)
		},
	}
}

// sessions negotiates a stream over a WebSocket in memory.
func sessions(t *testing.T, features ...stream.Feature) (client, server *stream.Session, a, b *memory) {
	t.Helper()
	a, b = pipe()
	b.slow = true
	type result struct {
		s   *stream.Session
		err error
	}
	profile := bare
	for _, f := range features {
		profile.Goal |= f.Forbids
	}
	accepted := make(chan result, 1)
	go func() { // ends with Accept
		s, err := stream.Accept(t.Context(), ws.NewConn(b, stream.Receiving, nil), &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Features: features,
		})
		accepted <- result{s, err}
	}()
	client, err := stream.Initiate(t.Context(), ws.NewConn(a, stream.Initiating, nil), &stream.InitiateOptions{
		Profile: profile, To: domain, Features: features,
	})
	require.NoError(t, err)
	r := <-accepted
	require.NoError(t, r.err)
	t.Cleanup(func() { client.Abort(errors.New("test over")); r.s.Abort(errors.New("test over")) })
	return client, r.s, a, b
}

// RFC 7395 §3.4, §3.6, §3.7: a stream is opened, restarted, used and closed.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, a, b := sessions(t, restarting(stream.Authenticated))
		served := make(chan error, 2)
		var got []string
		go func() {
			served <- server.Serve(func(el *stream.Element) error { got = append(got, string(el.Raw())); return nil })
		}()
		go func() { served <- client.Serve(func(*stream.Element) error { return nil }) }()
		for range 3 {
			require.NoError(t, client.Send(t.Context(), raw(`<message to='a@im.example'><body>hi</body></message>`)))
		}
		require.NoError(t, server.Send(t.Context(), raw(`<presence/>`)))
		synctest.Wait()
		require.NoError(t, client.Close(t.Context()))
		require.NoError(t, <-served)
		require.NoError(t, <-served)
		require.Len(t, got, 3)
		require.Equal(t, `<message xmlns="jabber:client" to='a@im.example'><body>hi</body></message>`, got[0])

		require.Len(t, a.sent, 7)
		require.Equal(t, `<open`+framing+` to="im.example" version="1.0" xml:lang="en"/>`, a.sent[0])
		require.Equal(t, `<again xmlns='urn:test'/>`, a.sent[1])
		require.Equal(t, a.sent[0], a.sent[2], "§3.7: a new <open/>, and no <close/>")
		require.Equal(t, shutMsg, a.sent[6])
		require.Regexp(t, `^<open`+framing+` from="im.example" id="\w+" version="1.0" xml:lang="en"/>$`, b.sent[0])
		require.Regexp(t, `^<stream:features xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams"><again`, b.sent[1])
		require.Equal(t, shutMsg, b.sent[len(b.sent)-1])
	})
}

// RFC 7395 §3.6: a WebSocket that ends without <close/> is a lost connection.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, a, _ := sessions(t)
		served := make(chan error, 1)
		go func() { served <- server.Serve(func(*stream.Element) error { return nil }) }()
		a.push(message{closing: true})
		require.ErrorIs(t, <-served, stream.ErrTruncated)
		client.Abort(errors.New("over"))
	})
}

// A peer that does not answer <close/> does not keep anybody.
func TestCloseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, _, _ := sessions(t)
		begin := time.Now()
		require.ErrorIs(t, server.Close(t.Context()), stream.ErrCloseTimeout)
		require.Less(t, time.Since(begin), 10*time.Second)
	})
}

// RFC 7395 §3.8: white space is not sent; a Ping frame is.
func TestKeepalive(t *testing.T) {
	a, _ := pipe()
	c := ws.NewConn(a, stream.Initiating, nil)
	n, err := c.Write([]byte(" \n"))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 1, a.pings)
	_, err = c.Write([]byte(" <iq/>"))
	require.NoError(t, err)
	require.Equal(t, 1, a.pings)
	require.Equal(t, []string{`<iq xmlns="jabber:client"/>`}, a.sent)
}

// The whole of a stream, read in pieces of any size.
func TestReadSizes(t *testing.T) {
	messages := []string{openMsg, `<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`, `<presence xmlns='jabber:client'/> `, shutMsg}
	const want = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to="im.example" version="1.0">` +
		`<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq><presence xmlns='jabber:client'/></stream:stream>`
	for size := 1; size <= len(want); size++ {
		a, b := pipe()
		b.slow = size%2 == 0
		for _, m := range messages {
			require.NoError(t, a.WriteMessage([]byte(m)))
		}
		c := ws.NewConn(b, stream.Receiving, nil)
		var got []byte
		for p := make([]byte, size); ; {
			n, err := c.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
		}
		require.Equal(t, want, string(got))
	}
}

// A reader that returns nothing and no error does not keep anybody busy.
func TestNoProgress(t *testing.T) {
	a, b := pipe()
	c := ws.NewConn(stuck{b}, stream.Receiving, nil)
	a.push(message{text: "x"})
	_, err := c.Read(make([]byte, 10))
	require.ErrorIs(t, err, io.ErrNoProgress)
}

type stuck struct{ *memory }

func (s stuck) NextMessage() (io.Reader, bool, error) { return stuck{}, true, nil }
func (s stuck) Read([]byte) (int, error)              { return 0, nil }

// TestAdversarial has the rows of hostile inputs that are about this package.
func TestAdversarial(t *testing.T) {
	t.Run("W03", testSeeOther)
	t.Run("W04", testMessages)
}

// testSeeOther is W03: see-other-uri leads to wss or nowhere (RFC 7395 §3.6.1).
func testSeeOther(t *testing.T) {
	for uri, good := range map[string]bool{"wss://other.example/ws": true, "ws://other.example/ws": false, "https://other.example/": false} {
		t.Run(uri, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, a, b := sessions(t)
				b.push(message{text: `<close` + framing + ` see-other-uri="` + uri + `"/>`})
				err := client.Serve(func(*stream.Element) error { return nil })
				require.ErrorIs(t, err, stream.SeeOtherHost)
				var other *ws.SeeOtherError
				require.Equal(t, good, errors.As(err, &other))
				require.Equal(t, !good, errors.Is(err, ws.ErrSeeOtherInsecure))
				if good {
					require.Equal(t, uri, other.URI)
				}
				// §3.6: the stream is closed by both.
				require.Equal(t, shutMsg, a.sent[len(a.sent)-1])
				server.Abort(errors.New("over"))
			})
		})
	}
}

// testMessages is W04: a message is one element, or the end of the stream.
func testMessages(t *testing.T) {
	stanza := `<message xmlns='jabber:client'><body>x</body></message>`
	for name, c := range map[string]struct {
		message message
		want    stream.Condition
	}{
		"two stanzas":   {message{text: stanza + stanza}, stream.BadFormat},
		"half a stanza": {message{text: stanza[:len(stanza)/2]}, stream.NotWellFormed},
		"leading space": {message{text: " " + stanza}, stream.BadFormat},
		"empty":         {message{}, stream.BadFormat},
		"binary":        {message{text: stanza, binary: true}, stream.BadFormat},
		"stream":        {message{text: "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"}, stream.BadFormat},
		"end":           {message{text: "</stream:stream>"}, stream.BadFormat},
		"no namespace":  {message{text: "<message/>"}, stream.InvalidNamespace},
		"large":         {message{text: "<message xmlns='jabber:client'><body>" + strings.Repeat("x", 300<<10)}, stream.PolicyViolation},
		"header inside": {message{text: openMsg}, stream.RestrictedXML},
		"starttls":      {message{text: "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}, stream.UnsupportedStanzaType},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, a, b := sessions(t)
				b.slow = false
				a.push(c.message)
				handled := 0
				err := server.Serve(func(*stream.Element) error { handled++; return nil })
				require.ErrorIs(t, err, c.want, "%v", err)
				require.Zero(t, handled)
				// RFC 7395 §3.5: the error in a message, and then the end.
				require.Regexp(t, `^<stream:error xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams"><`+string(c.want)+errorNS, b.sent[len(b.sent)-2])
				require.Equal(t, shutMsg, b.sent[len(b.sent)-1])
				client.Abort(errors.New("over"))
			})
		})
	}
	// RFC 7395 §3.9: a client does not see STARTTLS, required or not.
	t.Run("starttls advertised", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipe()
			for _, m := range []string{
				`<open` + framing + ` from="im.example" id="1" version="1.0"/>`,
				`<stream:features xmlns:stream="http://etherx.jabber.org/streams"><starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"><required/></starttls></stream:features>`,
			} {
				require.NoError(t, b.WriteMessage([]byte(m)))
			}
			s, err := stream.Initiate(t.Context(), ws.NewConn(a, stream.Initiating, nil), &stream.InitiateOptions{Profile: bare, To: domain})
			require.NoError(t, err)
			s.Abort(errors.New("over"))
		})
	})
}
