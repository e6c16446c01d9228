package bind

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"stanzakit.dev/xmpp/stream"
)

// nsStanzas is the namespace of stanza error conditions (RFC 6120 §8.3.2).
const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"

// Condition is a stanza error condition (RFC 6120 §8.3.3) that ends an attempt to bind. It is an
// error, so that errors.Is(err, bind.Conflict) works on what Client's negotiation returns, and Bind
// callbacks can return one. A server may send conditions that are not listed here.
type Condition string

// The conditions that RFC 6120 §7 defines for binding, and the one for failures of the server's
// own.
const (
	// BadRequest: the request or the resource could not be processed (§7.7.2.1).
	BadRequest Condition = "bad-request"
	// Conflict: the resource is in use and its session is kept (§7.7.2.2).
	Conflict Condition = "conflict"
	// NotAllowed: the client may not bind a resource (§7.6.2.2).
	NotAllowed Condition = "not-allowed"
	// ResourceConstraint: the account has as many resources as it may (§7.6.2.1).
	ResourceConstraint Condition = "resource-constraint"
	// InternalServerError: the server could not do it (§8.3.3.6).
	InternalServerError Condition = "internal-server-error"
	// UndefinedCondition: the server gave no condition that can be read (§8.3.3.21).
	UndefinedCondition Condition = "undefined-condition"
)

// Error returns the name of the condition.
func (c Condition) Error() string { return "bind: " + string(c) }

// kind returns the error type that goes with the condition (RFC 6120 §7.6.2, §7.7.2, §8.3.3).
func (c Condition) kind() string {
	switch c {
	case ResourceConstraint:
		return "wait"
	case BadRequest, Conflict:
		return "modify"
	}
	return "cancel"
}

// Error is a refusal to bind: one that the server sent, on the client; one to send, when a Bind
// callback returns it.
type Error struct {
	// Condition says what is wrong.
	Condition Condition
	// Type is the error type of RFC 6120 §8.3.2: "auth", "cancel", "continue", "modify" or "wait".
	// Empty means, when sending, the one that RFC 6120 gives with the condition.
	Type string
	// Text is for a human and may be empty. Of a received error it is the peer's, cut to 512 bytes.
	Text string
	// Raw is the whole received stanza, a copy; nil otherwise. It is data from the wire.
	Raw []byte
}

// Error describes the refusal; what came from the peer is quoted and capped.
func (e *Error) Error() string {
	s := "bind: " + strconv.QuoteToASCII(capped(string(e.Condition), 64))
	if e.Condition.defined() {
		s = e.Condition.Error()
	}
	if e.Text != "" {
		s += ": " + strconv.QuoteToASCII(capped(e.Text, maxText))
	}
	return s
}

// Is reports whether target is the condition of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Condition)
	return ok && c == e.Condition
}

// ErrProtocol is wrapped by errors of the client about an answer that is none: another stanza, a
// wrong id or sender, no address or an impossible one.
var ErrProtocol = errors.New("bind: protocol violation by the server")

const maxText = 512

func (c Condition) defined() bool {
	switch c {
	case BadRequest, Conflict, NotAllowed, ResourceConstraint, InternalServerError, UndefinedCondition:
		return true
	}
	return false
}

func capped(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// parseError reads an IQ of type error.
func parseError(iq *stream.Element) *Error {
	e := &Error{Condition: UndefinedCondition, Raw: append([]byte(nil), iq.Raw()...)}
	el, ok := iq.Child(stream.Name{Space: stream.NSClient, Local: "error"})
	if !ok {
		return e
	}
	if t := el.Attr("type"); validType(t) {
		e.Type = t
	}
	found := false
	for child := range el.Children() {
		name := child.Name()
		switch {
		case name.Space != nsStanzas:
		case name.Local == "text":
			e.Text = capped(child.Text(), maxText)
		case !found:
			// RFC 6120 §8.3.2: one condition. Others than those above are kept as they are.
			e.Condition, found = Condition(capped(name.Local, 64)), true
		}
	}
	return e
}

// sendable returns a copy of e that can be written, whatever a callback put into it.
func (e *Error) sendable() *Error {
	out := Error{Condition: e.Condition, Type: e.Type}
	if out.Condition == "" || len(out.Condition) > 64 || strings.Trim(string(out.Condition), "abcdefghijklmnopqrstuvwxyz-") != "" {
		out.Condition = InternalServerError
	}
	if !validType(out.Type) {
		out.Type = out.Condition.kind()
	}
	text := strings.ToValidUTF8(e.Text, "")
	out.Text = capped(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, text), maxText)
	return &out
}

// write writes the stanza that refuses the request with this id.
func (e *Error) write(w *stream.Writer, id string) {
	w.Start(stream.Name{Space: stream.NSClient, Local: "iq"})
	w.Attr("type", "error")
	if id != "" {
		// RFC 6120 §8.2.3 rule 3: the id of the request, if there was one.
		w.Attr("id", id)
	}
	w.Start(stream.Name{Space: stream.NSClient, Local: "error"})
	w.Attr("type", e.Type)
	w.Start(stream.Name{Space: nsStanzas, Local: string(e.Condition)})
	w.End()
	if e.Text != "" {
		w.Start(stream.Name{Space: nsStanzas, Local: "text"})
		w.Lang("en")
		w.Text(e.Text)
		w.End()
	}
	w.End()
	w.End()
}

// validType reports whether t is an error type of RFC 6120 §8.3.2.
func validType(t string) bool {
	switch t {
	case "auth", "cancel", "continue", "modify", "wait":
		return true
	}
	return false
}
