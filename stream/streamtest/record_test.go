package streamtest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
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
	"stanzakit.dev/xmpp/stream/streamtest"
)

const golden = "testdata/login.flow"

// scramOnly is one mechanism, so that the flow is the same with every version of
// the library.
func scramOnly() []sasl.Mechanism { return []sasl.Mechanism{sasl.Scram(sasl.SHA256)} }

// conversation logs in, sends a message to itself, reads it and logs out.
func conversation(ctx context.Context, c *xmpp.Client) error {
	conn, err := c.Connect(ctx)
	if err != nil {
		return err
	}
	defer drop(conn)
	if err := conn.Send(ctx, &stanza.Message{To: conn.LocalAddr(), Body: stanza.Plain("a <b>\nc")}); err != nil {
		return err
	}
	for st, err := range conn.All(ctx) {
		if err != nil {
			return err
		}
		if m, ok := st.(*stanza.Message); !ok || m.Body.String() != "a <b>\nc" {
			return errors.New("another message")
		}
		return conn.Close(ctx)
	}
	return io.ErrUnexpectedEOF
}

// echo serves one client: it logs in, and what it sends comes back. Only features
// that are named here are offered, so that the flow stays the same when servers
// learn more.
func echo(t *testing.T, n *streamtest.Network, trace *stream.Trace) {
	t.Helper()
	store := &sasl.MemoryStore{Iterations: sasl.MinIterations}
	require.NoError(t, store.Set(t.Context(), "romeo", password))
	l, err := n.Listen(address)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		session, err := stream.Accept(context.Background(), nc, &stream.AcceptOptions{
			Profile: stream.InsecureC2S(), Domains: []jid.JID{domain}, Trace: trace,
			Features: []stream.Feature{
				auth.Server(&auth.ServerOptions{Mechanisms: scramOnly(), Store: store, InsecureWithoutTLS: true}),
				bind.Server(nil),
			},
		})
		if err != nil {
			return // the other side tells
		}
		session.Serve(func(el *stream.Element) error {
			from := stream.AttrSet{Name: stream.Name{Local: "from"}, Value: session.RemoteAddr().String()}
			b, err := el.AppendRewritten(nil, stream.NSClient, from)
			if err != nil {
				return err
			}
			return session.Send(context.Background(), raw(b))
		})
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
}

// raw is XML as it stands.
type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

// A SCRAM login and a message, as golden flow: recorded by the client and by the
// server, it is the same; and no secret is in it.
func TestRecord(t *testing.T) {
	rules := []streamtest.Volatile{streamtest.BoundJID()} // the server chooses the resource
	streamtest.Run(t, 3, &wan, func(t *testing.T, lab *streamtest.Lab) {
		atClient, atServer := streamtest.Recorder{Volatile: rules}, streamtest.Recorder{Volatile: rules}
		echo(t, lab.Network, atServer.Trace(streamtest.Server, nil))
		c := client(lab.Network, romeo)
		var seen int
		c.Trace = atClient.Trace(streamtest.Client, &stream.Trace{XMLSent: func([]byte) { seen++ }})
		require.NoError(t, conversation(t.Context(), c))
		require.Positive(t, seen, "hooks that were there go on")

		tr, err := atClient.Transcript()
		require.NoError(t, err)
		tr.Comment = "A login with SCRAM-SHA-256 (RFC 6120 §9.1, without TLS), and a message that comes back."
		tr.Golden(t, golden)
		require.NotContains(t, tr.String(), base64.StdEncoding.EncodeToString([]byte("n,,n=romeo"))[:12])
		require.Contains(t, tr.String(), "{secret}")

		other, err := atServer.Transcript()
		require.NoError(t, err)
		for _, side := range []streamtest.Side{streamtest.Client, streamtest.Server} {
			require.Equal(t, itemsFrom(tr, side), itemsFrom(other, side))
		}
	})
}

func itemsFrom(t *streamtest.Transcript, side streamtest.Side) (out []string) {
	for _, i := range t.Items {
		if i.From == side {
			out = append(out, i.XML)
		}
	}
	return out
}

// exchange is SCRAM for whoever replays.
type exchange struct {
	client sasl.Client
	server sasl.Server
}

