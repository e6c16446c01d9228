package stanza

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewID(t *testing.T) {
	id := NewID()
	require.Len(t, id, 16)
	require.Regexp(t, `^[A-Za-z0-9_-]{16}$`, id)
	require.NotEqual(t, id, NewID())
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { NewID() }), 2.0)
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewID()
	}
}
