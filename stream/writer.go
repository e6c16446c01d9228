package stream

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"stanzakit.dev/xmpp/internal/quote"
)

// Writer builds XML by appending to a slice. Names are checked and text is
// escaped, so that what comes out is well-formed and means what was asked for.
// The first mistake is kept and reported by [Writer.Bytes]; calls after it do
// nothing.
//
//	w := stream.NewWriter(nil)
//	w.Start(stream.Name{Space: "urn:xmpp:ping", Local: "ping"})
//	w.End()
//	b, err := w.Bytes() // <ping xmlns='urn:xmpp:ping'/>
//
// The zero value is ready. A Writer is used by one goroutine at a time.
type Writer struct {
	buf  []byte
	from int // where the output begins
	err  error

	depth int
	few   [8]openTag // the outermost open elements
	more  []openTag  // the others

	def     string // default namespace in force
	defined bool   // def is known
	outer   string // default namespace around the output
	within  bool   // outer is known, and stream is declared
	inTag   bool   // the start tag is not closed yet
	attrs   int    // where its attributes begin
	seen    uint64 // which hashes of attribute names occurred
	foreign int    // prefixes made up for attributes so far
}

// openTag is an element that was started and not ended. The name is in the
// output, where the element begins.
type openTag struct {
	at, end int    // the qualified name
	def     string // default namespace around it
	defined bool
	streams bool // in the stream namespace
}

// Errors of a Writer, besides [ErrCharacter].
var (
	// ErrName is wrapped by errors about a name that XML does not allow.
	ErrName = errors.New("stream: not an XML name")
	// ErrUnbalanced is wrapped by errors about calls that do not go together,
	// such as an End without a Start.
	ErrUnbalanced = errors.New("stream: unbalanced XML")
)

// NewWriter returns a writer that appends to dst.
func NewWriter(dst []byte) Writer { return Writer{buf: dst, from: len(dst)} }

// Within says that the output goes directly into a stream whose content
// namespace is content: it is the default namespace, and the prefix stream is
// declared. Without it the writer takes nothing for declared and repeats what
// may be so already, which is correct everywhere. Call it first.
func (w *Writer) Within(content string) {
	if len(w.buf) > w.from {
		w.fail(fmt.Errorf("%w: Within after output", ErrUnbalanced))
		return
	}
	w.outer, w.within = content, true
	w.def, w.defined = content, true
}

// fail keeps the first error.
func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// top returns the innermost open element.
func (w *Writer) top() *openTag {
	if w.depth <= len(w.few) {
		return &w.few[w.depth-1]
	}
	return &w.more[w.depth-1-len(w.few)]
}

// push makes room for one more open element.
func (w *Writer) push() *openTag {
	w.depth++
	if w.depth > len(w.few) {
		w.more = append(w.more[:w.depth-1-len(w.few)], openTag{})
	}
	return w.top()
}

// Start begins an element. Its namespace is declared as the default one where
// that changes; an empty Space means that of the element around it, or at the
// outermost level whatever is in force there. Elements in the stream namespace
// get the prefix stream, as is the custom (RFC 6120 §4.8.5).
func (w *Writer) Start(name Name) {
	if w.err != nil {
		return
	}
	if !validName(name.Local) {
		w.fail(fmt.Errorf("%w: element %s", ErrName, quote.ASCII(name.Local, 64)))
		return
	}
	w.closeTag()
	streams := name.Space == NSStream
	// The stream namespace is not the default one: who takes it from around
	// needs the prefix too.
	inherits := name.Space == "" && w.depth > 0 && w.top().streams
	tag := w.push()
	*tag = openTag{at: len(w.buf) + 1, def: w.def, defined: w.defined, streams: streams || inherits}
	w.buf = append(w.buf, '<')
	if tag.streams {
		w.buf = append(w.buf, "stream:"...)
	}
	w.buf = append(w.buf, name.Local...)
	tag.end = len(w.buf)
	w.inTag = true
	switch {
	case streams:
		if !w.within {
			w.declare("stream", NSStream)
		}
	case name.Space != "" && (!w.defined || w.def != name.Space):
		w.declare("", name.Space)
		w.def, w.defined = name.Space, true
	}
	w.attrs, w.seen = len(w.buf), 0
}