// secret makes the next message of SCRAM (RFC 6120 §6.4).
func (e *exchange) secret(_ stream.Name, last *stream.Element) (string, error) {
	var in []byte
	var err error
	if last != nil && last.Name().Space == "urn:ietf:params:xml:ns:xmpp-sasl" {
		if in, err = base64.StdEncoding.DecodeString(last.Text()); err != nil {
			return "", err
		}
	}
	var out []byte
	if e.client != nil {
		out, _, err = e.client.Next(context.Background(), in)
	} else {
		out, _, err = e.server.Next(context.Background(), in)
	}
	return base64.StdEncoding.EncodeToString(out), err
}

// bound is the address that a replayed server binds.
func bound(placeholder string) string {
	if strings.HasPrefix(placeholder, "{jid:") {
		return "romeo@im.example/chosen"
	}
	return "" // whatever
}

// The golden flow is played as the server, against the real client.
func TestReplayToClient(t *testing.T) {
	tr, err := streamtest.ReadFile(golden)
	require.NoError(t, err)
	require.Greater(t, len(tr.Items), 10)
	store := &sasl.MemoryStore{Iterations: sasl.MinIterations}
	require.NoError(t, store.Set(t.Context(), "romeo", password))
	streamtest.Run(t, 3, &streamtest.Options{Up: streamtest.Path{Split: streamtest.Random}, Down: streamtest.Path{Split: streamtest.Bytes}}, func(t *testing.T, lab *streamtest.Lab) {
		server, err := scramOnly()[0].NewServer(&sasl.ServerConfig{Store: store, Offered: []string{"SCRAM-SHA-256"}})
		require.NoError(t, err)
		scram := &exchange{server: server}
		l, err := lab.Listen(address)
		require.NoError(t, err)
		defer l.Close()
		played := make(chan error, 1)
		go func() {
			nc, err := l.Accept()
			if err == nil {
				r := &streamtest.Replay{Transcript: tr, Play: streamtest.Server, Secret: scram.secret, Value: bound}
				err = r.Run(context.Background(), nc)
			}
			played <- err
		}()
		c := client(lab.Network, romeo)
		require.NoError(t, conversation(t.Context(), c))
		require.NoError(t, <-played)
	})
}

// And as the client, against a real server.
func TestReplayToServer(t *testing.T) {
	tr, err := streamtest.ReadFile(golden)
	require.NoError(t, err)
	require.Greater(t, len(tr.Items), 10)
	streamtest.Run(t, 3, &wan, func(t *testing.T, lab *streamtest.Lab) {
		echo(t, lab.Network, nil)
		scram, err := scramOnly()[0].NewClient(&sasl.ClientConfig{Username: "romeo", Password: password, Offered: []string{"SCRAM-SHA-256"}})
		require.NoError(t, err)
		nc, err := lab.DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		r := &streamtest.Replay{Transcript: tr, Play: streamtest.Client, Secret: (&exchange{client: scram}).secret}
		require.NoError(t, r.Run(t.Context(), nc))
	})
}

// Played against a server of package xmpp it shows what that offers more.
func TestReplayShowsDifference(t *testing.T) {
	streamtest.Run(t, 1, &wan, func(t *testing.T, lab *streamtest.Lab) {
		serve(t, lab.Network, nil)
		tr, err := streamtest.Parse([]byte(strings.Join([]string{
			"C: " + strings.Replace(clientHeader, "to=", "version='1.0' to=", 1),
			"S: " + strings.Replace(serverHeader, "id=", "from='im.example' xml:lang='en' version='1.0' id=", 1),
			"S: <stream:features><only-this xmlns='urn:x'/></stream:features>",
		}, "\n")))
		require.NoError(t, err)
		nc, err := lab.DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		m, ok := errors.AsType[*streamtest.Mismatch]((&streamtest.Replay{Transcript: tr, Play: streamtest.Client}).Run(t.Context(), nc))
		require.True(t, ok)
		require.Contains(t, m.Got, "SCRAM-SHA-256")
	})
}

const (
	clientHeader = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.example'>"
	serverHeader = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='{stream:1}'>"
)

// flow is a transcript from its lines behind the headers.
func flow(t testing.TB, lines ...string) *streamtest.Transcript {
	t.Helper()
	tr, err := streamtest.Parse([]byte("C: " + clientHeader + "\nS: " + serverHeader + "\n" + strings.Join(lines, "\n")))
	require.NoError(t, err)
	return tr
}

