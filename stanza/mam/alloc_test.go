//go:build !race

// The race detector empties pools at random, which makes allocations.

package mam_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/mam"
)

// sink is a store that costs nothing.
type sink struct{ mam.Store }

func (sink) Append(context.Context, jid.JID, *mam.Entry, mam.Keep) error { return nil }
func (sink) Prefs(context.Context, jid.JID) (*mam.Prefs, error)          { return nil, nil }

// What archiving a message for both accounts costs beside the store: the copy, the
// ids, the payload for the sender, and the new message for the recipient, with the
// limits for reading it. A message that is not archived costs nothing.
func TestArchiveAllocations(t *testing.T) {
	n := testing.AllocsPerRun(200, carry(t, &mam.Module{Store: sink{}}, chatXML))
	require.LessOrEqual(t, n, 13.0)
	n = testing.AllocsPerRun(200, carry(t, &mam.Module{Store: sink{}}, "<message type='chat' to='nurse@capulet.lit'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"))
	require.LessOrEqual(t, n, 1.0)
	// The memory store adds the entries and their indexes, now and then.
	n = testing.AllocsPerRun(500, carry(t, &mam.Module{}, chatXML))
	require.LessOrEqual(t, n, 15.0)
}

func BenchmarkArchive(b *testing.B) {
	send := carry(b, &mam.Module{}, chatXML)
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}
