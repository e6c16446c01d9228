package interop_test

import (
	"context"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	ibr "stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

// TestExampleServer: the program itself, with a file for a store, slixmpp and a client of ours. It ends on SIGTERM, closes the streams in good order,
// and has kept what it has to keep when it is started again.
func TestExampleServer(t *testing.T) {
	t.Parallel()
	peer := interop.FindSlixmpp(t)[0]
	program, store := interop.BuildExampleServer(t), filepath.Join(t.TempDir(), "store")
	const secret = "wherefore art thou"
	args := []string{"-domain", ourDomain, "-users", "romeo:" + secret + ",juliet:" + secret, "-register", "-store", store}
	roots := func(s *interop.ExampleServer) *x509.CertPool {
		pem, err := os.ReadFile(s.CA)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(pem))
		return pool
	}
	romeos := func(ctx context.Context, s *interop.ExampleServer) *messenger {
		return startMessenger(ctx, t, &xmpp.Client{JID: ours, Password: secret, Addr: s.Addr, RootCAs: roots(s)}, nil)
	}
	juliets := func(ctx context.Context, s *interop.ExampleServer) *person {
		addr, err := net.ResolveTCPAddr("tcp", s.Addr)
		require.NoError(t, err)
		return session(ctx, t, peer.StartPerson(t, interop.SlixmppOptions{JID: foreign.String(), CA: s.CA, Addr: addr, TLS: "1.2", Password: secret}))
	}

	ctx := bounded(t)
	s := interop.StartExampleServer(t, program, args...)
	romeo, juliet := romeos(ctx, s), juliets(ctx, s)
	romeo.available(ctx, t)
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence"})
	juliet.does(ctx, t, interop.PersonCommand{Do: "add", JID: ours.Bare().String(), Name: "Romeo"})
	require.NoError(t, romeo.Send(ctx, &stanza.Message{To: juliet.who, Type: stanza.ChatMessage, Body: stanza.Plain("hello")}))
	juliet.said(ctx, t, "message", "hello")
	juliet.does(ctx, t, interop.PersonCommand{Do: "say", JID: ours.String(), Body: "good day"})
	require.Equal(t, "good day", until(ctx, t, romeo.messages, func(m *stanza.Message) bool { return len(m.Body) > 0 }).Body.String())
	juliet.leave(ctx, t)
	require.NoError(t, romeo.Send(ctx, &stanza.Message{To: foreign.Bare(), Type: stanza.ChatMessage, Body: stanza.Plain("for later")}))
	_, err := ping.Ping(ctx, romeo, jid.JID{})
	require.NoError(t, err)

	// -register: somebody without an account makes one.
	paris := &xmpp.Client{JID: jid.MustParse("paris@" + ourDomain), Password: secret, Addr: s.Addr, RootCAs: roots(s)}
	paris.Features = []stream.Feature{ibr.Client(&ibr.ClientOptions{Password: secret})}
	conn, err := paris.Connect(ctx)
	require.NoError(t, err)
	closeInOrder(t, conn)

	// Romeo is still there, and told why the server goes (RFC 6120 §4.9.3.20).
	require.NoError(t, s.Stop())
	select {
	case <-romeo.Done():
		require.ErrorIs(t, romeo.Err(), stream.SystemShutdown)
	case <-ctx.Done():
		require.Fail(t, "the stream is still open")
	}

	s = interop.StartExampleServer(t, program, args...)
	juliet = juliets(ctx, s)
	require.Equal(t, "Romeo", juliet.does(ctx, t, interop.PersonCommand{Do: "roster"}).Items[0].Name)
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence"})
	require.NotEmpty(t, juliet.said(ctx, t, "message", "for later").Stamp)
	archived := juliet.does(ctx, t, interop.PersonCommand{Do: "archive", JID: ours.Bare().String()}).Messages
	require.Len(t, archived, 3)
	paris = &xmpp.Client{JID: paris.JID, Password: secret, Addr: s.Addr, RootCAs: roots(s)}
	conn, err = paris.Connect(ctx)
	require.NoError(t, err, "the account was kept")
	closeInOrder(t, conn)
	require.NoError(t, s.Stop())
	juliet.hears(ctx, t, func(e interop.PersonEvent) bool { return e.Event == "disconnected" })
}