// play replays the server against bytes, and returns what it sent.
func play(t *testing.T, tr *streamtest.Transcript, say string, and func(c net.Conn)) (heard string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := streamtest.NewNetwork(nil)
		c, s := pair(t, n)
		done := make(chan struct{})
		go func() {
			defer close(done)
			err = (&streamtest.Replay{Transcript: tr, Play: streamtest.Server}).Run(t.Context(), s)
		}()
		write(t, c, say)
		if and != nil {
			and(c)
		}
		b, _ := io.ReadAll(c)
		heard = string(b)
		c.Close()
		<-done
		require.Empty(t, n.Open())
	})
	return heard, err
}

const said = "<?xml version='1.0'?><s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client' to='im.example'>"

// What is compared is the structure, and ids are carried over.
func TestReplayMatches(t *testing.T) {
	tr := flow(t,
		`C: <iq id='{id:1}' type='get' to='im.example'><ping xmlns='urn:xmpp:ping'/></iq>`,
		`S: <iq id='{id:1}' type='result'><x xmlns='urn:x' made='{sm:1}'>\{literal}</x></iq>`,
		`C: <message id='{id:2}'><body>\{id:1}</body><again xmlns='u' id='{id:2}'>{secret}</again></message>`,
		`S: <message xml:lang='en' id='{id:2}'><a xmlns='u' stamp='{stamp:1}'/></message>`,
		`C: </stream:stream>`, `S: </stream:stream>`)
	heard, err := play(t, tr, said+
		`<c:iq xmlns:c="jabber:client" to="im.example" type="get" id="q&amp;1"><p:ping xmlns:p='urn:xmpp:ping'></p:ping></c:iq>`+
		"\n <message id='m'><body>{id:1}</body><again xmlns='u' id='m'>any<thing/></again></message> </s:stream>", nil)
	require.NoError(t, err)
	require.Equal(t, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='stream-1'>"+
		"<iq id='q&amp;1' type='result'><x xmlns='urn:x' made='sm-1'>{literal}</x></iq>"+
		"<message id='m' xml:lang='en'><a xmlns='u' stamp='2000-01-01T00:00:00Z'/></message></stream:stream>", heard)
}

// A Replay that cannot be played closes the connection all the same.
func TestReplayOptions(t *testing.T) {
	for _, r := range []*streamtest.Replay{{Play: streamtest.Client}, {Transcript: flow(t)}} {
		n := streamtest.NewNetwork(nil)
		c, s := pair(t, n)
		require.ErrorContains(t, r.Run(t.Context(), s), "a Replay needs")
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.NoError(t, c.Close())
		require.Empty(t, n.Open())
	}
}

// What is not the same is told, with its place.
func TestReplayMismatch(t *testing.T) {
	const want = `C: <message to='a@b' id='{id:1}'><body>hi</body><x xmlns='u' id='{id:1}'/></message>`
	for say, where := range map[string]string{
		`<message to='a@c' id='1'><body>hi</body><x xmlns='u' id='1'/></message>`:     `/message/@to: "a@c", not "a@b"`,
		`<message id='1'><body>hi</body><x xmlns='u' id='1'/></message>`:              `/message/@to: missing`,
		`<message to='a@b' type='chat' id='1'><body>hi</body></message>`:              `/message/@type: "chat", not expected`,
		`<message to='a@b' id=''><body>hi</body><x xmlns='u' id='1'/></message>`:      `/message/@id: "", not "{id:1}"`,
		`<message to='a@b' id='1'><body>ho</body><x xmlns='u' id='1'/></message>`:     `/message/body: text "ho", not text "hi"`,
		`<message to='a@b' id='1'><body>hi</body><x xmlns='v' id='1'/></message>`:     `/message: <x/> in "v", not <x/> in "u"`,
		`<message to='a@b' id='1'><body>hi</body><x xmlns='u' id='2'/></message>`:     `/message/x/@id: "2", not "{id:1}"`,
		`<message to='a@b' id='1'><body>hi</body></message>`:                          `/message: <x/> in "u" is missing`,
		`<message to='a@b' id='1'><body>hi</body><x xmlns='u' id='1'/><y/></message>`: `/message: <y/> in "jabber:client", not expected`,
		`<message to='a@b' id='1'><body/><x xmlns='u' id='1'/></message>`:             `/message/body: text "hi" is missing`,
		`<presence/>`: `/: {jabber:client}presence, not {jabber:client}message`,
		`</s:stream>`: "one of them closes the stream",
	} {
		_, err := play(t, flow(t, want), said+say, nil)
		m, ok := errors.AsType[*streamtest.Mismatch](err)
		require.True(t, ok, "%s: %v", say, err)
		require.Equal(t, 2, m.Item)
		require.Equal(t, where, m.Where)
		require.Contains(t, m.Error(), where)
		require.Contains(t, m.Error(), strings.TrimPrefix(m.Want, "C: "))
	}
}

