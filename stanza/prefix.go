package stanza

import "slices"

// prefix counts the stanzas of a stream that are finished without a gap: what
// stream management may acknowledge when stanzas are finished out of order
// (XEP-0198 §4: "handled" means that responsibility was taken). Numbers are
// given out in order of arrival. The zero value is ready; a prefix is a plain
// value without a lock.
//
// It remembers the unfinished numbers only, so its size is bounded by whatever
// bounds those, however long one of them takes.
type prefix struct {
	next uint64   // number of the next stanza to begin
	open []uint64 // open[head:]: the unfinished numbers, increasing
	head int
}

// begin returns the number of a stanza that has arrived.
func (p *prefix) begin() uint64 {
	if p.head > 0 && len(p.open) == cap(p.open) {
		p.open = p.open[:copy(p.open, p.open[p.head:])]
		p.head = 0
	}
	n := p.next
	p.next++
	p.open = append(p.open, n)
	return n
}

// finish records that stanza n is finished. Doing so again changes nothing.
func (p *prefix) finish(n uint64) {
	i, ok := slices.BinarySearch(p.open[p.head:], n)
	if !ok {
		return
	}
	// Stanzas finish near the head, so it is the few before n that move.
	copy(p.open[p.head+1:], p.open[p.head:p.head+i])
	p.head++
	if p.head == len(p.open) {
		p.open, p.head = p.open[:0], 0
	}
}

// handled returns how many stanzas make up the finished prefix.
func (p *prefix) handled() uint64 {
	if p.head < len(p.open) {
		return p.open[p.head]
	}
	return p.next
}
