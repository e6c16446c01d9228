//go:build !linux

package interop_test

import "testing"

// BenchmarkCompare needs Linux.
func BenchmarkCompare(b *testing.B) {
	b.Skip("what servers use is read from /proc, in the form that Linux gives it")
}
