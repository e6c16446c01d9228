package stream

import "crypto/x509"

// Security describes the layer below a stream: what TLS negotiated and what is
// known about the peer. STARTTLS, direct TLS or wss fill it in; the SASL
// feature, policies and callers read it. The zero value is a plaintext
// connection.
//
// A Security handed out by a session is a copy whose slices and maps are
// shared: read them only.
type Security struct {
	// Version and CipherSuite are the constants of crypto/tls; zero without
	// TLS.
	Version     uint16
	CipherSuite uint16
	// ServerName is the name sent in the Server Name Indication, an A-label.
	ServerName string
	// ALPN is the application protocol agreed on, if any.
	ALPN string
	// Resumed is true when the TLS session was resumed from a ticket.
	Resumed bool

	// PeerChain is the certificate chain that the peer presented, its own
	// certificate first. Empty when it presented none.
	PeerChain []*x509.Certificate
	// Verified is true when the peer's certificate passed the policy in force
	// and names the peer that this side meant to talk to.
	Verified bool
	// Identities are the names that the peer's certificate presents.
	Identities []string

	// Bindings holds channel-binding data by type: "tls-exporter" (RFC 9266),
	// "tls-server-end-point" and "tls-unique" (RFC 5929). Types that are not
	// safe on this connection are absent.
	Bindings map[string][]byte
}

// Secure reports whether there is a TLS layer.
func (s *Security) Secure() bool { return s != nil && s.Version != 0 }
