package auth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeData(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []byte
		ok   bool
	}{
		{"", nil, true},
		{"=", []byte{}, true}, // RFC 6120 §6.4.2
		{"AA==", []byte{0}, true},
		{"AAA=", []byte{0, 0}, true},
		{"AAAA", []byte{0, 0, 0}, true},
		{"biws", []byte("n,,"), true},
		{"+/+/", []byte{0xfb, 0xff, 0xbf}, true},

		// RFC 6120 §13.9.1.
		{"==", nil, false},
		{"=AAA", nil, false},
		{"BBBB=CCC", nil, false},
		{"AA=A", nil, false},
		{"AAAA=", nil, false},
		{"AAAA==", nil, false},
		{"AAAA====", nil, false},
		{"AA", nil, false},
		{"AAA", nil, false},
		{"A", nil, false},
		{"A===", nil, false},
		{"AA==AAAA", nil, false},
		{"AB==", nil, false}, // §6.3.5 rule 2: padding bits
		{"AAB=", nil, false},
		{"AAAA\n", nil, false},
		{"AAAA\r\n", nil, false},
		{"AA\nAA", nil, false},
		{"\nAAAA", nil, false},
		{"\n", nil, false},
		{"\r", nil, false},
		{"=\n", nil, false},
		{" AAAA", nil, false},
		{"AAAA ", nil, false},
		{"AA\tAA", nil, false},
		{"-_-_", nil, false}, // the alphabet of RFC 4648 §5
		{"AA\x00A", nil, false},
		{"AAA\u00e9", nil, false},
		{"\xff\xff\xff\xff", nil, false},
	} {
		got, err := decodeData([]byte(c.in))
		if !c.ok {
			require.ErrorIs(t, err, errEncoding, "%q", c.in)
			require.Nil(t, got, "%q", c.in)
			continue
		}
		require.NoError(t, err, "%q", c.in)
		require.Equal(t, c.want, got, "%q", c.in)
		require.Equal(t, c.want == nil, got == nil, "%q", c.in)
	}
}

// There is one way to write data, so that no second one can carry a message of its own (RFC 6120
// §13.9.1).
func FuzzDecodeData(f *testing.F) {
	for _, s := range []string{"", "=", "AAAA", "AA==", "AB==", "A\nAAA", strings.Repeat("A", 64)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		data, err := decodeData(text)
		if err == nil {
			require.Equal(t, string(text), encodeData(data))
		}
	})
}
