package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// ClientOptions is how the initiating entity uses TLS. Nil and the zero value
// are right for a client on the public internet.
type ClientOptions struct {
	// RootCAs are the authorities that servers' certificates are checked
	// against. Nil means those of Config, and without them the system's.
	RootCAs *x509.CertPool

	// Certificates are offered to servers that ask for one, for SASL EXTERNAL:
	// the first that suits the server. Nil means those of Config. A
	// GetClientCertificate of Config is asked first, and may return nil.
	Certificates []tls.Certificate

	// Policy decides about each certificate that a server presents, with the
	// verdict on it. Nil accepts what has no fault (Verdict.OK).
	Policy VerifyPolicy

	// Revocation finds out whether certificates have been revoked. Nil means
	// that nobody is asked. If it cannot tell, the certificate is accepted,
	// unless Policy looks at Presented.RevocationErr.
	Revocation RevocationChecker

	// Target is the host and port, "host:port", that the connection is made to,
	// for policies that look something up by it. Empty means not known. It has
	// no influence on the name that the certificate has to have.
	Target string

	// InsecureSuites are cipher suites of TLS 1.2 to permit beside those of this
	// package, for a server that knows nothing better, such as those that RFC
	// 3920 §14.7 and RFC 6120 §13.8.2 once made mandatory; see the package
	// documentation for what they lack. They are chosen only if nothing better is
	// shared. Nil means none. Validate refuses what crypto/tls does not have.
	InsecureSuites []uint16

	// TryUnadvertised asks for TLS even when the server does not advertise it,
	// in case somebody in between has removed the advertisement (RFC 7590
	// §3.1). False means that the stream fails with ErrNotOffered at once. No
	// more than the request is sent either way, so what this can gain is a
	// connection, never security.
	TryUnadvertised bool

	// Config is the basis for everything else, for instance a time source or
	// curve preferences; nil means the defaults of crypto/tls. It is copied. The
	// policy of this package applies on top of it, and a Config that would
	// weaken the policy or that sets what the stream decides (ServerName,
	// NextProtos, ClientSessionCache, …) is refused with ErrConfig. Its
	// VerifyPeerCertificate and VerifyConnection run after this package has
	// accepted the certificate.
	Config *tls.Config
}

// Validate reports what is wrong with the options, in an error that wraps
// [ErrConfig], without a connection to try them on.
func (o *ClientOptions) Validate() error {
	_, err := o.config()
	return err
}

// clone returns a copy that later changes of o, which may be nil, do not reach.
func (o *ClientOptions) clone() ClientOptions {
	if o == nil {
		return ClientOptions{}
	}
	out := *o
	out.Certificates = slices.Clone(o.Certificates)
	out.InsecureSuites = slices.Clone(o.InsecureSuites)
	out.Config = o.Config.Clone()
	return out
}

// config returns a fresh configuration for one connection, without what depends
// on the domain.
func (o *ClientOptions) config() (*tls.Config, error) {
	if o == nil {
		o = new(ClientOptions)
	}
	c, err := harden(o.Config, o.InsecureSuites)
	if err != nil {
		return nil, err
	}
	if o.RootCAs != nil {
		c.RootCAs = o.RootCAs
	}
	if o.Certificates != nil {
		c.Certificates = o.Certificates
	}
	return c, nil
}

// clientSide is one handshake of the initiating entity. Its configuration can
// still be changed before the handshake.
type clientSide struct {
	*tls.Config
	verifier *verifier
	accepted *Presented // the server's certificate; written during the handshake
	sent     bool       // a certificate; written during the handshake
}

// prepare returns a handshake with the given domain, for a stream between a
// client and a server.
func (o *ClientOptions) prepare(domain jid.JID) (*clientSide, error) {
	return o.prepareFor(domain, serviceClient)
}

// prepareFor is prepare for a service, which the server's certificate may name
// (RFC 6120 §13.7.1.2.1).
func (o *ClientOptions) prepareFor(domain jid.JID, service string) (*clientSide, error) {
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	ref, err := newReference(domain, service)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = new(ClientOptions)
	}
	// The Server Name Indication is the domain too; crypto/tls leaves it out for
	// an address (RFC 6066 §3).
	c.ServerName = ref.host
	s := &clientSide{Config: c, verifier: &verifier{
		ref:        ref,
		target:     o.Target,
		roots:      c.RootCAs,
		usages:     serverUsages,
		now:        clock(c),
		policy:     o.Policy,
		revocation: o.Revocation,
	}}
	certs, get := c.Certificates, c.GetClientCertificate
	c.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := offer(request, certs, get)
		if err != nil {
			return nil, err
		}
		s.sent = len(cert.Certificate) > 0
		return cert, nil
	}
	return s, nil
}

// offer returns the certificate for a server that has asked for one, empty if
// there is none that it would accept.
func offer(request *tls.CertificateRequestInfo, certs []tls.Certificate, get func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) (*tls.Certificate, error) {
	if get != nil {
		// Neither is what crypto/tls panics at.
		if cert, err := get(request); cert != nil || err != nil {
			return cert, err
		}
	}
	for i := range certs {
		if request.SupportsCertificate(&certs[i]) == nil {
			return &certs[i], nil
		}
	}
	return new(tls.Certificate), nil
}

// clock returns the time source of a configuration.
func clock(c *tls.Config) func() time.Time {
	if c.Time != nil {
		return c.Time
	}
	return time.Now
}

// clientHandshake makes conn a TLS connection with a handshake of prepare, which
// serves once. The context ends with the handshake for policies.
func clientHandshake(ctx context.Context, conn net.Conn, s *clientSide) (net.Conn, stream.Security, error) {
	s.verifier.install(ctx, s.Config, &s.accepted)
	secured := tls.Client(conn, s.Config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, stream.Security{}, handshakeError(err)
	}
	cs := secured.ConnectionState()
	// VerifyConnection has passed, or there would be no connection.
	sec := describe(&cs, s.accepted, true, cs.PeerCertificates[0])
	sec.OwnCertificate = s.sent
	// RFC 9325 §3.5: TLS 1.2 has the extended master secret. Where even the
	// certificate allows no binding without it, SASL could not tell somebody in
	// the middle with such a certificate from the server.
	if len(sec.Bindings) == 0 {
		return nil, stream.Security{}, handshakeError(errUnbound)
	}
	return secured, sec, nil
}

// errUnbound fails a handshake after the fact.
var errUnbound = errors.New("the server lacks the extended master secret, and its certificate allows no other channel binding")
