package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/stream/sm"
)

// sessions implements sm.Store. The journal of a session is in rows, of one batch
// each, until it is worth replaying.
type sessions struct{ db *DB }

// Sessions returns the sessions that can be resumed (XEP-0198). Each batch of
// stanzas is written to the disk before it is sent, unless [Options].NoSync is set:
// think of a file of its own for them.
func (db *DB) Sessions() sm.Store { return sessions{db} }

// minJournal is how long a journal gets before it is worth replaying.
const minJournal = 16 << 10

// maxSessionID is how long the key of a session may be; see sm.State.
const maxSessionID = 4000

// saved is what is known of a session without reading it.
type saved struct {
	next    uint64 // number of the next row
	rows    int64  // how many there are, which end before that
	state   int64  // bytes of the state
	journal int64  // bytes of the rows
}

func (s saved) bytes() int64 { return s.state + s.journal }

func encodeSaved(s saved) []byte {
	v := newValue(32)
	v.uint(s.next)
	v.uint(uint64(s.rows))
	v.uint(uint64(s.state))
	v.uint(uint64(s.journal))
	return v
}

func decodeSaved(b []byte) (saved, error) {
	r := newReader(b)
	s := saved{next: r.uint(), rows: r.count(), state: r.count(), journal: r.count()}
	if r.err == nil && uint64(s.rows) > s.next {
		r.fail(errRange)
	}
	return s, r.end(bucketSessionSums)
}

// sessionKey begins the keys of a session. Lengths in front keep the rows of
// one apart from those of all others.
func sessionKey(id string, extra int) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(id)+extra), uint16(len(id))), id...)
}

// sessionRow is the key of a row.
func sessionRow(id string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(sessionKey(id, 8), n)
}

// session returns what is known of a session.
func (t *txn) session(id string) (s saved, ok bool, err error) {
	if id == "" || len(id) > maxSessionID {
		return s, false, nil
	}
	v := t.get(bucketSessionSums, sessionKey(id, 0))
	if v == nil {
		return s, false, nil
	}
	s, err = decodeSaved(v)
	return s, true, err
}

// setSession keeps what is known of a session, and in total how much there is.
func (t *txn) setSession(id string, s, old saved) error {
	if err := t.add(totalSessionBytes, s.bytes()-old.bytes()); err != nil {
		return err
	}
	return t.put(bucketSessionSums, sessionKey(id, 0), encodeSaved(s))
}

// removeRows removes the journal of a session, whatever is said about it.
func (t *txn) removeRows(id string) error {
	return t.removePrefix(bucketSessionJournals, sessionKey(id, 0))
}

// openSession reads a session.
func (t *txn) openSession(id string, s saved) (*sm.State, error) {
	b, err := decodeRaw(bucketSessions, t.get(bucketSessions, sessionKey(id, 0)))
	if err != nil {
		return nil, err
	}
	st := new(sm.State)
	if err := st.UnmarshalBinary(b); err != nil {
		return nil, &CorruptError{bucketSessions, err}
	}
	for n := s.next - uint64(s.rows); n < s.next; n++ {
		row, err := decodeRaw(bucketSessionJournals, t.get(bucketSessionJournals, sessionRow(id, n)))
		if err != nil {
			return nil, err
		}
		if err := st.Replay(row); err != nil {
			return nil, &CorruptError{bucketSessionJournals, err}
		}
	}
	return st, nil
}

// room returns an error if there is none for more bytes.
func (s sessions) room(t *txn, more int64) error {
	total, err := t.total(totalSessionBytes)
	if err == nil && more > 0 && total+more > s.db.options.SessionBytes {
		err = fmt.Errorf("%w: it has %d bytes", sm.ErrStoreFull, total)
	}
	return err
}

// Put implements sm.Store.
func (s sessions) Put(ctx context.Context, st *sm.State) error {
	b, err := st.MarshalBinary()
	if err != nil {
		return err
	}
	id, value := st.ID, encodeRaw(b)
	return s.db.update(ctx, func(t *txn) error {
		old, had, err := t.session(id)
		if err != nil {
			return err
		}
		now := saved{next: old.next, state: int64(len(b))}
		if err := s.room(t, now.bytes()-old.bytes()); err != nil {
			return err
		}
		if !had {
			n, err := t.total(totalSessions)
			if err != nil {
				return err
			}
			if n >= int64(s.db.options.Sessions) {
				return fmt.Errorf("%w: it has %d sessions", sm.ErrStoreFull, n)
			}
			if err := t.add(totalSessions, 1); err != nil {
				return err
			}
		}
		if err := t.removeRows(id); err != nil {
			return err
		}
		if err := t.put(bucketSessions, sessionKey(id, 0), value); err != nil {
			return err
		}
		return t.setSession(id, now, old)
	})
}

