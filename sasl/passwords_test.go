package sasl

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// saslprep is RFC 4013, written from it and the tables of RFC 3454, to compare OpaqueString with. Code
// points that are not assigned are let through, as in "query" strings (RFC 3454 §7).
func saslprep(s string) (string, error) {
	in := func(r rune, table []rune) bool { // pairs of first and last
		for i := 0; i < len(table); i += 2 {
			if table[i] <= r && r <= table[i+1] {
				return true
			}
		}
		return false
	}
	spaces := []rune{0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200b, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000}                                // C.1.2
	nothing := []rune{0xad, 0xad, 0x34f, 0x34f, 0x1806, 0x1806, 0x180b, 0x180d, 0x200c, 0x200d, 0x2060, 0x2060, 0xfe00, 0xfe0f, 0xfeff, 0xfeff} // B.1
	s = strings.Map(func(r rune) rune {                                                                                                         // RFC 4013 §2.1
		switch {
		case in(r, spaces):
			return ' '
		case in(r, nothing):
			return -1
		}
		return r
	}, s)
	s = norm.NFKC.String(s)                    // §2.2
	prohibited := append(slices.Clone(spaces), // §2.3
		0x0, 0x1f, 0x7f, 0x9f, 0x6dd, 0x6dd, 0x70f, 0x70f, 0x180e, 0x180e, 0x2028, 0x2029, 0x2061, 0x2063, 0x206a, 0x206f, 0x1d173, 0x1d17a, // C.2
		0xe000, 0xf8ff, 0xf0000, 0x10ffff, 0xfdd0, 0xfdef, 0xfff9, 0xffff, 0x2ff0, 0x2ffb, // C.3, C.4, C.6, C.7
		0x340, 0x341, 0x200e, 0x200f, 0x202a, 0x202e, 0xe0001, 0xe0001, 0xe0020, 0xe007f) // C.8, C.9
	var left, right []int
	runes := []rune(s)
	for i, r := range runes {
		if in(r, prohibited) || r&0xfffe == 0xfffe {
			return "", errors.New("prohibited")
		}
		switch p, _ := bidi.LookupRune(r); p.Class() { // §2.4
		case bidi.L:
			left = append(left, i)
		case bidi.R, bidi.AL:
			right = append(right, i)
		}
	}
	if len(right) > 0 && (len(left) > 0 || right[0] != 0 || right[len(right)-1] != len(runes)-1) {
		return "", errors.New("directions")
	}
	return s, nil
}

// TestPasswordTable: the table in PASSWORDS.md is what the code does, and what SASLprep does.
func TestPasswordTable(t *testing.T) {
	text, err := os.ReadFile("PASSWORDS.md")
	require.NoError(t, err)
	section, _, ok := strings.Cut(string(text), "## Stored keys")
	require.True(t, ok)
	rows, differences := 0, 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		rows++
		value := func(cell string) (string, bool) {
			if cell = strings.TrimSpace(cell); cell == "refused" {
				return "", false
			}
			s, err := strconv.Unquote(strings.Trim(cell, "`"))
			require.NoError(t, err, cell)
			return s, true
		}
		in, ok := value(cells[1])
		require.True(t, ok)
		want, accepted := value(cells[2])
		got, err := saslprep(in)
		require.Equal(t, accepted, err == nil, "SASLprep of %+q", in)
		require.Equal(t, want, got, "SASLprep of %+q", in)

		wantOpaque, acceptedOpaque := value(cells[3])
		gotOpaque, err := preparePassword(in)
		require.Equal(t, acceptedOpaque, err == nil, "OpaqueString of %+q", in)
		require.Equal(t, wantOpaque, gotOpaque, "OpaqueString of %+q", in)

		if accepted != acceptedOpaque || want != wantOpaque {
			differences++
		}
		// The remedy: what SASLprep makes of a password is left alone or refused, never made another.
		if accepted {
			again, err := preparePassword(want)
			require.True(t, err != nil || again == want)
		}
	}
	require.Equal(t, 37, rows)
	require.Equal(t, 21, differences)
}

// Nothing in ASCII is prepared differently, and no password of printable ASCII is changed.
func TestPasswordASCII(t *testing.T) {
	for r := range rune(0x80) {
		in := "a" + string(r) + "b"
		want, wantErr := saslprep(in)
		got, err := preparePassword(in)
		require.Equal(t, wantErr == nil, err == nil, "%q", in)
		require.Equal(t, want, got)
		if r >= ' ' && r < 0x7f {
			require.Equal(t, in, got)
		}
	}
}
