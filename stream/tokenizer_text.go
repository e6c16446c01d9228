package stream

import (
	"bytes"
	"unicode/utf8"
)

const cdataOpen = "<![CDATA["

// content reads character data, or says what is wrong with markup that is
// neither a start tag nor an end tag. All text up to the next tag is one
// token: it is checked as it arrives, and decoded when it is complete.
func (t *Tokenizer) content(b []byte) (Kind, error) {
	i := t.pos
	if !t.inText {
		if i >= len(b) {
			return t.more()
		}
		t.textRefs, t.inCDATA = false, false
		t.tag.valueStart = i // where the text begins
	}
	t.inText = true
	for {
		if t.inCDATA {
			var status int
			if i, status = cdata(b, i); status != cdataEnd {
				t.pos = i
				switch status {
				case cdataMore:
					return t.more()
				default:
					return t.failSequence(status)
				}
			}
			t.inCDATA = false
		}
		i = plainText(b, i)
		if i == len(b) {
			t.pos = i
			return t.more()
		}
		switch c := b[i]; c {
		case '<':
			if i+1 == len(b) {
				t.pos = i
				return t.more()
			}
			if b[i+1] == '!' {
				n := min(len(b)-i, len(cdataOpen))
				if string(b[i:i+n]) == cdataOpen[:n] {
					if n < len(cdataOpen) {
						t.pos = i
						return t.more()
					}
					t.inCDATA, t.textRefs = true, true
					i += n
					continue
				}
			}
			t.pos = i
			t.inText = false
			if i == t.tag.valueStart {
				return t.markup(b, i)
			}
			t.tok.Text = b[t.tag.valueStart:i]
			return Text, nil
		case '>':
			// XML 1.0 §2.4: "]]>" does not stand in text. What precedes the text
			// ends with '>', so that looking back does not mistake it.
			if i-2 >= t.tag.valueStart && b[i-1] == ']' && b[i-2] == ']' {
				return t.fail(NotWellFormed, "]]> in text")
			}
			i++
		case '&':
			_, n := reference(b[i:])
			if n == 0 {
				t.pos = i
				return t.more()
			}
			if n < 0 {
				return t.failReference(n)
			}
			t.textRefs = true
			i += n
		case '\r':
			t.textRefs = true
			i++
		case '\t', '\n':
			i++
		default:
			if c < 0x20 {
				return t.failSequence(seqBadChar)
			}
			var status int
			if i, status = wide(b, i, cText); status <= 0 {
				if status < 0 {
					return t.failSequence(status)
				}
				t.pos = i
				return t.more()
			}
		}
	}
}

// plainText returns the index of the first byte from i on that textStops
// would stop at.
func plainText(b []byte, i int) int {
	for i+8 <= len(b) {
		if m := textStops(load64(b, i)); m != 0 {
			return i + firstStop(m)
		}
		i += 8
	}
	for i < len(b) && class[b[i]]&cText != 0 {
		i++
	}
	return i
}

// Results of cdata besides the failures of sequence.
const (
	cdataMore = 0
	cdataEnd  = 1
)

// cdata reads the inside of a CDATA section from i on, to after its end.
func cdata(b []byte, i int) (int, int) {
	for i < len(b) {
		c := b[i]
		switch {
		case c == ']':
			n := min(len(b)-i, 3)
			if string(b[i:i+n]) == "]]>"[:n] {
				if n < 3 {
					return i, cdataMore
				}
				return i + 3, cdataEnd
			}
			i++
		case c >= 0x80:
			n := sequence(b[i:])
			if n <= 0 {
				return i, n
			}
			i += n
		case c < 0x20 && class[c]&cSpace == 0:
			return i, seqBadChar
		default:
			i++
		}
	}
	return i, cdataMore
}

// markup says what stands at i, where b has '<' and what follows is not a
// CDATA section: a tag, or something that is not allowed.
func (t *Tokenizer) markup(b []byte, i int) (Kind, error) {
	switch b[i+1] {
	case '/':
		return t.endTag(b)
	case '!':
		return t.failDeclaration(b[i:])
	case '?':
		// RFC 6120 §11.1; an XML declaration in this place is one to XML 1.0
		// §2.6 as well, only reserved.
		return t.fail(RestrictedXML, "processing instruction")
	}
	return t.startTag(b)
}

