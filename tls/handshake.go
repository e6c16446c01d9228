package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/stream"
)

// describe records what is known about a connection once its handshake is done.
func describe(cs *tls.ConnectionState, verified bool, server *x509.Certificate) stream.Security {
	sec := stream.Security{
		Version:     cs.Version,
		CipherSuite: cs.CipherSuite,
		ServerName:  cs.ServerName,
		ALPN:        cs.NegotiatedProtocol,
		Resumed:     cs.DidResume,
		PeerChain:   cs.PeerCertificates,
		Verified:    verified,
		Bindings:    bindings(cs, server),
	}
	if len(cs.PeerCertificates) > 0 {
		sec.Identities = identities(cs.PeerCertificates[0], maxIdentities)
	}
	return sec
}

// handshakeError says which phase an error comes from. Errors about
// certificates say so themselves.
func handshakeError(err error) error {
	var cert *CertificateError
	if errors.As(err, &cert) {
		return err
	}
	return fmt.Errorf("xmpp/tls: handshake: %w", err)
}
