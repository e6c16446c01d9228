package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// alpnClient is the application protocol of direct TLS between client and
// server (XEP-0368 §2).
const alpnClient = "xmpp-client"

// directTimeout bounds a handshake whose context has no deadline. It is the
// default of the whole negotiation with STARTTLS.
const directTimeout = 30 * time.Second

// How direct TLS fails, beside the ways in which any handshake does.
var (
	// ErrNotTLS: the peer speaks, but not TLS. Most likely one side means
	// STARTTLS: direct TLS has a port of its own.
	ErrNotTLS = errors.New("xmpp/tls: the peer does not speak TLS here")
	// ErrNotServed: the Server Name Indication of a client is not one of the
	// domains served. The client was told by an unrecognized_name alert.
	ErrNotServed = errors.New("xmpp/tls: the client asks for a domain that is not served")
)

// ClientHandshake secures a fresh connection as the initiating entity of a
// stream between client and server, before there is a stream: direct TLS
// (XEP-0368) in place of STARTTLS. Everything else is as with [StartTLSClient]:
// the certificate has to name domain, wherever the connection leads, and the
// policy and the channel bindings are the same. The Server Name Indication is
// the domain as an A-label, and the protocol xmpp-client is offered by ALPN; a
// server may ignore that, but not agree to another one.
//
// It owns conn from then on: on error the connection is closed. What it returns
// belongs into stream.Initiate, conn as it is and the Security as
// InitiateOptions.Security; a stream to another domain is refused there.
//
// ctx bounds the handshake, and without a deadline thirty seconds do; when it
// ends the connection is closed and the error wraps its cause. Errors are
// [ErrNotTLS], [ErrConfig], a [*CertificateError] or one of crypto/tls.
func ClientHandshake(ctx context.Context, conn net.Conn, domain jid.JID, opts *ClientOptions) (net.Conn, stream.Security, error) {
	return initiateDirect(ctx, conn, domain.DomainJID(), opts, alpnClient)
}

// ServerHandshake secures a fresh connection as the receiving entity of a stream
// between client and server, as [ClientHandshake] does for the other side. The
// domains are those served, as in stream.AcceptOptions. It owns conn from then
// on: on error the connection is closed. What it returns belongs into
// stream.Accept, conn as it is and the Security as AcceptOptions.Security.
//
// The stream comes later, so it is the Server Name Indication of the client that
// says which domain is meant and what certificate is presented. A stream to
// another domain is refused with host-unknown then. A client without one, which
// XEP-0368 does not permit, gets the certificate of the first domain, and its
// stream is to that or to another domain that this certificate names. A name
// that is not served ends the handshake with [ErrNotServed].
//
// By ALPN a client may offer xmpp-client, among others. One that offers nothing
// is served, since XEP-0368 leaves it to the client and sees privacy in it; one
// that offers other protocols only is refused with a no_application_protocol
// alert (RFC 7301 §3.2).
//
// ctx bounds the handshake, and without a deadline thirty seconds do; when it
// ends the connection is closed and the error wraps its cause. Errors are
// [ErrNotTLS], [ErrNotServed], [ErrConfig] or one of crypto/tls.
func ServerHandshake(ctx context.Context, conn net.Conn, domains []jid.JID, opts *ServerOptions) (net.Conn, stream.Security, error) {
	return acceptDirect(ctx, conn, domains, opts, alpnClient)
}

// initiateDirect is direct TLS of the initiating entity for one kind of stream.
func initiateDirect(
	ctx context.Context, conn net.Conn, domain jid.JID, opts *ClientOptions, protocol string,
) (net.Conn, stream.Security, error) {
	return direct(ctx, conn, func(ctx context.Context) (net.Conn, stream.Security, error) {
		config, err := opts.prepare(domain)
		if err != nil {
			return nil, stream.Security{}, err
		}
		config.NextProtos = []string{protocol}
		secured, sec, err := clientHandshake(ctx, conn, config)
		sec.Domains = []jid.JID{domain}
		return secured, sec, err
	})
}

