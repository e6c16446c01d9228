package jid

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestError(t *testing.T) {
	_, err := Parse("a\u202eb@c")
	require.EqualError(t, err, `jid: localpart "a\u202eb" contains a character that is not allowed there`)
	require.ErrorIs(t, err, ErrNotAllowed)
	require.NotErrorIs(t, err, ErrEmpty)

	// What came from the wire is repeated up to a limit, and not cut in a character.
	_, err = Parse("a@b/" + strings.Repeat("x", 63) + "\u00e9\x00" + strings.Repeat("y", 500))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, strings.Repeat("x", 63), e.Input)
	require.True(t, e.Truncated)
	require.True(t, utf8.ValidString(e.Input))
	require.Contains(t, err.Error(), `x"... contains`)

	_, err = Parse(strings.Repeat("\x80", 1<<20))
	require.ErrorAs(t, err, &e)
	require.LessOrEqual(t, len(e.Input), 64)
	require.Less(t, len(err.Error()), 400)

	for p, want := range map[Part]string{Whole: "JID", Localpart: "localpart", Domainpart: "domainpart", Resourcepart: "resourcepart", 9: "JID"} {
		require.Equal(t, want, p.String())
	}
}
