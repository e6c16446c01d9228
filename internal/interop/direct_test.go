package interop_test

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
)

// TestDirectTLS: TLS from the first byte (XEP-0368). It binds channels as STARTTLS does.
func TestDirectTLS(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(*testing.T) *foreignServer{
		"Prosody":  func(t *testing.T) *foreignServer { return &startProsody(t, "").foreignServer },
		"ejabberd": func(t *testing.T) *foreignServer { return &startEjabberd(t, interop.EjabberdOptions{}).foreignServer },
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t)
			client, w := s.client("alice", tls.VersionTLS12)
			client.Addr, client.DirectTLS = s.direct, true
			conn, err := client.Connect(bounded(t))
			require.NoError(t, err)
			security, mechanism, flow := w.seen()
			require.True(t, security.Verified)
			require.Equal(t, "SCRAM-SHA-256-PLUS", mechanism)
			require.Equal(t, "p=tls-unique,,", w.gs2())
			require.False(t, flow.has(sent, "<starttls"))
			closeInOrder(t, conn)

			// The other way of each port is no way in.
			client.Addr = s.addr
			_, err = client.Connect(bounded(t))
			require.Error(t, err)
		})
	}
}
