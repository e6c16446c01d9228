package stanza

import (
	"iter"

	"stanzakit.dev/xmpp/stream"
)

// Payload is an extension element that can be put into a stanza (RFC 6120
// §8.4), or anything else that writes one XML element. To put a stanza into
// another one, see [Qualified].
//
// AppendXML appends the element to dst, for use where the content namespace of
// the stream is the default namespace: an extension element declares its own.
// It returns an error rather than XML that is not well-formed; a
// [stream.Writer] sees to both. It must not keep dst.
//
// A *[stream.Element] is a payload, written byte for byte as it was received; a
// namespace declaration that it had from outside is added. A struct with
// encoding/xml tags becomes a payload with [XML].
type Payload interface {
	AppendXML(dst []byte) ([]byte, error)
}

// Decoder is a value that reads itself from an element. What it keeps of el it
// copies: el is borrowed.
type Decoder interface {
	DecodeElement(el *stream.Element) error
}

// Unmarshal reads el into v: with DecodeElement if v is a [Decoder], and as a
// pointer to a struct with encoding/xml tags otherwise. The bytes of el have
// passed the tokenizer of package stream in either case.
func Unmarshal(el *stream.Element, v any) error {
	if d, ok := v.(Decoder); ok {
		return d.DecodeElement(el)
	}
	return el.Unmarshal(v)
}

// XML returns a payload that is v written by [encoding/xml]: a struct whose
// XMLName gives the name and namespace of the element. What v writes is checked
// before it is sent, because encoding/xml would let names through that are
// none.
func XML(v any) Payload { return xmlPayload{v} }

type xmlPayload struct{ v any }

func (p xmlPayload) AppendXML(dst []byte) ([]byte, error) { return stream.AppendMarshal(dst, p.v) }

// payloads yields the children of a message or presence that are payloads; of
// nil it yields nothing.
func payloads(source *stream.Element) iter.Seq[*stream.Element] {
	return func(yield func(*stream.Element) bool) {
		if source == nil {
			return
		}
		stanza := source.Name()
		for child := range source.Children() {
			if isPayload(stanza, child.Name()) && !yield(child) {
				return
			}
		}
	}
}

// findPayload returns the first payload called name.
func findPayload(source *stream.Element, name stream.Name) (*stream.Element, bool) {
	if source == nil || !isPayload(source.Name(), name) {
		return nil, false
	}
	return source.Child(name)
}

// isPayload reports whether a child of a message or presence is anything but
// what RFC 6121 defines for it.
func isPayload(stanza, child stream.Name) bool {
	if child.Space != stanza.Space {
		return true
	}
	switch child.Local {
	case "body", "subject", "thread":
		return stanza.Local != "message"
	case "show", "status", "priority":
		return stanza.Local != "presence"
	case "error":
		return false
	}
	return true
}

func clonePayload(p Payload) Payload {
	if el, ok := p.(*stream.Element); ok && el != nil {
		return el.Clone()
	}
	return p
}

func clonePayloads(payloads []Payload) []Payload {
	if payloads == nil {
		return nil
	}
	out := make([]Payload, len(payloads))
	for i, p := range payloads {
		out[i] = clonePayload(p)
	}
	return out
}
