package stream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// consultLocked has the ledger add its nonzas to what the writer takes next.
// Behind the closing tag there is nothing to add.
func (o *outbox) consultLocked() {
	if o.ledger == nil || o.shut || o.err != nil || o.buf == nil && !o.prompted {
		o.prompted = false
		return
	}
	o.prompted = false
	buf := o.buf
	if buf == nil {
		if buf, o.spare = o.spare, nil; buf == nil {
			buf = takeBuffer()
		}
	}
	before := len(*buf)
	*buf = o.ledger.Nonzas(*buf)
	o.queued += uint64(len(*buf) - before)
	if len(*buf) == 0 {
		dropBuffer(buf)
		buf = nil
	}
	o.buf = buf
}

// settleLocked tells the ledger, once, that the session has ended. What was
// queued up to an offset has been written, or may be.
func (o *outbox) settleLocked(over bool, cause error, written uint64) {
	if o.ledger == nil || o.settled {
		return
	}
	o.settled, o.lost = true, !over
	if o.lost {
		// From now on the receipts are the business of the session that takes the
		// place of this one.
		o.waiting = slices.DeleteFunc(o.waiting, func(r *Receipt) bool { return r.leave(r.end <= written) })
	}
	o.ledger.Ended(o.session, over, cause)
}

// hold gives a stanza to the ledger of a lost session, or to the session that
// has taken its place.
func (o *outbox) hold(ctx context.Context, b []byte, wait bool, k Kept) error {
	if k.Receipt != nil {
		k.Receipt.manage(true)
	}
	next, err := o.ledger.Hold(ctx, b, k, wait)
	if next != nil {
		return next.out.send(ctx, b, wait, k)
	}
	if errors.Is(err, ErrRepeated) {
		k.Receipt.repeated()
		return nil
	}
	return err
}

// unreadGrace is how long a sender waits for acknowledgements while one handler
// keeps the reader from reading them.
const unreadGrace = time.Second

// await waits until there may be room again. Without it there is why, which a
// ledger has said or is ErrFull.
//
// Room in the connection is made by the peer's reading, and the writer's
// deadline bounds that. Room in a ledger is made by acknowledgements, which this
// side has to read; a handler that waits for room keeps the reader from it.
// That wait would never end, so it ends here.
func (o *outbox) await(ctx context.Context, room <-chan struct{}, why error) error {
	var stuck <-chan time.Time
	at := o.session.handling.Load()
	if why != ErrFull && at%2 == 1 {
		timer := time.NewTimer(unreadGrace)
		defer timer.Stop()
		stuck = timer.C
	}
	for {
		select {
		case <-room:
			return nil
		case <-ctx.Done():
			return contextError(ctx)
		case <-stuck:
			if o.session.handling.Load() == at {
				return why
			}
			return nil // the reader reads: look again
		}
	}
}

// probe has the ledger ask the peer for an acknowledgement, and reports whether
// there is a ledger.
func (o *outbox) probe() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ledger == nil || o.err != nil || o.shut {
		return false
	}
	o.ledger.Ask()
	o.prompted = true
	o.startLocked()
	return true
}

// space queues a space, unless something is on its way anyway.
func (o *outbox) space() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && !o.shut && o.queued == o.written {
		o.appendLocked([]byte{' '}, nil)
	}
}