// failDeclaration says what b, which begins with "<!", is.
func (t *Tokenizer) failDeclaration(b []byte) (Kind, error) {
	if len(b) < 3 {
		return t.more()
	}
	// RFC 6120 §11.1, §4.9.3.18
	switch c := b[2]; {
	case c == '-':
		return t.fail(RestrictedXML, "comment")
	case class[c]&cNameStart != 0:
		return t.fail(RestrictedXML, "document type or markup declaration")
	case c == '[':
		if t.state != docContent {
			return t.fail(NotWellFormed, "text outside the document element")
		}
		// A CDATA section does not come here.
		return t.fail(RestrictedXML, "conditional section")
	}
	return t.fail(NotWellFormed, "malformed markup")
}

// Failures of reference.
const (
	refMalformed = -1
	refChar      = -2
	refLong      = -3
)

// longestReference bounds leading zeros, which XML does not.
const longestReference = 64

// reference decodes the reference that begins b. It returns the character and
// the length, 0 when b is too short to tell, or a failure.
func reference(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	if b[1] != '#' {
		// XML 1.0 §4.6; entities beyond these five cannot be declared (RFC 6120
		// §11.1), so that a reference to one violates XML 1.0 §4.1, "Entity
		// Declared".
		for _, e := range &predefined {
			n := min(len(b), len(e.ref))
			if string(b[:n]) == e.ref[:n] {
				if n < len(e.ref) {
					return 0, 0
				}
				return e.char, n
			}
		}
		return 0, refMalformed
	}
	i, base := 2, rune(10)
	if len(b) > 2 && b[2] == 'x' { // not 'X': XML 1.0 §4.1
		i, base = 3, 16
	}
	digits := i
	var r rune
	for ; i < len(b); i++ {
		if i == longestReference {
			return 0, refLong
		}
		c := rune(b[i])
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case base == 16 && 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		case c == ';' && i > digits:
			if !isChar(r) {
				return 0, refChar
			}
			return r, i + 1
		default:
			return 0, refMalformed
		}
		r = min(r*base+c, utf8.MaxRune+1)
	}
	return 0, 0
}

var predefined = [...]struct {
	ref  string
	char rune
}{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}

// failReference reports a failure of reference.
func (t *Tokenizer) failReference(n int) (Kind, error) {
	switch n {
	case refChar:
		return t.fail(NotWellFormed, "reference to a character that XML does not allow")
	case refLong:
		return t.fail(PolicyViolation, "character reference longer than %d octets", longestReference)
	}
	return t.fail(NotWellFormed, "malformed reference, or one to an unknown entity")
}

// appendText appends the decoded form of raw, which is valid character data
// with CDATA sections. It is never longer than raw.
func appendText(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		j := nextCoded(raw, i)
		dst = append(dst, raw[i:j]...)
		if j == len(raw) {
			break
		}
		switch raw[j] {
		case '&':
			r, n := reference(raw[j:])
			dst = utf8.AppendRune(dst, r)
			i = j + n
		case '\r':
			dst, i = appendLineEnd(dst, raw, j)
		default: // '<': only a CDATA section can be here
			j += len(cdataOpen)
			end := j + bytes.Index(raw[j:], []byte("]]>"))
			for j < end {
				k := bytes.IndexByte(raw[j:end], '\r')
				if k < 0 {
					break
				}
				dst = append(dst, raw[j:j+k]...)
				dst, j = appendLineEnd(dst, raw, j+k)
			}
			dst = append(dst, raw[j:end]...)
			i = end + 3
		}
	}
	return dst
}

// appendLineEnd appends the line end at i, where raw has CR, as LF (XML 1.0
// §2.11) and returns the index after it.
func appendLineEnd(dst, raw []byte, i int) ([]byte, int) {
	if i+1 < len(raw) && raw[i+1] == '\n' {
		i++
	}
	return append(dst, '\n'), i + 1
}

// nextCoded returns the index of the next '&', '<' or CR in valid character
// data, or its length.
func nextCoded(raw []byte, i int) int {
	for i+8 <= len(raw) {
		x := load64(raw, i)
		y, z, w := x^ones*'&', x^ones*'<', x^ones*'\r'
		if m := ((y-ones)&^y | (z-ones)&^z | (w-ones)&^w) & highs; m != 0 {
			return i + firstStop(m)
		}
		i += 8
	}
	for i < len(raw) && raw[i] != '&' && raw[i] != '<' && raw[i] != '\r' {
		i++
	}
	return i
}
