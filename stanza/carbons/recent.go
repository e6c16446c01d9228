package carbons

import (
	"hash/maphash"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
)

// maxRecent is how many messages of an account are remembered, for the errors that
// may come about them.
const maxRecent = 64

// recent remembers which messages of an account were eligible, so that an error
// about one of them is too (XEP-0280 §6.1). An error need not repeat the message
// (RFC 6120 §8.3.1), so its id is all there is. The oldest is forgotten. The zero
// value is ready, and safe for concurrent use.
type recent struct {
	mu    sync.Mutex
	marks []uint64
	next  int // which one is replaced when there are maxRecent
}

var seed = maphash.MakeSeed()

// mark stands for a message to or from peer.
func mark(d Direction, peer jid.JID, id []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteByte(byte(d))
	h.WriteString(peer.String())
	h.WriteByte(0) // which is in no address
	h.Write(id)
	return h.Sum64()
}

func (r *recent) add(m uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.marks) < maxRecent {
		r.marks = append(r.marks, m)
		return
	}
	r.marks[r.next] = m
	r.next = (r.next + 1) % maxRecent
}

func (r *recent) has(m uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.marks, m)
}
