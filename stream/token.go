package stream

import "errors"

// Kind says what a [Token] is.
type Kind uint8

// The kinds of tokens. There is none for comments, processing instructions and
// document type declarations: RFC 6120 §11.1 prohibits them.
const (
	// StartElement is a start tag, or the first half of an empty-element tag.
	StartElement Kind = iota + 1
	// EndElement is an end tag, or the second half of an empty-element tag.
	EndElement
	// Text is character data: all that stands between two tags, CDATA sections
	// included.
	Text
	// Declaration is the XML declaration.
	Declaration
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case StartElement:
		return "StartElement"
	case EndElement:
		return "EndElement"
	case Text:
		return "Text"
	case Declaration:
		return "Declaration"
	}
	return "Kind(0)"
}

// Attr is an attribute of an element. Value is decoded and normalised (XML 1.0
// §3.3.3); it is a view with the lifetime of the token or element that it
// comes from.
type Attr struct {
	Name  Name
	Value []byte
}

// Token is one event of a document. It and everything it refers to belongs to
// the [Tokenizer], except the strings of names, and is valid until the next
// call of any of its methods.
type Token struct {
	Kind Kind

	// SelfClosing is set on the StartElement of an empty-element tag. An
	// EndElement follows all the same.
	SelfClosing bool

	// Name is the name of the element, its namespace resolved.
	Name Name
	// Prefix is the namespace prefix of the tag, "" for none.
	Prefix string

	// Attrs are the attributes of a StartElement in document order, without
	// the namespace declarations.
	Attrs []Attr

	// Text is the content of a Text token: references replaced, line ends
	// normalised (XML 1.0 §2.11). The text between two tags is always one
	// token, however the input was sliced.
	Text []byte
}

// ErrNeedMore is what a tokenizer returns when the next token is not complete
// yet: feed it and ask again.
var ErrNeedMore = errors.New("stream: more input needed")