// declare writes a namespace declaration.
func (w *Writer) declare(prefix, space string) {
	if space == NSXML || space == nsXMLNS {
		w.fail(fmt.Errorf("%w: namespace %s is reserved", ErrName, space))
		return
	}
	if prefix == "" {
		w.buf = append(w.buf, " xmlns='"...)
	} else {
		w.buf = append(append(append(w.buf, " xmlns:"...), prefix...), "='"...)
	}
	w.escaped(space)
	w.buf = append(w.buf, '\'')
}

// escaped writes part of an attribute value.
func (w *Writer) escaped(value string) {
	b, err := AppendEscapedAttr(w.buf, value)
	w.buf = b
	if err != nil {
		w.fail(err)
	}
}

// Attr writes an attribute in no namespace. It belongs to the element started
// last and comes before anything inside it. An empty value is written.
func (w *Writer) Attr(local, value string) {
	if !validName(local) || local == "xmlns" {
		w.fail(fmt.Errorf("%w: attribute %s", ErrName, quote.ASCII(local, 64)))
	}
	w.attr("", local, value)
}

// Lang writes the attribute xml:lang, unless lang is empty.
func (w *Writer) Lang(lang string) {
	if lang != "" {
		w.attr("xml", "lang", lang)
	}
}

// AttrNS writes an attribute in a namespace, under a prefix of the writer's
// choice. For an empty Space it is [Writer.Attr].
func (w *Writer) AttrNS(name Name, text string) {
	if name.Space == "" {
		w.Attr(name.Local, text)
		return
	}
	if !validName(name.Local) {
		w.fail(fmt.Errorf("%w: attribute %s", ErrName, quote.ASCII(name.Local, 64)))
	}
	if name.Space == NSXML {
		w.attr("xml", name.Local, text)
		return
	}
	if w.err != nil {
		return
	}
	if !w.tagOpen() {
		return
	}
	// A namespace has one prefix in a tag, so that an attribute written twice
	// is found like any other.
	quoted, err := AppendEscapedAttr([]byte{'\''}, name.Space)
	if err != nil {
		w.fail(err)
		return
	}
	quoted = append(quoted, '\'')
	for i := w.attrs; ; {
		decl, value, next := rawAttr(w.buf, i)
		if decl == nil {
			break
		}
		if p, ok := bytes.CutPrefix(decl, []byte("xmlns:")); ok && bytes.Equal(value, quoted) {
			w.attr(string(p), name.Local, text)
			return
		}
		i = next
	}
	w.foreign++
	prefix := "a" + strconv.Itoa(w.foreign)
	w.declare(prefix, name.Space)
	w.attr(prefix, name.Local, text)
}

// tagOpen reports whether an attribute can be written.
func (w *Writer) tagOpen() bool {
	if w.err == nil && !w.inTag {
		w.fail(fmt.Errorf("%w: attribute outside a start tag", ErrUnbalanced))
	}
	return w.err == nil
}

func (w *Writer) attr(prefix, local, value string) {
	if !w.tagOpen() {
		return
	}
	at := len(w.buf)
	w.buf = append(w.buf, ' ')
	if prefix != "" {
		w.buf = append(append(w.buf, prefix...), ':')
	}
	w.buf = append(append(w.buf, local...), "='"...)
	// A name can have been written before only if its hash was, and if it is
	// found with the space and the quotation mark around it. A value that ends
	// like that, as in a=' id=', is told apart by reading the attributes.
	hash := uint64(1) << ((uint(local[0]) + uint(local[len(local)-1])*7 + uint(len(local))) % 64)
	if w.seen&hash != 0 && bytes.Contains(w.buf[w.attrs:at], w.buf[at:]) && hasAttr(w.buf[w.attrs:at], w.buf[at+1:len(w.buf)-2]) {
		w.fail(fmt.Errorf("%w: attribute %s written twice", ErrUnbalanced, quote.ASCII(local, 64)))
		return
	}
	w.seen |= hash
	w.escaped(value)
	w.buf = append(w.buf, '\'')
}

