package stanza

import (
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Qualified returns a payload that is st with the namespace ns declared on it,
// usually [stream.NSClient], for places where the content namespace of the
// stream is not the default namespace: inside the element of an extension, in a
// file. On a stream, send st itself.
func Qualified(st Stanza, ns string) Payload { return qualified{st, ns} }

type qualified struct {
	st Stanza
	ns string
}

func (q qualified) AppendXML(dst []byte) ([]byte, error) {
	if q.st == nil {
		return dst, errNil
	}
	return q.st.appendXML(dst, q.ns)
}

var errNil = fmt.Errorf("%w: nil (errors and results are not answered)", ErrInvalid)

func invalid(text string) error { return fmt.Errorf("%w: %s", ErrInvalid, text) }

// checkError checks RFC 6120 §8.3.1 rules 4 and 7: a stanza of type error has an
// error element, and no other has.
func checkError(e *Error, isError bool) error {
	switch {
	case isError && e == nil:
		return invalid("type error without Error")
	case !isError && e != nil:
		return invalid("Error in a stanza of another type")
	}
	return nil
}

// start begins a stanza: in the namespace ns, or in that of the stream if ns is
// empty. Then what the stanza was decoded from moves from one content namespace
// to the other with it.
func start(w *stream.Writer, ns, local string, source *stream.Element) {
	if ns == "" && source != nil {
		w.Within(source.Name().Space)
	}
	w.Start(stream.Name{Space: ns, Local: local})
}

// writeHead writes the attributes that are present.
func writeHead(w *stream.Writer, id string, to, from jid.JID, typ, lang string) {
	if id != "" {
		w.Attr("id", id)
	}
	if !from.IsZero() {
		w.Attr("from", from.String())
	}
	if !to.IsZero() {
		w.Attr("to", to.String())
	}
	if typ != "" {
		w.Attr("type", typ)
	}
	w.Lang(lang) // nothing if it is empty
}

// writeTexts writes an element for each language, of which lang is that of the
// stanza.
func writeTexts(w *stream.Writer, local string, texts Texts, lang string) error {
	if len(texts) > maxTexts {
		return invalid(local + " in too many languages")
	}
	for i, t := range texts {
		// RFC 6121 §4.7.2.2, §5.2.3, §5.2.4: only with distinct languages.
		if texts[:i].index(t.Lang, lang) >= 0 {
			return invalid(local + " twice in one language")
		}
		w.Start(stream.Name{Local: local})
		w.Lang(t.Lang)
		w.Text(t.Value)
		w.End()
	}
	return nil
}

// finish writes the rest of a stanza and returns what w holds, or dst if that is
// not fit to be sent. In the order of the schema (RFC 6120 A.5) the error comes
// last.
func finish(w *stream.Writer, dst []byte, source *stream.Element, extra []Payload, e *Error) ([]byte, error) {
	for p := range payloads(source) {
		w.Element(p)
	}
	for _, p := range extra {
		if p == nil {
			return dst, invalid("nil payload")
		}
		w.Append(p)
	}
	if e != nil {
		w.Append(e)
	}
	w.End()
	return w.Bytes()
}
