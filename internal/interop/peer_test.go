package interop_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
)

// ending is a testing.TB that notes how a test was ended.
type ending struct {
	testing.TB
	how string
}

func (e *ending) Helper() {}

func (e *ending) Skipf(format string, args ...any) { e.how = "skip: " + fmt.Sprintf(format, args...) }

func (e *ending) Fatalf(format string, args ...any) {
	e.how = "fail: " + fmt.Sprintf(format, args...)
	panic(e) // Fatalf does not return
}

// TestMissing: a peer that is not there skips a test with the reason, and fails it where peers are mandatory.
func TestMissing(t *testing.T) {
	for value, want := range map[string]string{"": "skip: no such peer", "required": "fail: no such peer"} {
		t.Setenv("STANZAKIT_INTEROP", value)
		e := &ending{TB: t}
		func() {
			defer func() { _ = recover() }()
			interop.Missing(e, "no such %s", "peer")
		}()
		require.Contains(t, e.how, want)
	}
}
