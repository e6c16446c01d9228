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

	// Certificates are offered to servers that ask for one, for SASL EXTERNAL.
	// Nil means those of Config.
	Certificates []tls.Certificate

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
	out.Config = o.Config.Clone()
	return out
}

// config returns a fresh configuration for one connection, without what depends
// on the domain.
func (o *ClientOptions) config() (*tls.Config, error) {
	if o == nil {
		o = new(ClientOptions)
	}
	c, err := harden(o.Config)
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

// prepare returns the configuration for a connection to the given domain.
func (o *ClientOptions) prepare(domain jid.JID) (*tls.Config, error) {
	c, err := o.config()
	if err != nil {
		return nil, err
	}
	host, err := referenceHost(domain)
	if err != nil {
		return nil, err
	}
	now := c.Time
	if now == nil {
		now = time.Now
	}
	// The Server Name Indication is the domain too; crypto/tls leaves it out for
	// an address (RFC 6066 §3).
	c.ServerName = host
	(&serverPolicy{domain: domain.Domain(), host: host, roots: c.RootCAs, now: now}).install(c)
	return c, nil
}

// clientHandshake makes conn a TLS connection with a configuration of prepare.
func clientHandshake(ctx context.Context, conn net.Conn, c *tls.Config) (net.Conn, stream.Security, error) {
	secured := tls.Client(conn, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, stream.Security{}, handshakeError(err)
	}
	cs := secured.ConnectionState()
	// VerifyConnection has passed, or there would be no connection.
	sec := describe(&cs, true, cs.PeerCertificates[0])
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
