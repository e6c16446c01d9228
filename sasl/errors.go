package sasl

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Condition names why an authentication failed, with the names of RFC 6120 §6.5. It is an error,
// so that errors.Is(err, sasl.NotAuthorized) can be asked of any error of this package. A peer may
// send names that are not listed here.
type Condition string

// The conditions of RFC 6120 §6.5.
const (
	// Aborted: the exchange was broken off (§6.5.1). On the client it is the condition of each
	// failure that this side decided; the wrapped cause tells which.
	Aborted Condition = "aborted"

	// AccountDisabled: the account is disabled for now (§6.5.2).
	AccountDisabled Condition = "account-disabled"

	// CredentialsExpired: the credentials are too old (§6.5.3).
	CredentialsExpired Condition = "credentials-expired"

	// EncryptionRequired: the mechanism needs a confidential channel (§6.5.4).
	EncryptionRequired Condition = "encryption-required"

	// IncorrectEncoding: the data was not valid base64 (§6.5.5).
	IncorrectEncoding Condition = "incorrect-encoding"

	// InvalidAuthzid: the client may not act as the identity it asked for (§6.5.6).
	InvalidAuthzid Condition = "invalid-authzid"

	// InvalidMechanism: the mechanism is unknown or not offered (§6.5.7).
	InvalidMechanism Condition = "invalid-mechanism"

	// MalformedRequest: a message breaks the rules of the mechanism (§6.5.8).
	MalformedRequest Condition = "malformed-request"

	// MechanismTooWeak: policy asks for a stronger mechanism (§6.5.9).
	MechanismTooWeak Condition = "mechanism-too-weak"

	// NotAuthorized: wrong credentials, or no such account (§6.5.10).
	NotAuthorized Condition = "not-authorized"

	// TemporaryAuthFailure: this side could not decide; trying again later may help (§6.5.11).
	TemporaryAuthFailure Condition = "temporary-auth-failure"
)

// Error returns the name of the condition.
func (c Condition) Error() string { return "sasl: " + string(c) }

// Causes, wrapped by an [*Error] and found with errors.Is. They are for the side that got the
// error; a server does not send them.
var (
	// ErrUnknownUser is what a [KeyStore] returns for a name without keys. Clients never see a
	// difference to a wrong password, and neither does the error that the exchange ends with.
	ErrUnknownUser = errors.New("unknown user")

	// ErrFinished: Next was called after the exchange had ended.
	ErrFinished = errors.New("the exchange is over")

	// ErrNoMechanism: no offered mechanism suits.
	ErrNoMechanism = errors.New("no suitable mechanism")

	// ErrDowngrade: what the server offered contradicts itself, what the client saw (RFC 5802 §6,
	// XEP-0440, XEP-0474, XEP-0515) or what it remembers ([Policy.Floor]), in the way it does when
	// somebody in between removes the stronger choices.
	ErrDowngrade = errors.New("possible downgrade attack")

	// ErrChannelBinding: the channel binding is missing, of a type not supported here, or of
	// another connection.
	ErrChannelBinding = errors.New("channel binding does not match")

	// ErrNonce: the nonce is not the one of this exchange, or the server added nothing to it.
	ErrNonce = errors.New("nonce does not match")

	// ErrIterations: the iteration count is below the floor, above the ceiling or not a number.
	ErrIterations = errors.New("iteration count not acceptable")

	// ErrExtension: the peer demands an extension ("m=") that this package does not know.
	ErrExtension = errors.New("mandatory extension not supported")

	// ErrServerSignature: the server did not prove that it knows the keys of the account, or the token.
	ErrServerSignature = errors.New("server signature does not verify")

	// ErrRejected: the server ended a SCRAM exchange with an error value ("e=").
	ErrRejected = errors.New("rejected by the server")

	// ErrPassword: the password is empty or not acceptable to OpaqueString (RFC 8265 §4.2).
	ErrPassword = errors.New("password not acceptable")

	// ErrToken: the token is missing, empty or not acceptable to the mechanism.
	ErrToken = errors.New("token not acceptable")

	// ErrUsername: the user name or the authorization identity is empty, not UTF-8, holds a NUL or
	// is not acceptable to the application.
	ErrUsername = errors.New("user name not acceptable")

	// ErrRandom: the source of random bytes failed.
	ErrRandom = errors.New("random source failed")

	// ErrConfig: the configuration is incomplete or contradicts itself.
	ErrConfig = errors.New("configuration not usable")
)

// An Error is a failed authentication. Servers report Condition and Text to the client and keep Cause
// to themselves; protocols that receive a failure from a server make an Error of it.
type Error struct {
	Condition Condition // Empty means NotAuthorized, as RFC 6120 §6.5 asks for conditions not understood.
	Text      string    // Explanation that may be shown to the peer; may be empty.
	Cause     error     // Local cause; may be nil.
}

// Error returns the condition, the text and the cause. Text that came from a peer is data: it is
// quoted and shortened.
func (e *Error) Error() string {
	s := e.condition().Error()
	if e.Text != "" {
		s += ": " + legible(e.Text)
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is reports whether target is the condition of e.
func (e *Error) Is(target error) bool {
	c, _ := target.(Condition) // the empty one is nobody's
	return c == e.condition()
}

// Unwrap returns the local cause.
func (e *Error) Unwrap() error { return e.Cause }

func (e *Error) condition() Condition {
	if e.Condition == "" {
		return NotAuthorized
	}
	return e.Condition
}

// aborted is a failure that the client decided.
func aborted(text string, cause error) *Error {
	return &Error{Condition: Aborted, Text: text, Cause: cause}
}

// malformed is a message from the client that breaks the grammar.
func malformed(text string, cause error) *Error {
	return &Error{Condition: MalformedRequest, Text: text, Cause: cause}
}

// temporary is a failure of the server's own.
func temporary(cause error) *Error {
	return &Error{Condition: TemporaryAuthFailure, Cause: cause}
}

// Bounds on what error texts repeat of the peer's data.
const (
	maxQuoted = 64  // bytes of one value
	maxText   = 512 // bytes of a whole text
)

// quote makes data from the peer fit for an error text: shortened, one line, ASCII.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// legible returns s as it is when it is short, valid and printable, else shortened and quoted.
func legible(s string) string {
	cut := len(s) > maxText
	if cut {
		s = s[:maxText]
	}
	unsafe := func(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }
	if strings.ContainsFunc(s, unsafe) {
		s = strconv.QuoteToASCII(s)
	}
	if cut {
		s += "…"
	}
	return s
}
