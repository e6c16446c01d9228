package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// ServerOptions is how the receiving entity uses TLS. Certificates, or
// Config.GetCertificate, is mandatory; the zero value of everything else is
// right for a server on the public internet.
type ServerOptions struct {
	// Certificates are what the server can present. The first one that names
	// the domain of the stream and suits the client is used, whatever the
	// client put into its Server Name Indication (RFC 6120 §5.4.3.1 rule 4);
	// if none names it, the first that suits. Nil means those of Config.
	Certificates []tls.Certificate

	// ClientCAs are the authorities that clients' certificates are checked
	// against. Nil means none: then clients are not asked for a certificate,
	// unless there is a ClientPolicy. A certificate that does not pass does not
	// end the handshake (RFC 6120 §5.4.3.1 rule 6): it leaves Security.Verified
	// false, Security.Verdict tells why, and SASL EXTERNAL decides. Whom the
	// certificate names is for SASL EXTERNAL too (RFC 6120 §13.7.2.2).
	ClientCAs *x509.CertPool

	// ClientPolicy decides about each certificate that a client presents, with
	// the verdict on it; what it accepts has Security.Verified set. It runs once
	// the handshake is complete. Nil accepts what has no fault (Verdict.OK).
	ClientPolicy VerifyPolicy

	// Revocation finds out whether clients' certificates have been revoked. Nil
	// means that nobody is asked. If it cannot tell, the certificate is
	// accepted, unless ClientPolicy looks at Presented.RevocationErr.
	Revocation RevocationChecker

	// InsecureSuites are cipher suites of TLS 1.2 to permit beside those of this
	// package, for clients that know nothing better, as in [ClientOptions]. Nil
	// means none.
	InsecureSuites []uint16

	// Config is the basis for everything else, for instance GetCertificate, for
	// certificates that come and go: it is asked first, with the domain of the
	// stream as ServerName. Nil means the defaults of crypto/tls. It is copied.
	// The policy of this package applies on top of it, and a Config that would
	// weaken the policy or that sets what this package decides (ClientAuth,
	// GetConfigForClient, NextProtos, …) is refused with ErrConfig.
	Config *tls.Config
}

// Validate reports what is wrong with the options, in an error that wraps
// [ErrConfig]. A server calls it when it starts, rather than learn from its
// first client.
func (o *ServerOptions) Validate() error {
	_, err := o.config()
	return err
}

// clone returns a copy that later changes of o, which may be nil, do not reach.
func (o *ServerOptions) clone() ServerOptions {
	if o == nil {
		return ServerOptions{}
	}
	out := *o
	out.Certificates = slices.Clone(o.Certificates)
	out.InsecureSuites = slices.Clone(o.InsecureSuites)
	out.Config = o.Config.Clone()
	return out
}

// config returns a fresh configuration for one connection, without what depends
// on the domain.
func (o *ServerOptions) config() (*tls.Config, error) {
	if o == nil {
		o = new(ServerOptions)
	}
	c, err := harden(o.Config, o.InsecureSuites)
	if err != nil {
		return nil, err
	}
	if o.Certificates != nil {
		c.Certificates = o.Certificates
	}
	switch {
	case len(c.Certificates) == 0 && c.GetCertificate == nil:
		return nil, fmt.Errorf("%w: a server needs a certificate", ErrConfig)
	case c.ClientAuth != tls.NoClientCert || c.ClientCAs != nil:
		return nil, fmt.Errorf("%w: clients' certificates are a matter of ClientCAs in ServerOptions", ErrConfig)
	}
	if o.ClientCAs != nil || o.ClientPolicy != nil {
		// Not VerifyClientCertIfGiven: it insists on the clientAuth usage, and
		// leaves no connection on which to explain the failure.
		c.ClientAuth = tls.RequestClientCert
		c.ClientCAs = o.ClientCAs
	}
	return c, nil
}

// serverSide is one handshake of the receiving entity.
type serverSide struct {
	config    *tls.Config
	verifier  *verifier // of clients
	presented *presented
}

// presented is which certificate was presented; it is written during the handshake.
// A connection keeps its config, and so this, but no serverSide.
type presented struct{ cert *tls.Certificate }

// noRoots is for what nil would mean those of the system. Nothing is added to it.
var noRoots = x509.NewCertPool()

// prepare returns a handshake for a stream between a client and a server that is
// addressed to domain.
func (o *ServerOptions) prepare(domain jid.JID) (*serverSide, error) {
	return o.prepareFor(domain, serviceClient)
}

// prepareFor is prepare for a service, which the certificate may name.
func (o *ServerOptions) prepareFor(domain jid.JID, service string) (*serverSide, error) {
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	ref, err := newReference(domain, service)
	if err != nil {
		return nil, err
	}
	roots := c.ClientCAs
	if roots == nil {
		roots = noRoots
	}
	own := new(presented)
	s := &serverSide{config: c, presented: own, verifier: &verifier{
		roots:      roots,
		usages:     clientUsages,
		now:        clock(c),
		policy:     o.ClientPolicy,
		revocation: o.Revocation,
	}}
	certs, get := c.Certificates, c.GetCertificate
	// crypto/tls does not call GetCertificate if there are Certificates and no
	// Server Name Indication.
	c.Certificates = nil
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked := *hello
		asked.ServerName = ref.host
		cert, err := choose(&asked, ref, certs, get)
		own.cert = cert
		return cert, err
	}
	return s, nil
}

// choose returns the certificate to present.
func choose(hello *tls.ClientHelloInfo, ref *reference, certs []tls.Certificate, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (*tls.Certificate, error) {
	if get != nil {
		if cert, err := get(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w: no certificate for %s", ErrConfig, quote.ASCII(hello.ServerName, 256))
	}
	// What a certificate names is looked at here as clients do: crypto/tls sees
	// DNS names and addresses only.
	h := *hello
	h.ServerName = ""
	best := -1
	for i := range certs {
		if h.SupportsCertificate(&certs[i]) != nil {
			continue
		}
		if own := leaf(&certs[i]); own != nil && ref.matches(own) {
			return &certs[i], nil
		}
		if best < 0 {
			best = i
		}
	}
	return &certs[max(best, 0)], nil // if none suits, the handshake says best why
}

// handshake makes conn a TLS connection.
func (s *serverSide) handshake(ctx context.Context, conn net.Conn) (net.Conn, stream.Security, error) {
	secured := tls.Server(conn, s.config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, stream.Security{}, handshakeError(err)
	}
	cs := secured.ConnectionState()
	var client *Presented
	verified := false
	if len(cs.PeerCertificates) > 0 {
		// Now that the client has proved that it has the key: a policy may ask
		// others, and remember.
		p, err := s.verifier.judge(ctx, cs.PeerCertificates)
		client, verified = p, err == nil
	}
	sec := describe(&cs, client, verified, leaf(s.presented.cert))
	sec.OwnCertificate = true
	return secured, sec, nil
}

// leaf returns the certificate of a server that has presented cert, or nil if
// that cannot be told: one channel binding less.
func leaf(cert *tls.Certificate) *x509.Certificate {
	switch {
	// GetCertificate can return a key without a certificate. crypto/tls presents
	// that as an empty list, and clients that accept it are up to something.
	case cert == nil || len(cert.Certificate) == 0:
		return nil
	case cert.Leaf != nil:
		return cert.Leaf
	}
	own, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil
	}
	return own
}
