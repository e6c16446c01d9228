package stream

import (
	"bytes"
	"io"
)

// Tokenizer reads the XML of RFC 6120 §11: XML 1.0 with namespaces, in UTF-8,
// without comments, processing instructions, document type declarations and
// entities beyond the five predefined ones. It does no I/O: input is fed in
// slices of any size with [Tokenizer.Feed], or with [Tokenizer.Space] and
// [Tokenizer.Filled], and the tokens and errors are the same for every way of
// slicing it.
//
// Everything is checked, always: UTF-8, XML characters, names, references,
// attributes that occur twice, namespace prefixes. Limits are enforced on the
// bytes of one child of the document element (and on the tag of the document
// element itself) before memory is taken for them. All errors are [*Error]
// values whose condition is the one to close a stream with, and the first one
// stays. Character data directly inside the document element counts as a child
// of its own; U+FEFF is a character like others, never a byte order mark (RFC
// 6120 §11.6); a standalone declaration is ignored (§11.5).
//
// The zero value is ready and has the default [Limits]. A Tokenizer does not
// allocate in the steady state. It must not be used by two goroutines at once.
type Tokenizer struct {
	buf []byte // input that is still needed, from the first byte of the unfinished token on
	pos int    // next byte of buf to look at

	// start is the first byte of buf that has to be kept: the unfinished token,
	// or the item that a cutter reads.
	start int
	// item is where the first-level element that is being read began, relative
	// to buf; negative when its beginning has been dropped already.
	item int
	// hold keeps everything from start on while a cutter reads an element; held
	// are the raw attributes of that element.
	hold bool
	held []Attr
	// level is the depth at which first-level elements stand: 1 inside a
	// stream, 0 when the document element is the first-level element.
	level int

	state    docState
	inText   bool // the unfinished token is text
	inCDATA  bool // … and pos is inside a CDATA section
	textRefs bool // … which has something to decode
	inEnd    bool // the unfinished token is an end tag, pos is after its name
	popEmpty bool // the EndElement of an empty-element tag is due
	ready    bool // limits are set

	tag   tagState
	attrs []Attr // attributes of the start tag; Space holds the prefix until resolved
	seen  map[Name]struct{}

	frames   []frame
	bindings []binding
	latest   map[string][]int // see fewBindings
	searches int              // with many bindings and without latest
	decls    []declaration
	def      string // default namespace in force
	elements int    // elements in the first-level element so far

	// outer is the number of bindings made outside the element that a cutter
	// reads; flags collects what the element does with them, and used, if not
	// nil, which of them it uses.
	outer int
	flags itemFlags
	used  []bool

	lim     Limits
	err     error
	tok     Token
	scratch []byte // decoded text and values of the current token
	cache   *internCache
}

// docState is how far the document has got.
type docState uint8

const (
	docStart   docState = iota // nothing read yet: an XML declaration may come
	docProlog                  // before the document element
	docContent                 // inside it
	docEnd                     // after it
)

// frame is an open element.
type frame struct {
	name     *qname
	space    string
	bindings int // how many bindings were in force outside
}

// NewTokenizer returns a tokenizer with the limits lim; nil means the
// defaults. An error wraps [ErrLimits].
func NewTokenizer(lim *Limits) (*Tokenizer, error) {
	t := new(Tokenizer)
	return t, t.Reset(lim)
}

// Reset makes t ready for a new document, keeping its memory. Input that was
// not read is dropped. An error wraps [ErrLimits] and leaves t as it was.
func (t *Tokenizer) Reset(lim *Limits) error {
	l, err := lim.withDefaults()
	if err != nil {
		return err
	}
	t.buf, t.pos = t.buf[:0], 0
	t.reset(l, 1)
	return nil
}

// reset forgets the document but keeps unread input.
func (t *Tokenizer) reset(lim Limits, level int) {
	t.lim, t.level, t.ready = lim, level, true
	t.start, t.item, t.hold = t.pos, t.pos, false
	t.state, t.err = docStart, nil
	t.inText, t.inCDATA, t.inEnd, t.popEmpty = false, false, false, false
	t.tag.step = tagNone
	t.frames, t.bindings, t.def = t.frames[:0], t.bindings[:0], ""
	clear(t.latest)
	t.searches, t.elements, t.outer, t.flags = 0, 0, 0, 0
}

// Feed appends input; the bytes are copied. Tokens returned before become
// invalid. Feed what one read yields and call [Tokenizer.Next] until it returns
// [ErrNeedMore]: limits can only be enforced on what was looked at.
func (t *Tokenizer) Feed(p []byte) {
	copy(t.Space(len(p)), p)
	t.Filled(len(p))
}

// Space returns room for at least n bytes of input, to be read into directly
// and reported with [Tokenizer.Filled]. Tokens returned before become invalid.
func (t *Tokenizer) Space(n int) []byte {
	if !t.ready {
		lim, _ := (*Limits)(nil).withDefaults()
		t.reset(lim, 1)
	}
	// What is not needed any more goes when that costs nothing, or to make room.
	if t.start > 0 && (t.start == len(t.buf) || cap(t.buf)-len(t.buf) < n) {
		t.rebase(t.buf[:copy(t.buf, t.buf[t.start:])], t.start)
	}
	if cap(t.buf)-len(t.buf) < n {
		to := make([]byte, 0, max(len(t.buf)+n, 2*cap(t.buf)))
		t.rebase(append(to, t.buf...), 0)
	}
	return t.buf[len(t.buf):cap(t.buf)]
}

// Filled says that the first n bytes of the slice that [Tokenizer.Space]
// returned last hold input now.
func (t *Tokenizer) Filled(n int) { t.buf = t.buf[:len(t.buf)+n] }

