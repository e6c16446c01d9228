package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// everything enables all levels.
const everything = slog.Level(-100)

// logged is a log in memory.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// at returns a logger without times that writes records of a level and above.
func (l *logged) at(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "stream" {
			return slog.Attr{}
		}
		return a
	}}))
}

// hooks returns the names of the hooks that a trace has.
func hooks(t *stream.Trace) string {
	var names []string
	v := reflect.ValueOf(t).Elem()
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	return strings.Join(names, " ")
}

// Every hook that a Trace has is logged, and what nobody wants to read has none.
func TestLogTraceHooks(t *testing.T) {
	v := reflect.TypeFor[stream.Trace]()
	var all, state []string
	for i := range v.NumField() {
		all = append(all, v.Field(i).Name)
	}
	state = []string{"HeaderSent", "HeaderReceived", "Authenticated", "Bound", "Established"}
	xml := &stream.LogOptions{XML: true}
	noXML := strings.NewReplacer(" XMLSent XMLReceived", "").Replace(strings.Join(all, " "))
	for _, tt := range []struct {
		level slog.Level
		opts  *stream.LogOptions
		want  string
	}{
		{everything, xml, strings.Join(all, " ")},
		{stream.LevelXML, xml, strings.Join(all, " ")},
		{everything, nil, noXML},
		{everything, &stream.LogOptions{}, noXML},
		{slog.LevelDebug, xml, noXML},
		{slog.LevelInfo, xml, strings.Join(state, " ") + " ErrorSent ErrorReceived Closed"},
		{slog.LevelWarn, xml, strings.Join(state, " ") + " ErrorSent ErrorReceived Closed"},
		{slog.LevelError, xml, ""},
	} {
		require.Equal(t, tt.want, hooks(stream.LogTrace(new(logged).at(tt.level), tt.opts)), "%v", tt.level)
	}
	require.Empty(t, hooks(stream.LogTrace(slog.New(slog.DiscardHandler), xml)))
	require.Equal(t, hooks(stream.LogTrace(slog.Default(), nil)), hooks(stream.LogTrace(nil, nil)))
}

// Hooks that only remember what a later record says allocate nothing.
func TestLogTraceAllocations(t *testing.T) {
	trace := stream.LogTrace(new(logged).at(slog.LevelWarn), nil)
	sent, received := stream.Header{To: domain, From: juliet.Bare()}, stream.Header{From: domain, ID: "s1"}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		trace.HeaderSent(sent)
		trace.HeaderReceived(received)
		trace.Authenticated(juliet.Bare(), "SCRAM-SHA-256")
		trace.Bound(juliet)
	}))
}

// The records of two sides, from the first header to the last tag.
func TestLogTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c, s logged
		client, server := sessions(t,
			&stream.InitiateOptions{Trace: stream.LogTrace(c.at(slog.LevelDebug), nil)},
			&stream.AcceptOptions{
				Trace:    stream.LogTrace(s.at(everything).With("peer", "here"), &stream.LogOptions{XML: true}),
				Features: []stream.Feature{hiding()},
			})
		served := make(chan error, 1)
		go func() {
			served <- server.Serve(func(*stream.Element) error { <-time.After(3 * time.Second); return nil })
		}()
		require.NoError(t, client.Send(t.Context(), raw("<message><body>grüß\x7fdich</body></message>")))
		require.NoError(t, client.Close(t.Context()))
		require.NoError(t, <-served)
		require.Equal(t, strings.ReplaceAll(`level=DEBUG msg="stream header sent" ROLE to=im.example version=1.0 lang=en
level=DEBUG msg="stream header received" ROLE from=im.example version=1.0 lang=en
level=DEBUG msg="features received" ROLE features=[]
level=INFO msg="stream established" ROLE jid=juliet@im.example/balcony duration=0s
level=INFO msg="stream closed" ROLE jid=juliet@im.example/balcony error="stream: closed by this side" duration=3s bytes_in=235 bytes_out=209 stanzas_in=0 stanzas_out=1
`, "ROLE", "role=initiating domain=im.example"), c.String())
		require.Equal(t, strings.ReplaceAll(`level=DEBUG-4 msg="xml received" peer=here xml="<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0' xml:lang='en'>" bytes=129
level=DEBUG msg="stream header received" peer=here role=receiving to=im.example version=1.0 lang=en
level=DEBUG msg="stream header sent" ROLE from=im.example version=1.0 lang=en
level=DEBUG msg="features sent" ROLE features=[]
level=DEBUG-4 msg="xml sent" ROLE xml=ID bytes=163
level=DEBUG-4 msg="xml sent" ROLE xml=<stream:features></stream:features> bytes=35
level=INFO msg="stream established" ROLE duration=0s
level=DEBUG-4 msg="xml received" ROLE xml="\"<message><body>gr\\u00fc\\u00df\\x7fdich</body></message>\"" bytes=43
level=DEBUG-4 msg="xml received" ROLE xml=</stream:stream> bytes=16
level=DEBUG-4 msg="xml sent" ROLE xml=</stream:stream> bytes=16
level=INFO msg="stream closed" ROLE error="stream: closed by the peer" duration=3s bytes_in=209 bytes_out=235 stanzas_in=1 stanzas_out=0
`, "ROLE", "peer=here role=receiving domain=im.example"), withoutID(s.String()))
	})
}

