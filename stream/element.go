package stream

import (
	"bytes"
	"iter"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// Element is one complete XML element: its name, its attributes and its bytes,
// which were checked in full when they were read. What is inside is parsed
// only by who asks for it.
//
// An Element is borrowed unless its source says otherwise: it and all bytes
// and elements that its methods return are valid for the time that the source
// names, typically until the handler returns or the loop takes its next step.
// [Element.Clone] makes a copy to keep. The zero Element has no name and
// nothing in it. Methods may be called by several goroutines at once, as long
// as the element is valid.
type Element struct {
	name   Name
	prefix string
	attrs  []Attr
	raw    []byte

	// The start tag is raw[:tagLen]; the content ends at innerEnd. For an
	// empty-element tag both are len(raw).
	tagLen, innerEnd int

	// scope are the namespace declarations in force around the element.
	scope []binding
	flags itemFlags
	// ownDefault and ownPrefix: the start tag declares the default namespace,
	// or a prefix.
	ownDefault, ownPrefix bool

	// own is the memory of an element that CloneInto has filled: raw and the
	// values of attrs are parts of it.
	own []byte
}

// ParseElement reads exactly one element from b, with white space around it at
// most. Nothing is declared around the element: prefixes have to be declared in
// it, and names without a prefix are in no namespace unless it says otherwise.
// nil limits are the default ones. The element refers to b. Errors are
// [*Error], or wrap [ErrLimits].
func ParseElement(b []byte, lim *Limits) (*Element, error) {
	l, err := lim.withDefaults()
	if err != nil {
		return nil, err
	}
	b = bytes.Trim(b, " \t\r\n")
	c := cutters.Get().(*cutter)
	defer func() { c.unread(); cutters.Put(c) }()
	c.t.buf, c.t.pos = b, 0
	c.restart(l, 0)
	c.t.state = docProlog // no XML declaration
	el, _, err := c.cut()
	if err == ErrNeedMore {
		return nil, c.t.Finish()
	}
	if err != nil {
		return nil, err
	}
	own := *el
	own.attrs = append([]Attr(nil), el.attrs...)
	own.scope = nil
	c.values = nil                                // own refers to it
	if _, err := c.t.next(); err != ErrNeedMore { // something after the element
		return nil, err
	}
	if err := c.t.Finish(); err != nil { // the beginning of something
		return nil, err
	}
	return &own, nil
}

// cutters are for reading elements that are complete.
var cutters = sync.Pool{New: func() any { return new(cutter) }}

// Name returns the name of the element, its namespace resolved.
func (e *Element) Name() Name { return e.name }

// Prefix returns the namespace prefix of the tag, "" for none.
func (e *Element) Prefix() string { return e.prefix }

// Attr returns the value of the attribute local, in no namespace, or "" when
// there is none. It allocates a string; see [Element.AttrBytes].
func (e *Element) Attr(local string) string {
	v, _ := e.AttrNS(Name{Local: local})
	return string(v)
}

// AttrBytes returns the value of the attribute local, in no namespace, and
// whether there is one. The value is borrowed.
func (e *Element) AttrBytes(local string) ([]byte, bool) { return e.AttrNS(Name{Local: local}) }

// AttrNS is like [Element.AttrBytes] for an attribute with the given expanded
// name.
func (e *Element) AttrNS(name Name) ([]byte, bool) {
	for i := range e.attrs {
		if a := &e.attrs[i]; a.Name.Local == name.Local && a.Name.Space == name.Space {
			return slices.Clip(a.Value), true
		}
	}
	return nil, false
}

// Attrs yields the attributes in document order, without namespace
// declarations. Values are borrowed.
func (e *Element) Attrs() iter.Seq[Attr] {
	return func(yield func(Attr) bool) {
		for _, a := range e.attrs {
			a.Value = slices.Clip(a.Value)
			if !yield(a) {
				return
			}
		}
	}
}

// Lang returns the xml:lang of the element itself, not one it inherits.
func (e *Element) Lang() string {
	v, _ := e.AttrNS(Name{NSXML, "lang"})
	return string(v)
}

// To returns the address in the attribute "to": the zero JID when there is
// none, an error when it is not a JID. An attribute that is empty is an error.
func (e *Element) To() (jid.JID, error) { return e.address("to") }

// From is [Element.To] for the attribute "from".
func (e *Element) From() (jid.JID, error) { return e.address("from") }

func (e *Element) address(local string) (jid.JID, error) {
	v, ok := e.AttrBytes(local)
	if !ok {
		return jid.JID{}, nil
	}
	return jid.ParseBytes(v)
}

// Raw returns the bytes of the element as they were received. They may rely on
// namespace declarations around it; [Element.AppendXML] does not. Borrowed.
func (e *Element) Raw() []byte { return slices.Clip(e.raw) }

// Inner returns the bytes between the start tag and the end tag as they were
// received. Borrowed.
func (e *Element) Inner() []byte {
	if e.tagLen >= e.innerEnd {
		return nil
	}
	return e.raw[e.tagLen:e.innerEnd:e.innerEnd]
}

// Text returns the character data directly inside the element, decoded.
func (e *Element) Text() string {
	inner := e.Inner()
	if len(inner) > 0 && nextCoded(inner, 0) == len(inner) {
		return string(inner)
	}
	return string(e.AppendText(nil))
}

// AppendText appends the character data directly inside the element, decoded.
// That of child elements is left out.
func (e *Element) AppendText(dst []byte) []byte {
	inner := e.Inner()
	if bytes.IndexByte(inner, '<') < 0 {
		return appendText(dst, inner)
	}
	c := cutters.Get().(*cutter)
	defer func() { c.unread(); cutters.Put(c) }()
	c.readInside(e)
	for {
		_, kind, err := c.cut()
		if err != nil || kind == EndElement {
			return dst
		}
		if kind == Text {
			dst = appendText(dst, c.t.tok.Text)
		}
	}
}

// Children yields the child elements. Each is borrowed until the loop takes
// its next step.
func (e *Element) Children() iter.Seq[*Element] {
	// Short enough to be inlined, so that the loop allocates nothing.
	return func(yield func(*Element) bool) { e.eachChild(yield) }
}

func (e *Element) eachChild(yield func(*Element) bool) {
	if bytes.IndexByte(e.Inner(), '<') < 0 {
		return
	}
	c := cutters.Get().(*cutter)
	defer func() { c.unread(); cutters.Put(c) }()
	c.readInside(e)
	for {
		el, kind, err := c.cut()
		if err != nil || kind == EndElement {
			return
		}
		if el != nil && !yield(el) {
			return
		}
	}
}

// Child returns the first child element with the given name. It is borrowed
// like e itself. Looking for several children is faster with
// [Element.Children].
func (e *Element) Child(name Name) (*Element, bool) {
	for c := range e.Children() {
		if c.name.Local == name.Local && c.name.Space == name.Space {
			return c.detach(), true
		}
	}
	return nil, false
}

// detach returns a copy of e that shares its bytes but nothing that belongs to
// the cutter.
func (e *Element) detach() *Element {
	d := *e
	d.attrs = make([]Attr, len(e.attrs))
	for i, a := range e.attrs {
		d.attrs[i] = Attr{a.Name, bytes.Clone(a.Value)}
	}
	d.scope = append([]binding(nil), e.scope...)
	return &d
}

// Clone returns a copy of e that shares no memory with it.
func (e *Element) Clone() *Element {
	d := *e
	n := len(e.raw)
	for i := range e.attrs {
		n += len(e.attrs[i].Value)
	}
	b := append(make([]byte, 0, n), e.raw...)
	d.raw = b[:len(b):len(b)]
	d.attrs = make([]Attr, len(e.attrs))
	for i, a := range e.attrs {
		from := len(b)
		b = append(b, a.Value...)
		d.attrs[i] = Attr{a.Name, b[from:len(b):len(b)]}
	}
	d.scope = append([]binding(nil), e.scope...)
	d.own = nil
	return &d
}

// CloneInto makes dst a copy of e that shares no memory with it, like Clone, and
// uses the memory that dst has from an earlier CloneInto: for pools. dst is a
// zero Element or one that CloneInto has filled, and not e; whatever was
// borrowed from it is gone.
func (e *Element) CloneInto(dst *Element) {
	n := len(e.raw)
	for i := range e.attrs {
		n += len(e.attrs[i].Value)
	}
	b := append(slices.Grow(dst.own[:0], n), e.raw...)
	attrs, scope := dst.attrs[:0], append(dst.scope[:0], e.scope...)
	for _, a := range e.attrs {
		from := len(b)
		b = append(b, a.Value...)
		attrs = append(attrs, Attr{a.Name, b[from:len(b):len(b)]})
	}
	*dst = *e
	dst.raw, dst.attrs, dst.scope, dst.own = b[:len(e.raw):len(e.raw)], attrs, scope, b
}

// Tokens yields the tokens of the element: its own start tag first, its own end
// tag last. Each is borrowed until the loop takes its next step.
func (e *Element) Tokens() iter.Seq[*Token] {
	return func(yield func(*Token) bool) { e.eachToken(yield) }
}

func (e *Element) eachToken(yield func(*Token) bool) {
	c := cutters.Get().(*cutter)
	defer func() { c.unread(); cutters.Put(c) }()
	c.read(e, 0)
	for {
		tok, err := c.t.Next()
		if err != nil || !yield(tok) {
			return
		}
	}
}
