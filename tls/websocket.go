package tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// alpnHTTP is the application protocol in which a WebSocket begins (RFC 7301 §6).
const alpnHTTP = "http/1.1"

// WebSocketHandshake secures a fresh connection to an HTTP server as the client, so
// that a WebSocket can be opened on it (RFC 7395 §3.9). Everything is as with
// [ClientHandshake], except for what HTTP needs: the Server Name Indication is
// host, the host of the URL, and the protocol offered by ALPN is http/1.1.
//
// The certificate has to name identity, which is up to how the URL was found.
// If the domain of the stream has vouched for it, by a document that it serves by
// HTTPS, or the program's own configuration, then that is the host (RFC 7395 §4,
// §6); else the domain. Security.Domains is the identity: the caller
// replaces it by the domain that has vouched.
//
// It owns conn from then on: on error the connection is closed. ctx and errors are
// as with [ClientHandshake].
func WebSocketHandshake(ctx context.Context, conn net.Conn, host, identity jid.JID, opts *ClientOptions) (net.Conn, stream.Security, error) {
	return direct(ctx, conn, func(ctx context.Context) (net.Conn, stream.Security, error) {
		config, err := opts.prepare(identity)
		if err != nil {
			return nil, stream.Security{}, err
		}
		if config.ServerName, err = referenceHost(host); err != nil {
			return nil, stream.Security{}, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		config.NextProtos = []string{alpnHTTP}
		secured, sec, err := clientHandshake(ctx, conn, config)
		sec.Domains = []jid.JID{identity.DomainJID()}
		return secured, sec, err
	})
}

// ServerSecurity describes a TLS layer that an HTTP server has made, for a stream
// over a WebSocket on it (RFC 7395 §3.9): the TLS field of an http.Request. The
// client is not known by it: a certificate of the client has not been looked at as
// SASL EXTERNAL needs it, and Verified is false. Of the channel bindings
// tls-server-end-point is absent, since the state does not tell which certificate
// was presented.
//
// An error, which wraps [ErrInsecureConfig], says that the layer is one that this
// package would not have made: a version below TLS 1.2, or a cipher suite that is
// not among those of this package.
func ServerSecurity(cs *tls.ConnectionState) (stream.Security, error) {
	what := ""
	switch {
	case cs == nil || !cs.HandshakeComplete:
		what = "no TLS"
	case cs.Version < tls.VersionTLS12:
		what = tls.VersionName(cs.Version)
	case !permitted(cs.CipherSuite):
		what = tls.CipherSuiteName(cs.CipherSuite)
	}
	if what != "" {
		return stream.Security{}, fmt.Errorf("%w: %s", ErrInsecureConfig, what)
	}
	sec := describe(cs, nil, false, nil)
	sec.OwnCertificate = true
	return sec, nil
}

// permitted reports whether a cipher suite is one that this package would
// negotiate by itself.
func permitted(suite uint16) bool { return slices.Contains(suites, suite) || isTLS13Suite(suite) }
