package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/adapters/websocket"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/command"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// running is a server of this program.
type running struct {
	t     *testing.T
	addr  map[string]string
	roots *x509.CertPool
	stop  context.CancelFunc
	ended chan error
}

// start runs the program's run on ports of its own.
func start(t *testing.T, c config) *running {
	t.Helper()
	c.domain = "chat.test"
	c.c2s = "127.0.0.1:0"
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, addr: map[string]string{}, stop: stop, ended: make(chan error, 1)}
	in, out := io.Pipe()
	// Owner: the test. Ends with ctx. Joined by shut.
	go func() {
		r.ended <- run(ctx, c, out)
		out.Close()
	}()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if m := regexp.MustCompile(`authority in (.*)$`).FindStringSubmatch(line); m != nil {
			pem, err := os.ReadFile(m[1])
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(filepath.Dir(m[1])) })
			r.roots = x509.NewCertPool()
			require.True(t, r.roots.AppendCertsFromPEM(pem))
		}
		if ready, ok := strings.CutPrefix(line, "ready: "); ok {
			for _, p := range strings.Split(ready, ", ") {
				name, addr, _ := strings.Cut(p, " ")
				r.addr[name] = addr
			}
			go io.Copy(io.Discard, in) // ends when run closes the pipe
			t.Cleanup(stop)
			return r
		}
	}
	require.FailNow(t, "not ready", "%v", <-r.ended)
	return nil
}

// shut stops the server and requires a clean end.
func (r *running) shut() {
	r.t.Helper()
	r.stop()
	require.NoError(r.t, <-r.ended)
}

func (r *running) client(account, password string) *xmpp.Client {
	return &xmpp.Client{JID: jid.MustParse(account), Password: password, Addr: r.addr["c2s"], RootCAs: r.roots}
}

func (r *running) login(account, password string) *stanza.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := r.client(account, password).Connect(ctx)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Two people talk; SIGTERM, which ends the context of run, tells them.
func TestServer(t *testing.T) {
	r := start(t, config{users: "romeo:secret,juliet:hidden", c2sTLS: "127.0.0.1:0", debug: "127.0.0.1:0", store: "memory"})
	romeo, juliet := r.login("romeo@chat.test", "secret"), r.login("juliet@chat.test", "hidden")
	require.NoError(t, romeo.Send(t.Context(), &stanza.Message{To: juliet.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("hello")}))
	for st, err := range juliet.All(t.Context()) {
		require.NoError(t, err)
		if m, ok := st.(*stanza.Message); ok {
			require.Equal(t, "hello", m.Body.String())
			break
		}
	}
	direct := r.client("romeo@chat.test", "secret")
	direct.Addr, direct.DirectTLS = r.addr["c2s-tls"], true
	conn, err := direct.Connect(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	// What every client expects is announced, for the server and for accounts.
	for _, want := range []string{"urn:xmpp:mam:2", "urn:xmpp:carbons:2", "urn:xmpp:blocking", "vcard-temp", "urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time", "jabber:iq:last", "jabber:iq:private"} {
		info, err := disco.GetInfo(t.Context(), romeo, jid.MustParse("chat.test"), "")
		require.NoError(t, err)
		require.True(t, info.Has(want), want)
	}
	info, err := disco.GetInfo(t.Context(), romeo, jid.MustParse("romeo@chat.test"), "")
	require.NoError(t, err)
	require.True(t, info.Has("urn:xmpp:mam:2"))

	metrics, err := http.Get("http://" + r.addr["debug"] + "/metrics")
	require.NoError(t, err)
	defer metrics.Body.Close()
	body, err := io.ReadAll(metrics.Body)
	require.NoError(t, err)
	require.Regexp(t, `\nxmpp_sessions [23]\n`, string(body)) // the third may not have left yet

	r.shut()
	<-romeo.Done()
	require.ErrorIs(t, romeo.Err(), stream.SystemShutdown)
}

// A client logs in over WebSocket, bound to the TLS beneath it, or without TLS where
// that is permitted; to a page of somewhere else it is forbidden.
func TestServerWebSocket(t *testing.T) {
	for _, plaintext := range []bool{false, true} {
		r := start(t, config{users: "romeo:secret", ws: "127.0.0.1:0", store: "memory", plaintext: plaintext})
		o := &websocket.DialOptions{Domain: jid.MustParse("chat.test"), TLS: &xtls.ClientOptions{RootCAs: r.roots}, InsecurePlaintext: plaintext}
		url, mechanism := "wss://"+r.addr["ws"]+"/xmpp-websocket", ""
		if plaintext {
			url = "ws" + url[3:]
		}
		o.Header = http.Header{"Origin": {"https://evil.example"}}
		_, _, err := websocket.Dial(t.Context(), url, o)
		require.ErrorContains(t, err, "403")
		o.Header = nil
		conn, sec, err := websocket.Dial(t.Context(), url, o)
		require.NoError(t, err)
		profile, a := stream.C2S(), &auth.ClientOptions{Password: "secret", InsecureWithoutTLS: plaintext}
		if plaintext {
			profile = stream.InsecureC2S()
		}
		session, err := stream.Initiate(t.Context(), conn, &stream.InitiateOptions{
			Profile: profile, To: o.Domain, From: jid.MustParse("romeo@chat.test"), Security: &sec,
			Features: []stream.Feature{auth.Client(a), bind.Client(nil)},
			Trace:    &stream.Trace{Authenticated: func(_ jid.JID, m string) { mechanism = m }},
		})
		require.NoError(t, err)
		require.Equal(t, !plaintext, strings.HasSuffix(mechanism, "-PLUS"), mechanism)
		romeo := stanza.NewConn(session, nil)
		_, err = disco.GetInfo(t.Context(), romeo, jid.MustParse("chat.test"), "")
		require.NoError(t, err)
		r.shut()
		<-romeo.Done()
		require.ErrorIs(t, romeo.Err(), stream.SystemShutdown)
	}
}

// What is kept in a file is there after a restart.
func TestServerStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chat.db")
	r := start(t, config{users: "romeo:secret,juliet:hidden", store: file})
	romeo := r.login("romeo@chat.test", "secret")
	require.NoError(t, romeo.Send(t.Context(), &stanza.Message{To: jid.MustParse("juliet@chat.test"), Type: stanza.ChatMessage, Body: stanza.Plain("later")}))
	_, err := disco.GetInfo(t.Context(), romeo, jid.JID{}, "") // and so the message has been handled
	require.NoError(t, err)
	r.shut()

	r = start(t, config{store: file})
	juliet := r.login("juliet@chat.test", "hidden")
	require.NoError(t, juliet.Send(t.Context(), &stanza.Presence{}))
	for st, err := range juliet.All(t.Context()) {
		require.NoError(t, err)
		if m, ok := st.(*stanza.Message); ok {
			require.Equal(t, "later", m.Body.String())
			break
		}
	}
	r.shut()
}

