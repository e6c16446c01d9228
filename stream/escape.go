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

func appendEscaped[T string | []byte](dst []byte, text T, attr bool) ([]byte, error) {
	before := len(dst)
	from := 0
	plain := cText
	if attr {
		plain = cAttr
	}
	for i := 0; i < len(text); {
		c := text[i]
		if class[c]&plain != 0 && c != '>' {
			i++
			continue
		}
		if c >= 0x80 {
			var seq [utf8.UTFMax]byte
			n := sequence(seq[:copy(seq[:], text[i:])])
			if n <= 0 {
				return dst[:before], ErrCharacter
			}
			i += n
			continue
		}
		var ref string
		switch c {
		case '&':
			ref = "&amp;"
		case '<':
			ref = "&lt;"
		case '>': // always, so that "]]>" cannot come about
			ref = "&gt;"
		case '\r':
			ref = "&#xD;"
		case '\'':
			if attr {
				ref = "&apos;"
			}
		case '"':
			if attr {
				ref = "&quot;"
			}
		case '\t':
			if attr {
				ref = "&#x9;"
			}
		case '\n':
			if attr {
				ref = "&#xA;"
			}
		default:
			if c < 0x20 {
				return dst[:before], ErrCharacter
			}
		}
		if ref != "" {
			dst = append(append(dst, text[from:i]...), ref...)
			from = i + 1
		}
		i++
	}
	return append(dst, text[from:]...), nil
}
