package jid

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"
	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// TestIDNA2008 goes through every code point. What this package lets into a label
// is held against golang.org/x/net/idna, which follows UTS #46 in its strictest
// setting: that accepts symbols on top, and must accept all that IDNA2008 does.
func TestIDNA2008(t *testing.T) {
	accepted := 0
	for r := rune(utf8.RuneSelf); r <= utf8.MaxRune; r++ {
		label := "l" + string(r) + "l"
		if !utf8.ValidRune(r) || checkLabel(label) != nil {
			continue
		}
		accepted++
		require.True(t, norm.NFC.IsNormalString(label), "%U", r)
		require.Equal(t, label, mapDomain(label), "%U is accepted and mapped", r)
		if bidirule.DirectionString(label) != bidi.LeftToRight {
			continue // the rule about direction concerns the whole name
		}
		if _, err := idna.Registration.ToUnicode(label); err != nil {
			t.Errorf("%U: %v", r, err)
		}
	}
	// IDNA2008 has 97,000 PVALID code points in Unicode 6 and more in each version.
	require.Greater(t, accepted, 97000)
}

// TestIDNA2008Disallowed has what UTS #46 would let through or map.
func TestIDNA2008Disallowed(t *testing.T) {
	for _, in := range []string{
		"\u2665", "\u221a", "\U0001F600", "\u2122", "\ufb01", "\u00b2", "\u00ad", "a\u00adb", "\u200b", "\u1fb3", "\u0345",
		"\u20d0", "a\u20d0", "a\U0001D165", "a\u2024b", "\u2488", "a_b", "a b", "a!b", "\u0640\u0628", "a\u00b7b",
		"\u30fb", "\u0375a", "\u05f3", "a\u200cb", "a\u200db", "\u0660\u06f0", "\u3164", "\uffa0", "\u2f00",
	} {
		_, err := enforceDomain(in)
		require.Error(t, err, "%+q", in)
	}
	// Contextual rules that are met (RFC 5892 Appendix A).
	for _, in := range []string{"l\u00b7l", "\u30a2\u30fb\u30a2", "\u0375\u03b1", "\u05d0\u05f3\u05d0", "\u0915\u094d\u200d\u0937"} {
		got, err := enforceDomain(in)
		require.NoError(t, err, "%+q", in)
		require.Equal(t, in, got)
	}
}

// TestSharedTables runs the x/text values that this package shares between
// goroutines under the race detector.
func TestSharedTables(t *testing.T) {
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for range 50 {
				for _, in := range seeds {
					_, _ = Parse(in)
				}
			}
		})
	}
}
