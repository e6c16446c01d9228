//go:build !race

// The race detector allocates, so this cannot be measured with it.

package stanza_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSessionEchoAllocs bounds what BenchmarkSessionEcho shows: allocations for
// a message both ways.
func TestSessionEchoAllocs(t *testing.T) {
	client, server := conns(t, nil, nil)
	echo(t, server)
	const warm, measured = 200, 2000
	var before, after runtime.MemStats
	n := 0
	roundTrips(t, client, func() bool {
		switch n++; n {
		case warm:
			runtime.ReadMemStats(&before)
		case warm + measured:
			runtime.ReadMemStats(&after)
			return false
		}
		return true
	})
	client.Abort(nil)
	server.Abort(nil)
	perMessage := float64(after.Mallocs-before.Mallocs) / measured
	t.Logf("%.2f allocations for a message there and back", perMessage)
	require.LessOrEqual(t, perMessage, 12.0)
}
