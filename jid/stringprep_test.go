package jid

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStringprep proves our side of every row of STRINGPREP.md.
func TestStringprep(t *testing.T) {
	doc, err := os.ReadFile("STRINGPREP.md")
	require.NoError(t, err)

	enforce := map[string]func(string) (string, error){
		"Localparts":    enforceLocal,
		"Resourceparts": enforceResource,
		"Domainparts":   enforceDomain,
	}
	section := ""
	rows := map[string]int{}
	for line := range strings.Lines(string(doc)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			section, _, _ = strings.Cut(h, ":")
			continue
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), " | ")
		require.Len(t, cells, 4, line)
		rows[section]++
		input := literal(t, strings.TrimPrefix(cells[0], "| "))
		t.Run(section+"/"+strconv.QuoteToASCII(input), func(t *testing.T) {
			got, err := enforce[section](input)
			if cells[2] == "not allowed" {
				require.ErrorIs(t, err, ErrNotAllowed)
				var e *Error
				require.True(t, errors.As(err, &e))
				return
			}
			require.NoError(t, err)
			require.Equal(t, literal(t, cells[2]), got)
			// The mark must say what the columns say.
			same := strings.HasPrefix(cells[3], "**=**")
			require.Equal(t, same, cells[1] == cells[2], "mark of %s", line)
			again, err := enforce[section](got)
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
	require.Equal(t, map[string]int{"Localparts": 46, "Resourceparts": 27, "Domainparts": 19}, rows)
}

func literal(t *testing.T, cell string) string {
	t.Helper()
	s, err := strconv.Unquote(strings.Trim(cell, "`"))
	require.NoError(t, err, cell)
	return s
}
