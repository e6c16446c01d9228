package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// maxGroup bounds how many changes share a transaction.
const maxGroup = 512

// request is a change that waits for the writer.
type request struct {
	// change may be called again, so it sets its results anew each time. It does
	// not keep the transaction. An error that it returns before it has changed
	// anything costs the others in the group nothing.
	change func(*txn) error
	err    error
	panics any // what change panicked with
	done   chan struct{}
}

// update carries out a change. When it returns nil, the change is on the disk;
// with an error, nothing has happened.
func (db *DB) update(ctx context.Context, change func(*txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{change: change, done: make(chan struct{})}
	select {
	case db.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return errClosed
	}
	<-r.done
	if r.panics != nil {
		panic(r.panics)
	}
	return r.err
}

// view reads.
func (db *DB) view(ctx context.Context, read func(*txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := db.bolt.View(func(tx *bbolt.Tx) error { return read(&txn{Tx: tx}) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return errClosed
	}
	return err
}

// write is the one goroutine that changes the file.
func (db *DB) write() {
	defer close(db.written)
	var group []*request
	var broken error
	for {
		group = db.gather(group[:0])
		if len(group) == 0 {
			return
		}
		broken = db.commit(group, broken)
		for _, r := range group {
			close(r.done)
		}
		clear(group)
	}
}

// gather waits for a request, and returns it with all others that wait. It returns
// none when the database is being closed.
func (db *DB) gather(group []*request) []*request {
	select {
	case r := <-db.requests:
		group = append(group, r)
	case <-db.closing:
		return nil
	}
	// Those who have just got their answer may have more to say.
	runtime.Gosched()
	for len(group) < maxGroup {
		select {
		case r := <-db.requests:
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// commit carries out the changes of a group in one transaction, and without those
// that fail. It returns why nothing can be written any more.
func (db *DB) commit(group []*request, broken error) error {
	group = slices.Clone(group)
	for len(group) > 0 {
		if broken != nil {
			for _, r := range group {
				r.err = broken
			}
			return broken
		}
		var failed int
		if failed, broken = db.try(group); failed < 0 && broken == nil {
			return nil
		} else if failed >= 0 {
			group = slices.Delete(group, failed, failed+1)
		}
	}
	return nil
}

// try carries out a group. It returns which of the changes has failed halfway, if
// any; then nothing has happened, and the others have to be tried again. The error
// is that of the disk.
func (db *DB) try(group []*request) (failed int, broken error) {
	tx, err := db.bolt.Begin(true)
	if err != nil {
		return -1, fmt.Errorf("bolt: %w", err)
	}
	t := &txn{Tx: tx}
	for i, r := range group {
		before := t.changes
		if r.run(t); r.err != nil && t.changes != before {
			return i, rollback(tx)
		}
	}
	if t.changes == 0 {
		return -1, rollback(tx)
	}
	if err := tx.Commit(); err != nil {
		// What is on the disk is not known now: the last page that was written
		// decides, and that it was is all that is not certain.
		return -1, fmt.Errorf("bolt: writing: %w", err)
	}
	return -1, nil
}

func rollback(tx *bbolt.Tx) error {
	if err := tx.Rollback(); err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	return nil
}

// run calls change. A panic is that of the caller, who gets it back.
func (r *request) run(t *txn) {
	r.err, r.panics = errors.New("bolt: a change panicked"), nil
	defer func() {
		if r.panics = recover(); r.panics != nil {
			t.changes++ // who knows
		}
	}()
	r.err = r.change(t)
}
