package stanza

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTexts(t *testing.T) {
	texts := Texts{{"en", "a"}, {"", "b"}, {"de-CH", "c"}, {"zh-Hant-CN-x-private", "d"}}
	require.Equal(t, "b", texts.String())
	require.Equal(t, "a", texts[:1].String())
	require.Empty(t, Texts(nil).String())
	require.Equal(t, Texts{{Value: "x"}}, Plain("x"))

	// RFC 4647 §3.4.
	for tag, want := range map[string]string{
		"en": "a", "EN": "a", "en-GB": "a", "en-GB-oed": "a", "en-x-y": "a",
		"de-CH": "c", "de-ch-1996": "c", "zh-Hant-CN-x-private": "d", "zh-Hant-CN-x-private-more": "d",
	} {
		got, ok := texts.In(tag)
		require.True(t, ok, "%s", tag)
		require.Equal(t, want, got, "%s", tag)
	}
	for _, tag := range []string{"", "de", "zh-Hant-CN", "zh-Hant-CN-x", "fr", "-", "--", "x-", "-en", "e"} {
		_, ok := texts.In(tag)
		require.False(t, ok, "%s", tag)
	}
}