// Append implements sm.Store.
func (s sessions) Append(ctx context.Context, id string, j sm.Journal) error {
	value := encodeRaw(j)
	return s.db.update(ctx, func(t *txn) error {
		old, ok, err := t.session(id)
		switch {
		case err != nil:
			return err
		case !ok:
			return sm.ErrNoState
		case len(j) == 0:
			return nil
		}
		if old.journal+int64(len(j)) > max(minJournal, old.state) {
			done, err := s.replay(t, id, old, j)
			if done || err != nil {
				return err
			}
		}
		if err := s.room(t, int64(len(j))); err != nil {
			return err
		}
		now := old
		now.next++
		now.rows++
		now.journal += int64(len(j))
		if err := t.put(bucketSessionJournals, sessionRow(id, old.next), value); err != nil {
			return err
		}
		return t.setSession(id, now, old)
	})
}

// replay makes one state of a session and what comes to it. It has done nothing if
// that would be no smaller, or cannot be read: then it is kept for who wants to know
// why.
func (s sessions) replay(t *txn, id string, old saved, j sm.Journal) (done bool, err error) {
	st, err := t.openSession(id, old)
	if err == nil {
		err = st.Replay(j)
	}
	if err != nil {
		return false, nil
	}
	b, err := st.MarshalBinary()
	if err != nil {
		return false, nil
	}
	now := saved{next: old.next, state: int64(len(b))}
	if err := s.room(t, now.bytes()-old.bytes()); err != nil {
		return false, err
	}
	if err := t.removeRows(id); err != nil {
		return false, err
	}
	if err := t.put(bucketSessions, sessionKey(id, 0), encodeRaw(b)); err != nil {
		return false, err
	}
	return true, t.setSession(id, now, old)
}

// Load implements sm.Store.
func (s sessions) Load(ctx context.Context, id string) (st *sm.State, err error) {
	err = s.db.view(ctx, func(t *txn) error {
		known, ok, err := t.session(id)
		switch {
		case err != nil:
			return err
		case !ok:
			return sm.ErrNoState
		}
		st, err = t.openSession(id, known)
		return err
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// Delete implements sm.Store.
func (s sessions) Delete(ctx context.Context, id string) error {
	return s.db.update(ctx, func(t *txn) error {
		old, ok, err := t.session(id)
		if err != nil || !ok {
			return err
		}
		if err := t.removeRows(id); err != nil {
			return err
		}
		if err := t.remove(bucketSessions, sessionKey(id, 0)); err != nil {
			return err
		}
		if err := t.remove(bucketSessionSums, sessionKey(id, 0)); err != nil {
			return err
		}
		if err := t.add(totalSessionBytes, -old.bytes()); err != nil {
			return err
		}
		return t.add(totalSessions, -1)
	})
}

// sessionChunk is how many ids All reads at a time.
const sessionChunk = 256

// All implements sm.Store. No transaction is open while each is called.
func (s sessions) All(ctx context.Context, each func(id string, st *sm.State) error) error {
	var last []byte
	for {
		var keys [][]byte
		err := s.db.view(ctx, func(t *txn) error {
			return t.after(bucketSessionSums, nil, last, func(k, _ []byte) (bool, error) {
				keys = append(keys, bytes.Clone(k))
				return len(keys) < sessionChunk, nil
			})
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, k := range keys {
			if len(k) < 2 || int(binary.BigEndian.Uint16(k)) != len(k)-2 {
				return &CorruptError{bucketSessionSums, errKey}
			}
			id := string(k[2:])
			st, err := s.Load(ctx, id)
			var corrupt *CorruptError
			switch {
			case errors.Is(err, sm.ErrNoState):
				continue // deleted meanwhile
			case err != nil && !errors.As(err, &corrupt):
				return err
			}
			if err := each(id, st); err != nil {
				return err
			}
		}
		last = keys[len(keys)-1]
	}
}
