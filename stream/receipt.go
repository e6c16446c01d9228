package stream

import (
	"context"
	"fmt"
	"sync"
)

// ReceiptState is how far an element that was sent is known to have got.
type ReceiptState uint8

// The states of a receipt, in order. Acked takes stream management (XEP-0198);
// without it a receipt rests at Written, and becomes Unknown when the session
// ends. With it a receipt outlives its session, until the stanza was
// acknowledged on that one or one that has taken its place, or nothing can be
// found out any more.
const (
	// Queued: accepted for sending.
	Queued ReceiptState = iota
	// Written: handed to the transport.
	Written
	// Acked: the peer has acknowledged it.
	Acked
	// Failed: it never left this side, or not as a whole.
	Failed
	// Unknown: it was written, and the session ended before the peer said
	// whether it got it.
	Unknown
)

// String returns the name of the state in lower case.
func (s ReceiptState) String() string {
	return [...]string{"queued", "written", "acked", "failed", "unknown"}[min(s, Unknown)]
}

// Receipt follows one element that [Session.SendReceipt] queued. It is safe
// for concurrent use.
type Receipt struct {
	session *Session
	end     uint64 // offset in the outgoing bytes; set once, under the outbox's lock

	mu      sync.Mutex
	managed bool // a ledger settles it
	state   ReceiptState
	err     error
	changed chan struct{} // closed at the next change; nil when nobody waits
}

// State returns the state now.
func (r *Receipt) State() ReceiptState {
	state, _, _ := r.look()
	return state
}

// look returns the state, the reason for a bad one, and a channel that is
// closed when the receipt itself changes.
func (r *Receipt) look() (ReceiptState, <-chan struct{}, error) {
	over := r.session.Err() // before the lock: a later end closes done
	r.mu.Lock()
	defer r.mu.Unlock()
	if over != nil && r.state == Written && !r.managed {
		r.state, r.err = Unknown, over
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.state, r.changed, r.err
}

// Wait returns nil once the element has got as far as want: Queued, Written or
// Acked. It returns an error when ctx ends, or when the element can get no
// further: then the session's cause is wrapped, and State tells Failed from
// Unknown. Waiting for Failed or Unknown makes no sense and is an error once
// the element has got there.
func (r *Receipt) Wait(ctx context.Context, want ReceiptState) error {
	done := r.session.done
	for {
		state, changed, err := r.look()
		switch {
		case state == Failed || state == Unknown:
			return fmt.Errorf("stream: delivery %s: %w", state, err)
		case state >= want:
			return nil
		}
		select {
		case <-changed:
		case <-done:
			// What is queued still is with a write that has not returned yet, or
			// with a ledger.
			done = nil
		case <-ctx.Done():
			return contextError(ctx)
		}
	}
}

// advance moves the receipt on; final states are final.
func (r *Receipt) advance(to ReceiptState, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to <= r.state || r.state >= Acked || r.managed && to >= Failed {
		return
	}
	r.moveLocked(to, err)
}

func (r *Receipt) moveLocked(to ReceiptState, err error) {
	r.state, r.err = to, err
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Release is for a [Ledger] that does not keep a stanza any more: its receipt
// rests with the session again.
func (r *Receipt) Release() { r.manage(false) }

// manage says whether a ledger settles the receipt.
func (r *Receipt) manage(managed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.managed = managed
	if r.changed != nil { // whoever waits looks at the session again, or no more
		close(r.changed)
		r.changed = nil
	}
}

// leave reports whether a ledger settles the receipt. Then it is told, for the last
// time by this session, whether the element has been written, as far as one knows.
func (r *Receipt) leave(written bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.managed {
		return false
	}
	if written && r.state == Queued {
		r.moveLocked(Written, nil)
	}
	return true
}

// Settle is for a [Ledger]: it moves the receipt of a stanza that it keeps to a
// final state. Acked means that the peer has acknowledged the stanza. Given up
// is whatever has not been: Failed if it was never written, otherwise Unknown,
// for the given reason. Final states are final.
func (r *Receipt) Settle(acked bool, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state >= Acked:
	case acked:
		r.moveLocked(Acked, nil)
	case r.state == Queued:
		r.moveLocked(Failed, reason)
	default:
		r.moveLocked(Unknown, reason)
	}
}

// repeated settles the receipt of a stanza that another process has sent: what
// became of it is not known here. The receipt may be nil.
func (r *Receipt) repeated() {
	if r != nil {
		r.advance(Written, nil)
		r.Settle(false, ErrRepeated)
	}
}
