package stream_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// What a peer says is quoted, and short once it is.
func TestErrorStringIsCapped(t *testing.T) {
	for name, text := range map[string]string{
		"control characters": "\x1b[2J\r\n", "two bytes": "é", "four bytes": "\U0001F600", "no UTF-8": "\xff", "quotes": `"`, "letters": "x",
	} {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat(text, 1<<20)
			e := &stream.Error{Condition: stream.SeeOtherHost, Text: long, OtherHost: long, Received: true}
			s := e.Error()
			require.LessOrEqual(t, len(s), 1<<10)
			require.Greater(t, len(s), 700)
			for _, r := range s {
				require.True(t, r >= ' ' && r <= '~' || r == '…', "%q", r)
			}
		})
	}
	cause := errors.New("why")
	e := &stream.Error{Condition: stream.BadFormat, Text: "a\nb é", Cause: cause}
	require.Equal(t, `stream error bad-format: "a\nb \u00e9": why`, e.Error())
	require.ErrorIs(t, e, cause)
	require.ErrorIs(t, e, stream.BadFormat)
}
