package otel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"

	"go.opentelemetry.io/otel/attribute"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// The keys of attributes.
const (
	keyRole      = attribute.Key("xmpp.role")
	keyDomain    = attribute.Key("xmpp.domain")
	keyCondition = attribute.Key("xmpp.condition")
	keyMechanism = attribute.Key("xmpp.sasl.mechanism")
	keyElement   = attribute.Key("xmpp.element")
	keyStreamID  = attribute.Key("xmpp.stream.id")
	keyFeature   = attribute.Key("xmpp.feature")
	keyFeatures  = attribute.Key("xmpp.features")
	keyJID       = attribute.Key("xmpp.jid")

	// Of the semantic conventions.
	keyErrorType = attribute.Key("error.type")
	keyDirection = attribute.Key("network.io.direction")
	keyTLS       = attribute.Key("tls.protocol.version")
	keyCipher    = attribute.Key("tls.cipher")
	keyResumed   = attribute.Key("tls.resumed")
)

// other stands for every value that is not in a list, as in the semantic
// conventions.
const other = "_OTHER"

// unknownRole is the role of a stream that failed before anybody had said
// anything.
const unknownRole = "unknown"

// The values of network.io.direction.
const (
	receive  = direction("receive")
	transmit = direction("transmit")
)

type direction string

// The values of error.type.
const (
	typeAuthentication = "authentication"
	typeBinding        = "binding"
	typeCanceled       = "canceled"
	typeCertificate    = "certificate"
	typeConnection     = "connection"
	typePanic          = "panic"
	typeStreamError    = "stream_error"
	typeTimeout        = "timeout"
	typeTLS            = "tls"
)

// classify returns the attributes that say what went wrong: error.type, and
// xmpp.condition if there is one. There are none for a nil error, or for the
// cause of a stream that was closed in good order.
func classify(err error) []attribute.KeyValue {
	if err == nil || errors.Is(err, stream.ErrLocalClosed) || errors.Is(err, stream.ErrPeerClosed) {
		return nil
	}
	var (
		panicked    *stream.PanicError
		certificate *xtls.CertificateError
		login       *sasl.Error
		binding     *bind.Error
		wire        *stream.Error
	)
	// From what tells most. Stream errors are often there only because of one of
	// the others.
	switch {
	case errors.As(err, &panicked):
		return []attribute.KeyValue{keyErrorType.String(typePanic)}
	case errors.As(err, &certificate):
		return []attribute.KeyValue{keyErrorType.String(typeCertificate)}
	case errors.As(err, &login):
		return []attribute.KeyValue{keyErrorType.String(typeAuthentication), keyCondition.String(saslCondition(login.Condition))}
	case errors.As(err, &binding):
		return []attribute.KeyValue{keyErrorType.String(typeBinding), keyCondition.String(bindCondition(binding.Condition))}
	case errors.As(err, &wire):
		return []attribute.KeyValue{keyErrorType.String(typeStreamError), keyCondition.String(streamCondition(wire.Condition))}
	}
	return []attribute.KeyValue{keyErrorType.String(transportType(err))}
}

// transportType is error.type for what is no error of XMPP.
func transportType(err error) string {
	var (
		alert  tls.AlertError
		record tls.RecordHeaderError
		op     *net.OpError
	)
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(stream.ErrNegotiationTimeout, stream.ErrCloseTimeout, os.ErrDeadlineExceeded, context.DeadlineExceeded):
		return typeTimeout
	case is(context.Canceled):
		return typeCanceled
	case errors.As(err, &alert), errors.As(err, &record):
		return typeTLS
	case is(stream.ErrTruncated, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed), errors.As(err, &op):
		return typeConnection
	}
	return other
}

func streamCondition(c stream.Condition) string {
	if c.Known() {
		return string(c)
	}
	return other
}

func saslCondition(c sasl.Condition) string {
	switch c {
	case "": // means not-authorized
		return string(sasl.NotAuthorized)
	case sasl.Aborted, sasl.AccountDisabled, sasl.CredentialsExpired, sasl.EncryptionRequired, sasl.IncorrectEncoding,
		sasl.InvalidAuthzid, sasl.InvalidMechanism, sasl.MalformedRequest, sasl.MechanismTooWeak, sasl.NotAuthorized,
		sasl.TemporaryAuthFailure:
		return string(c)
	}
	return other
}

func bindCondition(c bind.Condition) string {
	switch c {
	case bind.BadRequest, bind.Conflict, bind.NotAllowed, bind.ResourceConstraint, bind.InternalServerError,
		bind.UndefinedCondition:
		return string(c)
	}
	return other
}

// mechanisms are the values of xmpp.sasl.mechanism.
var mechanisms = func() map[string]bool {
	all := append(sasl.Default(), sasl.FastMechanisms()...)
	all = append(all, sasl.Scram(sasl.SHA3_512), sasl.ScramPlus(sasl.SHA3_512),
		sasl.External(), sasl.OAuthBearer(), sasl.Anonymous(), sasl.Plain(), sasl.InsecureDigestMD5())
	names := make(map[string]bool, len(all))
	for _, m := range all {
		names[m.Name] = true
	}
	return names
}()

func mechanism(name string) string {
	if mechanisms[name] {
		return name
	}
	return other
}

// tlsVersion is what the semantic conventions call a version of TLS.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "1.0"
	case tls.VersionTLS11:
		return "1.1"
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return other
}

// maxText bounds what a peer has named, in bytes.
const maxText = 256

// text makes something that a peer has named fit for an attribute: as it is if
// that is printable ASCII and not too long, otherwise quoted and cut.
func text(s string) string {
	cut := s[:min(len(s), maxText)]
	quoted := strconv.QuoteToASCII(cut)
	switch {
	case quoted[1:len(quoted)-1] == s:
		return s
	case len(cut) < len(s), len(quoted) > maxText:
		return quoted[:min(len(quoted), maxText)] + "…"
	}
	return quoted
}
