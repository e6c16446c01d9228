package dial

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What comes from others is escaped, and cut where something whole ends.
func TestClip(t *testing.T) {
	x := strings.Repeat("x", textPart)
	for in, want := range map[string]string{
		"":                       "",
		"a b~!":                  "a b~!",
		"\x1f\x7f":               `\x1f\x7f`,
		"é":                      `\u00e9`,
		"\xff":                   `\xff`,
		`"`:                      `"`,
		x:                        x,
		x + "x":                  x + "…",
		x[1:] + "é":              x[1:] + "…",
		x[:textPart-6] + "é":     x[:textPart-6] + `\u00e9`,
		x[:textPart-5] + "é" + x: x[:textPart-5] + "…",
	} {
		require.Equal(t, want, clip(in), "%q", in)
	}
}

// RFC 2782: the choice is random.
func TestIntN(t *testing.T) {
	seen := make(map[int]int)
	for range 10_000 {
		n := intN(4)
		require.True(t, n >= 0 && n < 4)
		seen[n]++
	}
	for n := range 4 {
		require.InDelta(t, 2500, seen[n], 300, "%d", n)
	}
}
