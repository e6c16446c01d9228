package stream

import (
	"bytes"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/internal/quote"
)

// AppendXML appends the element so that it means the same wherever it is put:
// the default namespace and the prefixes that it takes from around it are
// declared on it. Otherwise the bytes are those that were received. There is
// no error for an element that came from this package.
func (e *Element) AppendXML(dst []byte) ([]byte, error) { return e.appendIn(dst, "", false) }

// errNoElement is returned for the zero Element.
var errNoElement = errors.New("stream: not an element")

// appendIn is AppendXML for a place whose default namespace is def, if that is
// known.
func (e *Element) appendIn(dst []byte, def string, known bool) ([]byte, error) {
	if len(e.raw) == 0 {
		return dst, errNoElement
	}
	outer := defaultSpace(e.scope)
	declare := !e.ownDefault && (!known || outer != def)
	if !declare && e.flags&itemOuterPrefix == 0 {
		return append(dst, e.raw...), nil
	}
	n := tagNameEnd(e.raw)
	dst = append(dst, e.raw[:n]...)
	if declare {
		dst = appendDecl(dst, "", outer)
	}
	dst = e.appendOuterPrefixes(dst)
	return append(dst, e.raw[n:]...), nil
}

// AttrSet says what [Element.AppendRewritten] does with one attribute of the
// start tag: set it to Value, or remove it. Name is in no namespace, or it is
// xml:lang.
type AttrSet struct {
	Name   Name
	Value  string
	Remove bool
}

// AppendRewritten appends the element as it goes into a stream whose content
// namespace (RFC 6120 §4.8.2) is content, with some attributes of the start tag
// set or removed: what a router does with a stanza.
//
// An element in the content namespace of a stream ("jabber:client",
// "jabber:server", those of components) goes over into content, together with
// its descendants in the same namespace, down to the first element in another
// one: what an extension carries is not touched. Elements get no prefix for a
// content namespace (§4.8.5), and whatever the element takes from the header of
// the stream that it came from is declared on it. Everything else is copied
// byte for byte. An error means that set cannot be written, or that a namespace
// declaration would have to be repeated so often that the result grows out of
// proportion; dst is returned as it was.
func (e *Element) AppendRewritten(dst []byte, content string, set ...AttrSet) ([]byte, error) {
	return e.appendRewritten(dst, content, content, set)
}

// AppendFramed is [Element.AppendRewritten] for a framed stream (RFC 7395
// §3.3.3), in which no namespace is declared around an element.
func (e *Element) AppendFramed(dst []byte, content string, set ...AttrSet) ([]byte, error) {
	return e.appendRewritten(dst, "", content, set)
}

func (e *Element) appendRewritten(dst []byte, around, content string, set []AttrSet) ([]byte, error) {
	if len(e.raw) == 0 {
		return dst, errNoElement
	}
	for i := range set {
		if err := set[i].check(set[:i]); err != nil {
			return dst, err
		}
	}
	r := rewriter{e: e, from: e.name.Space, content: content}
	r.stanza = isContentSpace(r.from)
	before := len(dst)
	var err error
	if e.flags != 0 || e.prefix != "" {
		dst, err = r.rescope(dst, around, set)
	} else {
		dst, err = r.copy(dst, around, set)
	}
	if err != nil {
		return dst[:before], err
	}
	return dst, nil
}

// check reports whether the attribute can be set.
func (a *AttrSet) check(others []AttrSet) error {
	switch {
	case a.Name.Space == NSXML && a.Name.Local == "lang":
	case a.Name.Space != "" || !validName(a.Name.Local) || a.Name.Local == "xmlns":
		return fmt.Errorf("stream: attribute %s cannot be set", quote.ASCII(a.Name.String(), 128))
	}
	for i := range others {
		if others[i].Name == a.Name {
			return fmt.Errorf("stream: attribute %s set twice", a.Name)
		}
	}
	return nil
}

// tag returns the qualified name of the attribute.
func (a *AttrSet) tag() string {
	if a.Name.Space != "" {
		return "xml:lang"
	}
	return a.Name.Local
}

// repeatedDecls is how many octets of namespace declarations rewriting may add
// to an element, besides its own length.
const repeatedDecls = 16 << 10

// errRepeats is returned for an element beyond that. Whoever makes one is after
// the memory of a router: a default namespace with a long name that stands on an
// element whose prefix has to go, and many elements in it.
var errRepeats = errors.New("stream: element with too many namespace declarations to repeat")

// rewriter is one call of AppendRewritten.
type rewriter struct {
	e             *Element
	from, content string
	stanza        bool // from is a content namespace, to be replaced by content
}

// copy rewrites the start tag and copies the rest: all that inherits a
// namespace inherits it from the start tag.
func (r *rewriter) copy(dst []byte, around string, set []AttrSet) ([]byte, error) {
	e := r.e
	dst = append(append(dst, '<'), e.name.Local...)
	space := r.from
	if r.stanza {
		space = r.content
	}
	if space != around {
		dst = appendDecl(dst, "", space)
	}
	dst, err := appendAttrs(dst, e.raw[:e.tagLen], set)
	if err != nil {
		return dst, err
	}
	if e.innerEnd == len(e.raw) { // an empty-element tag
		return append(dst, "/>"...), nil
	}
	dst = append(dst, '>')
	return append(dst, e.raw[e.tagLen:]...), nil
}