// Whatever the other side does, a replay ends, in time.
func TestReplayEnds(t *testing.T) {
	closing := flow(t, `C: </stream:stream>`, `S: </stream:stream>`)
	for name, c := range map[string]struct {
		say  string
		tr   *streamtest.Transcript
		and  func(net.Conn)
		want string
	}{
		"silence":         {"", closing, nil, "item 0, C: <stream:stream"},
		"half a header":   {"<s:stream", closing, nil, "deadline exceeded"},
		"end of file":     {said, closing, func(c net.Conn) { c.(*streamtest.Conn).CloseWrite() }, "got  nothing"},
		"no XML":          {said + "<a></b>", closing, nil, "not-well-formed"},
		"text":            {said + "hello<a/>", closing, nil, `text between elements: "hello"`},
		"something else":  {"<a>", closing, nil, "where a stream header is expected"},
		"header again":    {said + said, closing, nil, "item 2"},
		"and then more":   {said + "</s:stream><message/>", closing, nil, "got  <message/>"},
		"no end of it":    {said + "</s:stream>", closing, func(net.Conn) { <-time.After(time.Hour) }, "the end: context deadline exceeded"},
		"nobody reads":    {said, flow(t, "S: <message><body>"+strings.Repeat("x", 200_000)+"</body></message>"), func(net.Conn) { <-time.After(time.Hour) }, "deadline exceeded"},
		"a secret":        {said, flow(t, "S: <challenge xmlns='u'>{secret}</challenge>"), nil, "Replay.Secret is nil"},
		"TLS":             {said + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", flow(t, "C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), nil, "Replay.TLS is nil"},
		"not from a text": {said, &streamtest.Transcript{Items: []streamtest.Item{{From: streamtest.Client, XML: "<a/>"}}}, nil, "was not made by Parse"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := play(t, c.tr, c.say, c.and)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Rules of the user's own: what is hidden, and what is another one each time.
func TestRecorderRules(t *testing.T) {
	r := streamtest.Recorder{
		Redact:   []stream.Name{{Space: "urn:s", Local: "key"}, {Space: "urn:s", Local: "note"}},
		Volatile: []streamtest.Volatile{streamtest.BoundJID(), {Element: stream.Name{Space: "urn:v", Local: "v"}, Attr: "n", As: "n"}},
	}
	trace := r.Trace(streamtest.Client, nil)
	sent := func(s string) { trace.XMLSent([]byte(s)) }
	received := func(s string) { trace.XMLReceived([]byte(s)) }
	sent(said)
	received("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' id='abc'>")
	received("<iq id='b1' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@b/xyz</jid></bind></iq>")
	sent("<message from='a@b/xyz' id='m1' to='m1'><v xmlns='urn:v' n='7'/><w xmlns='urn:v' n='7'/><v xmlns='urn:v' n='8'/></message>")
	received("<message id='m1'><body>[redacted 12 bytes]</body><body>{not one}</body><body>\\</body></message>")
	sent("<note xmlns='urn:s' kept='yes'>gone</note>")
	sent("<iq id='b1'><key xmlns='urn:s' value='gone'/><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z' from='a@b/xyz'/></iq>")
	received("</stream:stream>")
	tr, err := r.Transcript()
	require.NoError(t, err)
	require.Equal(t, "C: "+clientHeader+"\nS: "+serverHeader+`
S: <iq id='{id:1}' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid:1}</jid></bind></iq>
C: <message from='{jid:1}' id='{id:2}' to='m1'><v xmlns='urn:v' n='{n:1}'/><w xmlns='urn:v' n='7'/><v xmlns='urn:v' n='{n:2}'/></message>
S: <message id='{id:2}'><body>{secret}</body><body>\{not one}</body><body>\\</body></message>
C: <note xmlns='urn:s' kept='yes'>{secret}</note>
C: <iq id='{id:1}'><key xmlns='urn:s' value='{secret}'/><delay xmlns='urn:xmpp:delay' from='{jid:1}' stamp='{stamp:1}'/></iq>
S: </stream:stream>
`, tr.String())

	// What is no XML is no part of a transcript.
	received("[12 bytes that do not parse]")
	tr, err = r.Transcript()
	require.Error(t, err)
	require.Len(t, tr.Items, 8)
}

func TestParse(t *testing.T) {
	tr, err := streamtest.Parse([]byte("# one\n#\n# two\n\nC: <a  b = \"1\" xmlns='u' a='2'><c/></a>\r\nS: </stream:stream>\n"))
	require.NoError(t, err)
	require.Equal(t, "one\n\ntwo", tr.Comment)
	require.Equal(t, "# one\n#\n# two\nC: <a xmlns='u' a='2' b='1'><c/></a>\nS: </stream:stream>\n", tr.String())
	for text, line := range map[string]int{
		"D: <a/>": 1, "C:<a/>": 1, "\nC: <a>": 2, "C: <a/><b/>": 1, "C: text": 1, "C: <a/>\n# late": 2, "C: ": 1,
		"C: <stream:stream>": 1, "C: <a/>\nS: " + clientHeader + "<a/>": 2, "C: <!-- -->": 1,
	} {
		_, err := streamtest.Parse([]byte(text))
		syntax, ok := errors.AsType[*streamtest.SyntaxError](err)
		require.True(t, ok, "%q: %v", text, err)
		require.Equal(t, line, syntax.Line, "%q: %v", text, err)
		require.Error(t, errors.Unwrap(err))
	}
	_, err = streamtest.ReadFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	bad := filepath.Join(t.TempDir(), "bad.flow")
	require.NoError(t, os.WriteFile(bad, []byte("?"), 0o600))
	_, err = streamtest.ReadFile(bad)
	require.ErrorContains(t, err, "bad.flow")
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	said strings.Builder
}

func (f *failing) Helper() {}
func (f *failing) Errorf(format string, args ...any) {
	f.said.WriteString(fmt.Sprintf(format, args...))
}
func (f *failing) Fatalf(format string, args ...any) {
	f.said.WriteString(fmt.Sprintf(format, args...))
}

func TestGoldenDiffers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.flow")
	require.NoError(t, os.WriteFile(name, []byte(flow(t, "C: <message to='a'/>").String()), 0o600))
	for line, want := range map[string]string{
		"C: <message to='b'/>":                      `/message/@to: "b", not "a"`,
		"S: <message to='a'/>":                      "got  S: <message to='a'/>",
		"C: <message to='a'/>\nC: </stream:stream>": "want nothing",
		"": "got  nothing",
		`C: <message xmlns="jabber:client" to="a"/>`: "",
	} {
		f := &failing{TB: t}
		flow(t, line).Golden(f, name)
		if want == "" {
			require.Empty(t, f.said.String())
		} else {
			require.Contains(t, f.said.String(), want)
			require.Contains(t, f.said.String(), "-streamtest.update")
		}
	}
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(golden)
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte("C: <x:a xmlns:x='u' x:b='1' xml:lang='en'>t&#13;&#10;<x:c/>]]&gt;</x:a>\nS: </stream:stream>"))
	f.Add([]byte("C: <stream:stream xmlns:stream='http://etherx.jabber.org/streams'>\nC: <a/><!---->"))
	f.Add([]byte("C: <xml:a/>"))
	f.Add([]byte("#  \n#\n#  x \n#"))
	f.Add([]byte("# c\n#\nC: <stream:error/>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tr, err := streamtest.Parse(text)
		if err != nil {
			_, ok := errors.AsType[*streamtest.SyntaxError](err)
			require.True(t, ok)
			return
		}
		once := tr.String()
		again, err := streamtest.Parse([]byte(once))
		require.NoError(t, err, "%q", once)
		require.Equal(t, once, again.String())
		require.Len(t, again.Items, len(tr.Items))
	})
}
