package bolt

import (
	"bytes"
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
)

// offline implements presence.OfflineStore. Numbers come from one sequence for all
// accounts, so that none is used again.
type offline struct{ db *DB }

// sums is how many things there are, and how long they are together.
type sums struct{ count, bytes int64 }

func encodeSums(s sums) []byte {
	v := newValue(16)
	v.uint(uint64(s.count))
	v.uint(uint64(s.bytes))
	return v
}

func decodeSums(bucket string, b []byte) (sums, error) {
	r := newReader(b)
	s := sums{count: r.count(), bytes: r.count()}
	return s, r.end(bucket)
}

// sums returns what is counted for an account.
func (t *txn) sums(bucket string, account jid.JID) (s sums, ok bool, err error) {
	v := t.get(bucket, plain(account))
	if v == nil {
		return s, false, nil
	}
	s, err = decodeSums(bucket, v)
	return s, true, err
}

// setSums keeps what is counted for an account, and in total how many have any.
func (t *txn) setSums(bucket, total string, account jid.JID, s sums, had bool) error {
	has := s.count > 0
	switch {
	case s.count < 0 || s.bytes < 0:
		return &CorruptError{bucket, errRange}
	case !has && !had:
		return nil
	case !has:
		if err := t.add(total, -1); err != nil {
			return err
		}
		return t.remove(bucket, plain(account))
	case !had:
		if err := t.add(total, 1); err != nil {
			return err
		}
	}
	return t.put(bucket, plain(account), encodeSums(s))
}

// Add implements presence.OfflineStore.
func (s offline) Add(ctx context.Context, account jid.JID, message []byte) error {
	value := encodeRaw(message)
	o := &s.db.options
	return s.db.update(ctx, func(t *txn) error {
		box, had, err := t.sums(bucketBoxes, account)
		if err != nil {
			return err
		}
		if box.count >= int64(o.OfflineMessages) || box.bytes+int64(len(message)) > int64(o.OfflineBytes) {
			return fmt.Errorf("%w: %d are waiting", presence.ErrQuota, box.count)
		}
		if !had {
			n, err := t.total(totalBoxes)
			if err != nil {
				return err
			}
			if n >= int64(o.MaxAccounts) {
				return fmt.Errorf("%w: %d accounts have some", presence.ErrQuota, n)
			}
		}
		seq, err := t.next(bucketOffline)
		if err != nil {
			return err
		}
		if err := t.put(bucketOffline, numbered(account, seq), value); err != nil {
			return err
		}
		box.count++
		box.bytes += int64(len(message))
		return t.setSums(bucketBoxes, totalBoxes, account, box, had)
	})
}

// Messages implements presence.OfflineStore.
func (s offline) Messages(ctx context.Context, account jid.JID, max int) (out []presence.OfflineMessage, err error) {
	if max <= 0 {
		return nil, ctx.Err()
	}
	err = s.db.view(ctx, func(t *txn) error {
		p := prefix(account, 0)
		return t.after(bucketOffline, p, p, func(k, v []byte) (bool, error) {
			message, err := decodeRaw(bucketOffline, v)
			if err != nil {
				return false, err
			}
			seq, _ := number(k)
			out = append(out, presence.OfflineMessage{Seq: seq, Stanza: bytes.Clone(message)})
			return len(out) < max, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Remove implements presence.OfflineStore.
func (s offline) Remove(ctx context.Context, account jid.JID, upTo uint64) error {
	return s.db.update(ctx, func(t *txn) error {
		box, had, err := t.sums(bucketBoxes, account)
		if err != nil || !had {
			return err
		}
		var keys [][]byte
		p := prefix(account, 0)
		err = t.after(bucketOffline, p, p, func(k, v []byte) (bool, error) {
			if seq, ok := number(k); !ok || seq > upTo {
				return false, nil
			}
			keys = append(keys, bytes.Clone(k))
			box.count--
			box.bytes -= int64(max(len(v)-1, 0))
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := t.remove(bucketOffline, k); err != nil {
				return err
			}
		}
		if len(keys) == 0 {
			return nil
		}
		return t.setSums(bucketBoxes, totalBoxes, account, box, true)
	})
}

// Count implements presence.OfflineStore.
func (s offline) Count(ctx context.Context, account jid.JID) (n int, err error) {
	err = s.db.view(ctx, func(t *txn) error {
		box, _, err := t.sums(bucketBoxes, account)
		n = int(box.count)
		return err
	})
	return n, err
}

// Delete implements presence.OfflineStore.
func (s offline) Delete(ctx context.Context, account jid.JID) error {
	return s.db.update(ctx, func(t *txn) error {
		if t.get(bucketBoxes, plain(account)) == nil {
			return nil
		}
		if err := t.removePrefix(bucketOffline, prefix(account, 0)); err != nil {
			return err
		}
		return t.setSums(bucketBoxes, totalBoxes, account, sums{}, true)
	})
}
