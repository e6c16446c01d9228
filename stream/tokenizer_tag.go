package stream

import "unicode/utf8"

// longestName bounds element and attribute names, prefix included, and
// namespace names, in octets. XMPP knows none that comes near.
const longestName = 1024

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

// declaration is a namespace declaration in a start tag.
type declaration struct {
	prefix string
	value  []byte
	coded  bool
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

// fastAttrs reads attributes from i on as long as they are of the common kind:
// one space, a name that was seen before, a value of plain ASCII. It returns the
// index after the last of them. What it leaves, for whatever reason, startTag
// reads in its own way.
func (t *Tokenizer) fastAttrs(b []byte, i int) int {
	for i < len(b) && b[i] == ' ' && len(t.attrs)+len(t.decls) < t.lim.Attributes {
		q, end := t.find(b, i+1)
		if q == nil || end+10 > len(b) || b[end] != '=' {
			return i
		}
		quote := b[end+1]
		if quote != '\'' && quote != '"' {
			return i
		}
		from := end + 2
		end = from
		for {
			if end+8 > len(b) {
				return i
			}
			if m := attrStops(load64(b, end), uint64(quote)*ones); m != 0 {
				end += firstStop(m)
				break
			}
			end += 8
		}
		if b[end] != quote {
			return i
		}
		t.addAttr(q, b[from:end], false)
		i = end + 1
	}
	return i
}

// readName checks the name at nameStart and returns its entry and where it
// ends, or a failure of scanName.
func (t *Tokenizer) readName(b []byte) (*qname, int, int) {
	end, _, status := scanName(b, t.tag.nameStart)
	if status != nameOK {
		t.pos = t.tag.nameStart
		return nil, 0, status
	}
	return t.intern(b[t.tag.nameStart:end]), end, nameOK
}

// Results of Tokenizer.value.
const (
	valueMore = iota
	valueEnd
	valueFailed
)

// value reads an attribute value from i on, up to its closing quotation mark.
func (t *Tokenizer) value(b []byte, i int) (int, int) {
	s := &t.tag
	quote := uint64(s.quote) * ones
	for {
		for i+8 <= len(b) {
			if m := attrStops(load64(b, i), quote); m != 0 {
				i += firstStop(m)
				goto stop
			}
			i += 8
		}
		for i < len(b) && class[b[i]]&cAttr != 0 {
			i++
		}
		if i == len(b) {
			return i, valueMore
		}
	stop:
		switch c := b[i]; {
		case c == s.quote:
			return i, valueEnd
		case c >= 0x80:
			var status int
			if i, status = wide(b, i, cAttr); status == seqShort {
				return i, valueMore
			} else if status < 0 {
				t.failSequence(status)
				return i, valueFailed
			}
		case c == '&':
			_, n := reference(b[i:])
			if n == 0 {
				return i, valueMore
			}
			if n < 0 {
				t.failReference(n)
				return i, valueFailed
			}
			s.valCoded = true
			i += n
		case c == '<':
			// XML 1.0 §3.1, "No < in Attribute Values"
			t.fail(NotWellFormed, "'<' in an attribute value")
			return i, valueFailed
		case c == '"' || c == '\'':
			i++
		case class[c]&cSpace != 0:
			s.valCoded = true
			i++
		default:
			t.failSequence(seqBadChar)
			return i, valueFailed
		}
	}
}

// addAttr records an attribute. The value is raw, a view that reaches to the
// capacity of the buffer: see moveView.
func (t *Tokenizer) addAttr(q *qname, value []byte, coded bool) {
	s := &t.tag
	switch q.kind {
	case declares:
		d := declaration{value: value, coded: coded}
		if q.prefix != "" {
			d.prefix = q.local
		}
		t.decls = append(t.decls, d)
		return
	case prefixed:
		s.prefixed = true
	}
	s.twice = s.twice || s.seen&q.bit != 0
	s.seen |= q.bit
	t.attrs = append(t.attrs, Attr{Name{q.space, q.local}, value})
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

// manyAttrs is the number of attributes from which comparing each with each
// costs more than a map.
const manyAttrs = 24

// uniqueAttrs checks that no expanded name occurs twice (XML 1.0 §3.1, "Unique
// Att Spec"; Namespaces in XML §6.3).
func (t *Tokenizer) uniqueAttrs() bool {
	if len(t.attrs) > manyAttrs {
		if t.seen == nil {
			t.seen = make(map[Name]struct{})
		}
		clear(t.seen)
		for i := range t.attrs {
			t.seen[t.attrs[i].Name] = struct{}{}
		}
		if len(t.seen) == len(t.attrs) {
			return true
		}
	} else {
		for i := 1; i < len(t.attrs); i++ {
			n := &t.attrs[i].Name
			for j := range t.attrs[:i] {
				if m := &t.attrs[j].Name; m.Local == n.Local && m.Space == n.Space {
					goto twice
				}
			}
		}
		return true
	}
twice:
	t.fail(NotWellFormed, "attribute occurs twice")
	return false
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

// decodeValues decodes the values of attrs, appending to dst what is not a
// plain view.
func decodeValues(dst []byte, attrs []Attr) []byte {
	for i := range attrs {
		v := attrs[i].Value
		if !isCoded(v) {
			continue
		}
		from := len(dst)
		dst = appendValue(dst, v)
		attrs[i].Value = dst[from:len(dst):len(dst)]
	}
	return dst
}

// isCoded reports whether the raw value v differs from its decoded form.
func isCoded(v []byte) bool {
	for _, c := range v {
		if c < 0x20 || c == '&' {
			return true
		}
	}
	return false
}

// appendValue appends the decoded and normalised form of a raw attribute value
// (XML 1.0 §3.3.3: each white space character becomes a space, CR LF counting
// as one by §2.11; references are replaced and stay as they are).
func appendValue(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '&':
			r, n := reference(raw[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		case c < 0x20:
			if c == '\r' && i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			dst = append(dst, ' ')
			i++
		default:
			j := i + 1
			for j < len(raw) && raw[j] != '&' && raw[j] >= 0x20 {
				j++
			}
			dst = append(dst, raw[i:j]...)
			i = j
		}
	}
	return dst
}

// Results of scanName besides the failures of sequence.
const (
	nameOK   = 1
	nameBad  = -10
	nameLong = -11
)

// scanName finds the end of the qualified name at i (Namespaces in XML §4) and
// the offset of its colon, -1 for none. The status is seqShort when the end of
// b may cut the name.
func scanName(b []byte, i int) (end, colon, status int) {
	colon = -1
	from := i
	partStart := true
	for {
		if !partStart {
			for i < len(b) && class[b[i]]&cName != 0 {
				i++
			}
		}
		if i-from > longestName {
			return i, colon, nameLong
		}
		if i == len(b) {
			return i, colon, seqShort
		}
		c := b[i]
		switch {
		case c >= 0x80:
			n := sequence(b[i:])
			if n <= 0 {
				return i, colon, n
			}
			r, _ := utf8.DecodeRune(b[i:])
			if partStart && !isNameStart(r) || !isNameChar(r) {
				return i, colon, nameBad
			}
			i += n
			partStart = false
		case partStart:
			if class[c]&cNameStart == 0 {
				return i, colon, nameBad
			}
			i++
			partStart = false
		case c == ':':
			if colon >= 0 {
				return i, colon, nameBad
			}
			colon = i - from
			i++
			partStart = true
		default:
			return i, colon, nameOK
		}
	}
}

// failName reports a failure of scanName.
func (t *Tokenizer) failName(status int) (Kind, error) {
	switch status {
	case seqShort:
		return t.more()
	case nameBad:
		return t.fail(NotWellFormed, "malformed name")
	case nameLong:
		return t.fail(PolicyViolation, "name longer than %d octets", longestName)
	}
	return t.failSequence(status)
}

// validName reports whether s is an NCName: a name without a colon.
func validName[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > longestName {
		return false
	}
	var buf [64]byte
	b := append(append(buf[:0], s...), ' ')
	end, colon, status := scanName(b, 0)
	return status == nameOK && colon < 0 && end == len(s)
}