// acceptDirect is direct TLS of the receiving entity for one kind of stream.
func acceptDirect(
	ctx context.Context, conn net.Conn, domains []jid.JID, opts *ServerOptions, protocol string,
) (net.Conn, stream.Security, error) {
	return direct(ctx, conn, func(ctx context.Context) (net.Conn, stream.Security, error) {
		h, err := prepareDirect(domains, opts, protocol)
		if err != nil {
			return nil, stream.Security{}, err
		}
		secured, sec, err := h.side.handshake(ctx, conn)
		if h.refused != nil {
			return nil, stream.Security{}, h.refused
		}
		if err == nil {
			sec.Domains = h.covered(sec.ServerName)
		}
		return secured, sec, err
	})
}

// direct runs a handshake under a deadline, and closes conn if it fails.
func direct(
	ctx context.Context, conn net.Conn, handshake func(context.Context) (net.Conn, stream.Security, error),
) (net.Conn, stream.Security, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, directTimeout, stream.ErrNegotiationTimeout)
		defer cancel()
	}
	finished := false
	defer func() {
		if !finished { // also when a callback of the caller's panicked
			conn.Close()
		}
	}()
	secured, sec, err := handshake(ctx)
	finished = err == nil
	if finished {
		return secured, sec, nil
	}
	switch cause := context.Cause(ctx); {
	case cause != nil && !errors.Is(err, cause):
		err = fmt.Errorf("%w: %w", cause, err)
	case notTLS(err):
		err = fmt.Errorf("%w: %w", ErrNotTLS, err)
	}
	return nil, stream.Security{}, err
}

// notTLS reports whether err is that of crypto/tls about a peer whose very first
// record was none: then, and only then, it hands back the connection.
func notTLS(err error) bool {
	var first tls.RecordHeaderError
	errors.As(err, &first)
	return first.Conn != nil
}

// directServer is one handshake of the receiving entity that learns from it
// which domain is meant.
type directServer struct {
	side    *serverSide
	domains []jid.JID
	chosen  jid.JID // whose certificate was presented; written during the handshake
	refused error   // why there is none; written during the handshake
}

// prepareDirect returns a handshake for whichever of the domains the client
// names.
func prepareDirect(domains []jid.JID, opts *ServerOptions, protocol string) (*directServer, error) {
	if len(domains) == 0 {
		return nil, fmt.Errorf("%w: no domain to serve", ErrConfig)
	}
	first, err := opts.prepare(domains[0])
	if err != nil {
		return nil, err
	}
	h := &directServer{side: first, domains: domains}
	first.config.NextProtos = []string{protocol}
	forFirst := first.config.GetCertificate
	first.config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.chosen = h.meant(hello.ServerName); h.chosen.IsZero() {
			h.refused = fmt.Errorf("%w: %s", ErrNotServed, quote.ASCII(hello.ServerName, 256))
			return nil, nil // RFC 6066 §3: crypto/tls sends unrecognized_name
		}
		if h.chosen == domains[0] {
			return forFirst(hello)
		}
		other, err := opts.prepare(h.chosen)
		if err != nil {
			return nil, err
		}
		cert, err := other.config.GetCertificate(hello)
		first.presented.cert = cert
		return cert, err
	}
	return h, nil
}

// meant returns the domain that a Server Name Indication stands for, or zero if
// that is not served. The name is an A-label, and a JID has U-labels; to turn
// the name into one is the comparison of RFC 7622 §3.2.
func (h *directServer) meant(sni string) jid.JID {
	if sni == "" {
		return h.domains[0]
	}
	named, _ := jid.New("", sni, "") // zero if that is no domain
	if !slices.Contains(h.domains, named) {
		return jid.JID{}
	}
	return named
}

// covered returns the domains that a stream on the connection may be to: the
// one that was named, or else all that the certificate is good for.
func (h *directServer) covered(sni string) []jid.JID {
	out := []jid.JID{h.chosen}
	own := leaf(h.side.presented.cert)
	if sni != "" || own == nil {
		return out
	}
	for _, d := range h.domains {
		ref, err := newReference(d, serviceClient)
		if err == nil && d != h.chosen && ref.matches(own) {
			out = append(out, d)
		}
	}
	return out
}
