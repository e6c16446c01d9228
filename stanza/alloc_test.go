//go:build !race

// The race detector empties pools at random, which makes allocations.

package stanza

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// allocs is testing.AllocsPerRun with the error looked at.
func allocs(t *testing.T, f func() error) float64 {
	t.Helper()
	require.NoError(t, f())
	var err error
	n := testing.AllocsPerRun(200, func() { err = f() })
	require.NoError(t, err)
	return n
}

// Decoding takes one allocation for all strings, and one more for each value
// that is new.
func TestDecodeAllocations(t *testing.T) {
	chat := element(t, stream.NSClient, chatXML)
	require.LessOrEqual(t, allocs(t, func() error { _, err := Decode(chat); return err }), 3.0)
	var m Message
	require.LessOrEqual(t, allocs(t, func() error { return m.DecodeElement(chat) }), 1.0)

	available := element(t, stream.NSClient,
		"<presence from='romeo@example.net/orchard' id='1' xml:lang='en'><show>dnd</show><status>x</status><priority>1</priority></presence>")
	require.LessOrEqual(t, allocs(t, func() error { _, err := Decode(available); return err }), 3.0)
	var p Presence
	require.LessOrEqual(t, allocs(t, func() error { return p.DecodeElement(available) }), 1.0)

	// The payload of an IQ is an element of its own.
	ping := element(t, stream.NSClient, "<iq from='a@b/c' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
	require.LessOrEqual(t, allocs(t, func() error { _, err := Decode(ping); return err }), 5.0)
}

// Encoding into a buffer with room takes none.
func TestEncodeAllocations(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for name, p := range map[string]Payload{
		"built message":    chatMessage(),
		"received message": decode[*Message](t, chatXML),
		"presence":         &Presence{ID: "1", Show: ShowAway, Status: Plain("x"), Priority: -1},
		"iq":               &IQ{ID: "1", Type: GetIQ, Payload: receiptRequest{}},
		"error":            &IQ{ID: "1", Type: ErrorIQ, Error: &Error{Condition: Gone, URI: "xmpp:a@b", Text: "<text>"}},
	} {
		require.Zero(t, allocs(t, func() error { _, err := p.AppendXML(buf); return err }), "%s", name)
	}
}
