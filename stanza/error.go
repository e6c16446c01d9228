package stanza

import (
	"errors"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// NSErrors is the namespace of the error conditions (RFC 6120 §8.3.2).
const NSErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"

// Error is a stanza error (RFC 6120 §8.3): one that came in a stanza of type
// error, or one that this side found and answers with. Unlike a stream error it
// ends nothing.
//
// All of a decoded Error is its own memory: it may be kept. Text, URI and
// Application of a received error come from the wire: the method Error quotes
// and caps them, but a program that shows them elsewhere must escape them
// itself.
type Error struct {
	// Condition says what is wrong. It is required. An unknown or missing
	// condition of a peer becomes [UndefinedCondition].
	Condition Condition
	// Type is what the recipient of the error may do about it. "" means the
	// type that RFC 6120 §8.3.3 recommends for the condition, which is also
	// what an unknown or missing type of a peer becomes.
	Type ErrorType
	// Text describes the error in the language Lang; both may be empty. It is
	// for diagnosis and not to be interpreted by programs (§8.3.2).
	Text, Lang string
	// URI is where the recipient is now, with the conditions [Gone] and
	// [Redirect] (§8.3.3.5, §8.3.3.14). It is the peer's word: ask a human
	// before going there.
	URI string
	// By is the entity that found the error (§8.3.1 rule 5); zero means none.
	By jid.JID
	// Application is an application-specific condition (§8.3.4); nil means
	// none. Decoding yields a *[stream.Element].
	Application Payload

	// Received is true when the error came from a peer, false when this side
	// found it.
	Received bool
	// Cause is what led to an error of this side, or nil. It never goes to the
	// peer.
	Cause error
}

// The error string is at most errorBytes long; each part of it that somebody
// else wrote is cut to errorPartBytes.
const (
	errorBytes     = 1 << 10
	errorPartBytes = 256
)

// Error describes the error in at most 1024 bytes. Text from the wire is
// quoted.
func (e *Error) Error() string {
	if e == nil {
		return "<nil>"
	}
	s := "stanza error "
	if e.Received {
		s = "stanza error from peer "
	}
	if c := string(e.Condition); e.Condition.Known() {
		s += c
	} else {
		s += quote.ASCII(c, errorPartBytes)
	}
	if e.Type != "" && e.Type != e.Condition.Type() {
		s += " (" + quote.ASCII(string(e.Type), errorPartBytes) + ")"
	}
	if !e.By.IsZero() {
		s += " by " + quote.ASCII(e.By.String(), errorPartBytes)
	}
	if e.URI != "" {
		s += " " + quote.ASCII(e.URI, errorPartBytes)
	}
	if e.Text != "" {
		s += ": " + quote.ASCII(e.Text, errorPartBytes)
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	if len(s) > errorBytes {
		s = strings.ToValidUTF8(s[:errorBytes-len("…")], "") + "…"
	}
	return s
}

// Is reports whether target is the condition of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Condition)
	return ok && e != nil && c == e.Condition
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Cause
}

// Payload returns the application-specific condition if it was decoded and is
// called name.
func (e *Error) Payload(name stream.Name) (*stream.Element, bool) {
	if el, ok := e.Application.(*stream.Element); ok && el != nil && el.Name() == name {
		return el, true
	}
	return nil, false
}

// Clone returns a copy. An Application that is not an element is shared, and so
// is Cause. The clone of nil is nil.
func (e *Error) Clone() *Error {
	if e == nil {
		return nil
	}
	c := *e
	c.Application = clonePayload(e.Application)
	return &c
}

// ErrorReply returns the stanza of type error that answers st with err (RFC
// 6120 §8.3.1): of the same kind, with the same ID and the addresses swapped.
// The payload of st does not go back.
//
// It returns nil when there is nothing to answer: if err is nil, if st is itself
// an error (rule 8, which prevents loops), or if st is an IQ result (§8.2.3 rule
// 4).
//
// If err is or wraps a [*Error] or a known [Condition] then that is what the peer
// is told. Any other error becomes [InternalServerError] without its text, which
// may say more than the peer should know. Of an error that was received from
// someone else only the condition and the type are passed on.
//
// ErrorReply is also how to answer a stanza that could not be decoded: pass it
// both results of [Decode].
func ErrorReply(st Stanza, err error) Stanza {
	if st == nil || err == nil || st.IsError() {
		return nil
	}
	h := st.Head()
	e := replyError(err)
	switch st := st.(type) {
	case *Message:
		return &Message{ID: h.ID, To: h.From, From: h.To, Type: ErrorMessage, Error: e}
	case *Presence:
		return &Presence{ID: h.ID, To: h.From, From: h.To, Type: ErrorPresence, Error: e}
	case *IQ:
		if st.Type == ResultIQ {
			return nil
		}
		return &IQ{ID: h.ID, To: h.From, From: h.To, Type: ErrorIQ, Error: e}
	}
	return nil
}

// replyError returns what the peer is told about err.
func replyError(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil {
		out := &Error{Condition: e.Condition, Type: e.Type}
		if !e.Received {
			out = e.Clone()
			// What cannot be written must not cost the peer its answer.
			out.Text, out.Lang, out.URI = xmlText(e.Text), xmlText(e.Lang), xmlText(e.URI)
		}
		if !out.Condition.Known() {
			out.Condition = UndefinedCondition
		}
		if !out.Type.Known() {
			out.Type = out.Condition.Type()
		}
		if out.Condition != Gone && out.Condition != Redirect {
			out.URI = ""
		}
		return out
	}
	var c Condition
	if errors.As(err, &c) && c.Known() {
		return &Error{Condition: c, Type: c.Type()}
	}
	return &Error{Condition: InternalServerError, Type: InternalServerError.Type(), Cause: err}
}

// xmlText returns s with everything that is not an XML character (XML 1.0 §2.2)
// replaced by U+FFFD.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r',
			r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000:
			return r
		}
		return '\uFFFD'
	}, s)
}