// withoutID replaces the one stream header that has an ID.
func withoutID(log string) string {
	lines := strings.Split(log, "\n")
	for i, line := range lines {
		before, after, ok := strings.Cut(line, `xml="<stream:stream`)
		if ok && strings.Contains(after, " id='") {
			_, after, _ = strings.Cut(after, `>" `)
			lines[i] = before + "xml=ID " + after
		}
	}
	return strings.Join(lines, "\n")
}

// A level that is off when the hooks are made is not on later, and one that is
// switched off later is.
func TestLogTraceLevelChanges(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	l := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: &level}))
	trace := stream.LogTrace(l, nil)
	level.Set(slog.LevelDebug)
	trace.HeaderSent(stream.Header{To: domain})
	require.Empty(t, out.String())
	level.Set(slog.LevelError)
	trace.ErrorSent(&stream.Error{Condition: stream.Reset})
	require.Empty(t, out.String())
	level.Set(slog.LevelWarn)
	trace.ErrorSent(&stream.Error{Condition: stream.Reset})
	require.Contains(t, out.String(), `level=WARN msg="stream error sent" role=initiating domain=im.example condition=reset error="stream error reset"`)
}

// Negotiations that fail, and what a peer can get into the log: a bounded line of
// ASCII.
func TestLogTraceOfFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		say  string
		want []string
	}{
		"no header": {
			strings.Repeat("x", 5000) + "\n",
			[]string{
				`level=WARN msg="stream error sent" role=receiving domain=im.example condition=not-well-formed error=`,
				`level=WARN msg="stream failed" role=receiving domain=im.example condition=not-well-formed error="stream: negotiating: stream error not-well-formed`,
			},
		},
		"another host": {
			strings.ReplaceAll(clientHeader, "to='im.example'", "to='"+strings.Repeat("höhle.", 30)+"example'"),
			[]string{`level=WARN msg="stream failed" role=receiving domain=im.example condition=host-unknown error=`, `is not served here`},
		},
		"an error of the peer's": {
			clientHeader + "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\u202eone\ntwo" +
				strings.Repeat("é", 2000) + "</text></stream:error>",
			[]string{`msg="stream failed" role=receiving domain=im.example condition=reset error=`, `\\\\u202eone\\\\ntwo`},
		},
		"silence": {"", []string{`level=WARN msg="stream failed" error="stream: negotiating: stream: negotiation timed out: `, ` duration=30s`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logged
				p, errs := acceptRaw(&stream.AcceptOptions{Trace: stream.LogTrace(log.at(everything), &stream.LogOptions{XML: true, XMLBytes: 100})})
				if tt.say != "" {
					p.say(t, tt.say)
				}
				require.Error(t, <-errs)
				p.Close()
				for _, want := range tt.want {
					require.Contains(t, log.String(), want)
				}
				for line := range strings.Lines(log.String()) {
					require.Less(t, len(line), 3000)
					for _, r := range line {
						require.True(t, r >= ' ' && r <= '~' || r == '\n' || r == '…', "%q", line)
					}
				}
			})
		})
	}
}

// Who connects from where is up to the program to log.
func TestLogTraceOfNetworkErrors(t *testing.T) {
	var log logged
	op := &net.OpError{
		Op: "read", Net: "tcp", Err: errors.New("connection reset by peer"),
		Source: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5222}, Addr: &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 40000},
	}
	stream.LogTrace(log.at(everything), nil).Closed(fmt.Errorf("stream: negotiating: %w", op))
	require.Contains(t, log.String(), `level=WARN msg="stream failed" error="stream: negotiating: read: connection reset by peer" duration=`)
}

// One value serves the streams of a client one after another: nothing of the
// first shows in the second.
func TestLogTraceOfStreamsOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		trace := stream.LogTrace(log.at(slog.LevelInfo), nil)
		<-time.After(time.Hour) // made long before
		client, _ := sessions(t, &stream.InitiateOptions{Trace: trace}, nil)
		<-time.After(time.Minute)
		client.Abort(io.ErrClosedPipe)
		<-time.After(time.Hour)
		p, errs := initiateRaw(context.Background(), &stream.InitiateOptions{Trace: trace})
		<-time.After(time.Second)
		p.Close()
		require.Error(t, <-errs)
		trace.Closed(errors.New("no TLS")) // as of a client that got no further
		want := []string{
			`level=INFO msg="stream established" role=initiating domain=im.example jid=juliet@im.example/balcony duration=0s`,
			`level=INFO msg="stream closed" role=initiating domain=im.example jid=juliet@im.example/balcony error="io: read/write on closed pipe" duration=1m0s bytes_in=`,
			`level=WARN msg="stream failed" role=initiating domain=im.example error="stream: negotiating with im.example: stream: connection ended without closing the stream: unexpected EOF" duration=1s`,
			`level=WARN msg="stream failed" error="no TLS"`,
		}
		got := strings.Split(strings.TrimSpace(log.String()), "\n")
		require.Len(t, got, len(want), log.String())
		for i := range want {
			require.True(t, strings.HasPrefix(got[i], want[i]), "%s\n%s", got[i], want[i])
		}
	})
}

