package stream

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"stanzakit.dev/xmpp/internal/quote"
)

// ErrDepth is returned for an element nested too deep to be decoded into a
// struct.
var ErrDepth = errors.New("stream: element nested too deep")

// decodeDepth bounds the recursion of encoding/xml, whatever depth the limits
// of the stream allow.
const decodeDepth = 256

// TokenReader returns the element as tokens for encoding/xml. Attributes in a
// namespace other than that of xml:lang are left out: encoding/xml would store
// them in fields that are meant for attributes of the same local name in no
// namespace. For these there is [Element.AttrNS]. So are namespace
// declarations, since all names are resolved. Close the reader when done, and
// before the element becomes invalid.
func (e *Element) TokenReader() *TokenReader {
	c := cutters.Get().(*cutter)
	c.read(e, 0)
	return &TokenReader{c: c}
}

// TokenReader is an [xml.TokenReader] over an [Element]. The tokens it returns
// are copies. It is used by one goroutine at a time.
type TokenReader struct {
	c     *cutter // nil after Close
	depth int
}

// Token returns the next token; [io.EOF] after the end tag of the element and
// after Close, [ErrDepth] when elements nest deeper than 256.
func (r *TokenReader) Token() (xml.Token, error) {
	if r.c == nil {
		return nil, io.EOF
	}
	tok, err := r.c.t.Next()
	if err == ErrNeedMore {
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	switch tok.Kind {
	case StartElement:
		if r.depth++; r.depth > decodeDepth {
			return nil, ErrDepth
		}
		start := xml.StartElement{Name: xml.Name(tok.Name)}
		for _, a := range tok.Attrs {
			if a.Name.Space == "" || a.Name.Space == NSXML {
				start.Attr = append(start.Attr, xml.Attr{Name: xml.Name(a.Name), Value: string(a.Value)})
			}
		}
		return start, nil
	case EndElement:
		r.depth--
		return xml.EndElement{Name: xml.Name(tok.Name)}, nil
	}
	return xml.CharData(append([]byte(nil), tok.Text...)), nil
}

// Close releases what the reader holds. It returns nil, also the second time.
func (r *TokenReader) Close() error {
	if r.c != nil {
		r.c.unread()
		cutters.Put(r.c)
		r.c = nil
	}
	return nil
}

// Unmarshal stores the element in v, as encoding/xml does with its struct tags.
// The XML is read by this package; encoding/xml only assigns. See
// [Element.TokenReader] for what it gets to see; fields with the flag
// ",innerxml" stay empty. The error wraps that of encoding/xml, or [ErrDepth].
func (e *Element) Unmarshal(v any) error {
	if len(e.raw) == 0 {
		return errNoElement
	}
	r := e.TokenReader()
	defer r.Close()
	if err := xml.NewTokenDecoder(r).Decode(v); err != nil {
		return fmt.Errorf("stream: decoding %s: %w", quote.ASCII(e.name.Local, 64), err)
	}
	return nil
}

// AppendMarshal appends v as encoding/xml encodes it. The result is read back
// with the default limits, since encoding/xml writes names and ",innerxml"
// verbatim: it is one well-formed element, or there is an error and dst is
// returned as it was.
func AppendMarshal(dst []byte, v any) ([]byte, error) {
	b, err := xml.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("stream: encoding %T: %w", v, err)
	}
	e, err := ParseElement(b, nil)
	if err != nil {
		return dst, fmt.Errorf("stream: %T does not encode to one element: %w", v, err)
	}
	return append(dst, e.raw...), nil // without white space around it
}

// Marshal returns v as encoding/xml encodes it; see [AppendMarshal].
func Marshal(v any) ([]byte, error) { return AppendMarshal(nil, v) }
