package stream

import (
	"errors"
	"unicode/utf8"
)

// ErrCharacter is wrapped by errors about text that XML cannot carry: bytes
// that are not UTF-8, or characters outside Char (XML 1.0 §2.2), such as U+0001
// or U+FFFE. There is no escape for them.
var ErrCharacter = errors.New("stream: text that XML cannot carry")

// AppendEscaped appends text as character data. On error, which is
// [ErrCharacter], dst is returned as it was.
func AppendEscaped(dst []byte, text string) ([]byte, error) { return appendEscaped(dst, text, false) }

// AppendEscapedAttr appends text as part of an attribute value; it goes
// between quotation marks of either kind. Tab, LF and CR become character
// references, so that they arrive as what they are (XML 1.0 §3.3.3). On error,
// which is [ErrCharacter], dst is returned as it was.
func AppendEscapedAttr(dst []byte, text string) ([]byte, error) {
	return appendEscaped(dst, text, true)
}

// escapeChunk is how much is copied ahead of the check once something had to be
// escaped: a text full of escapes is not copied over and over.
const escapeChunk = 64

func appendEscaped[T string | []byte](dst []byte, text T, attr bool) ([]byte, error) {
	before := len(dst)
	// Most text needs no escaping. It is copied first and looked at where it is
	// going to stay, eight bytes at a time.
	for i, ahead := 0, len(text); i < len(text); ahead = escapeChunk {
		at := len(dst)
		dst = append(dst, text[i:min(i+ahead, len(text))]...)
		n := plainRun(dst[at:], attr)
		dst, i = dst[:at+n], i+n
		if i == len(text) {
			break
		}
		c := text[i]
		if c >= 0x80 {
			var seq [utf8.UTFMax]byte
			n := sequence(seq[:copy(seq[:], text[i:])])
			if n <= 0 {
				return dst[:before], ErrCharacter
			}
			dst, i = append(dst, text[i:i+n]...), i+n
			continue
		}
		ref := charRef(c, attr)
		switch {
		case ref != "":
			dst = append(dst, ref...)
		case c < 0x20 && class[c]&cText == 0:
			return dst[:before], ErrCharacter
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst, nil
}

// plainRun returns how many bytes at the beginning of b stand for themselves. It
// may stop early.
func plainRun(b []byte, attr bool) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if stops := escapeStops(load64(b, i), attr); stops != 0 {
			return i + firstStop(stops)
		}
	}
	// What is left is looked at together with what comes before it.
	if i > 0 && (i == len(b) || escapeStops(load64(b, len(b)-8), attr) == 0) {
		return len(b)
	}
	plain := cText
	if attr {
		plain = cAttr
	}
	for i < len(b) && class[b[i]]&plain != 0 && b[i] != '>' {
		i++
	}
	return i
}

// escapeStops marks the first of eight bytes that may not stand for itself.
func escapeStops(x uint64, attr bool) uint64 {
	stops := textStops(x)
	if attr {
		stops |= (((x ^ ones*'\'') - ones) | ((x ^ ones*'"') - ones)) & highs
	}
	return stops
}

// charRef returns what a character is written as, or "" for itself.
func charRef(c byte, attr bool) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>': // always, so that "]]>" cannot come about
		return "&gt;"
	case '\r':
		return "&#xD;"
	}
	if attr {
		switch c {
		case '\'':
			return "&apos;"
		case '"':
			return "&quot;"
		case '\t':
			return "&#x9;"
		case '\n':
			return "&#xA;"
		}
	}
	return ""
}
