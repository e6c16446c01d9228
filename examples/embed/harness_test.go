package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// TestMain makes the test binary the program itself when the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv("EMBED_TEST_RUNS_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// oldPassword is a password as the site has always stored it.
func oldPassword(t *testing.T, password string) string {
	t.Helper()
	salt := []byte("sixteen bytes...")
	hash, err := pbkdf2.Key(sha256.New, password, salt, 4096, sha256.Size)
	require.NoError(t, err)
	return fmt.Sprintf("pbkdf2_sha256$4096$%s$%s",
		base64.StdEncoding.EncodeToString(salt), base64.StdEncoding.EncodeToString(hash))
}

// table returns two teams of two; the password of each is "secret of <name>". The
// rows of one team are in the first form, those of the other in the second.
func table(t *testing.T) *users {
	t.Helper()
	var text strings.Builder
	for _, row := range []string{"anna:Anna Berg:support", "bert:Bert Sommer:support", "carla:Carla Voss:billing", "dora:Dora Lind:billing"} {
		name, _, _ := strings.Cut(row, ":")
		stored := oldPassword(t, "secret of "+name)
		if strings.HasSuffix(row, "billing") {
			keys, err := password(stored)
			require.NoError(t, err)
			scram, err := keys.MarshalText()
			require.NoError(t, err)
			stored = string(scram)
		}
		fmt.Fprintf(&text, "%s:%s\n", row, stored)
	}
	u, err := readUsers(strings.NewReader(text.String()))
	require.NoError(t, err)
	return u
}

// running is the program under test.
type running struct {
	t     *testing.T
	p     *program
	roots *x509.CertPool
	stop  func() error // ends it and returns what serve does
}

const testDomain = "tickets.example"

// start runs the program on free ports of loopback until the test is over.
func start(t *testing.T, u *users) *running {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	p, err := build(config{domain: testDomain, web: "127.0.0.1:0", xmpp: "127.0.0.1:0", ca: ca}, u,
		slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	pem, err := os.ReadFile(ca)
	require.NoError(t, err)
	r := &running{t: t, p: p, roots: x509.NewCertPool()}
	require.True(t, r.roots.AppendCertsFromPEM(pem))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var result error
	// Owner: the test. Ends with ctx. Joined in stop.
	go func() {
		defer close(ended)
		result = p.serve(ctx)
	}()
	r.stop = func() error {
		cancel()
		<-ended
		return result
	}
	t.Cleanup(func() { r.stop() })
	return r
}

// address returns the account of a user.
func address(name string) jid.JID { return jid.MustParse(name + "@" + testDomain) }

// client returns a client for a user who has the right password.
func (r *running) client(name string) *xmpp.Client {
	return &xmpp.Client{JID: address(name), Password: "secret of " + name, RootCAs: r.roots, Addr: r.p.xmpp.Addr().String()}
}

// person is a user with a client. What comes for it is in stanzas, in its order.
type person struct {
	*stanza.Conn
	t       *testing.T
	stanzas chan stanza.Stanza
}

// connect connects a user. The modules handle what is theirs.
func (r *running) connect(name string, modules ...stanza.Module) *person {
	r.t.Helper()
	client := r.client(name)
	client.Conn = &stanza.Options{Parallel: 1} // in the order of the stream
	conn, err := client.Connect(r.t.Context())
	require.NoError(r.t, err)
	p := &person{Conn: conn, t: r.t, stanzas: make(chan stanza.Stanza, 100)}
	var mux stanza.Mux
	require.NoError(r.t, stanza.Install(&mux, modules...))
	mux.Fallback(stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
		p.stanzas <- stanza.Clone(st)
		return nil
	}))
	served := make(chan struct{})
	// Owner: the test. Ends with the connection. Joined in the cleanup.
	go func() {
		defer close(served)
		conn.Serve(context.Background(), &mux)
	}()
	r.t.Cleanup(func() {
		conn.Abort(net.ErrClosed)
		<-served
	})
	return p
}

// say sends a stanza.
func (p *person) say(st stanza.Stanza) {
	p.t.Helper()
	require.NoError(p.t, p.Send(p.t.Context(), st))
}

// hears returns the next stanza, but for the news that a contact is not there, which
// each client gets when it comes (RFC 6121 §4.3.2 rule 3).
func (p *person) hears() stanza.Stanza {
	p.t.Helper()
	select {
	case st := <-p.stanzas:
		if absent, ok := st.(*stanza.Presence); ok && absent.Type == stanza.UnavailablePresence && absent.From.IsBare() {
			return p.hears()
		}
		return st
	case <-time.After(20 * time.Second): // a guard against hanging
		require.Fail(p.t, "nothing comes")
		return nil
	}
}

// hearsOf returns the next stanza, which has to be of one kind and sender.
func hearsOf[T stanza.Stanza](p *person, from jid.JID) T {
	p.t.Helper()
	st := p.hears()
	require.Equal(p.t, from, st.Head().From, "%+v", st)
	v, ok := st.(T)
	require.True(p.t, ok, "%T", st)
	return v
}

// available makes the client available, and waits until the server has said so.
func (p *person) available(show stanza.Show) {
	p.t.Helper()
	p.say(&stanza.Presence{Show: show})
	require.Equal(p.t, show, hearsOf[*stanza.Presence](p, p.LocalAddr()).Show)
}

// browser is a user with a browser.
type browser struct {
	t *testing.T
	http.Client
}

// browse returns a browser that nobody is logged in with.
func (r *running) browse() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(r.t, err)
	web := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: r.roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", r.p.web.Addr().String())
		},
	}
	r.t.Cleanup(web.CloseIdleConnections)
	return &browser{r.t, http.Client{Transport: web, Jar: jar}}
}

// do makes a request and returns the page that it leads to.
func (b *browser) do(method, path string, form url.Values, set ...string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+testDomain+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(set); i += 2 {
		req.Header.Set(set[i], set[i+1])
	}
	resp, err := b.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return resp.StatusCode, string(body)
}

// post sends a form that is taken, and returns the page.
func (b *browser) post(path string, fields ...string) string {
	b.t.Helper()
	code, body := b.do("POST", path, form(fields...))
	require.Equal(b.t, http.StatusOK, code, body)
	return body
}

// page returns the page as it is now.
func (b *browser) page() string {
	b.t.Helper()
	code, body := b.do("GET", "/", nil)
	require.Equal(b.t, http.StatusOK, code)
	return body
}

func form(fields ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return v
}

// login logs a user in.
func (r *running) login(name string) *browser {
	b := r.browse()
	require.Contains(r.t, b.post("/login", "name", name, "password", "secret of "+name), "Tickets of")
	return b
}
