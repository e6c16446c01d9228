package stream

import (
	"encoding/binary"
	"math/bits"
)

// Byte classes. A byte outside ASCII has none: it goes through wide or
// scanName, which check the encoding and the character.
const (
	cName      uint8 = 1 << iota // NameChar, ':' excepted
	cNameStart                   // NameStartChar, ':' excepted
	cSpace                       // S: space, tab, CR, LF
	cText                        // stands for itself in character data
	cAttr                        // stands for itself in an attribute value, whatever the quote
)

// class maps each byte to its classes (XML 1.0 §2.2, §2.3, §2.4).
var class = func() (t [256]uint8) {
	for c := 0; c < 0x80; c++ {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if letter || c == '_' {
			t[c] |= cName | cNameStart
		}
		if digit || c == '-' || c == '.' {
			t[c] |= cName
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			t[c] |= cSpace
		}
		if c >= ' ' && c != '<' && c != '>' && c != '&' || c == '\t' || c == '\n' {
			t[c] |= cText
		}
		if c >= ' ' && c != '<' && c != '&' && c != '"' && c != '\'' {
			t[c] |= cAttr
		}
	}
	return t
}()

// Eight bytes are looked at in one go. In x^(ones*c) the bytes equal to c are
// zero, and subtracting ones sets the top bit of the lowest zero byte for
// certain; the bits above it may be wrong, which does not matter as only the
// lowest is used.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// textStops returns a word whose lowest set bit marks the first of eight bytes
// that needs a closer look in character data: '<', '>', '&', a control
// character, or the beginning of something outside ASCII.
func textStops(x uint64) uint64 {
	// '<' is 0x3C and '>' is 0x3E: they differ in one bit.
	return (x | (x - ones*0x20) | (((x | ones*2) ^ (ones * '>')) - ones) | ((x ^ (ones * '&')) - ones)) & highs
}

// attrStops is the same for an attribute value; quote is the quotation mark in
// all eight bytes.
func attrStops(x, quote uint64) uint64 {
	return (x | (x - ones*0x20) | ((x ^ ones*'<') - ones) | ((x ^ ones*'&') - ones) | ((x ^ quote) - ones)) & highs
}

// nameStops marks the first byte that cannot be in a name: white space, '=',
// '>', '/' and a few that stand nowhere near a name. Bytes outside ASCII are
// not marked.
func nameStops(x uint64) uint64 {
	// '<', '=', '>' and '?' are 0x3C to 0x3F.
	return ((x - ones*0x21) | (((x | ones*3) ^ ones*0x3F) - ones) | ((x ^ ones*'/') - ones)) &^ x & highs
}

// load64 reads eight bytes; the caller has checked that they are there.
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i : i+8]) }

// firstStop turns the result of textStops or attrStops into an index.
func firstStop(m uint64) int { return bits.TrailingZeros64(m) >> 3 }

// What a sequence outside ASCII can be other than good.
const (
	seqShort   = 0  // cut off by the end of the input
	seqBadUTF8 = -1 // not UTF-8
	seqBadChar = -2 // UTF-8, but not an XML character
)

// sequence returns the length of the UTF-8 sequence that begins b, whose first
// byte is not ASCII, or one of the values above. It accepts exactly the
// well-formed sequences of RFC 3629 §4 whose character matches Char (XML 1.0
// §2.2); the surrogates are refused by both.
func sequence(b []byte) int {
	c := b[0]
	switch {
	case c < 0xC2: // a continuation, or an overlong form
		return seqBadUTF8
	case c < 0xE0:
		if len(b) < 2 {
			return seqShort
		}
		if b[1]&0xC0 != 0x80 {
			return seqBadUTF8
		}
		return 2
	case c < 0xF0:
		if len(b) < 3 {
			if len(b) == 2 && !secondByte(c, b[1]) {
				return seqBadUTF8
			}
			return seqShort
		}
		if !secondByte(c, b[1]) || b[2]&0xC0 != 0x80 {
			return seqBadUTF8
		}
		if c == 0xEF && b[1] == 0xBF && b[2] >= 0xBE { // U+FFFE, U+FFFF
			return seqBadChar
		}
		return 3
	case c < 0xF5:
		for i := 1; i < 4; i++ {
			if len(b) == i {
				return seqShort
			}
			if i == 1 && !secondByte(c, b[1]) || b[i]&0xC0 != 0x80 {
				return seqBadUTF8
			}
		}
		return 4
	}
	return seqBadUTF8
}

// secondByte reports whether d may follow c, the first of three or four bytes
// (RFC 3629 §4: no overlong forms, no surrogates, nothing above U+10FFFF).
func secondByte(c, d byte) bool {
	switch c {
	case 0xE0:
		return 0xA0 <= d && d <= 0xBF
	case 0xED:
		return 0x80 <= d && d <= 0x9F
	case 0xF0:
		return 0x90 <= d && d <= 0xBF
	case 0xF4:
		return 0x80 <= d && d <= 0x8F
	}
	return d&0xC0 == 0x80
}

// wide advances from i, where b has a byte outside ASCII, over good sequences
// and over ASCII bytes of the class plain between them, so that text in a
// script with spaces stays in one loop. It stops at the first other ASCII
// byte, after a run of plain ones that makes the eight-byte loop worthwhile, or
// at the end; status is seqShort only when the end cuts a sequence, and 1 when
// all is well.
func wide(b []byte, i int, plain uint8) (at, status int) {
	ascii := 0
	for i < len(b) {
		c := b[i]
		switch {
		case c < 0x80:
			if class[c]&plain == 0 || ascii == 8 {
				return i, 1
			}
			ascii++
			i++
			continue
		case c >= 0xC2 && c < 0xE0 && i+1 < len(b) && b[i+1]&0xC0 == 0x80:
			i += 2
		case c >= 0xE1 && c < 0xED && i+2 < len(b) && b[i+1]&0xC0 == 0x80 && b[i+2]&0xC0 == 0x80:
			i += 3
		default:
			n := sequence(b[i:])
			if n <= 0 {
				return i, n
			}
			i += n
		}
		ascii = 0
	}
	return i, 1
}

// isChar reports whether r matches Char (XML 1.0 §2.2).
func isChar(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r < 0xD800:
		return true
	case r < 0xE000:
		return false
	}
	return r <= 0xFFFD || 0x10000 <= r && r <= 0x10FFFF
}

// isNameStart reports whether r, which is not ASCII, matches NameStartChar
// (XML 1.0 §2.3).
func isNameStart(r rune) bool {
	switch {
	case r < 0xC0:
		return false
	case r <= 0x2FF:
		return r != 0xD7 && r != 0xF7
	case r < 0x370:
		return false
	case r <= 0x1FFF:
		return r != 0x37E
	case r == 0x200C, r == 0x200D:
		return true
	}
	return 0x2070 <= r && r <= 0x218F || 0x2C00 <= r && r <= 0x2FEF || 0x3001 <= r && r <= 0xD7FF ||
		0xF900 <= r && r <= 0xFDCF || 0xFDF0 <= r && r <= 0xFFFD || 0x10000 <= r && r <= 0xEFFFF
}

// isNameChar reports whether r, which is not ASCII, matches NameChar.
func isNameChar(r rune) bool {
	return isNameStart(r) || r == 0xB7 || 0x300 <= r && r <= 0x36F || r == 0x203F || r == 0x2040
}
