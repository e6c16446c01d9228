package tls

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// X.690 §10.1, §8.1.3: what an element may look like.
func TestNextElement(t *testing.T) {
	zeros := make([]byte, 70_000)
	element := func(head ...byte) func(size int) []byte {
		return func(size int) []byte { return slices.Concat(head, zeros[:size]) }
	}
	for what, tc := range map[string]struct {
		in   []byte
		size int // of the contents; -1: malformed
	}{
		"nothing":                       {nil, -1},
		"a tag alone":                   {[]byte{4}, -1},
		"empty":                         {[]byte{4, 0}, 0},
		"one byte":                      {element(4, 1)(1), 1},
		"a byte missing":                {element(4, 2)(1), -1},
		"127 bytes":                     {element(4, 0x7f)(0x7f), 0x7f},
		"128 bytes":                     {element(4, 0x81, 0x80)(0x80), 0x80},
		"255 bytes":                     {element(4, 0x81, 0xff)(0xff), 0xff},
		"256 bytes":                     {element(4, 0x82, 1, 0)(0x100), 0x100},
		"65536 bytes":                   {element(4, 0x83, 1, 0, 0)(0x10000), 0x10000},
		"one of them missing":           {element(4, 0x83, 1, 0, 0)(0xffff), -1},
		"indefinite length":             {element(0x24, 0x80)(0x200), -1},
		"127 bytes, long form":          {element(4, 0x81, 0x7f)(0x7f), -1},
		"no bytes, long form":           {[]byte{4, 0x81, 0}, -1},
		"128 bytes, leading zero":       {element(4, 0x82, 0, 0x80)(0x80), -1},
		"256 bytes, leading zero":       {element(4, 0x83, 0, 1, 0)(0x100), -1},
		"length cut off":                {[]byte{4, 0x82, 1}, -1},
		"length cut off before it":      {[]byte{4, 0x82}, -1},
		"length cut off, others enough": {[]byte{4, 0x84, 0xff}, -1},
		"length of 4 bytes":             {element(4, 0x84, 1, 0, 0, 0)(0x100), -1},
		"length of 8 bytes, negative":   {element(4, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)(0x100), -1},
		"length of 9 bytes, overflow":   {element(4, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0x80)(0x80), -1},
		"length of 127 bytes":           {element(4, 0xff)(0x200), -1},
		"tag of two bytes":              {[]byte{0x1f, 0x1f, 0}, -1},
		"private tag of two bytes":      {[]byte{0xff, 0}, -1},
	} {
		d := der(append(slices.Clip(tc.in), 7))
		if tc.size < 0 {
			d = d[:len(tc.in)]
		}
		tag, contents, err := d.next()
		if tc.size < 0 {
			require.ErrorIs(t, err, errDER, what)
			require.Zero(t, tag, what)
			require.Nil(t, contents, what)
			continue
		}
		require.NoError(t, err, what)
		require.Equal(t, tc.in[0], tag, what)
		require.Len(t, contents, tc.size, what)
		require.Equal(t, tc.size, cap(contents), "%s: to append would change what follows", what)
		require.Equal(t, der{7}, d, what)
	}
}

func TestTakeElement(t *testing.T) {
	in := der{4, 1, 9, 5, 0}
	got, err := in.take(4)
	require.NoError(t, err)
	require.Equal(t, der{9}, got)
	_, err = in.take(4)
	require.ErrorIs(t, err, errDER, "another tag")
	_, err = in.take(4)
	require.ErrorIs(t, err, errDER, "nothing left")

	got, err = der{4, 1, 9}.whole(4)
	require.NoError(t, err)
	require.Equal(t, der{9}, got)
	for what, in := range map[string]der{"another tag": {5, 1, 9}, "something behind": {4, 1, 9, 0}, "malformed": {4, 2, 9}, "nothing": nil} {
		_, err := in.whole(4)
		require.ErrorIs(t, err, errDER, what)
	}
}
