package stream

// tagStep says where in a start tag the input ended.
type tagStep uint8

const (
	tagNone      tagStep = iota
	tagName              // in the name, from nameStart
	tagSpace             // between attributes
	tagAttr              // in the name of an attribute, from nameStart
	tagEq                // after the name of an attribute
	tagQuote             // after '='
	tagValue             // in a value
	tagEmptyMark         // after '/'
)

// tagState is an unfinished start tag. The attributes read so far are in
// Tokenizer.attrs and .decls.
type tagState struct {
	step      tagStep
	quote     byte
	spaced    bool // white space was seen since the name or the last value
	coded     bool // some value has references or white space to normalise
	prefixed  bool // some attribute has a prefix
	twice     bool // two attributes may have the same name
	valCoded  bool // the value being read has references or …
	name      *qname
	seen      uint64 // the bits of the attributes
	nameStart int    // of the name being read
	// valueStart is where the value begins; for text, where the text begins.
	valueStart int
}

// startTag reads a start tag or goes on reading it (XML 1.0 §3.1). It can stop
// after any byte: what was read is not read again, except a name.
func (t *Tokenizer) startTag(b []byte) (Kind, error) {
	s := &t.tag
	i := t.pos
	if s.step == tagNone {
		t.attrs, t.decls = t.attrs[:0], t.decls[:0]
		s.spaced, s.coded, s.prefixed, s.twice, s.seen = false, false, false, false, 0
		i++ // '<'
		s.nameStart = i
		s.step = tagName
	}
	for {
		switch s.step {
		case tagName:
			q, end := t.find(b, s.nameStart)
			if q == nil {
				var status int
				if q, end, status = t.readName(b); status != nameOK {
					return t.failName(status)
				}
			}
			t.frames = append(t.frames, frame{name: q, bindings: len(t.bindings)})
			i = end
			s.step = tagSpace
			fallthrough

		case tagSpace:
			if !s.spaced {
				i = t.fastAttrs(b, i)
			}
			for i < len(b) && class[b[i]]&cSpace != 0 {
				s.spaced = true
				i++
			}
			if i == len(b) {
				t.pos = i
				return t.more()
			}
			switch b[i] {
			case '>':
				t.pos = i + 1
				return t.open(false)
			case '/':
				i++
				s.step = tagEmptyMark
				continue
			}
			if !s.spaced {
				// XML 1.0 §3.1: STag ::= '<' Name (S Attribute)* S? '>'
				return t.fail(NotWellFormed, "no white space before an attribute")
			}
			if len(t.attrs)+len(t.decls) >= t.lim.Attributes {
				return t.fail(PolicyViolation, "more than %d attributes in a tag", t.lim.Attributes)
			}
			s.nameStart = i
			s.step = tagAttr
			fallthrough

		case tagAttr:
			q, end := t.find(b, s.nameStart)
			if q == nil {
				var status int
				if q, end, status = t.readName(b); status != nameOK {
					return t.failName(status)
				}
			}
			s.name = q
			i = end
			s.step = tagEq
			fallthrough

		case tagEq:
			for i < len(b) && class[b[i]]&cSpace != 0 {
				i++
			}
			if i == len(b) {
				t.pos = i
				return t.more()
			}
			if b[i] != '=' {
				return t.fail(NotWellFormed, "attribute without a value")
			}
			i++
			s.step = tagQuote
			fallthrough

		case tagQuote:
			for i < len(b) && class[b[i]]&cSpace != 0 {
				i++
			}
			if i == len(b) {
				t.pos = i
				return t.more()
			}
			s.quote = b[i]
			if s.quote != '\'' && s.quote != '"' {
				return t.fail(NotWellFormed, "attribute value without quotation marks")
			}
			i++
			s.valueStart, s.valCoded = i, false
			s.step = tagValue
			fallthrough

		case tagValue:
			end, status := t.value(b, i)
			switch {
			case status == valueMore:
				t.pos = end
				return t.more()
			case status != valueEnd:
				return 0, t.err
			}
			s.coded = s.coded || s.valCoded && s.name.kind != declares
			t.addAttr(s.name, b[s.valueStart:end], s.valCoded)
			i = end + 1
			s.spaced = false
			s.step = tagSpace

		case tagEmptyMark:
			if i == len(b) {
				t.pos = i
				return t.more()
			}
			if b[i] != '>' {
				return t.fail(NotWellFormed, "'/' in a tag")
			}
			t.pos = i + 1
			return t.open(true)
		}
	}
}

