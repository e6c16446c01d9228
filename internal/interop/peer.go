package interop

import (
	"os"
	"testing"
)

// required is the value of STANZAKIT_INTEROP that makes every peer mandatory.
const required = "required"

// Required reports whether a missing peer has to fail the test.
func Required() bool { return os.Getenv("STANZAKIT_INTEROP") == required }

// Missing ends a test whose peer is not there: it skips on a laptop, and fails where the peers are mandatory.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if Required() {
		t.Fatalf(format+" (STANZAKIT_INTEROP="+required+")", args...)
	}
	t.Skipf(format+" (STANZAKIT_INTEROP="+required+" makes this an error)", args...)
}
