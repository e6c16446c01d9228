package command

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

// Response is the command element of a response (XEP-0050 §4.1). What is in a decoded
// one is a copy, and the peer's word.
type Response struct {
	// Node names the command. It is required.
	Node string
	// SessionID identifies the session; it is there if Status is [Executing].
	SessionID string
	// Status is required.
	Status Status
	// Lang is the language in use; empty means that of the stanza.
	Lang string
	// Actions are allowed next, if Status is Executing.
	Actions Actions
	// Notes are for a human. Of a command that has failed at least one is of severity
	// [Error] (§3.6).
	Notes []Note
	// Form is to be filled out if it is of type [form.Form], and otherwise a result.
	// Nil means none. Of several forms the first counts.
	Form *form.Data
	// Payloads are other elements, in the order of their precedence (§3.5). Decoding
	// yields each as a *[stream.Element].
	Payloads []stanza.Payload
}

// AppendXML implements [stanza.Payload].
func (r *Response) AppendXML(dst []byte) ([]byte, error) {
	if err := r.check(); err != nil {
		return dst, err
	}
	w, err := start(dst, r.Node, r.SessionID)
	if err != nil {
		return dst, err
	}
	w.Attr("status", string(r.Status))
	w.Lang(r.Lang)
	if a := r.Actions; r.Status == Executing && !a.none() {
		w.Start(stream.Name{Local: "actions"})
		w.Attr("execute", string(a.preset()))
		empty(&w, "prev", a.Prev)
		empty(&w, "next", a.Next)
		empty(&w, "complete", a.Complete)
		w.End()
	}
	if r.Form != nil {
		w.Append(r.Form)
	}
	for _, p := range r.Payloads {
		w.Append(p)
	}
	for _, n := range r.Notes {
		w.Start(stream.Name{Space: NS, Local: "note"})
		w.Attr("type", string(n.severity()))
		w.Text(n.Text)
		w.End()
	}
	w.End()
	return w.Bytes()
}

func empty(w *stream.Writer, local string, there bool) {
	if there {
		w.Start(stream.Name{Local: local})
		w.End()
	}
}

func (n Note) severity() Severity {
	if n.Severity == "" {
		return Info
	}
	return n.Severity
}

// check looks for what cannot be written.
func (r *Response) check() error {
	switch r.Status {
	case Executing:
		// §3.4: the default action is an allowed one. §4.1: MUST be present for
		// subsequent stages.
		if r.SessionID == "" || !r.Actions.allows(r.Actions.preset()) {
			return fmt.Errorf("%w: a stage without a session or with a default that is not allowed", stanza.ErrInvalid)
		}
	case Completed, Canceled:
	default:
		return fmt.Errorf("%w: unknown status of a command", stanza.ErrInvalid)
	}
	if len(r.Notes) > maxNotes || len(r.Payloads) > maxPayloads {
		return fmt.Errorf("%w: too much in a command", stanza.ErrInvalid)
	}
	for _, n := range r.Notes {
		switch n.severity() {
		case Info, Warn, Error:
		default:
			return fmt.Errorf("%w: unknown severity of a note", stanza.ErrInvalid)
		}
		if len(n.Text) > maxNote {
			return fmt.Errorf("%w: a note that is too long", stanza.ErrInvalid)
		}
	}
	for _, p := range r.Payloads {
		if p == nil {
			return fmt.Errorf("%w: nil payload", stanza.ErrInvalid)
		}
	}
	return nil
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with the
// condition [stanza.BadRequest], or [stanza.PolicyViolation] if there is too much of
// something. An action is ignored (XEP-0050 §4.1). On an error r is zero.
func (r *Response) DecodeElement(el *stream.Element) error {
	*r = Response{}
	node, session, err := attrs(el)
	if err != nil {
		return err
	}
	out := Response{Node: node, SessionID: session, Status: Status(el.Attr("status")), Lang: el.Lang()}
	switch out.Status {
	case Executing:
		if session == "" { // §4.1: MUST be present for subsequent stages
			return malformed("a stage of a command without a session")
		}
	case Completed, Canceled:
	default:
		return malformed("a command with an unknown status")
	}
	for child := range el.Children() {
		if err := out.child(child); err != nil {
			return err
		}
	}
	*r = out
	return nil
}

// child reads one child element.
func (r *Response) child(el *stream.Element) error {
	switch n := el.Name(); {
	case n == form.Name && r.Form == nil:
		r.Form = new(form.Data)
		return r.Form.DecodeElement(el)
	case n.Space == NS && n.Local == "actions":
		return r.Actions.decode(el)
	case n.Space == NS && n.Local == "note":
		inner := el.Text()
		if len(r.Notes) >= maxNotes || len(inner) > maxNote {
			return tooMuch("notes")
		}
		note := Note{Severity: Severity(el.Attr("type")), Text: inner}
		switch note.Severity {
		case Info, Warn, Error:
		default: // §4.3: implied if not present
			note.Severity = Info
		}
		r.Notes = append(r.Notes, note)
	case n.Space != NS:
		if len(r.Payloads) >= maxPayloads {
			return tooMuch("payloads")
		}
		r.Payloads = append(r.Payloads, el.Clone())
	}
	return nil
}

// decode reads the actions element (§4.2).
func (s *Actions) decode(el *stream.Element) error {
	*s = Actions{}
	for child := range el.Children() {
		switch child.Name() {
		case stream.Name{Space: NS, Local: "prev"}:
			s.Prev = true
		case stream.Name{Space: NS, Local: "next"}:
			s.Next = true
		case stream.Name{Space: NS, Local: "complete"}:
			s.Complete = true
		}
	}
	s.Default = Action(el.Attr("execute"))
	switch s.Default {
	case Prev, Next, Complete:
	case "", Go:
		s.Default = Next // §3.4: it defaults to "next"
	default: // §4.2: MUST equal one of the actions
		return malformed("a command with an unknown default action")
	}
	return nil
}

func tooMuch(what string) error {
	return &stanza.Error{Condition: stanza.PolicyViolation, Text: "a command with too many " + what}
}

// Failed returns the text of the first note of severity [Error], and whether there is
// one: the command was completed, and has failed (XEP-0050 §3.6).
func (r *Response) Failed() (reason string, failed bool) {
	for _, n := range r.Notes {
		if n.Severity == Error {
			return n.Text, true
		}
	}
	return "", false
}
