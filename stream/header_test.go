package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 5646 §2.1: the shape of a language tag.
//
//conformance:proves 6120-4.7.4-1
func TestValidLang(t *testing.T) {
	for _, good := range []string{
		"en", "de-CH", "a", "z", "A", "Z", "0", "9", "az-AZ-09", "x-12345678", "i-klingon", "zh-Hant-TW",
		strings.Repeat("abcdefg-", 7) + "abcdefgh", // 64
	} {
		require.True(t, validLang(good), good)
	}
	for _, bad := range []string{
		"", "-", "en-", "-en", "en--gb", "en_GB", "123456789", "e'n", "en gb", "é", "en-/", "en-:", "en-@", "en-[", "en-`", "en-{", "\x10", "\x00",
		strings.Repeat("abcdefg-", 8) + "a", // 65
		strings.Repeat("a-", 32) + "a",
	} {
		require.False(t, validLang(bad), bad)
	}
}

// RFC 6120 §4.7.4.
//
//conformance:proves 6120-4.7.4-4 6120-4.7.4-6
//conformance:proves 6120-4.7.4-5
func TestResponseLang(t *testing.T) {
	for _, c := range [][3]string{{"en", "en", "en"}, {"EN", "en", "EN"}, {"de", "en", "en"}, {"en-GB", "en", "en"}, {"", "en", "en"}} {
		require.Equal(t, c[2], responseLang(c[0], c[1]), "%q", c)
	}
}
