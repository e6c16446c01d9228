package tls

import (
	"context"
	"errors"
	"fmt"
	"net"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of STARTTLS (RFC 6120 §5.2).
const NS = "urn:ietf:params:xml:ns:xmpp-tls"

var (
	nameStartTLS = stream.Name{Space: NS, Local: "starttls"}
	nameRequired = stream.Name{Space: NS, Local: "required"}
	nameProceed  = stream.Name{Space: NS, Local: "proceed"}
	nameFailure  = stream.Name{Space: NS, Local: "failure"}
)

// How STARTTLS fails before there is any TLS. The stream is over in every case:
// there is no way back to plaintext.
var (
	// ErrNotOffered: the server does not advertise STARTTLS. Nothing but a
	// stream header was sent (and the request, with
	// ClientOptions.TryUnadvertised).
	ErrNotOffered = errors.New("xmpp/tls: the server does not offer STARTTLS")
	// ErrRefused: the server answered with <failure/> (RFC 6120 §5.4.2.2).
	ErrRefused = errors.New("xmpp/tls: the server refused STARTTLS")
	// ErrUnexpected: the peer sent something that has no place in STARTTLS.
	ErrUnexpected = errors.New("xmpp/tls: unexpected element in STARTTLS")
)

// StartTLSClient returns STARTTLS for the initiating entity. A stream with this
// feature is never negotiated without TLS: it fails with [ErrNotOffered],
// [ErrRefused], [ErrUnexpected], [ErrConfig], a [*CertificateError] or an error
// of crypto/tls, before anything that needs protection is sent.
//
// The options may be nil and are copied. The feature may be used by any number
// of streams at once.
func StartTLSClient(opts *ClientOptions) stream.Feature {
	o := opts.clone()
	return stream.Feature{
		Name:    nameStartTLS,
		Forbids: stream.Secure,
		// So that a stream without the offer fails here, rather than go on to
		// whatever else is advertised (RFC 7590 §3.1).
		Unadvertised: true,
		Initiate: func(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			return initiate(ctx, n, offer, &o)
		},
	}
}

func initiate(ctx context.Context, n *stream.Negotiation, offer *stream.Element, o *ClientOptions) (stream.Outcome, error) {
	side, err := o.prepareFor(n.Domain(), serviceOf(n))
	if err != nil {
		return stream.Outcome{}, err
	}
	if offer == nil && !o.TryUnadvertised {
		return stream.Outcome{}, ErrNotOffered
	}
	if err := n.Write(func(w *stream.Writer) {
		w.Start(nameStartTLS)
		w.End()
	}); err != nil {
		return stream.Outcome{}, err
	}
	answer, err := n.Read(ctx)
	switch {
	case err != nil && offer == nil:
		return stream.Outcome{}, fmt.Errorf("%w, and asking for it failed: %w", ErrNotOffered, err)
	case err != nil:
		return stream.Outcome{}, err
	case answer.Name() == nameFailure && offer == nil:
		return stream.Outcome{}, fmt.Errorf("%w: %w", ErrNotOffered, ErrRefused)
	case answer.Name() == nameFailure:
		return stream.Outcome{}, ErrRefused
	case answer.Name() != nameProceed:
		return stream.Outcome{}, stream.Abort(fmt.Errorf("%w: %s", ErrUnexpected, quote.ASCII(answer.Name().String(), 256)))
	}
	// RFC 6120 §5.4.2.3: TLS begins right after the '>' of <proceed/>.
	if err := n.Upgrade(func(conn net.Conn) (net.Conn, stream.Security, error) {
		return clientHandshake(ctx, conn, side)
	}); err != nil {
		return stream.Outcome{}, err
	}
	return stream.Outcome{Reached: stream.Secure, Restart: true}, nil
}

// StartTLSServer returns STARTTLS for the receiving entity. It is advertised as
// required (RFC 6120 §5.3.1). Options that cannot be used end every stream with
// internal-server-error and an error that wraps [ErrConfig] on this side; see
// [ServerOptions.Validate].
//
// The options are copied. The feature may be used by any number of streams at
// once.
func StartTLSServer(opts *ServerOptions) stream.Feature {
	o := opts.clone()
	return stream.Feature{
		Name:    nameStartTLS,
		Forbids: stream.Secure, // RFC 6120 §5.4.3.3 rule 5
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			if err := o.Validate(); err != nil {
				return &stream.Error{Condition: stream.InternalServerError, Cause: err}
			}
			w.Start(nameStartTLS)
			w.Start(nameRequired)
			w.End()
			w.End()
			return nil
		},
		Accept: func(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			return accept(ctx, n, el, &o)
		},
	}
}

func accept(ctx context.Context, n *stream.Negotiation, el *stream.Element, o *ServerOptions) (stream.Outcome, error) {
	// RFC 6120 §5.3.3, §5.4.3.1 rule 1: not even a space may follow the request.
	// Upgrade would say so too, but not before <proceed/>.
	if n.Buffered() > 0 {
		return stream.Outcome{}, stream.Abort(stream.ErrPlaintextInjected)
	}
	if !bare(el) {
		return stream.Outcome{}, refuse(n, fmt.Errorf("%w: the request is malformed", ErrUnexpected))
	}
	side, err := o.prepareFor(n.Domain(), serviceOf(n))
	if err != nil {
		return stream.Outcome{}, refuse(n, err)
	}
	if err := n.Write(func(w *stream.Writer) {
		w.Start(nameProceed)
		w.End()
	}); err != nil {
		return stream.Outcome{}, err
	}
	if err := n.Upgrade(func(conn net.Conn) (net.Conn, stream.Security, error) {
		return side.handshake(ctx, conn)
	}); err != nil {
		return stream.Outcome{}, err
	}
	return stream.Outcome{Reached: stream.Secure, Restart: true}, nil
}

// serviceOf returns the service that the certificate of the receiving entity may
// name.
func serviceOf(n *stream.Negotiation) string {
	if n.Profile().ContentNS == stream.NSServer {
		return serviceServer
	}
	return serviceClient
}

// bare reports whether a request is the empty element that it has to be.
func bare(el *stream.Element) bool {
	for range el.Attrs() {
		return false
	}
	return len(el.Inner()) == 0
}

// refuse sends <failure/>; the stream is closed after it because of the error
// that refuse returns (RFC 6120 §5.4.2.2).
func refuse(n *stream.Negotiation, cause error) error {
	return errors.Join(cause, n.Write(func(w *stream.Writer) {
		w.Start(nameFailure)
		w.End()
	}))
}
