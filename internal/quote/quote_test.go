package quote

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASCII(t *testing.T) {
	for in, want := range map[string]string{
		"":                           `""`,
		"plain":                      `"plain"`,
		"\x1b[31m\r\n\x00":           `"\x1b[31m\r\n\x00"`,
		"é\u202e\xff":                `"\u00e9\u202e\xff"`,
		`"quoted\`:                   `"\"quoted\\"`,
		strings.Repeat("x", 20):      `"` + strings.Repeat("x", 20) + `"`,
		strings.Repeat("x", 21):      `"` + strings.Repeat("x", 20) + `"…`,
		strings.Repeat("é", 10_000):  `"\u00e9\u00e9\u00e9"…`,
		strings.Repeat("\x01", 9999): `"\x01\x01\x01\x01\x01"…`,
	} {
		require.Equal(t, want, ASCII(in, 20))
	}
}

func Example() {
	fmt.Println(ASCII("no such\x1b[2Jhost", 64))
	// Output: "no such\x1b[2Jhost"
}
