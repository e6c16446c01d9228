package interop_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// The names on a certificate have to lead to where the server is, for those that cannot be told otherwise.
const webDomain = "localhost"

// One that the command line of the server can carry.
const webPassword = "wherefore art thou"

var (
	webOurs    = jid.MustParse("romeo@" + webDomain)
	webForeign = jid.MustParse("juliet@" + webDomain)
)

// startWebServer starts the example server for WebSocket, and returns it, its URL and a session of ours at it, by TCP.
func startWebServer(ctx context.Context, t *testing.T, args ...string) (*interop.ExampleServer, string, *stanza.Conn) {
	t.Helper()
	s := interop.StartExampleServer(t, interop.BuildExampleServer(t), append([]string{
		"-domain", webDomain, "-users", webOurs.Local() + ":" + webPassword + "," + webForeign.Local() + ":" + webPassword, "-ws", "127.0.0.1:0",
	}, args...)...)
	url, err := s.WebSocket(ctx, webDomain)
	require.NoError(t, err)
	pem, err := os.ReadFile(s.CA)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	conn, err := (&xmpp.Client{JID: webOurs, Password: webPassword, Addr: s.Addr, RootCAs: roots}).Connect(ctx)
	require.NoError(t, err)
	return s, url, conn
}

// TestWebSocketNode: @xmpp/client in Node.js logs in by wss, talks, and leaves in good order (RFC 7395).
func TestWebSocketNode(t *testing.T) {
	t.Parallel()
	peer := interop.FindXMPPJS(t)
	ctx := bounded(t)
	s, url, conn := startWebServer(ctx, t)
	c := peer.StartWebSocket(t, url, interop.XMPPJSOptions{Domain: webDomain, Username: webForeign.Local(), Resource: "balcony", Password: webPassword, CA: s.CA})
	require.Equal(t, "hello", nextXMPPJS(ctx, t, c).Event)
	session := nextXMPPJS(ctx, t, c)
	require.Equal(t, "session", session.Event, "%+v", session)
	who := jid.MustParse(session.JID)
	require.Equal(t, webForeign, who.Bare())

	const there, back = "Wherefore <art> thou & “Romeo”? \U0001F319", "Call me but \u2764 & I'll be new baptis'd ]]>"
	require.NoError(t, conn.Send(ctx, &stanza.Message{To: who, Type: stanza.ChatMessage, Body: stanza.Plain(there)}))
	require.Equal(t, interop.XMPPJSEvent{Event: "message", From: conn.LocalAddr().String(), Type: "chat", Body: there}, *nextXMPPJS(ctx, t, c))
	require.NoError(t, c.Send(conn.LocalAddr().String(), back))
	message := nextMessage(ctx, t, conn)
	require.Equal(t, who, message.From)
	require.Equal(t, back, message.Body.String())

	require.NoError(t, c.Close())
	require.Equal(t, "disconnected", nextXMPPJS(ctx, t, c).Event)
	require.NoError(t, conn.Close(ctx))
	require.NoError(t, s.Stop())
}

// TestWebSocketBrowser: a page in Chromium does the same, from an origin that was permitted; one from another origin does not get in (RFC 6455 §10.2).
func TestWebSocketBrowser(t *testing.T) {
	t.Parallel()
	browser, peer := interop.FindChromium(t), interop.FindXMPPJS(t)
	ctx := bounded(t)
	for _, permitted := range []bool{true, false} {
		events, config := make(chan *interop.XMPPJSEvent, 100), make(chan map[string]string, 1)
		pages := http.NewServeMux()
		pages.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join("testdata", "xmppjs", "page.html"))
		})
		pages.HandleFunc("/xmpp.min.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, peer.Bundle()) })
		pages.HandleFunc("/config", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(<-config) })
		pages.HandleFunc("POST /event", func(_ http.ResponseWriter, r *http.Request) {
			e := new(interop.XMPPJSEvent)
			if err := json.NewDecoder(r.Body).Decode(e); err != nil {
				e = &interop.XMPPJSEvent{Event: "failed", Text: err.Error()}
			}
			events <- e
		})
		site := httptest.NewServer(pages)
		defer site.Close()
		next := func() *interop.XMPPJSEvent {
			select {
			case e := <-events:
				return e
			case <-ctx.Done():
				require.FailNow(t, "the page says nothing")
				return nil
			}
		}
		origin := strings.Replace(site.URL, "127.0.0.1", webDomain, 1)
		var args []string
		if permitted {
			args = []string{"-ws-origin", origin}
		}
		s, url, conn := startWebServer(ctx, t, args...)
		config <- map[string]string{"service": url, "domain": webDomain, "username": webForeign.Local(), "password": webPassword}
		interop.OpenPage(t, browser, origin+"/", filepath.Join(filepath.Dir(s.CA), "cert.pem"))
		first := next()
		if !permitted {
			require.Contains(t, []string{"failed", "disconnected"}, first.Event, "%+v", first)
			require.NoError(t, conn.Close(ctx))
			require.NoError(t, s.Stop())
			continue
		}
		require.Equal(t, "session", first.Event, "%+v", first)
		who := jid.MustParse(first.JID)
		require.Equal(t, webForeign, who.Bare())
		for _, text := range []string{"Wherefore <art> thou & “Romeo”? \U0001F319", strings.Repeat("x", 30_000)} {
			require.NoError(t, conn.Send(ctx, &stanza.Message{To: who, Type: stanza.ChatMessage, Body: stanza.Plain(text)}))
			require.Equal(t, interop.XMPPJSEvent{Event: "message", From: conn.LocalAddr().String(), Type: "chat", Body: text}, *next())
			message := nextMessage(ctx, t, conn)
			require.Equal(t, who, message.From)
			require.Equal(t, text+"!", message.Body.String())
		}
		require.NoError(t, conn.Send(ctx, &stanza.Message{To: who, Type: stanza.ChatMessage, Body: stanza.Plain("bye")}))
		require.Equal(t, "bye", next().Body)
		require.Equal(t, "disconnected", next().Event)
		require.NoError(t, conn.Close(ctx))
		require.NoError(t, s.Stop())
	}
}
