package stanza

import (
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// decodeError reads an error element of a stanza.
func decodeError(el *stream.Element) *Error {
	e := new(Error)
	e.read(el)
	return e
}

// missingError stands for the error element that a stanza of type error lacks
// (RFC 6120 §8.3.1 rule 4).
func missingError() *Error {
	return &Error{Condition: UndefinedCondition, Type: UndefinedCondition.Type(), Received: true}
}

// DecodeElement reads an error element, which is called "error" whatever its
// namespace is. An error is never refused for being malformed, since there
// could be no answer to it: what is unknown or missing gets the value that the
// fields of [Error] document, a bad by address is left out, and of children that
// may not be repeated the first counts.
//
// The error wraps [ErrNotStanza] if el is called something else, and is nil
// otherwise.
func (e *Error) DecodeElement(el *stream.Element) error {
	if el.Name().Local != "error" {
		*e = Error{}
		return notStanza(el, "stanza error")
	}
	e.read(el)
	return nil
}

func (e *Error) read(el *stream.Element) {
	*e = Error{Received: true}
	text := false // seen
	for child := range el.Children() {
		name := child.Name()
		switch {
		case name.Space == NSErrors && name.Local == "text":
			if text {
				continue
			}
			text = true
			if e.Text = child.Text(); e.Text != "" {
				e.Lang = child.Lang()
			}
		case name.Space == NSErrors:
			if e.Condition != "" {
				continue
			}
			e.Condition = Condition(name.Local)
			if !e.Condition.Known() {
				// RFC 6120 §8.3.2: MUST treat an unknown condition as this one.
				e.Condition = UndefinedCondition
			}
			if e.Condition == Gone || e.Condition == Redirect {
				e.URI = string(trimSpace(child.AppendText(nil)))
			}
		case name.Space == el.Name().Space:
			// §8.3.4: an application-specific condition has a namespace of its
			// own.
		case e.Application == nil:
			e.Application = child.Clone()
		}
	}
	if e.Condition == "" {
		e.Condition = UndefinedCondition
	}
	e.Type = ErrorType(el.Attr("type"))
	if !e.Type.Known() {
		e.Type = e.Condition.Type()
	}
	if by := el.Attr("by"); by != "" {
		e.By, _ = jid.Parse(by) // zero if it is malformed
	}
}

// AppendXML appends the error element, which has the namespace of the stanza
// around it. It fails with [ErrInvalid] for a condition or type that RFC 6120
// does not know, and for a URI beside a condition that has none.
func (e *Error) AppendXML(dst []byte) ([]byte, error) {
	typ := e.Type
	if typ == "" {
		typ = e.Condition.Type()
	}
	switch {
	case !e.Condition.Known():
		return dst, invalid("unknown error condition")
	case !typ.Known():
		return dst, invalid("unknown error type")
	case e.URI != "" && e.Condition != Gone && e.Condition != Redirect:
		return dst, invalid("URI beside " + string(e.Condition))
	}
	w := stream.NewWriter(dst)
	w.Start(stream.Name{Local: "error"})
	w.Attr("type", string(typ))
	if !e.By.IsZero() {
		w.Attr("by", e.By.String())
	}
	w.Start(stream.Name{Space: NSErrors, Local: string(e.Condition)})
	w.Text(e.URI)
	w.End()
	if e.Text != "" {
		w.Start(stream.Name{Space: NSErrors, Local: "text"})
		w.Lang(e.Lang)
		w.Text(e.Text)
		w.End()
	}
	if e.Application != nil {
		w.Append(e.Application)
	}
	return finish(&w, dst, nil, nil, nil)
}
