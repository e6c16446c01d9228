package jid

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

//go:generate go run ./internal/confusables -in $CONFUSABLES -out confusable_tables.go

// Confusable reports whether a and b are different bare addresses that a reader
// may take for one another: their localparts and their domainparts have equal
// skeletons (RFC 7622 §7.3.2, UTS #39 §4). Resourceparts are not looked at.
//
// The answer is a reason to warn or to refuse a registration, never to treat two
// addresses as the same. "No" does not mean that they cannot be confused:
// compare [Skeleton].
func Confusable(a, b JID) bool {
	a, b = a.Bare(), b.Bare()
	return a != b && (a.local == 0) == (b.local == 0) &&
		Skeleton(a.Local()) == Skeleton(b.Local()) &&
		Skeleton(a.Domain()) == Skeleton(b.Domain())
}

// Skeleton returns the internalSkeleton of s (UTS #39 §4): strings with equal
// skeletons look alike in common fonts, such as Latin "admin" and the same with a
// Cyrillic "а". A service that registers names keeps the skeletons of the
// localparts it has given away and looks new ones up.
//
// A skeleton is for comparison only: it is not meant to be displayed or to be an
// address, and it depends on [ConfusablesVersion]. Pass canonical text, such as a
// part of a [JID]; s must be valid UTF-8. The reordering for right-to-left text
// (bidiSkeleton) is not applied: it concerns strings of mixed direction, which
// the Bidi Rule keeps out of localparts and domainparts for the most part.
func Skeleton(s string) string {
	// RFC 7622 keeps these characters out of the parts Confusable looks at, but
	// s may be a resourcepart or a nickname.
	s = strings.Map(func(r rune) rune {
		if defaultIgnorable(r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if t, ok := prototype(r); ok {
			b.WriteString(t)
		} else {
			b.WriteRune(r)
		}
	}
	return norm.NFD.String(b.String())
}

const runeMask = 1<<21 - 1

// prototype looks up what r looks like.
func prototype(r rune) (string, bool) {
	i, ok := slices.BinarySearchFunc(confusableKeys[:], uint32(r), func(k, r uint32) int {
		return int(k&runeMask) - int(r)
	})
	if !ok {
		return "", false
	}
	off := int(confusableOffsets[i])
	return confusableTargets[off : off+int(confusableKeys[i]>>21)], true
}

// defaultIgnorable derives Default_Ignorable_Code_Point as DerivedCoreProperties
// does; package unicode has only the ingredients.
func defaultIgnorable(r rune) bool {
	if r < 0xAD {
		return false
	}
	if unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return true
	}
	return unicode.Is(unicode.Cf, r) &&
		!unicode.In(r, unicode.White_Space, unicode.Prepended_Concatenation_Mark) &&
		(r < 0xFFF9 || r > 0xFFFB) && (r < 0x13430 || r > 0x13440)
}
