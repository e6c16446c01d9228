package stream

import "sync"

// itemKind says what a scanner has found.
type itemKind uint8

const (
	itemNone itemKind = iota
	// itemHeader is the start tag of a stream (RFC 6120 §4.2).
	itemHeader
	// itemElement is a first-level element.
	itemElement
	// itemEnd is the closing tag of the stream (§4.4).
	itemEnd
	// itemSpace is white space between first-level elements (§4.6.1, §11.7).
	// How often it is reported depends on how it arrives.
	itemSpace
)

// errNeedMore says that the input does not hold a whole item yet.
var errNeedMore = ErrNeedMore

// scanner cuts a stream into items. It allocates nothing per item in the
// steady state and holds no buffer while it has nothing to keep in it.
type scanner struct {
	c      cutter
	lim    Limits // for the next item
	framed bool
	box    *scratch // what the scanner has from the pool, while it reads
}

// init makes s read the beginning of a stream. Limits are those of
// withDefaults. In a framed stream (RFC 7395 §3.3) every first-level element
// is a document of its own and there is neither a header nor an end.
func (s *scanner) init(lim Limits, framed bool) {
	s.framed = framed
	s.lim = lim
	s.c.t.buf, s.c.t.pos = s.c.t.buf[:0], 0
	s.restart()
}

// level is the depth of first-level elements.
func (s *scanner) level() int {
	if s.framed {
		return 0
	}
	return 1
}

// setLimits changes the limits from the next item on.
func (s *scanner) setLimits(lim Limits) { s.lim = lim }

// restart begins a new document: namespaces, depth and the rest are forgotten
// and an XML declaration may come (RFC 6120 §4.3.3, §11.5). Bytes that were not
// read are kept, except for white space: that was sent between elements of the
// old stream (§4.6.1), and before the declaration of a new one it would not be
// well-formed. Whoever must not accept any bytes checks buffered before.
func (s *scanner) restart() {
	for t := &s.c.t; t.pos < len(t.buf) && class[t.buf[t.pos]]&cSpace != 0; {
		t.pos++
	}
	s.c.restart(s.lim, s.level())
}

// defaultNS returns the default namespace in force where first-level elements
// stand.
func (s *scanner) defaultNS() string { return defaultSpace(s.scope()) }

// scope returns the namespace declarations of the stream header. They are
// replaced by the next one.
func (s *scanner) scope() []binding {
	if s.c.open {
		return s.c.t.bindings[:s.c.t.outer]
	}
	return s.c.t.bindings
}

// buffered returns how many bytes were received and are not part of an item
// that was returned.
func (s *scanner) buffered() int { return len(s.c.t.buf) - s.c.t.start }

// pending reports whether part of an item was read.
func (s *scanner) pending() bool {
	return s.buffered() > 0 || s.framed && s.c.t.state == docProlog
}

// next returns the next item, or errNeedMore. For itemHeader the element has
// name, prefix and attributes of the stream tag and nothing else is in it. It
// is valid until the next call of next or space. Other errors are *Error and
// stay.
func (s *scanner) next() (itemKind, *Element, error) {
	t := &s.c.t
	for {
		if !s.c.open && t.err == nil {
			if kind, err := s.between(); kind != itemNone || err != nil {
				return kind, nil, err
			}
		}
		el, kind, err := s.c.cut()
		if err != nil {
			return itemNone, nil, err
		}
		if kind == StartElement {
			el = s.header()
		}
		t.start = t.pos // the bytes are the caller's until space is called
		switch {
		case kind == StartElement:
			return itemHeader, el, nil
		case kind == EndElement:
			return itemEnd, nil, nil
		case el != nil:
			return itemElement, el, nil
		}
		// The XML declaration is not worth an item.
	}
}

// header makes an element of the start tag of the stream.
func (s *scanner) header() *Element {
	t, e := &s.c.t, &s.c.el
	e.name, e.prefix = t.tok.Name, t.tok.Prefix
	e.attrs, t.attrs = t.attrs, e.attrs[:0]
	if t.tag.coded {
		s.c.values = decodeValues(s.c.values[:0], e.attrs)
		t.tag.coded = false
	}
	e.raw = t.buf[t.start:t.pos]
	e.tagLen, e.innerEnd = len(e.raw), len(e.raw)
	e.scope, e.flags, e.ownDefault, e.ownPrefix = nil, 0, false, false
	return e
}