// open ends a start tag: namespaces come into force, names are resolved, and
// the element is the innermost one now.
func (t *Tokenizer) open(empty bool) (Kind, error) {
	t.tag.step = tagNone
	depth := len(t.frames)
	if depth > t.lim.Depth+t.level {
		return t.fail(PolicyViolation, "elements nested deeper than %d", t.lim.Depth)
	}
	if depth > t.level {
		t.elements++
		if t.elements > t.lim.Elements {
			return t.fail(PolicyViolation, "more than %d elements in one", t.lim.Elements)
		}
	}
	t.state = docContent
	if len(t.decls) > 0 && !t.declare() {
		return 0, t.err
	}
	f := &t.frames[depth-1]
	q := f.name
	f.space = t.def
	if q.prefix != "" {
		if !t.resolve(&f.space, q.prefix) {
			return 0, t.err
		}
		if depth > t.level+1 {
			t.flags |= itemPrefixed
		}
	}
	t.tok.Name.Space, t.tok.Name.Local, t.tok.Prefix = f.space, q.local, q.prefix
	if t.tag.prefixed {
		for i := range t.attrs {
			// The prefix xml is resolved already, and nothing else can look
			// like its namespace.
			if p := t.attrs[i].Name.Space; p != "" && p != NSXML && !t.resolve(&t.attrs[i].Name.Space, p) {
				return 0, t.err
			}
		}
	}
	if (t.tag.twice || t.tag.prefixed) && !t.uniqueAttrs() {
		return 0, t.err
	}
	t.tok.SelfClosing = empty
	t.popEmpty = empty
	return StartElement, nil
}

// endTag reads an end tag or goes on reading it. The name is compared with
// that of the innermost element, which was checked when it was opened.
func (t *Tokenizer) endTag(b []byte) (Kind, error) {
	i := t.pos
	if !t.inEnd {
		q := t.frames[len(t.frames)-1].name
		from := i + 2
		i = from + len(q.tag)
		switch {
		case from+8 <= len(b) && load64(b, from)&(1<<(8*len(q.tag)&63)-1) == q.key:
			// a short name, and a byte after it
		case i >= len(b):
			// Compare what is there, so that a mismatch is found at once.
			if have := b[from:]; string(have) != q.tag[:len(have)] {
				return t.fail(NotWellFormed, "end tag does not match start tag")
			}
			return t.more()
		case string(b[from:i]) != q.tag:
			return t.fail(NotWellFormed, "end tag does not match start tag")
		}
	}
	for i < len(b) && class[b[i]]&cSpace != 0 {
		i++
	}
	if i == len(b) {
		t.pos, t.inEnd = i, true
		return t.more()
	}
	t.inEnd = false
	if b[i] != '>' {
		return t.fail(NotWellFormed, "end tag does not match start tag")
	}
	t.pos = i + 1
	t.popFrame()
	return EndElement, nil
}

// popFrame closes the innermost element and sets its name in t.tok.
func (t *Tokenizer) popFrame() {
	last := len(t.frames) - 1
	f := &t.frames[last]
	t.tok.Name.Space, t.tok.Name.Local, t.tok.Prefix = f.space, f.name.local, f.name.prefix
	t.frames = t.frames[:last]
	if f.bindings < len(t.bindings) {
		t.unbind(f.bindings)
	}
	if last == 0 {
		t.state = docEnd
	}
}
