package stream

import "unicode/utf8"

// longestName bounds element and attribute names, prefix included, and
// namespace names, in octets. XMPP knows none that comes near.
const longestName = 1024

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
	if class[s[0]]&cNameStart != 0 {
		i := 1
		for i < len(s) && class[s[i]]&cName != 0 {
			i++
		}
		if i == len(s) {
			return true
		}
	}
	var buf [64]byte
	b := append(append(buf[:0], s...), ' ')
	end, colon, status := scanName(b, 0)
	return status == nameOK && colon < 0 && end == len(s)
}
