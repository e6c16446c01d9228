package jid

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestSkeleton(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"admin":                           "adrnin", // m looks like rn
		"\u0430dmin":                      "adrnin", // Cyrillic a
		"ju1iet":                          "juliet", // RFC 7622 §7.3.2
		"\u0440\u0430\u0443\u0440\u0430l": "paypal",
		"\U0001D41A":                      "a", // mathematical bold, in resourceparts
		"e\u0301":                         "e\u0301",
		"\u00e9":                          "e\u0301",
		"a\u200b\u00adb\U000E0061":        "ab", // ignorable
	} {
		require.Equal(t, want, Skeleton(in), "%+q", in)
	}
	// The longest target must not be cut.
	require.Len(t, []rune(Skeleton("\ufdfa")), 18)
	require.NotPanics(t, func() { Skeleton("a\xff\xed\xa0\x80") })
}

// TestConfusableTable holds the packed table to its own claims: it is complete
// and sorted, and every target is text of its own.
func TestConfusableTable(t *testing.T) {
	src, err := os.ReadFile("confusable_tables.go")
	require.NoError(t, err)
	require.Contains(t, string(src), "// Version: "+ConfusablesVersion+"\n")
	require.Contains(t, string(src), "LICENSE-UNICODE")
	license, err := os.ReadFile("LICENSE-UNICODE")
	require.NoError(t, err)
	require.Contains(t, string(license), "version "+ConfusablesVersion)

	require.Len(t, confusableKeys, 6311) // "# total" of version 15.0.0
	require.Len(t, confusableOffsets, len(confusableKeys))
	last := rune(-1)
	for _, k := range confusableKeys {
		r := rune(k & runeMask)
		require.Greater(t, r, last)
		last = r
		p, ok := prototype(r)
		require.True(t, ok)
		require.NotEmpty(t, p)
		require.True(t, utf8.ValidString(p), "%U", r)
		require.NotEqual(t, string(r), p)
	}
	_, ok := prototype(-1)
	require.False(t, ok)
	_, ok = prototype(utf8.MaxRune)
	require.False(t, ok)
}

func TestConfusable(t *testing.T) {
	require.False(t, Confusable(JID{}, JID{}))
	require.False(t, Confusable(JID{}, MustParse("a")))
	require.False(t, Confusable(MustParse("example.com"), MustParse("a@example.com")))
	a, b := MustParse("scope@example.com"), MustParse("\u0455\u0441\u043e\u0440\u0435@example.com")
	require.True(t, Confusable(a, b))
	require.True(t, Confusable(b, a))
	require.False(t, Confusable(a, a))
}

func BenchmarkSkeleton(b *testing.B) {
	in := strings.Repeat("\u0430dmin", 4)
	b.ReportAllocs()
	for b.Loop() {
		Skeleton(in)
	}
}
