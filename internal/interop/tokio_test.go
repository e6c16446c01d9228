package interop_test

import (
	"context"
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/stanza"
)

func (s *ourServer) startTokio(t *testing.T, password, ca string) *interop.TokioClient {
	return interop.StartTokio(t, interop.TokioOptions{JID: foreign.String(), Password: password, Addr: s.addr, CA: ca})
}

func nextLine(ctx context.Context, t *testing.T, c *interop.TokioClient) string {
	t.Helper()
	line, err := c.Next(ctx)
	require.NoError(t, err)
	return line
}

// TestTokio: tokio-xmpp is the foreign client that knows tls-exporter (RFC 9266). Of what our server offers, it takes the strongest that it has.
func TestTokio(t *testing.T) {
	for name, c := range map[string]struct {
		version        uint16
		mechanism, gs2 string
	}{
		"TLS 1.3": {tls.VersionTLS13, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,"},
		// For TLS 1.2 it has no channel binding, and it says so.
		"TLS 1.2": {tls.VersionTLS12, "SCRAM-SHA-256", "n,,"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startOurServer(t, tlsVersion(c.version))
			ctx := bounded(t)
			peer := s.startTokio(t, password, s.file)
			require.Equal(t, "online "+foreign.String(), nextLine(ctx, t, peer))
			require.Equal(t, c.mechanism, s.mechanism(foreign.Local()))
			require.Equal(t, c.gs2, s.gs2())

			conn := s.login(ctx, t)
			const text = "Wherefore <art> thou & “Romeo”? \U0001F319"
			require.NoError(t, conn.Send(ctx, &stanza.Message{To: foreign, Type: stanza.ChatMessage, Body: stanza.Plain(text)}))
			answer := nextMessage(ctx, t, conn)
			require.Equal(t, foreign, answer.From)
			require.Equal(t, stanza.ChatMessage, answer.Type)
			require.Equal(t, text, answer.Body.String())

			// It has logged out and ends (RFC 6120 §4.4).
			require.NoError(t, peer.Wait(ctx))
			require.NoError(t, conn.Close(ctx))
			require.Empty(t, s.errorsSent())
		})
	}
	t.Run("bad password", func(t *testing.T) {
		// It says nothing, and tries again on a new connection, later and later.
		s := startOurServer(t)
		s.startTokio(t, "wrong", s.file)
		require.Contains(t, nextRefusal(bounded(t), t, s), "<not-authorized")
		require.Empty(t, s.mechanism(foreign.Local()))
		require.Equal(t, "p=tls-exporter,,", s.gs2())
	})
}

func nextRefusal(ctx context.Context, t *testing.T, s *ourServer) string {
	t.Helper()
	select {
	case xml := <-s.refusals:
		return xml
	case <-ctx.Done():
		require.NoError(t, context.Cause(ctx))
		return ""
	}
}