// What a feature came to, and a peer's list of features that has no end.
func TestLogTraceOfFeatures(t *testing.T) {
	var log logged
	trace := stream.LogTrace(log.at(slog.LevelDebug), nil)
	name := stream.Name{Space: "urn:x", Local: "x"}
	trace.FeatureStart(name)
	trace.FeatureDone(name, stream.Outcome{Reached: stream.Authenticated, Restart: true}, nil)
	trace.FeatureDone(name, stream.Outcome{}, stream.ErrSkip)
	trace.FeatureDone(name, stream.Outcome{}, &stream.Error{Condition: stream.Conflict})
	trace.Authenticated(jid.JID{}, "PLAIN")
	trace.Bound(juliet)
	trace.Authenticated(juliet.Bare(), "EXTERNAL") // as in SASL 2, where binding is done by then
	require.Equal(t, `level=DEBUG msg="feature started" feature={urn:x}x
level=DEBUG msg="feature done" feature={urn:x}x reached=authenticated restart=true
level=DEBUG msg="feature done" feature={urn:x}x skipped=true
level=DEBUG msg="feature done" feature={urn:x}x condition=conflict error="stream error conflict"
level=DEBUG msg="stream authenticated" mechanism=PLAIN
level=DEBUG msg="resource bound" jid=juliet@im.example/balcony
level=DEBUG msg="stream authenticated" jid=juliet@im.example/balcony mechanism=EXTERNAL
`, log.String())

	log.reset()
	names := make([]stream.Name, 1000)
	for i := range names {
		names[i] = stream.Name{Space: strings.Repeat("ü", 500), Local: "x"}
	}
	trace.FeaturesReceived(names)
	require.Less(t, len(log.String()), 10_000)
	require.Equal(t, 32, strings.Count(log.String(), `{\\u00fc`))
}

// XML is cut, and a stanza in which there may be a password is not shown,
// whatever the features of the stream know.
func TestLogTraceOfXML(t *testing.T) {
	for xml, want := range map[string]string{
		"<message/>": `level=DEBUG-4 msg="xml sent" xml=<message/> bytes=10`,
		"<message>" + strings.Repeat("x", 100) + "</message>":                                                                               `level=DEBUG-4 msg="xml sent" xml="\"<message>` + strings.Repeat("x", 41) + `\"…" bytes=119`,
		"<message>" + strings.Repeat("ä", 100) + "</message>":                                                                               `level=DEBUG-4 msg="xml sent" xml="\"<message>` + strings.Repeat(`\\u00e4`, 6) + `\"…" bytes=219`,
		"<iq><query xmlns='jabber:iq:register'><username>x</username><password>hunter2</password></query></iq>":                             `level=DEBUG-4 msg="xml sent" xml=[redacted] bytes=101`,
		"<iq><query xmlns='jabber:iq:auth'><digest>hunter2</digest></query></iq>":                                                           `level=DEBUG-4 msg="xml sent" xml=[redacted] bytes=71`,
		"<iq><x xmlns='jabber:x:data'><field var='password-verify'><value>hunter2</value></field></x></iq>":                                 `level=DEBUG-4 msg="xml sent" xml=[redacted] bytes=97`,
		"<iq><x xmlns='jabber:x:data'><field type='text-private'><value>hunter2</value></field></x></iq>":                                   `level=DEBUG-4 msg="xml sent" xml=[redacted] bytes=95`,
		"<iq><x xmlns='jabber:x:data'><field var='muc#roomconfig_roomsecret'><value>hunter2</value></field></x></iq>":                       `level=DEBUG-4 msg="xml sent" xml=[redacted] bytes=107`,
		"<presence><x xmlns='http://jabber.org/protocol/muc'>" + strings.Repeat(" ", 200) + "<password>hunter2</password></x></presence>\n": `level=DEBUG-4 msg="xml sent" xml=[redacted] bytes=296`,
	} {
		var log logged
		stream.LogTrace(log.at(everything), &stream.LogOptions{XML: true, XMLBytes: 50}).XMLSent([]byte(xml))
		require.Equal(t, want+"\n", log.String())
	}
	var log logged
	stream.LogTrace(log.at(everything), &stream.LogOptions{XML: true}).XMLReceived(bytes.Repeat([]byte("x"), 100_000))
	require.Contains(t, log.String(), strings.Repeat("x", 4096)+`\"…" bytes=100000`)
	require.Less(t, len(log.String()), 4300)
}
