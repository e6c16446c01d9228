package stream

import "unicode/utf8"

// declaration is a namespace declaration in a start tag.
type declaration struct {
	prefix string
	value  []byte
	coded  bool
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
