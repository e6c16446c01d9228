package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// describe records what is known about a connection once its handshake is done.
// The peer's certificate is nil if it has presented none; server is the server's
// own, or nil if it is not known.
func describe(cs *tls.ConnectionState, peer *Presented, verified bool, server *x509.Certificate) stream.Security {
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
	if peer != nil {
		sec.Verdict = peer.Verdict
		// What cannot be read is no name, and the verdict says so.
		sec.Identities, _, _ = identities(peer.Chain[0], maxIdentities)
		sec.XMPPAddrs = xmppAddrs(peer.Chain[0])
		if verified {
			sec.Expires = peer.expires()
		}
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
	return &handshakeFailure{err}
}

// maxHandshakeText is how much an error repeats of one of crypto/tls. Those
// are short, unless they quote the peer: crypto/x509 repeats names that it
// cannot parse in full, and a certificate may have 256 KiB of them.
const maxHandshakeText = 512

// handshakeFailure is an error of crypto/tls or of the connection below.
type handshakeFailure struct{ err error }

func (e *handshakeFailure) Error() string {
	text := e.err.Error()
	unsafe := func(r rune) bool { return r < ' ' || r > '~' }
	if len(text) > maxHandshakeText || strings.ContainsFunc(text, unsafe) {
		text = quote.ASCII(text, maxHandshakeText)
	}
	return "xmpp/tls: handshake: " + text
}

func (e *handshakeFailure) Unwrap() error { return e.err }
