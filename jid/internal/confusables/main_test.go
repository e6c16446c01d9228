package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const sample = "\uFEFF# confusables.txt\n# Date: 2022-08-26\n# Version: 15.0.0\n\n" +
	"0430 ;\t0061 ;\tMA\t# ( а → a )\n006D ;\t0072 006E ;\tMA\t# ( m → rn )\n1D5C6 ;\t0072 006E ;\tMA\n\n# total: 3\n"

func TestRender(t *testing.T) {
	tab, err := parse([]byte(sample))
	require.NoError(t, err)
	require.Equal(t, []mapping{{'m', "rn"}, {'а', "a"}, {0x1D5C6, "rn"}}, tab.mappings)
	src, err := tab.render()
	require.NoError(t, err)
	out := string(src)
	require.Contains(t, out, "// Version: 15.0.0\n")
	require.Contains(t, out, `"rna"`)
	require.Contains(t, out, "0x40006d, 0x200430, 0x41d5c6,")
	require.Contains(t, out, "0, 2, 0,")
}

func TestParseRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"no version":     "# total: 0\n",
		"wrong total":    "# Version: 1\n0061 ; 0062 ; MA\n# total: 2\n",
		"no total":       "# Version: 1\n0061 ; 0062 ; MA\n",
		"bad total":      "# Version: 1\n# total: x\n",
		"twice":          "# Version: 1\n0061 ; 0062 ; MA\n0061 ; 0063 ; MA\n# total: 2\n",
		"other class":    "# Version: 1\n0061 ; 0062 ; SL\n# total: 1\n",
		"no target":      "# Version: 1\n0061 ; ; MA\n# total: 1\n",
		"two sources":    "# Version: 1\n0061 0062 ; 0063 ; MA\n# total: 1\n",
		"surrogate":      "# Version: 1\nD800 ; 0062 ; MA\n# total: 1\n",
		"no hex":         "# Version: 1\n0061 ; x ; MA\n# total: 1\n",
		"something else": "<html>\n",
	} {
		_, err := parse([]byte(in))
		require.Error(t, err, name)
	}
}
