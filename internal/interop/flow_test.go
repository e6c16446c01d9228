package interop_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// direction is who sent an item, seen from the client.
type direction byte

const (
	sent     direction = 'C'
	received direction = 'S'
)

// item is one stream header, first-level element or closing tag.
type item struct {
	direction direction
	xml       string
}

// flow is what went over one connection, inside TLS where there was TLS, with the contents of secret elements redacted by the trace.
type flow []item

func (f *flow) add(d direction, xml []byte) {
	*f = append(*f, item{d, string(xml)})
}

// has reports whether there is an item from d with text in it.
func (f flow) has(d direction, text string) bool {
	return slices.ContainsFunc(f, func(i item) bool { return i.direction == d && strings.Contains(i.xml, text) })
}

// recordFlow writes a flow to testdata when STANZAKIT_RECORD is set. The flows there are read by tests that need no peer.
func recordFlow(t *testing.T, f flow, file, comment string) {
	t.Helper()
	if os.Getenv("STANZAKIT_RECORD") == "" {
		return
	}
	var b bytes.Buffer
	b.WriteString("# " + comment + "\n# C is the client, S the server; an item for each line. Secrets are redacted.\n")
	for _, i := range f {
		require.NotContains(t, i.xml, "\n", "a line holds one item")
		b.WriteString(string(i.direction) + ": " + i.xml + "\n")
	}
	require.NoError(t, os.WriteFile(filepath.Join("testdata", file), b.Bytes(), 0o644))
}

// readFlow reads what recordFlow wrote.
func readFlow(t *testing.T, file string) flow {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var f flow
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		who, xml, ok := strings.Cut(line, ": ")
		require.True(t, ok && (who == "C" || who == "S"), "%s: %q", file, line)
		f.add(direction(who[0]), []byte(xml))
	}
	return f
}
