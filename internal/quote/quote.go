// Package quote makes data of a peer fit for the text of an error or a log
// record: one line, printable ASCII, of a bounded length.
package quote

import (
	"strconv"
	"unicode/utf8"
)

// ASCII returns s as a quoted Go string that has about limit bytes at most.
// Control characters, escape sequences, line ends, bytes that are not UTF-8 and
// everything outside ASCII come out escaped. An ellipsis behind the quotation
// marks shows that something was cut off.
func ASCII(s string, limit int) string {
	out := make([]byte, 1, min(len(s), limit)+8)
	out[0] = '"'
	for s != "" {
		_, n := utf8.DecodeRuneInString(s)
		c := strconv.QuoteToASCII(s[:n])
		c = c[1 : len(c)-1]
		if len(out)+len(c) > limit+1 {
			return string(append(out, `"…`...))
		}
		out = append(out, c...)
		s = s[n:]
	}
	return string(append(out, '"'))
}