// Strangers make accounts only if they may, and the administrator administers.
func TestServerRegisterAndAdmin(t *testing.T) {
	r := start(t, config{store: "memory", admin: "admin@chat.test", register: true})
	thief := r.client("admin@chat.test", "secret")
	thief.Features = append(thief.Features, register.Client(&register.ClientOptions{Password: "secret", Username: "admin"}))
	_, err := thief.Connect(t.Context())
	require.ErrorIs(t, err, stanza.Conflict, "the name of the administrator is not to be had")
	r.shut()
	r = start(t, config{users: "admin:secret", store: "memory", admin: "admin@chat.test", register: true})
	fresh := r.client("fresh@chat.test", "fresh secret")
	fresh.Features = append(fresh.Features, register.Client(&register.ClientOptions{Password: "fresh secret", Username: "fresh"}))
	conn, err := fresh.Connect(t.Context())
	require.NoError(t, err)
	commands, err := command.List(t.Context(), conn, jid.MustParse("chat.test"))
	require.NoError(t, err)
	require.Empty(t, commands)
	commands, err = command.List(t.Context(), r.login("admin@chat.test", "secret"), jid.MustParse("chat.test"))
	require.NoError(t, err)
	require.NotEmpty(t, commands)
	r.shut()

	r = start(t, config{store: "memory"})
	other := r.client("other@chat.test", "secret")
	other.Features = append(other.Features, register.Client(&register.ClientOptions{Password: "secret", Username: "other"}))
	_, err = other.Connect(t.Context())
	require.Error(t, err)
	r.shut()
}

// A mistake on the command line is an error that names the flag.
func TestServerMistakes(t *testing.T) {
	for flag, c := range map[string]config{
		"-domain": {domain: "not a domain", store: "memory"},
		"-users":  {domain: "chat.test", store: "memory", users: "romeo"},
		"-admin":  {domain: "chat.test", store: "memory", admin: "@"},
		"-cert":   {domain: "chat.test", store: "memory", cert: "/nonexistent"},
		"-store":  {domain: "chat.test", store: "/nonexistent/file"},
		"c2s":     {domain: "chat.test", store: "memory", c2s: "256.0.0.1:1"},
	} {
		err := run(t.Context(), c, io.Discard)
		require.ErrorContains(t, err, flag)
	}
	require.False(t, errors.Is(run(t.Context(), config{domain: "chat.test", store: "/nonexistent/file"}, io.Discard), context.Canceled))
}
