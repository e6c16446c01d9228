package jid

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// escapable are the characters that have an escape sequence, in the order of the
// table in XEP-0106 §3.2; escapes holds the sequences, three octets each.
const (
	escapable = " \"&'/:<>@\\"
	escapes   = `\20\22\26\27\2f\3a\3c\3e\40\5c`
)

// Escape turns text that a user typed, or the name part of an address of another
// system, into a string that can be a localpart (XEP-0106): each of the characters
// space " & ' / : < > @ becomes a backslash and two hexadecimal digits. A backslash
// is escaped only in front of what would otherwise read as such a sequence.
//
// Of the mapping that localparts undergo, width mapping and normalisation are
// applied first, because they can produce those characters. Case is kept: [New]
// does the rest and refuses what escaping does not help with.
//
// The error is an [*Error]: s is not UTF-8, begins or ends with a space, for
// which there is no escape (XEP-0106 §4.1), or puts a combining mark where it would join
// an escape sequence.
func Escape(s string) (string, error) {
	in := s
	if !isASCII(s) {
		if !utf8.ValidString(s) {
			return "", fail(Localpart, ErrUTF8, in)
		}
		s = norm.NFC.String(width.Fold.String(s))
	}
	if !strings.ContainsAny(s, escapable) {
		return s, nil
	}
	if s[0] == ' ' || s[len(s)-1] == ' ' {
		return "", fail(Localpart, ErrNotAllowed, in)
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := range len(s) {
		c := s[i]
		k := strings.IndexByte(escapable, c)
		if k < 0 || c == '\\' && !needsEscape(s[i:]) {
			b.WriteByte(c)
			continue
		}
		b.WriteString(escapes[3*k : 3*k+3])
	}
	out := b.String()
	if !norm.NFC.IsNormalString(out) {
		return "", fail(Localpart, ErrNotAllowed, in)
	}
	return out, nil
}

// needsEscape reports whether s begins with an escape sequence, or with one in
// upper case: the localpart is going to be lower-cased, and "\2F" must not turn
// into a slash on the way.
func needsEscape(s string) bool {
	if len(s) < 3 {
		return false
	}
	_, ok := sequence(strings.ToLower(s[:3]))
	return ok
}

// sequence returns the character that the escape sequence at the start of s
// stands for.
func sequence(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '\\' {
		return 0, false
	}
	// Every sequence has a backslash at its start only, so a match is aligned.
	k := strings.Index(escapes, s[:3])
	if k < 0 {
		return 0, false
	}
	return escapable[k/3], true
}

// Unescape turns a localpart into the text to show to a user or to hand to
// another system (XEP-0106 §3.3). Nothing but the ten lower-case sequences is
// touched, and neither is "\20" at the start or the end, where it is not an
// escape (XEP-0106 §4.1).
//
// Unescape gives back what [Escape] was given, up to width and normalisation. Its
// result is not an address: never compare or route by it, for different
// localparts can have the same one (XEP-0106 §4.1, §7).
func Unescape(local string) string {
	if strings.IndexByte(local, '\\') < 0 {
		return local
	}
	var b strings.Builder
	b.Grow(len(local))
	for i := 0; i < len(local); i++ {
		c, ok := sequence(local[i:])
		if !ok || c == ' ' && (i == 0 || i+3 == len(local)) {
			b.WriteByte(local[i])
			continue
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String()
}
