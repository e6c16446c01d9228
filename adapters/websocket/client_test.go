package websocket_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/adapters/websocket"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// xmpp.Client and xmpp.Server over wss: SCRAM with channel binding, and a session that
// is resumed on another WebSocket.
func TestClientResumes(t *testing.T) {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	cert, err := ca.Issue("im.example")
	require.NoError(t, err)
	accounts := new(xmpp.MemoryAccounts)
	juliet := jid.MustParse("juliet@im.example")
	require.NoError(t, accounts.Set(t.Context(), juliet, "secret"))
	server := &xmpp.Server{
		Domains: []jid.JID{jid.MustParse("im.example")}, Accounts: accounts,
		TLS: &xtls.ServerOptions{Certificates: []tls.Certificate{cert}},
	}
	t.Cleanup(func() { server.Close() })
	web := httptest.NewUnstartedServer(&websocket.Handler{
		Serve: func(_ context.Context, conn net.Conn, sec *stream.Security) {
			server.ServeSecured(t.Context(), conn, sec)
		},
	})
	web.Config.ErrorLog = nil
	web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	web.StartTLS()
	t.Cleanup(web.Close)

	var last net.Conn // of the client's; used by one goroutine at a time
	events := make(chan xmpp.Event, 16)
	mechanisms := make(chan string, 16)
	client := &xmpp.Client{
		JID: juliet, Password: "secret",
		Open: func(ctx context.Context) (net.Conn, *stream.Security, error) {
			conn, sec, err := websocket.Dial(ctx, strings.Replace(web.URL, "https", "wss", 1), &websocket.DialOptions{
				Domain: juliet.DomainJID(), TLS: &xtls.ClientOptions{RootCAs: ca.Pool()},
				DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := new(net.Dialer).DialContext(ctx, network, addr)
					last = nc
					return nc, err
				},
				Header: http.Header{},
			})
			return conn, &sec, err
		},
		Reconnect: &xmpp.Reconnect{Resume: time.Millisecond, First: time.Millisecond, Events: func(e xmpp.Event) { events <- e }},
		Trace:     &stream.Trace{Authenticated: func(_ jid.JID, mechanism string) { mechanisms <- mechanism }},
	}
	conn, err := client.Connect(t.Context())
	require.NoError(t, err)
	require.Equal(t, "SCRAM-SHA-256-PLUS", <-mechanisms)
	require.Equal(t, xmpp.Connected{}, <-events)
	before := conn.LocalAddr()
	r, err := conn.SendReceipt(t.Context(), &stanza.Message{To: juliet, Type: stanza.ChatMessage, ID: "1"})
	require.NoError(t, err)
	require.NoError(t, r.Wait(t.Context(), stream.Acked))

	last.Close()
	require.IsType(t, xmpp.Suspended{}, <-events)
	require.NoError(t, conn.Send(t.Context(), &stanza.Message{To: before, Type: stanza.ChatMessage, ID: "2"}))
	for {
		event := <-events
		if up, ok := event.(xmpp.Connected); ok {
			require.True(t, up.Resumed)
			break
		}
	}
	require.Equal(t, before, conn.LocalAddr())
	for st, err := range conn.All(t.Context()) {
		require.NoError(t, err)
		if m, ok := st.(*stanza.Message); ok && m.ID == "2" {
			break
		}
	}
	require.NoError(t, conn.Close(t.Context()))
}
