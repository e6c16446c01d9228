package tls_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// httpsServer is the TLS of an HTTP server that has one certificate.
func httpsServer(t *testing.T, conn net.Conn, cert tls.Certificate, version uint16) <-chan tls.ConnectionState {
	states := make(chan tls.ConnectionState, 1)
	server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, MaxVersion: version})
	go func() { // ends with the handshake, which the client bounds
		defer close(states)
		if server.HandshakeContext(t.Context()) == nil {
			states <- server.ConnectionState()
		}
	}()
	return states
}

// RFC 7395 §6: the certificate is for the host where that is who is trusted, and
// for the domain otherwise; the bindings on both sides are the same.
func TestWebSocketHandshake(t *testing.T) {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	cert, err := ca.Issue("ws.host.example")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		identity string
		version  uint16
		refused  bool
	}{
		"host":            {identity: "ws.host.example", version: tls.VersionTLS13},
		"host, TLS 1.2":   {identity: "ws.host.example", version: tls.VersionTLS12},
		"domain, not him": {identity: "im.example", version: tls.VersionTLS13, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := memconn.Pipe()
			states := httpsServer(t, b, cert, c.version)
			conn, sec, err := xtls.WebSocketHandshake(t.Context(), a, jid.MustParse("ws.host.example"), jid.MustParse(c.identity), &xtls.ClientOptions{RootCAs: ca.Pool()})
			if c.refused {
				require.ErrorIs(t, err, xtls.ErrNameMismatch)
				return
			}
			require.NoError(t, err)
			defer conn.Close()
			state := <-states
			require.Equal(t, "ws.host.example", state.ServerName)
			require.Equal(t, "http/1.1", sec.ALPN)
			require.True(t, sec.Verified)
			require.Equal(t, []jid.JID{jid.MustParse(c.identity)}, sec.Domains)

			server, err := xtls.ServerSecurity(&state)
			require.NoError(t, err)
			require.True(t, server.Secure())
			require.True(t, server.OwnCertificate)
			require.False(t, server.Verified)
			require.NotEmpty(t, server.Bindings["tls-exporter"])
			require.Equal(t, sec.Bindings["tls-exporter"], server.Bindings["tls-exporter"])
			require.Equal(t, sec.Bindings["tls-unique"], server.Bindings["tls-unique"])
			require.NotContains(t, server.Bindings, "tls-server-end-point")
		})
	}
}

// What another program's TLS has agreed on is not taken for more than it is.
func TestServerSecurityRefused(t *testing.T) {
	for name, cs := range map[string]*tls.ConnectionState{
		"none":         nil,
		"not complete": {Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256},
		"TLS 1.1":      {HandshakeComplete: true, Version: tls.VersionTLS11, CipherSuite: tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		"RC4":          {HandshakeComplete: true, Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA},
	} {
		sec, err := xtls.ServerSecurity(cs)
		require.ErrorIs(t, err, xtls.ErrInsecureConfig, name)
		require.Equal(t, stream.Security{}, sec)
	}
}