// between deals with what may stand between first-level elements: white space
// and nothing else (RFC 6120 §11.7). It returns itemNone without an error when
// the tokenizer is to go on.
func (s *scanner) between() (itemKind, error) {
	t := &s.c.t
	if t.tag.step != tagNone || t.inEnd || t.popEmpty {
		return itemNone, nil // in the middle of a tag
	}
	if t.state == docEnd {
		if !s.framed {
			// RFC 6120 §4.4: after its closing tag the peer sends nothing; what
			// comes all the same is not looked at, and not kept.
			t.pos = len(t.buf)
			t.start, t.item = t.pos, t.pos
			return itemNone, errNeedMore
		}
		s.restart()
	}
	i := t.pos
	if t.state == docStart && s.framed || t.state == docContent {
		for i < len(t.buf) && class[t.buf[i]]&cSpace != 0 {
			i++
		}
		if i > t.pos {
			t.pos, t.start, t.item = i, i, i
			return itemSpace, nil
		}
	}
	if t.state != docContent {
		t.lim = s.lim
		return itemNone, nil
	}
	t.start, t.item = i, i
	t.lim = s.lim
	if i == len(t.buf) {
		return itemNone, errNeedMore
	}
	b := t.window(t.buf)[i:]
	if b[0] == '<' {
		n := min(len(b), len(cdataOpen))
		if n < 2 || string(b[:n]) != cdataOpen[:n] {
			return itemNone, nil
		}
		if n < len(cdataOpen) {
			_, err := t.more()
			return itemNone, err
		}
	} else if b[0] >= 0x80 {
		switch n := sequence(b); {
		case n < 0:
			_, err := t.failSequence(n)
			return itemNone, err
		case n == seqShort:
			_, err := t.more()
			return itemNone, err
		}
	} else if class[b[0]]&cText == 0 && b[0] < 0x20 {
		_, err := t.failSequence(seqBadChar)
		return itemNone, err
	}
	// RFC 6120 §4.9.3.1: well-formed, and of no use in a stream. This includes
	// white space in a CDATA section or as a character reference.
	_, err := t.fail(BadFormat, "text between first-level elements")
	return itemNone, err
}

// pooledBuffer is the size of buffers in the pool; those that have grown
// beyond maxPooledBuffer are left to the garbage collector.
const (
	pooledBuffer    = 8 << 10
	maxPooledBuffer = 32 << 10
)

// scratch is the memory for reading: a stream that is silent has none.
type scratch struct {
	buf            []byte
	attrs, elAttrs []Attr
	decls          []declaration
	text, values   []byte
	names          *internCache // of whoever had it before: names mean the same to all
}

var scratchPool = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, pooledBuffer)} }}

// take gets memory from the pool.
func (s *scanner) take() {
	m := scratchPool.Get().(*scratch)
	t := &s.c.t
	t.buf, t.pos, t.start, t.item = m.buf[:0], 0, 0, 0
	if t.attrs == nil {
		t.attrs = m.attrs
	}
	if s.c.el.attrs == nil {
		s.c.el.attrs = m.elAttrs
	}
	t.decls, t.scratch, s.c.values = m.decls, m.text, m.values
	if t.cache == nil {
		t.cache = m.names
	}
	*m = scratch{}
	s.box = m
}

// give puts it back, without what was in it: there may have been a password.
func (s *scanner) give() {
	t := &s.c.t
	if m := s.box; m != nil && cap(t.buf) <= maxPooledBuffer {
		clear(t.buf[:cap(t.buf)])
		clear(t.scratch[:cap(t.scratch)])
		clear(s.c.values[:cap(s.c.values)])
		*m = scratch{t.buf[:0], t.attrs, s.c.el.attrs, t.decls[:0], t.scratch[:0], s.c.values[:0], t.cache}
		scratchPool.Put(m)
	}
	s.box = nil
	t.buf, t.pos, t.start, t.item = nil, 0, 0, 0
	t.attrs, s.c.el.attrs, t.decls, t.scratch, s.c.values, t.cache = nil, nil, nil, nil, nil, nil
}

// space returns room for at least least bytes. The element returned last
// becomes invalid.
func (s *scanner) space(least int) []byte {
	t := &s.c.t
	if cap(t.buf) == 0 {
		s.take()
	}
	return t.Space(least)
}

// filled says that n bytes were read into the slice that space returned.
func (s *scanner) filled(n int) { s.c.t.Filled(n) }

// release gives the buffer back if nothing is in it. The element returned last
// becomes invalid.
func (s *scanner) release() {
	t := &s.c.t
	if s.buffered() > 0 || cap(t.buf) == 0 {
		return
	}
	s.c.el = Element{attrs: s.c.el.attrs[:0]}
	s.c.trim()
	s.give()
}