// rebase makes to the buffer, which holds the input without its first shift
// bytes, and corrects all positions.
func (t *Tokenizer) rebase(to []byte, shift int) {
	if t.tag.step != tagNone { // else the values are of a token that is gone
		moveAttrs(t.attrs, t.buf, to, shift)
		for i := range t.decls {
			t.decls[i].value = moveView(t.decls[i].value, t.buf, to, shift)
		}
	}
	if t.hold {
		moveAttrs(t.held, t.buf, to, shift)
	}
	t.buf = to
	t.pos -= shift
	t.start -= shift
	t.item -= shift
	t.tag.nameStart -= shift
	t.tag.valueStart -= shift
}

// moveAttrs corrects raw values of attributes, which are views of the buffer
// from, when its content moves to another place.
func moveAttrs(attrs []Attr, from, to []byte, shift int) {
	for i := range attrs {
		attrs[i].Value = moveView(attrs[i].Value, from, to, shift)
	}
}

// moveView returns the bytes of v, a view of from that reaches to its
// capacity, as a view of to.
func moveView(v, from, to []byte, shift int) []byte {
	at := cap(from) - cap(v) - shift
	return to[at : at+len(v)]
}

// Finish says that the input has ended. It returns nil if the document is
// complete, else a not-well-formed [*Error] with the cause
// [io.ErrUnexpectedEOF]. Call it after [Tokenizer.Next] returned
// [ErrNeedMore].
func (t *Tokenizer) Finish() error {
	if t.err == nil && (t.state != docEnd || t.pos < len(t.buf)) {
		e := newError(NotWellFormed, "the input ended inside the document")
		e.Cause = io.ErrUnexpectedEOF
		t.err = e
	}
	return t.err
}

// Next returns the next token, [ErrNeedMore] when the input so far does not
// hold all of it, or an [*Error]. The token is valid until the next call of
// any method of t.
func (t *Tokenizer) Next() (*Token, error) {
	kind, err := t.next()
	for err == nil && kind == Text && t.textRefs && emptyCDATA(t.tok.Text) {
		kind, err = t.next()
	}
	if err != nil {
		return nil, err
	}
	tok := &t.tok
	tok.Kind = kind
	switch kind {
	case StartElement:
		if t.tag.coded {
			t.scratch = decodeValues(t.scratch[:0], t.attrs)
			t.tag.coded = false
		}
		tok.Attrs, tok.Text = t.attrs, nil
		return tok, nil
	case EndElement:
		tok.Text = nil
	case Text:
		tok.Name, tok.Prefix = Name{}, ""
		if t.textRefs {
			t.scratch = appendText(t.scratch[:0], tok.Text)
			tok.Text = t.scratch
		}
	case Declaration:
		tok.Name, tok.Prefix, tok.Text = Name{}, "", nil
	}
	tok.Attrs, tok.SelfClosing = nil, false
	return tok, nil
}

// emptyCDATA reports whether text is made of empty CDATA sections, so that there
// is no text at all.
func emptyCDATA(text []byte) bool {
	const empty = cdataOpen + "]]>"
	for bytes.HasPrefix(text, []byte(empty)) {
		text = text[len(empty):]
	}
	return len(text) == 0
}

// next finds the next token without decoding it. For a tag, Name and Prefix of
// t.tok are set, for a start tag also t.attrs; for text the raw bytes are in
// t.tok.Text.
func (t *Tokenizer) next() (Kind, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.popEmpty {
		t.popEmpty = false
		t.popFrame()
		return EndElement, nil
	}
	// Never look beyond the limit: what a byte there would lead to does then
	// not depend on how the input was sliced.
	b := t.buf
	if t.tag.step != tagNone {
		return t.startTag(t.window(b))
	}
	if t.inEnd {
		return t.endTag(t.window(b))
	}
	if !t.inText {
		if !t.hold {
			t.start = t.pos
		}
		if t.state != docContent {
			return t.misc()
		}
		if len(t.frames) <= t.level {
			t.item, t.elements = t.pos, 0
		}
		b = t.window(b)
		p := t.pos
		if p+1 < len(b) && b[p] == '<' {
			switch c := b[p+1]; {
			case class[c]&cNameStart != 0:
				return t.startTag(b)
			case c == '/':
				return t.endTag(b)
			}
		}
	} else {
		b = t.window(b)
	}
	return t.content(b)
}

// window returns the part of b that may be looked at: not beyond the limit of
// the first-level element.
func (t *Tokenizer) window(b []byte) []byte {
	if end := t.item + t.lim.ElementBytes; end < len(b) {
		return b[:end]
	}
	return b
}

// more is the result when the input ends, or the limit is reached, before the
// token does.
func (t *Tokenizer) more() (Kind, error) {
	if t.ready && len(t.buf)-t.item >= t.lim.ElementBytes {
		// RFC 6120 §4.9.3.14
		return t.fail(PolicyViolation, "element larger than %d octets", t.lim.ElementBytes)
	}
	return 0, ErrNeedMore
}

// fail records the error that ends the document.
func (t *Tokenizer) fail(c Condition, format string, args ...any) (Kind, error) {
	t.err = newError(c, format, args...)
	return 0, t.err
}

// failSequence reports a sequence that is not UTF-8 or not a character.
func (t *Tokenizer) failSequence(status int) (Kind, error) {
	if status == seqBadUTF8 {
		// RFC 6120 §4.9.3.22: also for violating the rules of UTF-8.
		return t.fail(UnsupportedEncoding, "invalid UTF-8")
	}
	return t.fail(NotWellFormed, "a character that XML does not allow")
}
