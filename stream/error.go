package stream

import (
	"context"
	"errors"
	"fmt"
	"net"

	"stanzakit.dev/xmpp/internal/quote"
)

// Condition is a defined stream error condition (RFC 6120 §4.9.3). It is an
// error itself, so that errors.Is(err, stream.PolicyViolation) matches every
// [*Error] with that condition.
type Condition string

// The conditions of RFC 6120 §4.9.3, in its order.
const (
	BadFormat              Condition = "bad-format"
	BadNamespacePrefix     Condition = "bad-namespace-prefix"
	Conflict               Condition = "conflict"
	ConnectionTimeout      Condition = "connection-timeout"
	HostGone               Condition = "host-gone"
	HostUnknown            Condition = "host-unknown"
	ImproperAddressing     Condition = "improper-addressing"
	InternalServerError    Condition = "internal-server-error"
	InvalidFrom            Condition = "invalid-from"
	InvalidNamespace       Condition = "invalid-namespace"
	InvalidXML             Condition = "invalid-xml"
	NotAuthorized          Condition = "not-authorized"
	NotWellFormed          Condition = "not-well-formed"
	PolicyViolation        Condition = "policy-violation"
	RemoteConnectionFailed Condition = "remote-connection-failed"
	Reset                  Condition = "reset"
	ResourceConstraint     Condition = "resource-constraint"
	RestrictedXML          Condition = "restricted-xml"
	SeeOtherHost           Condition = "see-other-host"
	SystemShutdown         Condition = "system-shutdown"
	UndefinedCondition     Condition = "undefined-condition"
	UnsupportedEncoding    Condition = "unsupported-encoding"
	UnsupportedFeature     Condition = "unsupported-feature"
	UnsupportedStanzaType  Condition = "unsupported-stanza-type"
	UnsupportedVersion     Condition = "unsupported-version"
)

// Error returns the condition's name.
func (c Condition) Error() string { return string(c) }

// Known reports whether c is one of the conditions of RFC 6120 §4.9.3.
func (c Condition) Known() bool {
	switch c {
	case BadFormat, BadNamespacePrefix, Conflict, ConnectionTimeout, HostGone, HostUnknown, ImproperAddressing,
		InternalServerError, InvalidFrom, InvalidNamespace, InvalidXML, NotAuthorized, NotWellFormed,
		PolicyViolation, RemoteConnectionFailed, Reset, ResourceConstraint, RestrictedXML, SeeOtherHost,
		SystemShutdown, UndefinedCondition, UnsupportedEncoding, UnsupportedFeature, UnsupportedStanzaType,
		UnsupportedVersion:
		return true
	}
	return false
}

// Error is a stream error (RFC 6120 §4.9): one that the peer sent, or one that
// this side found and sends before it closes the stream. A stream error is
// unrecoverable; the stream is over (§4.9.1.1).
//
// Text and OtherHost of a received error come from the wire: they are capped
// in length by Error and quoted, but a program that shows them elsewhere must
// escape them itself.
type Error struct {
	// Condition says what is wrong. An unknown condition of a peer becomes
	// UndefinedCondition.
	Condition Condition
	// Text is for a human, in the language Lang; both may be empty.
	Text, Lang string
	// OtherHost is the content of see-other-host (§4.9.3.19).
	OtherHost string
	// Application is the raw XML of an application-specific condition
	// (§4.9.4), or nil.
	Application []byte
	// Received is true when the peer sent the error, false when this side
	// found it.
	Received bool
	// Cause is what led to an error of this side, or nil. It never goes to the
	// peer.
	Cause error
}

// Error describes the error in less than 1 KiB, and its Cause after that; text
// from the peer is quoted.
func (e *Error) Error() string {
	s := "stream error "
	if e.Received {
		s = "stream error from peer "
	}
	s += string(e.Condition)
	if e.OtherHost != "" {
		s += " " + quote.ASCII(e.OtherHost, 256)
	}
	if e.Text != "" {
		s += ": " + quote.ASCII(e.Text, 512)
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is reports whether target is the condition of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Condition)
	return ok && c == e.Condition
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// newError returns an error that this side found. The text is ours, not the
// peer's: callers quote what they put into it from the wire.
func newError(c Condition, format string, args ...any) *Error {
	return &Error{Condition: c, Text: fmt.Sprintf(format, args...)}
}

// contextError returns why ctx has ended: an error that matches both the error
// of ctx and its cause.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Lifecycle facts that are not stream errors.
var (
	// ErrClosed is wrapped by every error of a session that has ended, for
	// whatever reason. It is [net.ErrClosed].
	ErrClosed = net.ErrClosed

	// ErrBusy is returned to a second consumer of a session.
	ErrBusy = errors.New("stream: session has a consumer already")

	// ErrTruncated is the cause of a session whose connection ended without
	// the closing stream tag (RFC 6120 §4.4).
	ErrTruncated = errors.New("stream: connection ended without closing the stream")
)

// resumable reports whether a session that ended with e can be taken up again
// (XEP-0198 §5): the server goes away or sends the client elsewhere, or one side
// has not heard from the other. After other errors, as after a closing tag
// alone, it is over.
func (e *Error) resumable() bool {
	switch e.Condition {
	case SystemShutdown, Reset, ConnectionTimeout, SeeOtherHost:
		return true
	}
	return false
}