// hasAttr reports whether there is an attribute with the given qualified name
// among those of an unfinished start tag.
func hasAttr(attrs, name []byte) bool {
	for i := 0; ; {
		have, _, next := rawAttr(attrs, i)
		if have == nil || bytes.Equal(have, name) {
			return have != nil
		}
		i = next
	}
}

// closeTag ends the start tag before something inside the element.
func (w *Writer) closeTag() {
	if w.inTag {
		w.buf = append(w.buf, '>')
		w.inTag = false
	}
}

// Text writes character data, escaped. It stands inside an element.
//
//go:noinline
func (w *Writer) Text(s string) { text(w, s) }

// TextBytes is [Writer.Text] for a slice, which is copied.
//
//go:noinline
func (w *Writer) TextBytes(b []byte) { text(w, b) }

func text[T string | []byte](w *Writer, s T) {
	if w.err != nil || len(s) == 0 {
		return
	}
	if w.depth == 0 {
		w.fail(fmt.Errorf("%w: text outside an element", ErrUnbalanced))
		return
	}
	w.closeTag()
	b, err := appendEscaped(w.buf, s, false)
	w.buf = b
	if err != nil {
		w.fail(err)
	}
}

// End ends the element started last. It becomes an empty-element tag if nothing
// was written inside.
func (w *Writer) End() {
	if w.err != nil {
		return
	}
	if w.depth == 0 {
		w.fail(fmt.Errorf("%w: End without Start", ErrUnbalanced))
		return
	}
	tag := w.top()
	if w.inTag {
		w.buf = append(w.buf, "/>"...)
		w.inTag = false
	} else {
		w.buf = append(w.buf, "</"...)
		w.buf = append(append(w.buf, w.buf[tag.at:tag.end]...), '>')
	}
	w.def, w.defined = tag.def, tag.defined
	w.depth--
}

// Element writes a complete element as it is, with what it takes from the
// place it was in declared where this place differs.
func (w *Writer) Element(e *Element) {
	if w.err != nil {
		return
	}
	w.closeTag()
	b, err := e.appendIn(w.buf, w.def, w.defined)
	w.buf = b
	if err != nil {
		w.fail(err)
	}
}

// Append writes what p appends: one or more complete elements that declare
// their namespaces. The default namespace is declared around them only if
// they say so; p is trusted to append well-formed XML.
func (w *Writer) Append(p interface {
	AppendXML(dst []byte) ([]byte, error)
}) {
	if w.err != nil {
		return
	}
	w.closeTag()
	before := len(w.buf)
	b, err := p.AppendXML(w.buf)
	if err == nil && len(b) < before {
		err = fmt.Errorf("%w: AppendXML returned less than it was given", ErrUnbalanced)
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.buf = b
}

// Len returns the length of what was written, that of the slice given to
// [NewWriter] included.
func (w *Writer) Len() int { return len(w.buf) }

// Err returns the first error so far, without ending anything.
func (w *Writer) Err() error { return w.err }

// Bytes returns the slice with everything appended. The error is the first
// mistake, or wraps [ErrUnbalanced] when an element is still open; the bytes
// are of no use then, and the slice given to [NewWriter] is returned.
func (w *Writer) Bytes() ([]byte, error) {
	if w.err == nil && w.depth > 0 {
		w.fail(fmt.Errorf("%w: %d elements not ended", ErrUnbalanced, w.depth))
	}
	if w.err != nil {
		return w.buf[:min(w.from, len(w.buf))], w.err
	}
	return w.buf, nil
}
