package websocket

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// judge lets a guard look at bytes in pieces of a size, and returns what it lets
// through and why not the rest.
func judge(masked bool, in []byte, size int) (passed int, err *FrameError) {
	now := time.Unix(0, 0)
	g := newGuard(masked, now)
	for len(in) > 0 && err == nil {
		piece := in[:min(size, len(in))]
		in = in[len(piece):]
		var n int
		n, err = g.check(piece, now)
		passed += n
	}
	return passed, err
}

// RFC 6455 §5.1: a server does not mask. The other rules are the same for both; see
// TestAdversarial.
func TestGuardClient(t *testing.T) {
	_, err := judge(false, []byte{0x81, 0x81, 0, 0, 0, 0, '<'}, 1)
	require.Equal(t, 1002, err.Code)
	n, err := judge(false, []byte{0x89, 0, 0x01, 1, '<', 0x89, 1, 'x', 0x80, 1, '/', 0x88, 0, 0xff, 0xff}, 1)
	require.Nil(t, err)
	require.Equal(t, 15, n, "nothing counts behind a Close frame")
	// What came before is passed on.
	n, err = judge(false, []byte{0x81, 1, '<', 0xf1, 1, '<'}, 100)
	require.Equal(t, 1002, err.Code)
	require.Equal(t, 3, n)
}

// Control frames are permitted again as time goes by, and a long message is, if it
// comes in few frames.
func TestGuardBounds(t *testing.T) {
	now := time.Unix(0, 0)
	g := newGuard(false, now)
	ping := []byte{0x89, 0}
	for range int(controlRate.Burst) {
		_, err := g.check(ping, now)
		require.Nil(t, err)
	}
	_, err := g.check(ping, now)
	require.Equal(t, 1008, err.Code)
	g = newGuard(false, now)
	for range 10_000 {
		now = now.Add(200 * time.Millisecond)
		_, err := g.check(ping, now)
		require.Nil(t, err)
	}
	fragments := append([]byte{0x01, 0}, bytes.Repeat([]byte{0x00, 0}, maxFrames-2)...)
	for range 10 { // messages, each of as many frames as there may be
		_, err := g.check(append(bytes.Clone(fragments), 0x80, 0), now)
		require.Nil(t, err)
	}
	_, err = g.check(append(fragments, 0x00, 0, 0x80, 0), now)
	require.Equal(t, 1009, err.Code)
}

// FuzzGuard: the judgement does not depend on how the bytes come.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{0x81, 0x81, 1, 2, 3, 4, '<'}, true)
	f.Add([]byte{0x01, 0xfe, 0, 126, 1, 2, 3, 4, '<'}, true)
	f.Add([]byte{0x89, 0, 0x81, 1, '<', 0x88, 0}, false)
	f.Add([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, true)
	f.Fuzz(func(t *testing.T, in []byte, masked bool) {
		_, want := judge(masked, in, len(in)+1)
		for _, size := range []int{1, 3} {
			_, got := judge(masked, in, size)
			require.Equal(t, want, got)
		}
	})
}
