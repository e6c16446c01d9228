//go:build unix

package interop

import (
	"bufio"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// TestScanTerminal: what a terminal is told is text with control sequences between, however the reads cut it.
func TestScanTerminal(t *testing.T) {
	const told = "\x1b[?1049h\x1b(B\x1b[m\x1b[1;60r\x1b[H\x1b[2J\x1b[37m\x1b[44m 00:58 - \u2764 hello\x1b[K\r\nthere\x1b7\x0f\x1b[2;5Hagain"
	for name, input := range map[string]*bufio.Scanner{
		"at once":  bufio.NewScanner(strings.NewReader(told)),
		"by bytes": bufio.NewScanner(iotest.OneByteReader(strings.NewReader(told))),
	} {
		t.Run(name, func(t *testing.T) {
			input.Split(scanTerminal)
			var texts []string
			for input.Scan() {
				texts = append(texts, input.Text())
			}
			require.NoError(t, input.Err())
			require.Equal(t, []string{" 00:58 - \u2764 hello", "there", "again"}, texts)
		})
	}
}
