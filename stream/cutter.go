package stream

import (
	"math"
	"slices"
)

// cutter cuts complete elements out of a document: those one level below the
// document element, or the document element itself (see Tokenizer.level). It
// reads every token, so that all rules are enforced, but decodes only the
// attributes of the elements that it cuts.
type cutter struct {
	t      Tokenizer
	el     Element
	values []byte // decoded attribute values of el
	open   bool   // inside an element, whose start tag was read
	coded  bool   // some attribute of el needs decoding
}

// cut returns the next complete element, or the kind of a token that is not
// part of one: text between elements, the XML declaration, the tags of the
// document element. The element is valid until the next call.
func (c *cutter) cut() (*Element, Kind, error) {
	t := &c.t
	for {
		if !c.open {
			t.outer, t.flags = len(t.bindings), 0
		}
		kind, err := t.next()
		switch {
		case err != nil:
			return nil, 0, err
		case !c.open:
			if kind != StartElement || len(t.frames) != t.level+1 {
				return nil, kind, nil
			}
			c.begin()
		case kind == EndElement && len(t.frames) == t.level:
			return c.finish(), 0, nil
		}
	}
}

// begin notes what has to be kept of a start tag: later tokens overwrite it.
func (c *cutter) begin() {
	t, e := &c.t, &c.el
	e.name, e.prefix = t.tok.Name, t.tok.Prefix
	e.attrs, t.attrs = t.attrs, e.attrs[:0]
	e.tagLen = t.pos - t.start
	e.ownDefault, e.ownPrefix = false, false
	for i := range t.decls {
		if t.decls[i].prefix == "" {
			e.ownDefault = true
		} else {
			e.ownPrefix = true
		}
	}
	c.open, c.coded = true, t.tag.coded
	t.tag.coded = false
	t.hold, t.held = true, e.attrs
}

// finish completes the element.
func (c *cutter) finish() *Element {
	t, e := &c.t, &c.el
	e.raw = t.buf[t.start:t.pos]
	e.innerEnd = len(e.raw)
	if e.tagLen < len(e.raw) {
		e.innerEnd--
		for e.raw[e.innerEnd] != '<' {
			e.innerEnd--
		}
	}
	if c.coded {
		c.values = decodeValues(c.values[:0], e.attrs)
	}
	e.scope = t.bindings[:t.outer]
	e.flags = t.flags
	c.open, t.hold, t.held = false, false, nil
	return e
}

// restart makes the cutter begin a new document with the input that is not
// read yet.
func (c *cutter) restart(lim Limits, level int) {
	c.t.reset(lim, level)
	c.t.held = nil
	c.open = false
}

// unlimited are the limits for input that was checked before.
var unlimited = Limits{
	ElementBytes: math.MaxInt / 4,
	Depth:        math.MaxInt / 4,
	Attributes:   math.MaxInt / 4,
	Namespaces:   math.MaxInt / 4,
	Elements:     math.MaxInt / 4,
}

// read makes the cutter read the bytes of e, which is not changed. The cutter
// must be released with unread before e becomes invalid.
func (c *cutter) read(e *Element, level int) {
	t := &c.t
	t.buf, t.pos = e.raw, 0
	c.restart(unlimited, level)
	t.bindings = append(t.bindings, e.scope...)
	t.def = defaultSpace(t.bindings)
	t.outer = len(t.bindings)
}

// readInside is read for the contents of e alone: its start tag is not read
// again unless it declares what the element itself does not tell.
func (c *cutter) readInside(e *Element) {
	c.read(e, 1)
	t := &c.t
	name, _ := t.find(e.raw, 1)
	if name == nil || e.ownPrefix || e.ownDefault && e.prefix != "" {
		return
	}
	t.frames = append(t.frames, frame{name, e.name.Space, len(t.bindings)})
	if e.ownDefault {
		t.bindings = append(t.bindings, binding{space: e.name.Space})
		t.def = e.name.Space
	}
	t.state, t.pos, t.start = docContent, e.tagLen, e.tagLen
}

// unread ends what read or readInside began.
func (c *cutter) unread() {
	t := &c.t
	t.buf, t.pos, t.start, t.item = nil, 0, 0, 0
	t.used, t.latest = nil, nil
	clear(t.bindings)
	c.el = Element{attrs: c.el.attrs[:0]}
	c.trim()
}

// What is kept for reuse at most, in bytes and in items.
const (
	keptScratch = 16 << 10
	keptItems   = 16
)

// trim forgets what memory refers to and gives back what is unusually large,
// between elements.
func (c *cutter) trim() {
	t := &c.t
	t.tok = Token{}
	t.attrs, c.el.attrs = trimAttrs(t.attrs), trimAttrs(c.el.attrs)
	if cap(t.decls) > keptItems {
		t.decls = nil
	}
	clear(t.decls[:cap(t.decls)])
	if cap(t.frames) > 2*keptItems {
		t.frames = slices.Clone(t.frames)
	}
	if cap(t.scratch) > keptScratch {
		t.scratch = nil
	}
	if cap(c.values) > keptScratch {
		c.values = nil
	}
	if len(t.seen) > keptItems {
		t.seen = nil
	}
	clear(t.seen)
}

func trimAttrs(attrs []Attr) []Attr {
	if cap(attrs) > keptItems {
		return nil
	}
	clear(attrs[:cap(attrs)])
	return attrs[:0]
}
