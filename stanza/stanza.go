package stanza

import (
	"errors"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Kind is which of the three stanzas a value is (RFC 6120 §8).
type Kind uint8

// The kinds. The zero Kind is none of them.
const (
	MessageKind Kind = iota + 1
	PresenceKind
	IQKind
)

// String returns the name of the element: "message", "presence" or "iq".
func (k Kind) String() string {
	switch k {
	case MessageKind:
		return "message"
	case PresenceKind:
		return "presence"
	case IQKind:
		return "iq"
	}
	return "none"
}

// The content namespaces of component streams (XEP-0114 §3).
const (
	nsComponentAccept  = "jabber:component:accept"
	nsComponentConnect = "jabber:component:connect"
)

// KindOf returns the kind of stanza that an element called name is, and zero
// for any other element. The content namespaces are those of RFC 6120 §4.8.2
// and XEP-0114.
func KindOf(name stream.Name) Kind {
	switch name.Space {
	case stream.NSClient, stream.NSServer, nsComponentAccept, nsComponentConnect:
	default:
		return 0
	}
	switch name.Local {
	case "message":
		return MessageKind
	case "presence":
		return PresenceKind
	case "iq":
		return IQKind
	}
	return 0
}

// ErrNotStanza is wrapped by the error of decoding an element that is not the
// stanza it was decoded as.
var ErrNotStanza = errors.New("stanza: not a stanza")

// ErrInvalid is wrapped by the error of encoding a stanza that RFC 6120 or RFC
// 6121 does not permit, such as an IQ without an id.
var ErrInvalid = errors.New("stanza: invalid stanza")

// Head holds the attributes common to the three stanzas (RFC 6120 §8.1) except
// the type, which differs between them.
type Head struct {
	// ID is the id attribute (§8.1.3); empty when there is none.
	ID string
	// To and From are the addresses (§8.1.1, §8.1.2); zero when absent. What
	// absence means depends on the kind of stream.
	To, From jid.JID
	// Lang is xml:lang (§8.1.5), the language of text inside that names none.
	// Empty means the language of the stream.
	Lang string
}

// Stanza is a *[Message], a *[Presence] or an *[IQ]; there are no others. A
// type switch tells them apart.
//
// A stanza is not safe for concurrent use while it is changed.
type Stanza interface {
	Payload // the stanza itself: what stream.Session sends

	// Kind says which of the three it is.
	Kind() Kind
	// Head returns the common attributes.
	Head() Head
	// SetHead replaces the common attributes.
	SetHead(Head)
	// IsError reports whether the type is "error" (RFC 6120 §8.3).
	IsError() bool
	// DecodeElement reads the stanza from el, like the function Decode, into
	// memory that the value already has.
	DecodeElement(el *stream.Element) error

	clone() Stanza // a deep copy; of a request, without the duty to answer it
	appendXML(dst []byte, ns string) ([]byte, error)
}

// Clone returns a deep copy of st that no longer depends on the memory of the
// stream: see "Lifetime" in the package documentation. The result has the same
// dynamic type.
func Clone(st Stanza) Stanza {
	keep(st)
	return st.clone()
}

// keep notes that whoever keeps a request answers it.
func keep(st Stanza) {
	if iq, ok := st.(*IQ); ok && iq.kept != nil {
		iq.kept.Store(true)
	}
}
