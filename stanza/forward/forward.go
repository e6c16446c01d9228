package forward

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and the feature of those who show forwarded
// messages to a user (XEP-0297 §4).
const NS = "urn:xmpp:forward:0"

// Name is the name of the element, to look for it in the payload of another
// protocol.
var Name = stream.Name{Space: NS, Local: "forwarded"}

var delayName = stream.Name{Space: delay.NS, Local: "delay"}

// Forwarded is a stanza inside another one. The zero value cannot be written: it
// holds no stanza.
type Forwarded struct {
	// Delay says when the stanza was first received; nil if that is not said.
	// XEP-0297 §3.2 recommends it. It is a copy.
	Delay *delay.Delay

	// Element is the stanza as bytes. It is what DecodeElement sets, and borrowed
	// from the element around it then: use [Forwarded.Clone] to keep it. To write
	// a stanza that was received, in whichever content namespace, set it.
	Element *stream.Element

	// Stanza is the stanza as a value, for writing: it counts if Element is nil.
	// DecodeElement leaves it nil; see [Forwarded.Decode].
	Stanza stanza.Stanza
}

// AppendXML implements [stanza.Payload]. The stanza inside is written in the
// namespace "jabber:client", as XEP-0297 §3.2 has it: a stanza that came from
// another server or a component goes over into that namespace with its children,
// and what extensions carry is left as it is.
//
// The error wraps [stanza.ErrNotStanza] if Element is no stanza and
// [stanza.ErrInvalid] if there is neither an Element nor a Stanza. Otherwise it is
// that of writing the delay or the stanza.
func (f Forwarded) AppendXML(dst []byte) ([]byte, error) {
	inner, err := f.inner()
	if err != nil {
		return dst, err
	}
	w := stream.NewWriter(dst)
	w.Start(Name)
	if f.Delay != nil {
		w.Append(f.Delay)
	}
	w.Append(inner)
	w.End()
	return w.Bytes()
}

// inner returns what writes the stanza with its namespace.
func (f Forwarded) inner() (stanza.Payload, error) {
	switch {
	case f.Element != nil && stanza.KindOf(f.Element.Name()) == 0:
		return nil, fmt.Errorf("%w: forward", stanza.ErrNotStanza)
	case f.Element != nil:
		return framed{f.Element}, nil
	case f.Stanza != nil:
		return stanza.Qualified(f.Stanza, stream.NSClient), nil
	}
	return nil, fmt.Errorf("%w: nothing to forward", stanza.ErrInvalid)
}

// framed writes a stanza with its content namespace declared on it.
type framed struct{ el *stream.Element }

func (f framed) AppendXML(dst []byte) ([]byte, error) { return f.el.AppendFramed(dst, stream.NSClient) }

// DecodeElement implements [stanza.Decoder]. The stanza inside is not decoded, so
// the work is at most two passes over the bytes, however deep it is nested; how deep
// and how large it can be is bounded by the [stream.Limits] that it came through.
//
// The error is a [*stanza.Error] with the condition [stanza.BadRequest]: el is not
// a forwarded stanza, there is not exactly one stanza inside, or more than one
// delay. The schema (§8) lets the stanza be absent, which makes no sense anywhere.
// Or it is that of [delay.Delay.DecodeElement]. On an error f is zero. Other
// elements are ignored.
func (f *Forwarded) DecodeElement(el *stream.Element) error {
	*f = Forwarded{}
	if el.Name() != Name {
		return malformed("not a forwarded stanza")
	}
	var stamp *delay.Delay
	var inner stream.Name // of the stanza
	for child := range el.Children() {
		switch name := child.Name(); {
		case name == delayName:
			if stamp != nil {
				return malformed("a forwarded stanza with two delays")
			}
			stamp = new(delay.Delay)
			if err := stamp.DecodeElement(child); err != nil {
				return err
			}
		case stanza.KindOf(name) != 0:
			if inner.Local != "" {
				return malformed("two stanzas forwarded as one")
			}
			inner = name
		}
	}
	child, ok := el.Child(inner)
	if !ok {
		return malformed("no stanza in a forwarded one")
	}
	*f = Forwarded{Delay: stamp, Element: child}
	return nil
}

func malformed(text string) error { return &stanza.Error{Condition: stanza.BadRequest, Text: text} }

// Decode returns the stanza inside as a value: [Forwarded.Stanza] if it is set and
// Element is not, otherwise what [stanza.Decode] makes of Element, with its
// errors. The result is borrowed like Element.
//
// It is not a stanza that was received: never hand it to a handler of those
// (XEP-0297 §7.1).
func (f *Forwarded) Decode() (stanza.Stanza, error) {
	switch {
	case f.Element != nil:
		return stanza.Decode(f.Element)
	case f.Stanza != nil:
		return f.Stanza, nil
	}
	return nil, fmt.Errorf("%w: nothing is forwarded", stanza.ErrNotStanza)
}

// Message is [Forwarded.Decode] for those who are interested in messages only. The
// error wraps [stanza.ErrNotStanza] if something else is forwarded.
func (f *Forwarded) Message() (*stanza.Message, error) {
	st, err := f.Decode()
	if err != nil {
		return nil, err
	}
	m, ok := st.(*stanza.Message)
	if !ok {
		return nil, fmt.Errorf("%w: %s is forwarded where a message was expected", stanza.ErrNotStanza, st.Kind())
	}
	return m, nil
}

// Clone returns a deep copy that does not depend on the memory of the stream.
func (f *Forwarded) Clone() *Forwarded {
	out := new(Forwarded)
	if f.Delay != nil {
		out.Delay = new(*f.Delay)
	}
	if f.Element != nil {
		out.Element = f.Element.Clone()
	}
	if f.Stanza != nil {
		out.Stanza = stanza.Clone(f.Stanza)
	}
	return out
}