// appendAttrs appends the attributes of a start tag as they are, with the
// changes of set, and without a declaration of the default namespace.
func appendAttrs(dst, tag []byte, set []AttrSet) ([]byte, error) {
	for i := tagNameEnd(tag); ; {
		name, value, next := rawAttr(tag, i)
		if name == nil {
			break
		}
		i = next
		if string(name) != "xmlns" && !sets(set, name) {
			dst = append(append(append(append(dst, ' '), name...), '='), value...)
		}
	}
	var err error
	for i := range set {
		if a := &set[i]; !a.Remove {
			dst = append(append(append(dst, ' '), a.tag()...), '=', '\'')
			if dst, err = AppendEscapedAttr(dst, a.Value); err != nil {
				return dst, err
			}
			dst = append(dst, '\'')
		}
	}
	return dst, nil
}

// sets reports whether the attribute is one of those that are set or removed.
func sets(set []AttrSet, name []byte) bool {
	for i := range set {
		if set[i].tag() == string(name) {
			return true
		}
	}
	return false
}

// rescope rewrites all tags, so that each element has the namespace it is to
// have whatever the declarations around it were. Prefixes and their
// declarations are kept, except those for content namespaces that change.
func (r *rewriter) rescope(dst []byte, around string, set []AttrSet) ([]byte, error) {
	type level struct {
		tag     string
		def     string // default namespace around it, in the output
		content bool   // in the content namespace, like all its ancestors
	}
	c := cutters.Get().(*cutter)
	defer func() { c.unread(); cutters.Put(c) }()
	c.read(r.e, 0)
	var (
		t      = &c.t
		levels []level
		def    = around
		inside = r.stanza
		// Declarations that many elements shared may have to be repeated on
		// each of them. What that adds stays in proportion to what came in.
		added, most = 0, len(r.e.raw) + repeatedDecls
	)
	for {
		kind, err := t.next()
		if err == ErrNeedMore {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		switch kind {
		case Text:
			dst = append(dst, t.tok.Text...)
		case EndElement:
			l := levels[len(levels)-1]
			levels = levels[:len(levels)-1]
			def = l.def
			inside = r.stanza && (len(levels) == 0 || levels[len(levels)-1].content)
			dst = append(append(append(dst, "</"...), l.tag...), '>')
		case StartElement:
			l := level{def: def, content: inside && t.tok.Name.Space == r.from}
			space := t.tok.Name.Space
			if l.content {
				space = r.content
			}
			dst = append(dst, '<')
			if t.tok.Prefix == "" || l.content {
				l.tag = t.tok.Name.Local
				dst = append(dst, l.tag...)
			} else {
				l.tag = t.tok.Prefix + ":" + t.tok.Name.Local
				dst = append(dst, l.tag...)
				if t.declaresDefault() {
					space = t.def // not for itself, but for what is inside
				} else {
					space = def
				}
			}
			if space != def {
				before := len(dst)
				dst = appendDecl(dst, "", space)
				def = space
				if added += len(dst) - before; added > most {
					return dst, errRepeats
				}
			}
			tag := t.buf[t.start:t.pos]
			if len(levels) == 0 {
				dst = r.e.appendOuterPrefixes(dst)
				dst, err = appendAttrs(dst, tag, set)
			} else {
				dst, err = appendAttrs(dst, tag, nil)
			}
			if err != nil {
				return dst, err
			}
			dst = append(dst, '>')
			levels = append(levels, l)
			inside = l.content
		}
	}
}

// appendOuterPrefixes appends declarations of the prefixes that the element
// uses and that were declared around it.
func (e *Element) appendOuterPrefixes(dst []byte) []byte {
	if e.flags&itemOuterPrefix == 0 {
		return dst
	}
	c := cutters.Get().(*cutter)
	defer func() { c.unread(); cutters.Put(c) }()
	c.read(e, 0)
	used := make([]bool, len(e.scope))
	c.t.used = used
	for {
		if _, err := c.t.next(); err != nil {
			break
		}
	}
	for i, b := range e.scope {
		if used[i] {
			dst = appendDecl(dst, b.prefix, b.space)
		}
	}
	return dst
}

// appendDecl appends a namespace declaration. The namespace name was read from
// XML, or is checked by who calls.
func appendDecl(dst []byte, prefix, space string) []byte {
	dst = append(dst, " xmlns"...)
	if prefix != "" {
		dst = append(append(dst, ':'), prefix...)
	}
	dst = append(dst, "='"...)
	dst, _ = AppendEscapedAttr(dst, space)
	return append(dst, '\'')
}

// tagNameEnd returns the index after the name in a valid start tag.
func tagNameEnd(tag []byte) int {
	i := 1
	for class[tag[i]]&cSpace == 0 && tag[i] != '>' && tag[i] != '/' {
		i++
	}
	return i
}

// rawAttr returns the next attribute of a valid start tag from i on: its
// qualified name, its value with the quotation marks, and the index after it.
// The name is nil when there is none. The tag may stop after an attribute.
func rawAttr(tag []byte, i int) (name, value []byte, next int) {
	skip := func() {
		for i < len(tag) && class[tag[i]]&cSpace != 0 {
			i++
		}
	}
	skip()
	if i == len(tag) || tag[i] == '>' || tag[i] == '/' {
		return nil, nil, i
	}
	from := i
	for class[tag[i]]&cSpace == 0 && tag[i] != '=' {
		i++
	}
	name = tag[from:i]
	skip()
	i++ // '='
	skip()
	from = i
	i += 2 + bytes.IndexByte(tag[i+1:], tag[i])
	return name, tag[from:i], i
}
